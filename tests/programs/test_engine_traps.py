"""Known traps of an engine like this one, each with the run that falls into it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, receive, sleep, task, workflow
from everact.runtime.engine import residency
from everact.runtime.errors import RunPutAside
from everact.runtime.store.base import Outcome, Write
from everact.runtime.store.sqlite.store import SqliteStore

REGISTRY = Registry()


class Recording(SqliteStore):
    """A store that remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes: list[Write] = []
        self.loaded: list[int] = []
        self.pages: list[int] = []
        rows = self.reads.rows

        async def noted(what: str, *args: Any) -> list[Any]:
            found = await rows(what, *args)
            if what == "due":
                self.pages.append(len(found))
            return found

        self.reads.rows = noted  # type: ignore[method-assign]
        recover = self.reads.recover

        async def recovered(keys: Sequence[int], *args: Any, **options: Any) -> Any:
            self.loaded += keys
            return await recover(keys, *args, **options)

        self.reads.recover = recovered  # type: ignore[method-assign]

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        self.writes += writes
        super().commit(writes, done)


def runtime(store: SqliteStore, **options: Any) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    return Runtime(store=store, registry=REGISTRY, clock=clock, **options)


async def put_away(made: Runtime) -> None:
    """Wait until one run at most is in memory, the latest."""
    for _ in range(1000):
        if len(made.engine.runs) <= 1:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"still in memory: {made.engine.runs}")


gate = threading.Event()
entered = threading.Event()


@task(registry=REGISTRY)
def stubborn() -> str:
    """A thread cannot be interrupted: its outcome comes when it comes."""
    entered.set()
    gate.wait(60)
    return "late"


@workflow(registry=REGISTRY)
async def impatient() -> str:
    made = asyncio.create_task(stubborn())
    await receive("stop")
    made.cancel()
    return "gave up"


async def test_a_late_result_of_a_cancelled_attempt_is_nobodys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may come when the run is finished in memory and not yet durable."""
    gate.clear()
    entered.clear()
    caplog.set_level(logging.WARNING)
    store = Recording(tmp_path / "everact.db")
    async with runtime(store) as made:
        handle = await made.start(impatient)
        await asyncio.to_thread(entered.wait, 60)
        with store.database.guard:  # nothing becomes durable for now
            signalling = asyncio.ensure_future(handle.signal("stop"))
            await asyncio.sleep(0)
            gate.set()
            await asyncio.sleep(0)
        await signalling
        assert await handle.result() == "gave up"
        other = await made.start(impatient)
        await other.signal("stop")
        assert await other.result() == "gave up"
    assert [record.getMessage() for record in caplog.records] == []


@workflow(registry=REGISTRY)
async def sleeper(seconds: float) -> float:
    await sleep(seconds)
    return seconds


async def test_a_run_that_sleeps_at_once_is_one_row_with_its_wake_time(
    tmp_path: Path,
) -> None:
    store = Recording(tmp_path / "everact.db")
    async with runtime(store) as made:
        now = made.engine.clock.now()
        await made.start(sleeper, 3600.0)
        (write,) = store.writes
        assert write.insert is not None
        assert write.insert.wake_at == pytest.approx(now + 3600)
        assert write.change is None


async def test_many_runs_that_wake_at_once_are_loaded_in_bounded_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "LOAD_BATCH", 7)
    store = Recording(tmp_path / "everact.db")
    count = 50
    async with runtime(store, idle_runs=1) as made:
        handles = [
            await made.start(sleeper, 3600.0 + (n % 3) / 10, id=str(n))
            for n in range(count)
        ]
        await put_away(made)
        store.loaded.clear()
        store.pages.clear()
        found = [await handle.result() for handle in handles]
        assert sorted(found) == sorted(3600.0 + (n % 3) / 10 for n in range(count))
    assert max(store.pages) == 7
    moments = [3600.0 + ((key - 1) % 3) / 10 for key in _first_of_each(store.loaded)]
    assert len(moments) >= count - 1
    assert moments == sorted(moments)


def _first_of_each(keys: list[int]) -> list[int]:
    return list(dict.fromkeys(keys))


async def test_memory_is_bounded_by_what_is_active(tmp_path: Path) -> None:
    store = Recording(tmp_path / "everact.db")
    async with runtime(store, idle_runs=5) as made:
        for n in range(40):
            await made.start(sleeper, 3600.0, id=str(n))
        assert len(made.engine.runs) <= 5
        assert store.select("count_open") == [40]


@workflow(registry=REGISTRY)
async def endless() -> None:
    while True:
        await asyncio.sleep(0)


async def test_a_busy_loop_does_not_stop_the_others(tmp_path: Path) -> None:
    store = Recording(tmp_path / "everact.db")
    async with runtime(store) as made:
        busy = await made.start(endless, task_timeout=3600)
        assert await made.execute(note) == "noted"
        await busy.terminate()


@workflow(registry=REGISTRY)
async def stuck() -> None:
    await asyncio.Event().wait()


async def test_a_stuck_run_is_reported_and_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Recording(tmp_path / "everact.db")
    async with runtime(store) as made:
        handle = await made.start(stuck)
        with pytest.raises(RunPutAside, match=r"test_engine_traps\.py:\d+ in stuck"):
            await handle.result()
        assert "is stuck" in caplog.text
        await handle.terminate()


@workflow(registry=REGISTRY)
async def tidy() -> list[str]:
    seen = []
    try:
        await sleep(3600)
    finally:
        seen.append("cleaned up")
        notes.append("cleaned up")
        seen.append(await note())
    return seen


notes: list[str] = []


@task(registry=REGISTRY)
async def note() -> str:
    notes.append("noted")
    return "noted"


async def test_putting_a_run_away_starts_nothing(tmp_path: Path) -> None:
    """Its `finally` blocks run with the frames, and what they ask for is refused."""
    notes.clear()
    store = Recording(tmp_path / "everact.db")
    async with runtime(store, idle_runs=1) as made:
        handle = await made.start(tidy)
        await made.start(sleeper, 9999.0)
        await put_away(made)
        assert notes == ["cleaned up"]
        assert len(store.writes) == 2
        assert await handle.result() == ["cleaned up", "noted"]
    assert notes.count("noted") == 1
