"""How much is written for what a run is given, and when a checkpoint is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, receive, task, workflow
from everact.runtime.store.base import Outcome, Write
from everact.runtime.store.sqlite.store import SqliteStore

REGISTRY = Registry()
SIZE = 100_000


class Weighed(SqliteStore):
    """A store that weighs what is written for runs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.written = 0
        self.checkpoints: list[int] = []

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        self.written += sum(len(write.row.body) for write in writes if write.row)
        made = [write.checkpoint for write in writes]
        self.checkpoints += [len(saved.body) for saved in made if saved is not None]
        super().commit(writes, done)


@task(registry=REGISTRY)
async def give(value: bytes) -> bytes:
    return value


@task(registry=REGISTRY)
async def changed(value: bytes) -> bytes:
    return bytes([value[0] + 1]) * len(value)


@workflow(registry=REGISTRY)
async def echoed(value: bytes) -> bytes:
    return await give(value)


@workflow(registry=REGISTRY)
async def passed_on(value: bytes, steps: int) -> int:
    for _ in range(steps):
        value = await changed(value)
    return value[0]


@workflow(registry=REGISTRY)
async def many(steps: int) -> int:
    for step in range(steps):
        await give(b"%d" % step)
    return int(await receive("go"))


def runtime(store: SqliteStore, idle_runs: int = 100) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    return Runtime(store=store, registry=REGISTRY, clock=clock, idle_runs=idle_runs)


async def test_a_value_that_goes_through_a_run_is_written_twice(tmp_path: Path) -> None:
    """Once as it comes in and once as it goes out; SQLite writes each once more."""
    store = Weighed(tmp_path / "a.db")
    async with runtime(store) as made:
        assert await made.execute(echoed, bytes(SIZE)) == bytes(SIZE)
    assert 2 * SIZE < store.written < 2 * SIZE + 1000
    assert store.checkpoints == []


async def test_checkpoints_weigh_less_than_half_of_the_rows(tmp_path: Path) -> None:
    store, steps = Weighed(tmp_path / "a.db"), 20
    async with runtime(store) as made:
        assert await made.execute(passed_on, args=[b"a" * SIZE, steps]) == 97 + steps
    assert store.written < (steps + 1) * (SIZE + 300)
    assert len(store.checkpoints) >= 2
    assert sum(store.checkpoints) <= store.written / 2


@pytest.mark.feature("RC-02")
async def test_a_checkpoint_does_not_grow_with_what_it_stands_for(
    tmp_path: Path,
) -> None:
    store = Weighed(tmp_path / "a.db")
    async with runtime(store) as made:
        handle = await made.start(many, 1500)
        await asyncio.sleep(1)
        assert len(store.checkpoints) >= 4
        assert max(store.checkpoints) < 2000
        await handle.signal("go", 1)
        assert await handle.result() == 1


async def test_putting_a_run_away_writes_nothing(tmp_path: Path) -> None:
    store = Weighed(tmp_path / "a.db")
    async with runtime(store, idle_runs=1) as made:
        handles = [await made.start(many, 2) for _ in range(3)]
        await asyncio.sleep(1)
        assert len(made.engine.runs) == 1
        before = store.written
        for handle in handles:
            assert (await handle.describe()).status.name == "RUNNING"
            with pytest.raises(Exception, match="answers no query"):
                await handle.query("what")
        await asyncio.sleep(1)
        assert (store.written, store.checkpoints) == (before, [])
