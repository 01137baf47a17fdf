"""Workflow code that blocks the loop is interrupted, whatever it does about it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from everact.runtime import Call, Registry, Runtime, sleep, workflow
from everact.runtime.engine.watchdog import Watchdog
from everact.runtime.errors import QueryFailed, RunPutAside
from everact.runtime.functions import Arguments, TailCall

REGISTRY = Registry()
ENOUGH = 10.0
"""Seconds after which the blocking code gives up by itself, and the test fails."""


UNSTOPPED: list[str] = []


def block(until: float) -> None:
    while time.monotonic() < until:
        pass


@workflow(registry=REGISTRY)
async def swallower() -> str:
    until = time.monotonic() + ENOUGH
    try:
        block(until)
    except BaseException:
        block(until)
        UNSTOPPED.append("it gave up by itself")
    return ""


@pytest.mark.real_time
async def test_code_that_swallows_an_interruption_is_interrupted_again(
    tmp_path: Path,
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(swallower, task_timeout=0.05)
        with pytest.raises(RunPutAside, match="does not come to a wait"):
            await handle.result()
    assert UNSTOPPED == []


@pytest.mark.real_time
async def test_code_that_blocks_when_it_is_replayed_is_put_aside(
    tmp_path: Path,
) -> None:
    async with Runtime(tmp_path / "a.db", registry=changing(blocks=False)) as runtime:
        handle = await runtime.start("changing", id="c", task_timeout=0.05)
        await handle.query("seen")
    async with Runtime(tmp_path / "a.db", registry=changing(blocks=True)) as runtime:
        with pytest.raises(QueryFailed, match="when it is replayed"):
            await runtime.handle("c").query("seen")
    assert UNSTOPPED == []


@pytest.mark.real_time
@pytest.mark.feature("RC-06")
async def test_code_that_blocks_when_it_is_replayed_does_not_begin_anew(
    tmp_path: Path,
) -> None:
    """Its history may fit: nothing of it is thrown away."""

    def restarting(*, blocks: bool) -> Registry:
        registry = Registry()

        @workflow(registry=registry, name="restarting", on_misfit="restart")
        async def run() -> None:
            if blocks:
                block(time.monotonic() + 1.0)
            await sleep(3600)

        return registry

    async with Runtime(tmp_path / "a.db", registry=restarting(blocks=False)) as runtime:
        await runtime.start("restarting", id="r", task_timeout=0.05)
    async with Runtime(tmp_path / "a.db", registry=restarting(blocks=True)) as runtime:
        handle = runtime.handle("r")
        await handle.signal("look")
        with pytest.raises(RunPutAside, match="when it is replayed"):
            await handle.result(timeout=5)
        assert [r.state.generation for r in runtime.engine.runs.values()] == [0]


def changing(*, blocks: bool) -> Registry:
    """A workflow whose code blocks before its first step, or does not."""
    registry = Registry()

    @workflow(registry=registry, name="changing")
    class Changing:
        @workflow.run
        async def run(self) -> None:
            if blocks:
                block(time.monotonic() + ENOUGH)
                UNSTOPPED.append("it gave up by itself")
            await sleep("1h")

        @workflow.query
        def seen(self) -> int:
            return 1

    return registry


@pytest.mark.real_time
async def test_code_that_overruns_for_the_last_time_after_a_tail_call_begins_once(
    tmp_path: Path,
) -> None:
    begun: list[str] = []
    async with Runtime(tmp_path / "a.db", registry=hopping(begun, limit=2)) as runtime:
        handle = await runtime.start("hopping", "first", id="h", task_timeout=0.05)
        with pytest.raises(RunPutAside, match="does not come to a wait"):
            await handle.result()
    assert begun == ["first", "first", "first", "second"]
    begun.clear()
    async with Runtime(tmp_path / "a.db", registry=hopping(begun)) as runtime:
        assert await runtime.handle("h").result() == "second"
    assert begun == ["second"]
    assert UNSTOPPED == []


def hopping(begun: list[str], limit: int | None = None) -> Registry:
    """A workflow that goes on under another argument, and blocks until it has begun
    more than `limit` times; its second life always, if there is a limit.
    """
    registry = Registry()

    @workflow(registry=registry, name="hopping")
    async def hopping(life: str) -> str:
        begun.append(life)
        if limit is not None and (len(begun) <= limit or life == "second"):
            block(time.monotonic() + ENOUGH)
            UNSTOPPED.append("it gave up by itself")
        if life == "first":
            raise TailCall(Call("hopping", Arguments(("second",), {})))
        return life

    return registry


def test_an_interruption_that_comes_too_late_is_none() -> None:
    watchdog = Watchdog()
    try:
        watchdog.enter("a run", 100.0)
        assert not watchdog.leave()
        watchdog._interrupt("a run", watchdog.serial, 1.0)
        watchdog.enter("another run", 100.0)
        block(time.monotonic() + 0.01)
        assert not watchdog.leave()
    finally:
        watchdog.stop()


_PENDING = """
import asyncio, cProfile
from everact.runtime.engine.interrupting import Interrupter

Interrupter(lambda: False).absorb()

async def inner():
    await asyncio.sleep(0)
    return 1

async def main():
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(2000):
        await inner()
    profile.disable()

asyncio.run(main())
print("done")
"""


def test_an_interruption_that_came_too_late_leaves_nothing_pending() -> None:
    """On Python 3.11 a coroutine never began under a profiler after one that did."""
    ended = subprocess.run(
        [sys.executable, "-c", _PENDING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("done\n", 0), ended.stderr
