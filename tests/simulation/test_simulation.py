"""The engine under one seed: crashes everywhere, faults anywhere, and one truth."""

import gc
import sys
import weakref
from collections import Counter
from typing import get_args

import pytest

from everact.runtime.core import records
from tests.simulation import running
from tests.simulation.corpus import ENTRIES, HOSTILE
from tests.simulation.store import Fate
from tests.simulation.world import Entry

SEEDS = 4000
"""Seeds played by default; `python -m tests.simulation --seeds A:B` plays others."""

CHUNK = 500

ONCE_BROKEN: tuple[int, ...] = (
    5698,
    6912,
    8043,
    9587,
    10835,
    200845,  # a signal and the beginning that it caused were two transactions
    303242,  # attempts cut off by an orderly close on a full disk counted as lost
)
"""Seeds beyond the default range that showed a bug once."""

each_entry = pytest.mark.parametrize(
    "entry", [*ENTRIES, *HOSTILE], ids=lambda e: e.name
)


@each_entry
def test_an_entry_of_the_corpus_ends_as_it_must(entry: Entry) -> None:
    running.calm(entry)


@each_entry
def test_a_crash_at_any_commit_changes_no_outcome(entry: Entry) -> None:
    for world in running.every_crash(entry):
        assert world.crashes, "the crash never came"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_an_invariant(first: int) -> None:
    fired: Counter[Fate] = Counter()
    crashes = 0
    for seed in range(first, first + CHUNK):
        world = running.simulate(seed)
        crashes += world.crashes
        fired.update(world.fired)
    # A simulation in which little goes wrong proves little.
    assert crashes > CHUNK // 5
    for fate in Fate:
        assert fate is Fate.DONE or fired[fate] > CHUNK // 100, fate


def test_an_engine_is_let_go_with_the_world_that_it_was_simulated_in() -> None:
    hooks = sys.get_asyncgen_hooks()
    engines = [weakref.ref(running.simulate(seed).engine) for seed in range(10)]
    gc.collect()
    left = [number for number, engine in enumerate(engines) if engine() is not None]
    assert set(left) <= {9}, "the class knows the world that was played last"
    assert sys.get_asyncgen_hooks() == hooks


def test_nothing_hostile_breaks_an_invariant_for_others() -> None:
    crashes = sum(running.beside_hostile(seed).crashes for seed in range(200))
    assert crashes > 40


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_a_seed_that_showed_a_bug_stays_whole(seed: int) -> None:
    running.simulate(seed)


def test_a_seed_is_played_the_same_way_twice() -> None:
    for seed in range(40):
        one, other = (running.simulate(seed, tracing=True) for _ in range(2))
        assert repr(one.traced) == repr(other.traced)


def test_the_corpus_produces_every_kind_of_record() -> None:
    seen: set[type] = set()
    for entry in ENTRIES:
        seen |= running.calm(entry).ledger.kinds
        for commit in range(1, 4):
            world = running.crashed_at(entry, commit, Fate.CRASH_ANSWERED)
            seen |= world.ledger.kinds
    for seed in range(60):
        seen |= running.simulate(seed).ledger.kinds
    # One that only journals of earlier versions have, and one that only code makes that
    # is not what it was: worlds keep theirs, tests/features/test_misfits.py changes it.
    old, misfit = {records.AttemptStarted}, {records.RestartRequested}
    expected = {*get_args(records.Event), *get_args(records.Command)} - old - misfit
    missing = sorted(kind.__name__ for kind in expected - seen)
    assert not missing


def test_the_corpus_is_large_enough() -> None:
    assert len(ENTRIES) >= 20
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
