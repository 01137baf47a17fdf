"""What waiting runs take in memory is bounded, and a long history takes nothing."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, now, receive, sleep, task, workflow
from everact.runtime.engine import resting
from everact.runtime.engine.resting import RUN_BYTES, Resting

REGISTRY = Registry()


@task(registry=REGISTRY)
async def step(value: int) -> int:
    return value + 1


@workflow(registry=REGISTRY)
async def holds(value: bytes) -> int:
    await sleep("1d")
    return len(value)


@workflow(registry=REGISTRY)
class Patient:
    def __init__(self) -> None:
        self.done = 0
        self.asked: list[float] = []

    @workflow.run
    async def run(self, steps: int) -> int:
        for _ in range(steps):
            self.done = await step(self.done)
        self.done += await receive("more")
        return await step(self.done)

    @workflow.query
    def spoils(self) -> int:
        """Changes what it looks at, so the code is made anew."""
        self.asked.append(0.0)
        return self.done

    @workflow.query
    def number(self) -> int:
        return self.done


@workflow(registry=REGISTRY)
async def sees_the_time() -> timedelta:
    began = now()
    await receive("go")
    return now() - began


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    options = {"registry": REGISTRY, "clock": VirtualClock(loop), **options}
    async with Runtime(path / "a.db", **options) as made:
        yield made


# -- the bounds ------------------------------------------------------------------------


def filled(steps: dict[int, int], sizes: dict[int, int], **bounds: int) -> list[int]:
    """Who leaves, in order, when runs of these sizes come to rest one by one."""
    options = {"most_runs": 100, "most_bytes": 1 << 40, **bounds}
    kept, left = Resting(steps=lambda key: steps.get(key, 0), **options), []
    for key, size in sizes.items():
        if kept.add(key, size):
            left += kept.leaving()
    return left


def test_of_equals_the_one_that_rests_longest_leaves() -> None:
    assert filled({}, dict.fromkeys(range(5), 0), most_runs=3) == [0, 1]
    room = 3 * (RUN_BYTES + 1000)
    assert filled({}, dict.fromkeys(range(5), 1000), most_bytes=room) == [0, 1]


def test_what_costs_least_to_wake_for_its_memory_leaves_first() -> None:
    sizes = {1: 60_000, 2: 60_000, 3: 0, 4: 0}
    # 1 has a thousand steps behind it, 2 was given something large.
    assert filled({1: 1000, 2: 1}, sizes, most_runs=2) == [2, 3]


def test_only_those_that_rest_longest_are_looked_at() -> None:
    count = resting.CHOICE + 2
    steps = {key: 1000 for key in range(count) if key != count - 2}
    sizes = dict.fromkeys(range(count), 0)
    assert filled(steps, sizes, most_runs=count - 1) == [0]


def test_the_one_that_came_last_is_kept_whatever_it_takes() -> None:
    kept = Resting(0, 0, lambda key: 0)
    assert kept.add(1, 1 << 30)
    assert kept.leaving() == []
    assert kept.add(2, 1 << 20)
    assert (kept.leaving(), len(kept), kept.bytes) == ([1], 1, RUN_BYTES + (1 << 20))
    kept.discard(2)
    assert (len(kept), kept.bytes) == (0, 0)


def test_a_run_that_rests_again_counts_once_with_what_it_takes_now() -> None:
    kept = Resting(2, 1 << 40, lambda key: 0)
    kept.add(1, 10)
    kept.add(2, 10)
    kept.touch(1)
    kept.add(1, 0)
    assert kept.bytes == 2 * RUN_BYTES + 10
    assert kept.add(3, 0)
    assert kept.leaving() == [2]


async def test_runs_with_large_values_are_put_away_by_what_they_take(
    tmp_path: Path,
) -> None:
    room, size = 1_000_000, 100_000
    async with opened(tmp_path, idle_bytes=room) as runtime:
        residency = runtime.engine.residency
        for _ in range(30):
            await runtime.start(holds, bytes(size))
            assert len(runtime.engine.runs) == len(residency.resting)
            assert residency.resting.bytes <= room
        assert len(runtime.engine.runs) == room // (size + RUN_BYTES + 100)
        found = [await run.result() async for run in _handles(runtime)]
        assert found == [size] * 30
        assert (len(residency.resting), residency.resting.bytes) == (0, 0)


async def _handles(runtime: Runtime) -> AsyncIterator[Any]:
    for line in [line async for line in runtime.list()]:
        yield runtime.handle(line.workflow_id)


# -- a long history --------------------------------------------------------------------


async def test_a_waiting_run_keeps_nothing_of_what_it_has_recorded(
    tmp_path: Path,
) -> None:
    sizes: list[int] = []
    async with opened(tmp_path) as runtime:
        for steps in (2, 200):
            handle = await runtime.start(Patient, steps)
            await asyncio.sleep(1)
            run = runtime.engine.runs[len(sizes) + 1]
            sizes.append(len(pickle.dumps(run.state)))
            assert run.state.activations == steps + 1
            await handle.signal("more", 1)
            assert await handle.result() == steps + 2
    assert abs(sizes[0] - sizes[1]) < 10


async def test_code_that_is_made_anew_is_shown_rows_that_are_not_durable_yet(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(Patient, 3)
        await asyncio.sleep(1)
        run = runtime.engine.runs[1]
        await handle.signal("more", 10)
        assert run.journal.in_flight
        assert run.code.rebuild() is None
        assert await handle.result() == 14


async def test_a_query_that_changes_something_costs_no_history(tmp_path: Path) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(Patient, 50)
        await asyncio.sleep(1)
        for _ in range(2):
            with pytest.raises(Exception, match="changed"):
                await handle.query("spoils")
            assert await handle.query("number") == 50
        await handle.signal("more", 10)
        assert await handle.result() == 61


async def test_the_time_that_code_has_seen_is_seen_again(tmp_path: Path) -> None:
    async with opened(tmp_path, idle_runs=1) as runtime:
        handle = await runtime.start(sees_the_time)
        await runtime.start(holds, b"")
        await asyncio.sleep(100)
        assert 1 not in runtime.engine.runs
        await handle.signal("go", None)
        assert 100 <= (await handle.result()).total_seconds() < 101
