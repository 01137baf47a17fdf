"""Where the parts of the engine meet: what one does to the runs of another."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ChildFailure,
    Registry,
    RunStatus,
    Runtime,
    Worker,
    context,
    continue_as_new,
    execute_child,
    retry,
    signal_run,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.core.records import (
    Began,
    SignalReceived,
    Started,
    TaskCompleted,
    decode,
)
from everact.runtime.engine.execution.attempt import Outcome as Reported
from everact.runtime.errors import RPCError, StoreError
from everact.runtime.functions import Reset
from everact.runtime.schedules import (
    OverlapPolicy,
    Schedule,
    SchedulePolicy,
    ScheduleUpdate,
    StartWorkflow,
)
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from everact.runtime.statuses import RPCStatus
from everact.runtime.store.base import Outcome, Write
from everact.runtime.store.sqlite.store import SqliteStore
from everact.runtime.values.converter import DataConverter
from tests.features.support import kinds, turns

REGISTRY = Registry()


@workflow(registry=REGISTRY)
class Inbox:
    def __init__(self) -> None:
        self.found: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await wait_condition(lambda: bool(self.found))
        return self.found

    @workflow.signal
    def put(self, text: str) -> None:
        self.found.append(text)

    @workflow.update
    def add(self, text: str) -> str:
        self.found.append(text)
        return text


def opened(folder: Path, *queues: str, **options: Any) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    workers = tuple(Worker(queue) for queue in queues) or None
    clock = VirtualClock(loop)
    return Runtime(
        folder / "a.db", registry=REGISTRY, clock=clock, workers=workers, **options
    )


@pytest.mark.parametrize("chain", ["retry", "cron_schedule"])
async def test_a_signal_that_no_code_has_seen_goes_to_the_run_that_follows(
    tmp_path: Path, chain: str
) -> None:
    again: dict[str, Any] = {
        "retry": retry(attempts=3, first="20s"),
        "cron_schedule": "* * * * *",
    }
    async with opened(tmp_path, "default") as runtime:
        handle = await runtime.start(
            Inbox,
            id="a",
            queue="served later",
            run_timeout="5s",
            **{chain: again[chain]},
        )
        if chain == "cron_schedule":
            await asyncio.sleep(60 - runtime.engine.now() % 60)
        await handle.signal("put", "kept")
        await asyncio.sleep(6)
        runtime.engine.add_worker(Worker("served later"))
        await asyncio.sleep(60)
        ended = [run.status.name async for run in runtime.list()]
    assert sorted(ended)[:1] == ["COMPLETED"]
    assert ended.count("TIMED_OUT") == 1


async def test_a_schedule_ends_its_own_run_and_not_the_one_in_its_place(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        await runtime.schedules.create(
            "s",
            Schedule(
                StartWorkflow(Inbox, id="x"),
                policy=SchedulePolicy(overlap=OverlapPolicy.TERMINATE_OTHER),
            ),
            trigger_immediately=True,
        )
        handle = runtime.schedules.handle("s")
        (taken,) = (await handle.describe()).running_actions
        mine, _ = await asyncio.gather(
            runtime.start(
                Inbox, id=taken.workflow_id, on_conflict="terminate_existing"
            ),
            handle.trigger(),
        )
        await turns()
        assert (await mine.describe()).status is RunStatus.RUNNING


@workflow(registry=REGISTRY)
async def parent() -> str:
    try:
        await execute_child(Inbox, id="child", queue="nobody's")
    except ChildFailure as failed:
        return type(failed.__cause__).__name__
    return "completed"


def damage(database: Path, workflow_id: str) -> None:
    """Change a run's journal, so that it is not what was written."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "update journal set body = cast(body || x'00' as blob) where run_key ="
            " (select key from runs where workflow_id = ?)",
            (workflow_id,),
        )


async def test_a_parent_is_told_of_a_child_that_was_ended_unread(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, "default") as runtime:
        await runtime.start(parent, id="parent")
        await turns()
    damage(tmp_path / "a.db", "child")
    async with opened(tmp_path, "default") as runtime:
        await runtime.handle("child").terminate("it cannot be read")
        async with asyncio.timeout(60):
            assert await runtime.handle("parent").result() == "RunTerminated"


async def test_an_update_that_waits_for_code_hears_of_an_end_found_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, "default") as runtime:
        handle = await runtime.start(Inbox, id="a", queue="nobody's")
        sending = asyncio.ensure_future(handle.update("add", "b"))
        await turns()
        store = runtime.engine.store
        commit = store.commit

        def unsure(writes: Sequence[Write], done: Callable[[Outcome], object]) -> None:
            commit(writes, lambda _: done(StoreError("nobody knows")))

        with monkeypatch.context() as patched:
            patched.setattr(store, "commit", unsure)
            with pytest.raises(StoreError):
                await handle.terminate()
        with pytest.raises(RPCError) as told:
            async with asyncio.timeout(60):
                await sending
        assert told.value.status is RPCStatus.NOT_FOUND


async def test_a_schedule_is_refused_whose_runs_would_be(tmp_path: Path) -> None:
    key = SearchAttributeKey.for_int("Level")
    found_by = TypedSearchAttributes([key.value_set(1)])
    schedule = Schedule(StartWorkflow(Inbox, id="x", search_attributes=found_by))
    async with opened(tmp_path) as runtime:
        with pytest.raises(RPCError, match="not declared") as refused:
            await runtime.schedules.create("s", schedule)
        assert refused.value.status is RPCStatus.INVALID_ARGUMENT
        handle = await runtime.schedules.create("s", Schedule(StartWorkflow(Inbox)))
        with pytest.raises(RPCError, match="not declared"):
            await handle.update(lambda _: ScheduleUpdate(schedule))
        await runtime.search_attributes.add(key)
        await handle.update(lambda _: ScheduleUpdate(schedule))


async def test_a_schedule_that_cannot_be_stored_starts_no_run(tmp_path: Path) -> None:
    """That it acted, and what it started, are one transaction."""
    store = SqliteStore(tmp_path / "a.db")
    async with opened(tmp_path, store=store) as runtime:
        handle = await runtime.schedules.create("s", Schedule(StartWorkflow(Inbox)))
        store.database.writing.execute(
            "create trigger refuse before insert on schedules"
            " begin select raise(abort, 'refused'); end"
        )
        with pytest.raises(StoreError, match="refused"):
            await handle.trigger()
        assert (await runtime.count()).count == 0
        store.database.writing.execute("drop trigger refuse")
        await handle.trigger()
        assert (await runtime.count()).count == 1
        assert (await handle.describe()).actions_taken == 1


@workflow(registry=REGISTRY, on_events=["counted"])
async def counting(start: dict[str, int], rounds: int = 0) -> list[int]:
    if not rounds:
        raise Reset(counting, start, 1)
    if rounds == 1:
        continue_as_new(start, 2)
    return [start["from"], rounds]


@pytest.mark.parametrize("values", [DataConverter.default, DataConverter.json])
async def test_what_an_event_started_goes_on_with_arguments_of_its_own(
    tmp_path: Path, values: DataConverter
) -> None:
    async with opened(tmp_path, data_converter=values) as runtime:
        event_id = await runtime.events.push("counted", {"from": 5})
        async with asyncio.timeout(60):
            assert await runtime.handle(f"{event_id}/counting").result() == [5, 2]


async def test_metadata_is_nested_as_deep_as_a_client_can(tmp_path: Path) -> None:
    nested: dict[str, Any] = {}
    for _ in range(880):
        nested = {"a": nested}
    started: list[str] = []
    async with opened(tmp_path) as runtime:
        with pytest.raises(RecursionError, match="serializing an object"):
            while True:
                nested = {"a": nested}
                id = f"{len(started)}"
                await runtime.start(Inbox, id=id, additional_metadata=nested)
                started.append(id)
        assert {run.workflow_id async for run in runtime.list()} == {*started}


async def test_a_start_that_comes_to_nothing_does_not_hold_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise LookupError("a bug")

    async with opened(tmp_path) as runtime:
        with monkeypatch.context() as patched:
            patched.setitem(runtime.engine.writes, Started, fails)
            with pytest.raises(LookupError):
                await runtime.start(Inbox, id="a")
        again = await runtime.start(Inbox, id="a", on_conflict="use_existing")
        assert (await again.describe()).status is RunStatus.RUNNING


async def test_code_that_only_a_worker_has_is_started_by_events_at_its_priority(
    tmp_path: Path,
) -> None:
    own = Registry()

    @workflow(name="hurry", registry=own, on_events=["urgent"], priority=3)
    async def hurry(found: str) -> str:
        return found

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        tmp_path / "a.db",
        registry=REGISTRY,
        clock=VirtualClock(loop),
        workers=[Worker(registry=own)],
    ) as runtime:
        handle = runtime.handle(f"{await runtime.events.push('urgent', 'now')}/hurry")
        assert await handle.result() == "now"
        assert (await handle.describe()).priority == 3


@workflow(registry=REGISTRY)
async def sender() -> None:
    await signal_run("busy", "put", "sent")


async def test_a_signal_reaches_a_run_that_is_about_to_be_read_back(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        busy = await runtime.start(Inbox, id="busy", queue="nobody's")
        (run,) = runtime.engine.runs.values()
        run.take(SignalReceived("put", (), {}), None)
        runtime.engine.discard(run, None)
        handle = await runtime.start(sender)
        async with asyncio.timeout(60):
            await handle.result()
        assert (await kinds(busy))["SignalReceived"] == 2


async def test_an_update_that_waits_is_taken_by_the_run_that_is_read_back(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, "default") as runtime:
        handle = await runtime.start(Inbox, id="a", queue="served later")
        adding = asyncio.ensure_future(handle.update("add", "kept"))
        await turns()
        (run,) = runtime.engine.runs.values()
        runtime.engine.add_worker(Worker("served later"))
        assert run.journal.in_flight
        runtime.engine.discard(run, None)
        async with asyncio.timeout(60):
            assert await adding == "kept"


async def test_the_end_of_a_run_that_was_dropped_reaches_those_who_wait(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        schedule = Schedule(StartWorkflow(Inbox, id="x"))
        made = await runtime.schedules.create("s", schedule, trigger_immediately=True)
        (run,) = runtime.engine.runs.values()
        handle = runtime.handle(run.row.workflow_id)
        result = asyncio.ensure_future(handle.result())
        await turns()
        run.take(SignalReceived("put", (b"m\xa1b",)), None)
        assert run.state.status is RunStatus.COMPLETED
        runtime.engine.discard(run, None)
        async with asyncio.timeout(60):
            assert await result == ["b"]
        await asyncio.sleep(1)  # the schedule's own change is a commit
        assert not (await made.describe()).running_actions


@pytest.mark.feature("ST-06")
async def test_a_signal_that_ends_a_start_delay_is_one_transition_with_the_beginning(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        await runtime.start(Inbox, id="x", start_delay="1h")
        again = await runtime.start(
            Inbox, id="x", start_signal="put", start_signal_args=["a"]
        )
        assert await again.result() == ["a"]
        rows = await runtime.engine.store.reads.history(1, (-1, -1), 100)
    events = [tuple(map(type, decode(row.body).events)) for row in rows]
    assert events == [(Started,), (SignalReceived, Began)]


@task(registry=REGISTRY, retry=retry(attempts=2, first=1))
async def second_time() -> str:
    await asyncio.sleep(10)
    if context().attempt_number == 1:
        raise ValueError("not yet")
    return "the second"


@workflow(registry=REGISTRY)
async def of_two_attempts() -> str:
    return await second_time()


async def test_an_attempt_that_has_a_successor_is_not_heard(tmp_path: Path) -> None:
    """It reports once, and has done so; a second report would not count."""
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(of_two_attempts)
        (run,) = runtime.engine.runs.values()
        await asyncio.sleep(5)
        (older,) = run.attempts.values()
        await asyncio.sleep(10)
        (newer,) = run.attempts.values()
        assert (older.number, newer.number) == (1, 2)
        value = run.engine.values.encode("the first", "its result")
        run.report(Reported(older, TaskCompleted(older.command.call, value)))
        assert await handle.result() == "the second"
