"""Who is to blame when a process ends: what was executing, and what was alone.

A life of the engine notes what executes where it survives the process (`Noted`). After
an end that was not in good order `judge` makes of that note, and of what was known
before (`Record`), what is known now, and `plan_of` says what the next life does about
it. The protocol, all of it decided here:

1. *Executing* is what was on the loop at that moment, and what ran in threads. Only if
   nothing was on the loop, the attempts that had begun and were waiting are suspects as
   well: what they started (a helper thread, a child process) may have done it. What
   never began, waited for a slot, or goes on elsewhere is in no note.
2. Whoever was not executing at an end did not cause it: its record is dropped. A life
   that ended before it let anybody act changes nothing for those who had no chance.
3. An attempt that was executing at two ends in a row is *tried*: nothing else begins
   until it has ended or had its time. The likeliest is tried first and alone, so is the
   next; then two at once, four, and so on, so that many suspects do not stall the
   engine for long. An end takes all but those on trial out of suspicion.
4. Only an end that came while an attempt was tried alone, and nothing else executed, is
   *charged* to it. After `CHARGES` of them it is guilty: its task fails.
5. A process that is killed from outside looks the same from inside. So whoever has been
   charged is not tried again before a *silence* in which nothing begins: a process that
   ends in it was ended by something else, and by rule 2 all charges are dropped. The
   silence is longer than the trial was: kills at short or regular intervals cannot hit
   trial after trial and spare every silence.
6. A run whose own code was on the loop is kept from it for a moment in the next life,
   with the same effect: a series of quick kills does not find it there again. Found on
   the loop at `ENDS` ends in a row, between which it asked for nothing new, it is put
   aside until a life ended in good order: what ends the process does so at the same
   place. A run that got further in between was there by chance, as busy runs are, and
   is put aside after `MOST` ends in a row only.

It does not know how a note is kept, how a run is put aside, or what time it is.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

Place: TypeAlias = tuple[int, int]
"""A run's key and a call of it; call 0 is the run's own code."""

CODE = 0
"""The call that stands for a run's own code."""

ENDS = 2
"""Ends in a row at which something was executing, until it is tried or put aside."""

MOST = 5
"""Ends in a row after which a run is put aside even if it got further in between."""

CHARGES = 3
"""Ends while it alone was executing after which an attempt's task fails."""

TRIAL = 2.0
"""Seconds that a first trial may take; twice as many with each further end in a row."""

LONGEST_TRIAL = 60.0
"""Seconds that any trial may take."""

SILENCE = 2.0
"""Times its trial: so long nothing begins before whoever was charged is tried again."""

PAUSE = 1.0
"""Seconds for which a run is kept from its code that was on the loop at an end."""


class Begun(NamedTuple):
    """An attempt that had begun and not ended."""

    place: Place
    threaded: bool


class Noted(NamedTuple):
    """What was executing when a life ended.

    `begun` is in the order of beginning. `acting` says that recovery was over, so that
    attempts could begin; `alone` is who was on trial by itself.
    """

    on_loop: Place | None = None
    begun: tuple[Begun, ...] = ()
    acting: bool = False
    alone: Place | None = None


class Record(NamedTuple):
    """Ends in a row at which something was executing; those that are charged to it.

    To an attempt, those while it was alone; to a run's code, those at the same place:
    when it had `reached` what it has reached now.
    """

    ends: int = 0
    charges: int = 0
    reached: int = 0

    @property
    def puts_aside(self) -> bool:
        """Whether a run with this record is kept from its code."""
        return self.charges >= ENDS or self.ends >= MOST


Records: TypeAlias = dict[Place, Record]
"""Who is a suspect, the likeliest first."""


class Plan(NamedTuple):
    """What a life does about suspects.

    `guilty` tasks fail, with how often the process ended while they were alone. Runs
    `aside` are put aside, runs `paused` are kept from their code for a moment. After
    `silence` seconds the `trials` follow one another, of some suspects at a time and
    with so many seconds at most.
    """

    guilty: dict[Place, int]
    aside: dict[int, int]
    paused: tuple[int, ...]
    silence: float
    trials: tuple[tuple[tuple[Place, ...], float], ...]


def executing(noted: Noted) -> list[Place]:
    """What may have caused the end, the likeliest first; see rule 1."""
    latest = noted.begun[::-1]
    found = [] if noted.on_loop is None else [noted.on_loop]
    found += [begun.place for begun in latest if begun.threaded]
    if noted.on_loop is None:
        found += [begun.place for begun in latest if not begun.threaded]
    return list(dict.fromkeys(found))


def judge(
    before: Mapping[Place, Record],
    noted: Noted,
    reached: Callable[[int], int] = lambda _: 0,
) -> Records:
    """What is known of suspects after an end that was not in good order.

    `reached` tells how far the code of a run, by its key, has got: another number once
    it has asked for something new.
    """
    suspects = executing(noted)
    found: Records = {}
    for place in suspects:
        known = before.get(place, Record())
        if place[1] == CODE:
            now = reached(place[0])
            charges = known.charges if known.reached == now else 0
            found[place] = Record(known.ends + 1, charges + 1, now)
        else:
            alone = suspects == [place] and noted.alone == place
            found[place] = Record(known.ends + 1, known.charges + alone)
    for place, known in before.items():
        if place not in found and (not noted.acting or _kept_off(place, known)):
            found[place] = known
    return found


def plan_of(records: Mapping[Place, Record]) -> Plan:
    """What to do about suspects."""
    code = {p[0]: record for p, record in records.items() if p[1] == CODE}
    guilty = {
        place: record.charges
        for place, record in records.items()
        if place[1] != CODE and record.charges >= CHARGES
    }
    tried = [
        place
        for place, record in records.items()
        if place[1] != CODE and record.ends >= ENDS and place not in guilty
    ]
    tried.sort(key=lambda place: -records[place].charges)
    first = records[tried[0]] if tried else Record()
    return Plan(
        guilty,
        {key: record.ends for key, record in code.items() if record.puts_aside},
        tuple(key for key, record in code.items() if not record.puts_aside),
        SILENCE * _longest(first) if first.charges else 0.0,
        tuple(
            (group, max(_longest(records[place]) for place in group))
            for group in _groups(tried)
        ),
    )


def _kept_off(place: Place, record: Record) -> bool:
    """Whether it could not be executing: a run put aside, a task about to fail."""
    if place[1] == CODE:
        return record.puts_aside
    return record.charges >= CHARGES


def _longest(record: Record) -> float:
    further = min(record.ends - ENDS - record.charges, 10)
    return min(TRIAL * 2.0 ** max(0, further), LONGEST_TRIAL)


def _groups(tried: list[Place]) -> Iterable[tuple[Place, ...]]:
    """One, one, two, four: so many are tried at a time."""
    start, size = 0, 1
    while start < len(tried):
        yield tuple(tried[start : start + size])
        start += size
        size = max(1, start)
