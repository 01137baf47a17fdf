"""Row QT-07: the slots of workers."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest

from everact.runtime import Registry, Runtime, Worker, sleep, task, workflow
from everact.runtime.engine.workers import DEFAULT_SLOTS
from tests.features.support import open_runtime

registry = Registry()
running = Counter[str]()
lock = threading.Lock()


def enter() -> None:
    with lock:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        running["all"] += 1


def leave() -> None:
    with lock:
        running["now"] -= 1


@pytest.fixture(autouse=True)
def nothing_running() -> None:
    running.clear()


@task(registry=registry)
async def occupy(seconds: float) -> None:
    enter()
    await asyncio.sleep(seconds)
    leave()


@task(registry=registry, retries=1, timeout=5)
async def overstay() -> None:
    enter()
    try:
        await asyncio.sleep(100)
    finally:
        leave()


gate = threading.Semaphore(0)


@task(registry=registry)
def occupy_a_thread() -> None:
    enter()
    gate.acquire()
    leave()


@workflow(registry=registry)
async def ten_tasks() -> None:
    await asyncio.gather(*(occupy(1) for _ in range(10)))


@workflow(registry=registry)
async def one_task() -> None:
    await occupy(1)


@workflow(registry=registry)
async def ten_threads() -> None:
    await asyncio.gather(*(occupy_a_thread() for _ in range(10)))


@workflow(registry=registry)
async def three_overstaying() -> int:
    outcomes = await asyncio.gather(
        *(overstay() for _ in range(3)), return_exceptions=True
    )
    return len(outcomes)


@workflow(registry=registry)
async def sleeper() -> None:
    await sleep(50)
    await occupy(1)


@pytest.mark.feature("QT-07")
async def test_ten_tasks_on_two_slots_are_never_more_than_two(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        await runtime.execute(ten_tasks)
        assert (running["most"], running["all"]) == (2, 10)
        assert asyncio.get_running_loop().time() == 5


@pytest.mark.feature("QT-07")
async def test_slots_are_shared_by_all_runs(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        handles = [await runtime.start(one_task) for _ in range(10)]
        for handle in handles:
            await handle.result()
        assert (running["most"], running["all"]) == (2, 10)


@pytest.mark.real_time
@pytest.mark.feature("QT-07")
@pytest.mark.parametrize("limit", ["slots", "threads"])
async def test_tasks_in_threads_are_never_more_than_two(
    tmp_path: Path, limit: str
) -> None:
    two = [Worker(slots=2) if limit == "slots" else Worker(threads=2)]
    async with Runtime(tmp_path / "a.db", registry=registry, workers=two) as runtime:
        handle = await runtime.start(ten_threads)
        gate.release(10)
        await handle.result()
        assert running["most"] <= 2
        assert running["all"] == 10


@pytest.mark.feature("QT-07")
async def test_durable_waits_hold_no_slot(tmp_path: Path) -> None:
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as runtime:
        handles = [await runtime.start(sleeper) for _ in range(5)]
        await asyncio.sleep(1)
        assert one[0].busy == 0
        await runtime.execute(one_task)
        assert asyncio.get_running_loop().time() == 2
        for handle in handles:
            await handle.result()
        assert running["most"] == 1


@pytest.mark.feature("QT-07")
async def test_the_slot_of_a_task_that_timed_out_is_free_again(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        assert await runtime.execute(three_overstaying) == 3
        assert running["most"] == 2
        assert (running["all"], two[0].busy) == (6, 0)


@pytest.mark.feature("QT-07")
def test_the_default_is_documented_and_nonsense_is_refused() -> None:
    assert Worker().slots == DEFAULT_SLOTS == 1000
    for slots in (0, -1):
        with pytest.raises(ValueError, match="at least one slot"):
            Worker(slots=slots)
    with pytest.raises(ValueError, match="at least one queue"):
        Worker([])
