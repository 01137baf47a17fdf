"""Which simulations there are: by entry and crash point, and by seed."""

from collections.abc import Iterable, Sequence
from random import Random

from everact.runtime.testing.ledger import Broken
from tests.simulation.chance import Chance
from tests.simulation.corpus import CORPUS, ENTRIES, HOSTILE
from tests.simulation.store import Fate
from tests.simulation.world import Entry, Plan, World

CRASHES = (Fate.CRASH_BEFORE, Fate.CRASH_AFTER, Fate.CRASH_ANSWERED)


class Failed(AssertionError):
    """A simulation broke an invariant; the text says how to see it again."""


def play(
    chance: Chance,
    entries: Sequence[Entry],
    plan: Plan,
    *,
    tracing: bool = False,
    again: str = "",
) -> World:
    """Run one simulation; Failed names the command `again`."""
    world = World(chance, entries, plan, CORPUS, tracing)
    try:
        world.run()
    except Exception as error:
        if isinstance(error, Broken | AssertionError):
            text = str(error) or repr(error)
        else:
            text = repr(error)
        failed = Failed(f"{text}\nreplay it with: python -m tests.simulation {again}")
        failed.__dict__["world"] = world
        raise failed from error
    return world


def calm(entry: Entry) -> World:
    """An entry with nothing going wrong."""
    again = f"--entry {entry.name}"
    return play(Chance(0, calm=True), (entry,), Plan(), again=again)


def crashed_at(entry: Entry, commit: int, fate: Fate, turn: int | None = None) -> World:
    """An entry whose engine dies at a commit, and again at a turn of the recovery."""
    again = f"--entry {entry.name} --crash {commit} --fate {fate.name}"
    plan = Plan(fates={commit: fate})
    if turn is not None:
        plan.crash_turns = {1: turn}
        again += f" --turn {turn}"
    return play(Chance(0, calm=True), (entry,), plan, again=again)


def every_crash(entry: Entry) -> Iterable[World]:
    """An entry with a crash at every commit point, before, at and after it.

    At every third point the recovery is cut off as well.
    """
    commits = calm(entry).commits
    for commit in range(1, commits + 1):
        for number, fate in enumerate(CRASHES):
            turn = commit % 7 + 1 if (commit + number) % 3 == 0 else None
            yield crashed_at(entry, commit, fate, turn)


def plan_of(seed: int) -> tuple[list[Entry], Plan]:
    """What a seed plays, and what goes wrong in it."""
    draw = Random(seed * 2_654_435_761 + 1)
    entries = draw.sample(ENTRIES, draw.choice((1, 1, 2, 3)))
    if any(entry.lossy for entry in entries):
        entries = entries[:1]
    plan = Plan(
        faults=draw.choice((0, 1, 3, 6, 15)),
        rate=draw.choice((0.05, 0.3, 0.6)),
        echoes=draw.choice((0.0, 0.3)),
        idle_runs=draw.choice((0, 1, 100)),
    )
    crashes = draw.choice((0, 1, 1, 2))
    for life in range(crashes):
        if draw.random() < 0.6:
            plan.fates[draw.randrange(1, 40)] = draw.choice(CRASHES)
        else:
            plan.crash_turns[life] = draw.randrange(1, 300)
    if draw.random() < 0.3:
        plan.closings[draw.randrange(2)] = draw.uniform(0.0, 10.0)
    if draw.random() < 0.3:
        plan.jumps = tuple(
            (draw.uniform(0, 8), draw.uniform(-20, 20))
            for _ in range(draw.randrange(1, 3))
        )
    return entries, plan


def beside_hostile(seed: int) -> World:
    """Play one seed with a hostile entry beside what it plays otherwise."""
    entries, plan = plan_of(seed)
    chosen = HOSTILE[seed % len(HOSTILE)]
    if not any(entry.lossy for entry in entries):
        entries = [*entries, chosen]
    again = f"--hostile --seed {seed}"
    return play(Chance(seed), entries, plan, again=again)


def simulate(seed: int, *, tracing: bool = False) -> World:
    """Play one seed."""
    entries, plan = plan_of(seed)
    return play(Chance(seed), entries, plan, tracing=tracing, again=f"--seed {seed}")
