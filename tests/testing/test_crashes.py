"""Crashes at every point of a scenario, and what a user is told of them."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    Worker,
    WorkflowFailure,
    sleep,
    start_child,
    task,
    testing,
    wait_condition,
    workflow,
)
from everact.runtime.core.records import RunTask
from everact.runtime.engine import interrupting
from everact.runtime.engine.interrupting import NUMBER
from everact.runtime.engine.run import starting
from everact.runtime.engine.run.recording import Recording
from everact.runtime.engine.watchdog import _Turns
from everact.runtime.errors import RuntimeStateError
from everact.runtime.testing.lives import LifeLoop, LifeRuntime

REGISTRY = Registry()
shipped: list[int] = []


@task(registry=REGISTRY)
async def charge(order: int) -> str:
    await asyncio.sleep(0.1)
    return f"receipt {order}"


@task(registry=REGISTRY)
def ship(order: int) -> str:
    shipped.append(order)
    return f"parcel {order}"


@workflow(registry=REGISTRY)
class Order:
    def __init__(self) -> None:
        self.approved = False

    @workflow.run
    async def run(self, order: int) -> list[str]:
        await wait_condition(lambda: self.approved, timeout="3d")
        receipts = await asyncio.gather(*(charge(n) for n in range(3)))
        await sleep(86400)
        return [*receipts, await ship(order)]

    @workflow.signal
    def approve(self) -> None:
        self.approved = True


async def approving(runtime: Runtime) -> list[str]:
    handle = await runtime.start(Order.run, 7, id="order-7")
    await asyncio.sleep(3600)
    await handle.signal(Order.approve)
    return await handle.result()


def test_a_crash_anywhere_changes_nothing_that_anybody_sees() -> None:
    report = testing.crash_everywhere(approving, registry=REGISTRY)
    assert report.outcome == ["receipt 0", "receipt 1", "receipt 2", "parcel 7"]
    assert report.commits >= 5
    assert report.crashes == 3 * report.commits
    assert str(report) == (
        f"{report.crashes} crashes at {report.commits} commits changed nothing"
    )


def test_the_report_says_after_which_commit_the_outcome_was_another() -> None:
    begun: list[int] = []

    @workflow(registry=REGISTRY)
    async def forgetful() -> str:
        begun.append(1)
        if len(begun) == 1:
            await charge(1)
        return await ship(2)

    async def scenario(runtime: Runtime) -> str:
        return await runtime.execute(forgetful, id="f")

    with pytest.raises(testing.CrashesDiffer) as found:
        testing.crash_everywhere(scenario, registry=REGISTRY, before_each=begun.clear)
    report = found.value.report
    assert report.outcome == "parcel 2"
    places = {(one.commit, one.moment) for one in report.differences}
    assert (1, testing.Moment.BEFORE) not in places  # nothing was there to differ from
    assert (1, testing.Moment.DURABLE) in places
    assert (2, testing.Moment.RELEASED) in places
    text = str(found.value)
    assert "of 9 crashes changed the outcome. Without any it is 'parcel 2'" in text
    assert "killed at commit 1, when it was durable, before anything came of it" in text
    assert "it held: f: Started, Began -> RunTask(call=1, name='charge', 1)" in text
    assert "outcome: raised RunPutAside(" in text


def test_an_effect_that_is_not_idempotent_shows_in_what_the_scenario_returns() -> None:
    async def scenario(runtime: Runtime) -> int:
        await runtime.execute(ship, 1)
        return len(shipped)

    with pytest.raises(testing.CrashesDiffer) as found:
        testing.crash_everywhere(scenario, registry=REGISTRY, before_each=shipped.clear)
    differences = found.value.report.differences
    assert {one.outcome for one in differences} == {"2"}


@workflow(registry=REGISTRY)
async def family(count: int) -> list[str]:
    children = [await start_child(Order.run, n, id=f"c{n}") for n in range(count)]
    return [(await child.result())[-1] for child in children]


def test_children_messages_and_concurrent_clients_are_played_the_same_way() -> None:
    async def scenario(runtime: Runtime) -> Any:
        handle = await runtime.start(family, 2)
        await asyncio.sleep(1)
        same = runtime.handle("c0")
        await asyncio.gather(
            same.signal("approve"), same.signal("approve"), _cancel(runtime, "c1")
        )
        try:
            return await handle.result()
        except WorkflowFailure as failure:
            return str(failure.cause)

    report = testing.crash_everywhere(scenario, registry=REGISTRY)
    assert report.crashes == 3 * report.commits


async def _cancel(runtime: Runtime, id: str) -> None:
    await runtime.handle(id).cancel(reason="too late")


def test_fakes_workers_and_moments_are_the_callers_choice() -> None:
    async def scenario(runtime: Runtime) -> str:
        return await runtime.execute(charge, 1, queue="tills")

    async def faked(order: int) -> str:
        return "faked"

    report = testing.crash_everywhere(
        scenario,
        registry=REGISTRY,
        fakes={charge: faked},
        workers=[Worker(("tills",), slots=1)],
        moments=[testing.Moment.RELEASED],
        downtime="1h",
    )
    assert report.outcome == "faked"
    assert report.crashes == report.commits


def test_a_scenario_that_fails_in_peace_fails() -> None:
    async def failing(runtime: Runtime) -> None:
        raise ValueError("my own mistake")

    async def waiting(runtime: Runtime) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="my own mistake"):
        testing.crash_everywhere(failing, registry=REGISTRY)
    with pytest.raises(AssertionError, match="waits for what never comes"):
        testing.crash_everywhere(waiting, registry=REGISTRY)


async def test_on_a_running_loop_it_is_refused() -> None:
    with pytest.raises(RuntimeStateError, match="plain function"):
        testing.crash_everywhere(approving, registry=REGISTRY)


def test_a_task_that_runs_before_its_request_is_durable_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug of the engine's, planted: effects do not wait for the commit."""
    record = Recording.record

    def recorded(journal: Any, turn: Any, commands: Any = ()) -> None:
        for command in commands:
            if type(command) is RunTask:
                starting.start(journal._run, command)
        record(journal, turn, commands)

    monkeypatch.setattr(Recording, "record", recorded)
    with pytest.raises(AssertionError, match="before its request is durable"):
        testing.crash_everywhere(approving, registry=REGISTRY)


def test_an_engine_that_dies_while_it_closes_leaves_nothing_in_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupting, "_present", ())  # what others have left behind
    monkeypatch.setattr(interrupting, "_before", signal.SIG_DFL)
    signal.signal(NUMBER, signal.SIG_DFL)
    before = signal.getsignal(NUMBER)
    loop = LifeLoop(1_000)
    runtime = LifeRuntime(":memory:", clock=VirtualClock(loop), registry=REGISTRY)

    async def main() -> None:
        await runtime.__aenter__()
        assert signal.getsignal(NUMBER) is not before
        closing = loop.create_task(runtime.close())
        while not runtime.engine.stopping:
            await asyncio.sleep(0)
        closing.cancel()
        loop.stop()

    dying = loop.create_task(main())
    loop.run_forever()
    assert dying.done()
    dying.result()
    runtime.die()
    loop.abandon()
    assert signal.getsignal(NUMBER) is before


def test_the_watch_asks_nothing_of_a_loop_whose_time_is_virtual() -> None:
    asked: list[object] = []

    class Asked(VirtualLoop):
        def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            asked.append(args)

    loop = Asked()
    _Turns(loop, asked.append).look(1.0)
    loop.close()
    assert asked == []
