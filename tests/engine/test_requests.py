"""A request ID is one request, whatever is asked with it, also while it is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from everact.actors import VirtualClock
from everact.runtime import Registry, Runtime, receive, workflow

registry = Registry()


@workflow(registry=registry)
async def listener() -> str:
    heard: str = await receive("say")
    return heard


@pytest.mark.parametrize("pause", [0, 200])
async def test_a_start_with_the_id_of_a_signal_gives_the_run_it_reached(
    tmp_path: Path, pause: int
) -> None:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    async with Runtime(tmp_path / "a.db", registry=registry, clock=clock) as runtime:
        handle = await runtime.start(listener, id="a")
        signal = asyncio.ensure_future(handle.signal("say", "hello", request_id="r"))
        for _ in range(pause + 1):
            await asyncio.sleep(0)
        again = await runtime.start(listener, id="b", request_id="r")
        await signal
        assert (again.id, await again.result()) == ("a", "hello")
        assert [line.workflow_id async for line in runtime.list()] == ["a"]
