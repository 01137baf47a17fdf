"""What reaches a run while a transition of it is on its way to the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Reset,
    RunStatus,
    Runtime,
    WorkflowFailure,
    receive,
    sleep,
    workflow,
)

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def second() -> int:
    await sleep("1h")
    return 2


@workflow(registry=REGISTRY)
async def first() -> int:
    await receive("go")
    raise Reset(second)


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as made:
        yield made


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_run_is_ended_while_its_tail_call_is_committed(
    runtime: Runtime, how: str
) -> None:
    handle = await runtime.start(first)
    end = handle.cancel if how == "cancel" else handle.terminate
    await asyncio.gather(handle.signal("go"), end())
    with pytest.raises(WorkflowFailure):
        await handle.result()
    ended = {"cancel": RunStatus.CANCELLED, "terminate": RunStatus.TERMINATED}
    assert (await handle.describe()).status is ended[how]
    assert await runtime.execute(second) == 2
