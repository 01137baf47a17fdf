"""Updates in the engine: what they keep in memory, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, Worker, wait_condition, workflow
from everact.runtime.engine.parts import updates
from everact.runtime.errors import (
    RPCError,
    RuntimeStateError,
    UpdateTimedOutOrCancelled,
)
from everact.runtime.statuses import RPCStatus

REGISTRY = Registry()
KEPT = 5


@workflow(registry=REGISTRY)
class Gate:
    def __init__(self) -> None:
        self.open = False

    @workflow.run
    async def run(self) -> None:
        await wait_condition(lambda: False)

    @workflow.signal
    def unlock(self) -> None:
        self.open = True

    @workflow.update
    async def pass_through(self, name: str) -> str:
        await wait_condition(lambda: self.open)
        return name


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with opened(tmp_path) as made:
        yield made


def opened(folder: Path, workers: tuple[Worker, ...] | None = None) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(
        folder / "a.db",
        registry=REGISTRY,
        clock=VirtualClock(loop),
        idle_runs=KEPT,
        workers=workers,
    )


async def test_runs_with_open_updates_are_put_away_and_answer_when_they_come_back(
    runtime: Runtime,
) -> None:
    handles = [await runtime.start(Gate, id=f"gate-{n}") for n in range(3 * KEPT)]
    waiting = [
        asyncio.ensure_future(handle.update(Gate.pass_through, handle.id))
        for handle in handles
    ]
    await asyncio.sleep(1)
    assert len(runtime.engine.runs) <= KEPT
    for handle in handles:
        await handle.signal(Gate.unlock)
    assert await asyncio.gather(*waiting) == [handle.id for handle in handles]
    assert runtime.engine.updates.awaited == {}


async def test_those_who_give_up_leave_nothing_behind(runtime: Runtime) -> None:
    handle = await runtime.start(Gate, id="gate")
    for _ in range(3):
        with pytest.raises(UpdateTimedOutOrCancelled):
            await handle.update(Gate.pass_through, "a", id="a", rpc_timeout=1)
    assert runtime.engine.updates.awaited == {}
    state = runtime.engine.runs[1].state
    assert state.updates is not None and list(state.updates) == ["a"]


async def test_a_run_that_had_no_update_keeps_nothing_for_them(
    runtime: Runtime,
) -> None:
    handle = await runtime.start(Gate, id="gate")
    await handle.signal(Gate.unlock)
    run = runtime.engine.runs[1]
    assert run.state.updates is None
    assert run.code.program.loop.running is None  # type: ignore[union-attr]


async def test_updates_that_wait_for_code_are_limited_and_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "MOST_ADMITTED", 2)
    async with opened(tmp_path, workers=()) as runtime:
        handle = await runtime.start(Gate, id="gate")
        for _ in range(3):  # given up and repeated: it waits once
            with pytest.raises(UpdateTimedOutOrCancelled):
                await handle.update(Gate.pass_through, "a", id="a", rpc_timeout=1)
        other = asyncio.ensure_future(handle.update(Gate.pass_through, "b"))
        await asyncio.sleep(1)
        with pytest.raises(RPCError) as caught:
            await handle.update(Gate.pass_through, "c")
        assert caught.value.status is RPCStatus.RESOURCE_EXHAUSTED
        runtime.add_worker(Worker())
        await handle.signal(Gate.unlock)
        assert await other == "b"
        assert await handle.update_handle("a").result() == "a"
        assert runtime.engine.updates.admitted == {}


async def test_closing_the_engine_tells_those_who_wait(tmp_path: Path) -> None:
    async with opened(tmp_path, workers=()) as runtime:
        admitted = await runtime.start(Gate, id="admitted")
        waiting = [asyncio.ensure_future(admitted.update(Gate.pass_through, "a"))]
        runtime.add_worker(Worker(("other",)))
        accepted = await runtime.start(Gate, id="accepted", queue="other")
        waiting.append(asyncio.ensure_future(accepted.update(Gate.pass_through, "b")))
        await asyncio.sleep(1)
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [RuntimeStateError] * 2
