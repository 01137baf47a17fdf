"""The life of a schedule: which actions it takes, and which it leaves out.

`Schedule` is all that is known of one; its methods fold what happened (time went by,
somebody triggered it, a run that it started ended) and return the orders that follow.
Readings of the clock and IDs are given to it. An order is to be carried out in the
transaction that stores the schedule as it is then: so each time leads to one action
at most, whatever dies when.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import blake2b
from math import floor
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from everact.runtime.core.bounds import Count, Moment, Seconds
from everact.runtime.core.calendars import Spec, Times
from everact.runtime.core.cron import compiled, times_of
from everact.runtime.core.failures import FailureKind
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import (
    FORMAT,
    NO_EXTRAS,
    Args,
    Attribute,
    Complete,
    Fail,
    Kwargs,
    Previous,
    Record,
    Started,
    StartOptions,
)

BATCH = 100
"""Times that one change deals with: what is longer is done in slices."""

MOST_RANGES = 100
"""Ranges of backfills that a schedule may have before it."""

MOST_BACKFILLED = 100_000
"""Times that the backfills of one request may cover."""

MOST_OPEN = 1000
"""Open runs of a schedule beside which a backfill starts no more: it goes on as they
end.
"""

MOST_PARTS = 100
"""Calendars, intervals and cron texts of a specification, excluded ones included."""

LONGEST_BUFFER = 1000
"""Actions that may wait for a run to end; those beyond are skipped."""

RECENT = 10
"""Actions that are remembered."""

LEAST_CATCHUP = 10.0
"""Seconds: the shortest catch-up window."""

_FAILED = (
    FailureKind.APPLICATION,
    FailureKind.TIMED_OUT,
    FailureKind.CHILD,
    FailureKind.LOST,
)


class OverlapPolicy(IntEnum):
    """What becomes of an action whose time comes while a run of the schedule is open.

    SKIP leaves it out. BUFFER_ONE lets one wait for the run to end, BUFFER_ALL all.
    CANCEL_OTHER asks the run to stop and starts when it has ended, TERMINATE_OTHER
    ends it at once. ALLOW_ALL starts beside it.
    """

    SKIP = 1
    BUFFER_ONE = 2
    BUFFER_ALL = 3
    CANCEL_OTHER = 4
    TERMINATE_OTHER = 5
    ALLOW_ALL = 6


class Action(Record, frozen=True):
    """The run to start. Its workflow ID is `workflow_id` and the nominal time."""

    workflow: str
    workflow_id: str = ""
    args: Args = ()
    kwargs: Kwargs = {}  # noqa: RUF012 (structs copy mutable defaults)
    options: StartOptions = StartOptions()


class Policy(Record, frozen=True):
    """How overlaps, outages and failures are dealt with.

    A time that was missed by more than `catchup_window` seconds leads to no action.
    """

    overlap: OverlapPolicy = OverlapPolicy.SKIP
    catchup_window: Seconds = 365 * 86400.0
    pause_on_failure: bool = False


class Definition(Record, frozen=True, kw_only=True):
    """What is done when, and whether it is done at present."""

    action: Action
    spec: Spec = Spec()
    policy: Policy = Policy()
    paused: bool = False
    note: str = ""
    limited_actions: bool = False
    remaining_actions: Count = 0


class Backfill(Record, frozen=True):
    """The times later than `after`, up to and with `until`, as if they came now."""

    after: Moment
    until: Moment
    overlap: OverlapPolicy | None = None


class Taken(Record, frozen=True):
    """An action that was taken: its time, when it was taken, and its run."""

    nominal_time: float
    taken_at: float
    workflow_id: str
    run_id: str


class Waiting(Record, frozen=True):
    """An action that waits for a run to end."""

    nominal_time: float
    overlap: OverlapPolicy
    manual: bool


class Begin(Record, frozen=True):
    """An order: start a run of the schedule's action."""

    taken: Taken
    previous: Previous | None


class Stop(Record, frozen=True):
    """An order: make a run of the schedule stop."""

    taken: Taken
    terminate: bool


Order: TypeAlias = Begin | Stop
Naming: TypeAlias = Callable[[str], tuple[str, str]]
"""Makes of a workflow ID one that no open run has, and a run ID."""


class Present(NamedTuple):
    """What a change of a schedule is given of the world: the time, and names."""

    now: float
    naming: Naming


class Schedule(msgspec.Struct, array_like=True, kw_only=True):
    """One schedule; see the module's header. Moments are epoch seconds.

    `until` is the time up to which all is done; `serial` counts the changes of what
    was defined.
    """

    workspace: str
    id: str
    definition: Definition
    created_at: float
    updated_at: float
    until: float
    serial: int = 1
    memo: dict[str, Payload] = {}
    attributes: dict[str, Attribute] = {}
    static_summary: str = ""
    static_details: str = ""
    waiting: tuple[Waiting, ...] = ()
    running: tuple[Taken, ...] = ()
    recent: tuple[Taken, ...] = ()
    backfills: tuple[Backfill, ...] = ()
    taken: int = 0
    missed: int = 0
    skipped: int = 0
    previous: Previous | None = None
    identity: str = ""
    """Of whoever asked last for a change, or for an action."""

    # -- what happens ----------------------------------------------------------------

    def advance(self, present: Present) -> list[Order]:
        """Time has gone by: what to do, and a slice of what is to be made up for."""
        return self.catch_up(present) + self.make_up(present)

    def make_up(self, present: Present) -> list[Order]:
        """Take the next times of the backfills, `BATCH` at most."""
        orders: list[Order] = []
        times, left = self.times, BATCH
        while left and self.backfills and not self._crowded:
            first, *others = self.backfills
            nominal = times.after(first.after)
            if nominal is None or nominal > first.until:
                self.backfills = tuple(others)
                continue
            self.backfills = (replace(first, after=nominal), *others)
            orders += self._offer(nominal, first.overlap, True, present)
            left -= 1
        return orders

    def catch_up(self, present: Present) -> list[Order]:
        """Deal with the times that have come, `BATCH` at most; the rest stays due."""
        orders: list[Order] = []
        now, times, left = present.now, self.times, BATCH
        if not self._acts:  # these times are nobody's any more
            jitter = self.definition.spec.jitter
            self.until = max(self.until, floor(now - jitter))
        while left and (nominal := times.after(self.until)) is not None:
            due = self._due(nominal, times)
            if due > now:
                break
            self.until = nominal
            left -= 1
            if not self._acts:
                continue
            if now - due > self.definition.policy.catchup_window:
                self.missed += 1
            else:
                orders += self._offer(nominal, None, False, present)
        return orders

    def trigger(self, overlap: OverlapPolicy | None, present: Present) -> list[Order]:
        """Somebody wants an action now."""
        return self._offer(present.now, overlap, True, present)

    def closed(self, run_id: str, closing: object, present: Present) -> list[Order]:
        """The chain of runs that begins with `run_id` has ended with a command.

        None stands for an end that nobody knows any more.
        """
        ended = [taken for taken in self.running if taken.run_id == run_id]
        if not ended:
            return []
        self.running = tuple(taken for taken in self.running if taken not in ended)
        if isinstance(closing, Complete):
            self.previous = Previous(closing.result)
        elif isinstance(closing, Fail):
            result = self.previous.result if self.previous else b""
            self.previous = Previous(result, closing.failure)
            if (
                closing.failure.kind in _FAILED
                and self.definition.policy.pause_on_failure
            ):
                failure = closing.failure
                self.pause(
                    f"paused because run {ended[0].workflow_id!r} failed: "
                    f"{failure.type}: {failure.message}"
                )
        return self._drain(present)

    def redefine(self, definition: Definition, now: float) -> None:
        """Go by another definition from now on, without a look back."""
        if compiled(definition.spec) != compiled(self.definition.spec):
            self.until = max(self.until, now)
        self.definition = definition
        self.updated_at = now

    def pause(self, note: str) -> list[Order]:
        """Act only when asked to from now on."""
        self.definition = replace(self.definition, paused=True, note=note)
        return []

    def resume(self, note: str) -> list[Order]:
        """Act by itself again; the times that passed meanwhile are not made up for."""
        self.definition = replace(self.definition, paused=False, note=note)
        return []

    # -- what is known ---------------------------------------------------------------

    @property
    def times(self) -> Times:
        """When it is to act."""
        return times_of(self.definition.spec)

    def next_at(self) -> float | None:
        """When `advance` is due; 0 is at once, None is never."""
        if self.backfills and not self._crowded:
            return 0.0
        if not self._acts:
            return None
        times = self.times
        nominal = times.after(self.until)
        return None if nominal is None else self._due(nominal, times)

    def upcoming(self, now: float, most: int) -> tuple[float, ...]:
        """The next times, paused or not; no more than actions are left."""
        times = self.times
        if self.definition.limited_actions:
            most = min(most, self.definition.remaining_actions)
        found: list[float] = []
        moment = times.after(max(self.until, now))
        while moment is not None and len(found) < most:
            found.append(float(moment))
            moment = times.after(moment)
        return tuple(found)

    def start(self, begin: Begin, now: float) -> Started:
        """The start that an order asks for."""
        action, taken = self.definition.action, begin.taken
        limit = action.options.execution_timeout
        extras = replace(
            action.options.extras or NO_EXTRAS,
            schedule_id=self.id,
            nominal_time=taken.nominal_time,
        )
        return Started(
            action.workflow,
            taken.workflow_id,
            taken.run_id,
            taken.run_id,
            taken.run_id,
            action.args,
            action.kwargs,
            replace(
                action.options,
                execution_deadline=None if limit is None else now + limit,
                extras=extras,
            ),
            workspace=self.workspace,
            previous=begin.previous,
        )

    # -- actions ---------------------------------------------------------------------

    @property
    def _acts(self) -> bool:
        """Whether it acts by itself."""
        definition = self.definition
        exhausted = definition.limited_actions and not definition.remaining_actions
        return not (definition.paused or exhausted)

    @property
    def _crowded(self) -> bool:
        """Whether the backfill has to wait until runs have ended."""
        overlap = self.backfills[0].overlap or self.definition.policy.overlap
        return overlap is OverlapPolicy.ALLOW_ALL and len(self.running) >= MOST_OPEN

    def _due(self, nominal: int, times: Times) -> float:
        """When the action of a time is to be taken: the same whenever it is asked."""
        jitter = self.definition.spec.jitter
        if not jitter:
            return nominal
        following = times.after(nominal)
        limit = jitter if following is None else min(jitter, following - nominal)
        name = f"{self.workspace}/{self.id}/{nominal}".encode()
        share = int.from_bytes(blake2b(name, digest_size=6).digest(), "big") / 2**48
        return nominal + share * limit

    def _offer(
        self,
        nominal: float,
        overlap: OverlapPolicy | None,
        manual: bool,
        present: Present,
    ) -> list[Order]:
        """The time of an action has come: take it, keep it or leave it out."""
        chosen = self.definition.policy.overlap if overlap is None else overlap
        action = Waiting(nominal, chosen, manual)
        if not self.running or chosen is OverlapPolicy.ALLOW_ALL:
            return [self._begin(action, present)]
        if chosen is OverlapPolicy.TERMINATE_OTHER:
            orders: list[Order] = [Stop(taken, True) for taken in self.running]
            self.running = ()
            return [*orders, self._begin(action, present)]
        if chosen is OverlapPolicy.CANCEL_OTHER:
            kept = [w for w in self.waiting if w.overlap is not chosen]
            self.skipped += len(self.waiting) - len(kept)
            self.waiting = (*kept, action)
            return [Stop(taken, False) for taken in self.running]
        room = {OverlapPolicy.BUFFER_ONE: 1, OverlapPolicy.BUFFER_ALL: LONGEST_BUFFER}
        if len(self.waiting) < room.get(chosen, 0):
            self.waiting = (*self.waiting, action)
        else:
            self.skipped += 1
        return []

    def _drain(self, present: Present) -> list[Order]:
        """No run is open any more: what waited first is next."""
        while self.waiting and not self.running:
            first, *others = self.waiting
            self.waiting = tuple(others)
            if first.manual or self._acts:
                return [self._begin(first, present)]
            self.skipped += 1
        return []

    def _begin(self, action: Waiting, present: Present) -> Begin:
        definition = self.definition
        if definition.limited_actions and not action.manual:
            left = definition.remaining_actions - 1
            self.definition = replace(definition, remaining_actions=left)
        workflow_id = definition.action.workflow_id or self.id
        named = present.naming(f"{workflow_id}-{_text(action.nominal_time)}")
        taken = Taken(action.nominal_time, present.now, *named)
        self.running = (*self.running, taken)
        self.recent = (*self.recent, taken)[-RECENT:]
        self.taken += 1
        alone = action.overlap is not OverlapPolicy.ALLOW_ALL
        return Begin(taken, self.previous if alone else None)


def check(definition: Definition) -> None:
    """ValueError if a definition is none that can be kept."""
    spec, policy = definition.spec, definition.policy
    parts = (*spec.calendars, *spec.intervals, *spec.crons, *spec.excluded)
    if len(parts) > MOST_PARTS:
        raise ValueError(
            f"a specification has {MOST_PARTS} calendars, intervals and cron texts "
            f"at most, not {len(parts)}"
        )
    times_of(spec)
    if spec.jitter < 0:
        raise ValueError(f"jitter must not be negative: {spec.jitter} s")
    if policy.catchup_window < LEAST_CATCHUP:
        raise ValueError(
            f"the catch-up window must be {LEAST_CATCHUP:g} s or more, not "
            f"{policy.catchup_window:g} s"
        )
    extras = definition.action.options.extras
    if extras is not None and extras.cron:
        raise ValueError("what a schedule starts has no cron expression of its own")
    if definition.remaining_actions < 0:
        raise ValueError("remaining_actions must not be negative")
    if definition.remaining_actions and not definition.limited_actions:
        raise ValueError("remaining_actions is given, but actions are not limited")


def check_new(definition: Definition) -> None:
    """ValueError if a definition is none that a schedule can begin with."""
    check(definition)
    if definition.limited_actions and not definition.remaining_actions:
        raise ValueError("actions are limited, but remaining_actions is 0")


def encode(schedule: Schedule) -> bytes:
    """A schedule as it is stored."""
    return FORMAT + _encoder.encode(schedule)


def decode(body: bytes) -> Schedule:
    """A schedule from what was stored; msgspec.ValidationError if it is none."""
    if body[:1] != FORMAT:
        raise msgspec.ValidationError(f"schedule of unknown format {body[:1]!r}")
    return _decoder.decode(memoryview(body)[1:])


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Schedule)


def _text(nominal: float) -> str:
    at = datetime.fromtimestamp(nominal, UTC).replace(tzinfo=None)
    return f"{at.isoformat(timespec='auto')}Z"
