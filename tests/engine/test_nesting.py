"""Long lines of runs, one started or ended by the other, take no long stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    RunStatus,
    Runtime,
    continue_as_new,
    execute_child,
    sleep,
    task,
    workflow,
)

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def count_down(left: int) -> str:
    """It continues in its first step, without ever waiting."""
    if left:
        continue_as_new(left - 1)
    return "done"


@workflow(registry=REGISTRY)
async def descend(levels: int) -> int:
    """It starts a child in its first step."""
    return 1 + await execute_child(descend, levels - 1) if levels else 0


@task(registry=REGISTRY)
async def step() -> None: ...


@workflow(registry=REGISTRY)
async def settle(levels: int) -> None:
    """It starts a child in its second step; the last one sleeps."""
    await step()
    if levels:
        await execute_child(settle, levels - 1)
    else:
        await sleep("1h")


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as made:
        yield made


async def test_runs_that_continue_at_once(runtime: Runtime) -> None:
    assert await runtime.execute(count_down, 500) == "done"


async def test_children_that_start_children_at_once(runtime: Runtime) -> None:
    assert await runtime.execute(descend, 300) == 300


async def test_the_end_of_a_run_ends_all_generations_of_its_children(
    runtime: Runtime,
) -> None:
    levels = 300
    handle = await runtime.start(settle, levels)
    while len([line async for line in runtime.list()]) <= levels:
        await asyncio.sleep(0)
    await handle.terminate()
    while runtime.engine.runs:
        await asyncio.sleep(0)
    closed = [line async for line in runtime.list(status=RunStatus.TERMINATED)]
    assert len(closed) == levels + 1
