"""Moments that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    WorkflowFailure,
    now,
    receive,
    task,
    workflow,
)
from tests.features.support import EPOCH, open_runtime

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def sleeper(delay: float) -> float:
    await asyncio.sleep(delay)
    return delay


@task(registry=REGISTRY)
async def step() -> None:
    pass


@workflow(registry=REGISTRY)
async def observer() -> list[float]:
    seen = [now().timestamp()]
    await receive("go")
    seen.append(now().timestamp())
    await step()
    return [*seen, now().timestamp()]


@workflow(registry=REGISTRY)
async def stopped() -> list[float]:
    seen = [now().timestamp()]
    try:
        await receive("never")
    except asyncio.CancelledError:
        seen.append(now().timestamp())
    return seen


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as made:
        yield made


async def test_a_sleep_of_no_number_fails_its_run_and_disturbs_no_timer(
    runtime: Runtime,
) -> None:
    delays = [60.0 - n for n in range(40)]
    wrong, right = [], []
    for delay in delays:
        wrong.append(await runtime.start(sleeper, float("nan")))
        right.append(await runtime.start(sleeper, delay))
    async with asyncio.timeout(120):
        assert [await handle.result() for handle in right] == delays
    for handle in wrong:
        with pytest.raises(WorkflowFailure, match="NaN"):
            await handle.result()


async def test_a_sleep_for_ever_waits(runtime: Runtime) -> None:
    handle = await runtime.start(sleeper, float("inf"))
    assert await runtime.execute(sleeper, 5.0) == 5.0
    await handle.terminate()


async def test_the_time_of_a_run_does_not_go_back_with_the_clock(
    tmp_path: Path,
) -> None:
    path = tmp_path / "b.db"
    async with open_runtime(path, REGISTRY, at=EPOCH) as runtime:
        await runtime.start(observer, id="o")
        await runtime.start(stopped, id="s")
    async with open_runtime(path, REGISTRY, at=EPOCH - 3600) as runtime:
        await runtime.handle("o").signal("go")
        assert await runtime.handle("o").result() == [EPOCH] * 3
        await runtime.handle("s").cancel()
        assert await runtime.handle("s").result() == [EPOCH] * 2
