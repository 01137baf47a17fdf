"""What the engine makes of a damaged or full database: other runs are not touched."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Call, Registry, RunStatus, Runtime, sleep, task, workflow
from everact.runtime.errors import RPCError, RunPutAside, StoreError, StoreTampered
from everact.runtime.schedules import (
    IntervalSpec,
    Schedule,
    ScheduleSpec,
    StartWorkflow,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.store.sqlite.store import SqliteStore

REGISTRY = Registry()


@task(registry=REGISTRY)
async def step(text: str) -> str:
    return text


@workflow(registry=REGISTRY)
async def sleeper(size: int) -> list[int]:
    """Some recorded rows, then a sleep of an hour, then one more."""
    seen = [len(await step("x" * size)) for _ in range(3)]
    await sleep("1h")
    seen.append(len(await step("y")))
    return seen


@workflow(registry=REGISTRY)
async def short(text: str) -> str:
    return text


def runtime(path: Path, store: SqliteStore | None = None) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, store=store, registry=REGISTRY, clock=VirtualClock(loop))


async def started(path: Path, size: int = 10) -> None:
    """Three sleepers, "a", "b" and "c", and the runtime closed."""
    async with runtime(path) as made:
        for name in "abc":
            await made.start(sleeper, size, id=name)
        while True:
            views = [await made.handle(name).describe() for name in "abc"]
            if all(view.pending_timers for view in views):
                break
            await asyncio.sleep(0)


def edit(path: Path, statement: str, *args: Any) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, args).rowcount > 0
    connection.close()


ROW = "run_key = (select key from runs where workflow_id = 'b')"

DAMAGE: dict[str, tuple[int, str]] = {
    "a changed body": (
        10,
        (
            "update journal set body = cast(body || x'00' as blob)"
            f" where {ROW} and seq = 1"
        ),
    ),
    "a changed code": (
        10,
        f"update journal set mac = zeroblob(16) where {ROW} and seq = 0",
    ),
    "a row of another run": (
        10,
        (
            "update journal set (mac, body) = (select mac, body from journal as o where"
            f" o.run_key <> journal.run_key and o.seq = 1) where {ROW} and seq = 1"
        ),
    ),
    "two rows changed about": (
        10,
        (
            "update journal set (mac, body) = (select mac, body from journal as o where"
            f" o.run_key = journal.run_key and o.seq = 2) where {ROW} and seq = 1"
        ),
    ),
    "a missing row": (10, f"delete from journal where {ROW} and seq = 1"),
    "no rows at all": (10, f"delete from journal where {ROW}"),
    "rubbish": (10, f"update journal set body = x'ff' where {ROW} and seq = 1"),
    "a changed checkpoint": (
        20_000,
        f"update checkpoints set body = cast(body || x'00' as blob) where {ROW}",
    ),
    "a checkpoint of another run": (
        20_000,
        (
            "update checkpoints set (mac, body) = (select mac, body from"
            f" checkpoints as o where o.run_key <> checkpoints.run_key) where {ROW}"
        ),
    ),
    "a checkpoint that says it is later": (
        20_000,
        f"update checkpoints set seq = seq + 1 where {ROW}",
    ),
}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
async def test_a_damaged_run_is_put_aside_alone_and_says_why(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "everact.db"
    size, statement = DAMAGE[damage]
    await started(path, size)
    edit(path, statement)
    edit(path, "update runs set wake_at = 0")
    async with runtime(path) as made:
        for name in "ac":
            assert await made.handle(name).result() == [size, size, size, 1]
        with pytest.raises(RunPutAside, match=r"[Rr]estore the database|no journal"):
            await made.handle("b").result()
        lines = {line.workflow_id: line.status async for line in made.list()}
    assert lines == {
        "a": RunStatus.COMPLETED,
        "b": RunStatus.RUNNING,
        "c": RunStatus.COMPLETED,
    }


async def test_a_damaged_run_can_be_terminated(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    await started(path)
    edit(path, f"update journal set body = x'00' where {ROW} and seq = 1")
    async with runtime(path) as made:
        await made.handle("b").terminate(reason="damaged")
        lines = {line.workflow_id: line.status async for line in made.list()}
        assert lines["b"] is RunStatus.TERMINATED
        assert await made.handle("a").result() == [10, 10, 10, 1]


@pytest.mark.feature("ID-08")
async def test_a_damaged_run_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    await started(path)
    edit(path, f"update journal set body = x'00' where {ROW} and seq = 1")
    async with runtime(path) as made:
        new = await made.start(sleeper, 1, id="b", on_conflict="terminate_existing")
        assert await new.result() == [1, 1, 1, 1]
        lines = [line.status async for line in made.list(id="b")]
        assert lines == [RunStatus.COMPLETED, RunStatus.TERMINATED]


@pytest.mark.feature("ID-08", "ST-19")
async def test_what_is_started_together_is_refused_together(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    async with runtime(path, store) as made:
        old = await made.start(sleeper, 1, id="x")
        store.database.writing.execute(
            "create trigger refuse before insert on runs when new.name = 'step' or"
            " new.workflow_id = 'x' begin select raise(abort, 'refused'); end"
        )
        with pytest.raises(StoreError, match="refused"):
            await made.start(sleeper, 2, id="x", on_conflict="terminate_existing")
        with pytest.raises(StoreError, match="refused"):
            await made.dispatch([Call("sleeper", 1), Call("step", "y")])
        assert (await made.count()).count == 1
        assert await old.result() == [1, 1, 1, 1]


@pytest.mark.parametrize("damage", ["that of another schedule", "rubbish"])
async def test_a_damaged_schedule_is_told_and_others_go_on(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "everact.db"
    async with runtime(path) as made:
        for name in "ab":
            each_minute = ScheduleSpec(intervals=[IntervalSpec("1m")])
            action = StartWorkflow(short, name, id=name)
            await made.schedules.create(name, Schedule(action, each_minute))
    body = "x'ff'"
    if damage != "rubbish":
        body = "(select body from schedules where id = 'a')"
    edit(path, f"update schedules set body = {body} where id = 'b'")
    async with runtime(path) as made:
        with pytest.raises(StoreTampered, match="schedule 'b' is not what"):
            await made.schedules.handle("b").describe()
        await asyncio.sleep(150)
        assert {line.workflow_id[0] async for line in made.list()} == {"a"}
        await made.schedules.handle("b").delete()
        assert (await made.schedules.handle("a").describe()).actions_taken >= 2
    assert "schedule 'b' cannot act" in caplog.text


class Trap:
    """Unpickling it is noticed."""

    sprung: list[str] = []

    def __reduce__(self) -> Any:
        return (Trap.sprung.append, ("unpickled",))


async def test_nothing_damaged_is_unpickled(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "everact.db"
    await started(path, 20_000)
    body = b"\x01\x03\x0b" + pickle.dumps(Trap())
    edit(path, f"update checkpoints set body = ? where {ROW}", body)
    edit(path, "update runs set wake_at = 0")
    async with runtime(path) as made:
        with pytest.raises(RunPutAside):
            await made.handle("b").result()
    assert Trap.sprung == []


async def test_a_run_that_the_store_refuses_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    async with runtime(path, store) as made:
        good = await made.start(sleeper, 1, id="good")
        store.database.writing.execute(
            "create trigger refuse before insert on runs when new.workflow_id = 'bad'"
            " begin select raise(abort, 'refused by a trigger'); end"
        )
        with pytest.raises(StoreError, match="refused by a trigger"):
            await made.start(sleeper, 1, id="bad")
        later = await made.start(sleeper, 1, id="later")
        assert await good.result() == await later.result() == [1, 1, 1, 1]
        assert {line.workflow_id async for line in made.list()} == {"good", "later"}


async def test_a_replacement_that_is_refused_leaves_the_run_that_is_there(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "everact.db")
    async with runtime(tmp_path / "everact.db", store) as made:
        old = await made.start(sleeper, 1, id="x")
        store.database.writing.execute(
            "create trigger refuse before insert on runs"
            " begin select raise(abort, 'refused by a trigger'); end"
        )
        with pytest.raises(StoreError, match="refused by a trigger"):
            await made.start(sleeper, 2, id="x", on_conflict="terminate_existing")
        assert await old.result() == [1, 1, 1, 1]


async def test_a_run_that_is_refused_again_and_again_is_left_alone_for_a_while(
    tmp_path: Path,
) -> None:
    """It is told to who waits, tried again later, and goes on when it can."""
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    async with runtime(path, store) as made:
        bad = await made.start(sleeper, 1, id="bad")
        good = await made.start(sleeper, 1, id="good")
        await until(lambda: made.engine.timers.noted == 2)
        key = made.engine.open_run("default", "bad").row.key  # type: ignore[union-attr]
        with store.database.guard:
            store.database.writing.execute(
                "create trigger refuse before insert on journal"
                f" when new.run_key = {key}"
                " begin select raise(abort, 'refused by a trigger'); end"
            )
        with pytest.raises(RunPutAside, match="refused by a trigger"):
            await bad.result()
        assert await good.result() == [1, 1, 1, 1]
        with store.database.guard:
            store.database.writing.execute("drop trigger refuse")
        await asyncio.sleep(61)
        assert await bad.result() == [1, 1, 1, 1]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


@pytest.mark.feature("ER-01")
async def test_a_full_disk_holds_work_refuses_more_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    async with runtime(path, store) as made:
        first = await made.start(sleeper, 10, id="first")
        pages = store.database.writing.execute("pragma page_count").fetchone()[0]
        store.database.writing.execute(f"pragma max_page_count = {pages + 1}")
        held = asyncio.ensure_future(made.start(sleeper, 50_000, id="held"))
        waiting = asyncio.ensure_future(first.result())
        await until(lambda: made.engine.commits.full is not None)
        with pytest.raises(RPCError, match="make room") as caught:
            await made.start(sleeper, 10, id="refused")
        assert caught.value.status is RPCStatus.RESOURCE_EXHAUSTED
        assert not held.done()
        store.database.writing.execute("pragma max_page_count = 1000000")
        assert await waiting == [10, 10, 10, 1]
        assert await (await held).result() == [50_000, 50_000, 50_000, 1]
        late = await made.start(sleeper, 1, id="late")
        assert await late.result() == [1, 1, 1, 1]
        assert {line.workflow_id async for line in made.list()} == {
            "first",
            "held",
            "late",
        }


async def test_closing_does_not_wait_for_room_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    made = runtime(path, store)
    async with made:
        first = await made.start(sleeper, 10, id="first")
        pages = store.database.writing.execute("pragma page_count").fetchone()[0]
        store.database.writing.execute(f"pragma max_page_count = {pages + 1}")
        held = asyncio.ensure_future(made.start(sleeper, 50_000, id="held"))
        await until(lambda: made.engine.commits.full is not None)
    with pytest.raises(StoreError, match="closed while the disk was full"):
        await held
    async with runtime(path) as again:
        assert await again.handle(first.id).result() == [10, 10, 10, 1]
        assert {line.workflow_id async for line in again.list()} == {"first"}


async def test_an_error_of_the_file_is_survived_by_every_run(tmp_path: Path) -> None:
    """The outcome is unknown: what was not acknowledged is loaded again."""
    path = tmp_path / "everact.db"
    store = SqliteStore(path)
    async with runtime(path, store) as made:
        handles = [await made.start(sleeper, n, id=str(n)) for n in range(5)]
        with store.database.guard:
            store.database.writing.close()
        for n, handle in enumerate(handles):
            assert await handle.result() == [n, n, n, 1]


async def test_retention_keeps_what_an_open_run_needs(tmp_path: Path) -> None:
    registry = Registry()

    @workflow(registry=registry, name="child")
    async def child() -> str:
        return "done"

    @workflow(registry=registry, name="parent")
    async def parent() -> str:
        await child()
        await sleep("90d")
        return "over"

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        tmp_path / "everact.db",
        registry=registry,
        clock=VirtualClock(loop),
        retention="1d",
    ) as made:
        handle = await made.start("parent", id="parent")
        await made.execute("child", id="alone")
        await asyncio.sleep(60 * 24 * 3600)
        names = [line.workflow async for line in made.list()]
        assert sorted(names) == ["child", "parent"]
        assert await handle.result() == "over"
        await asyncio.sleep(3 * 24 * 3600)
        assert [line async for line in made.list()] == []
