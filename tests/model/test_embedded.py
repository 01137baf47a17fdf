"""Random operations of a client, on an engine that dies at any commit, and one truth.

Hypothesis makes the operations, the crashes and the faults, and makes a sequence that
fails as small as it can; what it prints is the sequence with its answers.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from everact.runtime.core.records import SignalReceived
from everact.runtime.engine import asking
from everact.runtime.engine.run.actor import RunActor
from tests.model.account import REGISTRY
from tests.model.driving import IDS, Story, operations, perform
from tests.model.model import (
    Again,
    Deposit,
    Operation,
    Result,
    Settle,
    Signal,
    Start,
    Terminate,
    Together,
)
from tests.simulation.chance import Chance
from tests.simulation.running import CRASHES
from tests.simulation.scene import Scene
from tests.simulation.store import Fate
from tests.simulation.world import Entry, Plan, World

LONG = bool(os.environ.get("EVERACT_LONG"))
SEQUENCES = 1000 if LONG else 150


SETTLED = 100.0
"""Virtual seconds within which every task is done, whatever the store does to it."""


async def play(scene: Scene, chosen: list[Operation]) -> None:
    """The client: it asks, and tells the model what it was answered."""
    story, prefix = Story(), f"{scene.name}."

    async def ask(key: str, operation: Any, request: str = "") -> Any:
        request_id = f"{scene.name} {request or key}"

        async def attempt() -> Any:
            return await perform(scene.runtime, operation, request_id, prefix)

        return await scene._once(key, attempt)

    for number, operation in enumerate(chosen):
        if isinstance(operation, Settle):
            await asyncio.sleep(SETTLED)
            story.told(number, operation, None)
        elif isinstance(operation, Again):
            found = story.repeated(operation)
            if found is not None:
                first, repeated, answer = found
                again = await ask(f"{number}", repeated, f"{first}")
                story.agree(first, answer, again)
        elif isinstance(operation, Together):
            asked = [
                ask(f"{number}.{n}", o) for n, o in enumerate(operation.operations)
            ]
            story.told(number, operation, await asyncio.gather(*asked))
        elif not isinstance(operation, Result) or story.model.closed(operation.id):
            story.told(number, operation, await ask(str(number), operation))
    for id in IDS:
        await ask(f"end of {id}", Terminate(id))


def simulated(chosen: list[Operation], plan: Plan, seed: int = 0) -> World:
    """Play operations in a simulated world."""

    async def script(scene: Scene) -> None:
        await play(scene, chosen)

    chance = Chance(seed, calm=not seed)
    world = World(chance, [Entry("model", script)], plan, REGISTRY)
    world.run()
    return world


plans = st.builds(
    Plan,
    fates=st.dictionaries(st.integers(1, 40), st.sampled_from(CRASHES), max_size=3),
    crash_turns=st.dictionaries(st.integers(0, 2), st.integers(1, 200), max_size=2),
    faults=st.integers(0, 4),
    rate=st.sampled_from((0.1, 0.4)),
    idle_runs=st.sampled_from((1, 100)),
)

EARNED_LATE: list[Operation] = [
    Start("a", 1),
    Signal("a", "add", 1),
    Signal("a", "work", 1),
    *[Deposit("a", 1)] * 3,
]
"""A crash makes the task end between two deposits; each of them counts."""


@pytest.mark.feature("RC-02", "ID-01", "ID-11", "MS-01", "MS-07", "ST-21")
@settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize=not LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(chosen=operations, plan=plans, seed=st.integers(0, 2**16))
@example(chosen=EARNED_LATE, plan=Plan(fates={3: Fate.CRASH_BEFORE}), seed=5)
def test_whatever_a_client_asks_and_whenever_the_engine_dies(
    chosen: list[Operation], plan: Plan, seed: int
) -> None:
    simulated(chosen, plan, seed)


# -- would a bug be found? -------------------------------------------------------------


def answered_at_once(run: Any, event: Any, asked: Any, within: Any = None) -> None:
    """A message is answered when it is taken in, not when that is durable."""
    _TAKE(run, event, asked, within)
    if asked is not None:
        asked.settle(run)


def taken_twice(run: Any, event: Any, asked: Any, within: Any = None) -> None:
    """Now and then a signal is taken in twice."""
    again = isinstance(event, SignalReceived) and run.state.seq % 3 == 0
    _TAKE(run, event, asked, within)
    if again and not run.dropped:
        _TAKE(run, replace(event, request_id=""), None, None)


_TAKE = RunActor.take


@pytest.mark.parametrize("bug", [answered_at_once, taken_twice])
def test_a_bug_that_is_planted_is_found(
    bug: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunActor, "take", bug)
    monkeypatch.setattr(asking, "take_alone", bug)

    @settings(
        max_examples=SEQUENCES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(chosen=operations, plan=plans, seed=st.integers(0, 2**16))
    def play_it(chosen: list[Operation], plan: Plan, seed: int) -> None:
        simulated(chosen, plan, seed)

    with pytest.raises(AssertionError):
        play_it()
