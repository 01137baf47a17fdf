"""What waits costs memory only while it waits."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, receive, sleep, workflow

REGISTRY = Registry()
KEPT = 5


@workflow(registry=REGISTRY)
class Sleeper:
    @workflow.run
    async def run(self) -> None:
        try:
            await sleep("1d")
        finally:
            await sleep("1d")

    @workflow.query
    def number(self) -> int:
        return 1


@workflow(registry=REGISTRY)
async def counter(last: int) -> int:
    """It waits for signals, each with a limit of a day."""
    seen = 0
    while seen < last:
        seen = await asyncio.wait_for(receive("n"), 24 * 3600)
    return seen


@workflow(registry=REGISTRY)
async def nothing() -> None: ...


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        tmp_path / "a.db",
        registry=REGISTRY,
        clock=VirtualClock(loop),
        idle_runs=KEPT,
    ) as made:
        yield made


async def test_runs_that_were_asked_something_are_put_away_again(
    runtime: Runtime,
) -> None:
    handles = [await runtime.start(Sleeper) for _ in range(4 * KEPT)]
    for handle in handles:
        assert await handle.query("number") == await handle.query("number") == 1
    assert len(runtime.engine.runs) <= KEPT


async def test_runs_that_were_asked_twice_to_stop_are_put_away_again(
    runtime: Runtime,
) -> None:
    handles = [await runtime.start(Sleeper) for _ in range(4 * KEPT)]
    for handle in handles:
        await handle.cancel()
        await handle.cancel()
    assert len(runtime.engine.runs) <= KEPT


async def test_what_is_gone_is_not_left_to_the_garbage_collector(
    runtime: Runtime,
) -> None:
    gone = []
    gc.collect()
    gc.disable()
    try:
        for number in range(2 * KEPT):
            handle = await runtime.start(counter, 1)
            run = next(reversed(runtime.engine.runs.values()))
            gone.append(weakref.ref(run))
            del run
            if number % 2:
                await handle.signal("n", 1)
                assert await handle.result() == 1
        for _ in range(KEPT):
            await runtime.start(Sleeper)
        await asyncio.sleep(1)
        left = [number for number, run in enumerate(gone) if run() is not None]
        assert left == [], [gc.get_referrers(gone[number]()) for number in left[:2]]
    finally:
        gc.enable()


async def test_limits_that_were_not_reached_leave_nothing_behind(
    runtime: Runtime,
) -> None:
    last = 3000
    handle = await runtime.start(counter, last)
    for n in range(last):
        await handle.signal("n", n + 1)
    assert await handle.result() == last
    for _ in range(100):
        await runtime.execute(nothing, run_timeout="30d")
    assert runtime.engine.timers.noted < 2100
