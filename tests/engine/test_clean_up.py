"""Code that is dropped cleans up: that is author code as well, watched and on stage."""

from __future__ import annotations

import asyncio
import time
from asyncio.events import _set_running_loop
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import Registry, Runtime, sleep, workflow
from everact.runtime.core.blame import CODE
from everact.runtime.engine.watchdog import Watchdog
from everact.runtime.errors import RuntimeStateError, StoreError
from everact.runtime.programs.loop import DeterministicLoop
from everact.runtime.schedules import (
    IntervalSpec,
    Schedule,
    ScheduleSpec,
    StartWorkflow,
)
from tests.engine.test_suspects import Listening, dead, open_runtime

REGISTRY = Registry()
ENOUGH = 5.0
"""Seconds after which code that blocks gives up by itself, and its test fails."""

UNSTOPPED: list[str] = []
SEEN: list[tuple[int, ...]] = []
ENGINES: list[Any] = []


@workflow(registry=REGISTRY)
async def lingering() -> None:
    try:
        await sleep(3600)
    finally:
        until = time.monotonic() + ENOUGH
        while time.monotonic() < until:
            pass
        UNSTOPPED.append("it gave up by itself")


@workflow(registry=REGISTRY)
class Looked:
    @workflow.run
    async def run(self, *, waits: bool) -> None:
        try:
            await sleep(3600 if waits else 0)
        finally:
            SEEN.append(tuple(ENGINES[0].on_loop))

    @workflow.query
    def on_loop(self) -> list[int]:
        return list(ENGINES[0].on_loop)


@pytest.mark.real_time
async def test_clean_up_that_blocks_is_interrupted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(lingering, id="l", task_timeout=0.05)
        await handle.terminate()
        async with asyncio.timeout(ENOUGH):
            assert (await handle.describe()).status.name == "TERMINATED"
    assert UNSTOPPED == []
    assert "run 'l'" in caplog.text
    assert "in lingering" in caplog.text


async def test_clean_up_is_the_runs_own_code_on_the_loop(tmp_path: Path) -> None:
    SEEN.clear()
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        ENGINES[:] = [runtime.engine]
        handle = await runtime.start(Looked, kwargs={"waits": True})
        await handle.terminate()
        await handle.describe()
        assert SEEN == [(1, CODE)]
        assert runtime.engine.on_loop[0] == 0


async def test_the_code_of_a_closed_run_is_on_the_loop_when_it_is_asked(
    tmp_path: Path,
) -> None:
    """Else what it does to the process is laid on tasks that only wait."""
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        ENGINES[:] = [runtime.engine]
        handle = await runtime.start(Looked, kwargs={"waits": False})
        await handle.result()
        assert await handle.query("on_loop") == [1, CODE]
        assert runtime.engine.on_loop[0] == 0


def test_an_interruption_leaves_the_loop_that_runs_the_running_one() -> None:
    """It may come in the very clean-up that sets it back."""

    async def interrupted() -> asyncio.AbstractEventLoop:
        watchdog = Watchdog()
        try:
            watchdog.enter("a run", 100.0)
            _set_running_loop(DeterministicLoop(0))  # type: ignore[abstract]
            watchdog._interrupted = watchdog.serial
            assert watchdog._due()
            assert watchdog.leave()
            return asyncio.get_running_loop()
        finally:
            watchdog.stop()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await interrupted() is loop

    asyncio.run(main())


async def test_a_run_that_was_put_away_in_its_pause_goes_on_afterwards(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        await runtime.start(Listening, id="l")
        copy = dead(runtime, tmp_path / "copy", (1, CODE), before=0)
    async with open_runtime(copy, idle_runs=1) as runtime:
        handle = runtime.handle("l")
        await handle.signal("go", "on")
        await runtime.start(Listening, id="other")
        await runtime.handle("other").query("here")
        assert 1 not in runtime.engine.runs
        async with asyncio.timeout(100):
            assert await handle.result() == "on"


async def test_a_query_that_waits_for_a_pause_is_refused_at_the_close(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        await runtime.start(Listening, id="l")
        copy = dead(runtime, tmp_path / "copy", (1, CODE), before=0)
    async with open_runtime(copy) as runtime:
        asked = asyncio.ensure_future(runtime.handle("l").query("here"))
        await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeStateError, match="closed"):
            await asked


@workflow(registry=REGISTRY)
class Spinning:
    @workflow.run
    async def run(self) -> None:
        while True:
            await asyncio.sleep(0)

    @workflow.query
    def here(self) -> str:
        return "here"


async def test_a_query_that_waits_for_a_slice_is_refused_at_the_close(
    tmp_path: Path,
) -> None:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as runtime:
        handle = await runtime.start(Spinning, id="s", task_timeout=1000)
        asked = asyncio.ensure_future(handle.query("here"))
        while runtime.engine.runs[1].code.paused is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not asked.done()
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeStateError, match="closed"):
            await asked


async def test_schedules_act_again_after_the_database_could_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as runtime:
        ENGINES[:] = [runtime.engine]
        await runtime.schedules.create(
            "s",
            Schedule(
                StartWorkflow(Looked, kwargs={"waits": False}, id="x"),
                ScheduleSpec(intervals=[IntervalSpec(60)]),
            ),
        )
        reads = runtime.engine.store.reads
        read, failures = reads.rows, [1]

        async def rows(name: str, *given: Any) -> Any:
            if name == "due_schedules" and failures:
                failures.pop()
                raise StoreError("disk I/O error")
            return await read(name, *given)

        monkeypatch.setattr(reads, "rows", rows)
        await asyncio.sleep(150)
        assert not failures
        assert [run.workflow_id async for run in runtime.list()]


async def test_an_engine_that_closes_while_schedules_are_read_says_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed, met = asyncio.Event(), list[BaseException]()
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        reads = runtime.engine.store.reads
        read = reads.rows

        async def rows(name: str, *given: Any) -> Any:
            if name != "next_schedule":
                return await read(name, *given)
            await closed.wait()
            try:
                return await read(name, *given)
            except StoreError as error:
                met.append(error)
                raise

        monkeypatch.setattr(reads, "rows", rows)
        await asyncio.sleep(0.1)
    closed.set()
    while not met:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert f"{tmp_path / 'a.db'} is closed" in str(met[0])
    assert not [one for one in caplog.records if one.levelname == "ERROR"]
