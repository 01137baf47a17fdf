"""The blocking form: every verb without a loop, and never on one."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunHandle,
    RunStatus,
    Runtime,
    RuntimeThread,
    Worker,
    WorkflowFailure,
    context,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.blocking import (
    BlockingHandle,
    BlockingSchedule,
    BlockingTaskHandle,
)
from everact.runtime.client.blocking import BlockingClient, BlockingVersions
from everact.runtime.client.versions import VersionsClient
from everact.runtime.errors import (
    AsyncTaskCancelled,
    InvalidFilter,
    QueryFailed,
    RPCError,
    RunCancelled,
    RunTerminated,
    RuntimeStateError,
    StoreInUse,
    WorkflowAlreadyStarted,
)
from everact.runtime.runs import TaskHandle
from everact.runtime.schedules import (
    OverlapPolicy,
    Schedule,
    ScheduleBackfill,
    ScheduleSpec,
    StartWorkflow,
)
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from everact.runtime.statuses import RPCStatus
from everact.runtime.threaded import Hosting
from everact.runtime.updates import StartOperation
from tests.features.killing import Program

REGISTRY = Registry()


@task(registry=REGISTRY)
def double(value: int) -> int:
    return 2 * value


@workflow(registry=REGISTRY)
async def doubled(value: int) -> int:
    return await double(value)


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
class Tally:
    def __init__(self) -> None:
        self.total = 0

    @workflow.run
    async def run(self, enough: int) -> int:
        await wait_condition(lambda: self.total >= enough)
        return self.total

    @workflow.signal
    def add(self, amount: int) -> None:
        self.total += amount

    @workflow.update
    def plus(self, amount: int) -> int:
        self.total += amount
        return self.total

    @workflow.query
    def so_far(self) -> int:
        return self.total


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "everact.db"


@pytest.fixture
def runtime(file: Path) -> Iterator[RuntimeThread]:
    with RuntimeThread(file, registry=REGISTRY) as runtime:
        yield runtime


def test_runs_are_started_executed_and_listed(runtime: RuntimeThread) -> None:
    assert runtime.execute(doubled, 4) == 8
    handle = runtime.start(doubled, 5, id="five")
    assert_type(handle, BlockingHandle[int])
    assert (handle.id, handle.run_id) == ("five", None)
    assert handle.result_run_id == handle.first_execution_run_id
    assert_type(handle.result(), int)
    assert handle.result() == 10
    assert handle.value() == 10
    assert [line.workflow for line in runtime.list()] == ["doubled", "doubled"]
    assert [line.workflow_id for line in runtime.list(id="five")] == ["five"]
    assert runtime.handle(runtime.dispatch(double.build_call(6))).result() == 12
    both = runtime.dispatch(double.build_call(number) for number in (7, 8))
    assert [runtime.handle(one).value() for one in both] == [14, 16]
    known = runtime.handle_for(doubled, "five")
    assert_type(known, BlockingHandle[int])
    assert known.result() == 10


@pytest.mark.feature("SC-01", "SC-16", "SC-17", "SC-19", "SC-20", "SC-21", "SC-22")
def test_schedules_are_used_without_a_loop(runtime: RuntimeThread) -> None:
    yearly = Schedule(
        StartWorkflow(doubled, 4, id="d"), ScheduleSpec(cron_expressions=["@yearly"])
    )
    handle = runtime.schedules.create("s", yearly, trigger_immediately=True)
    assert_type(handle, BlockingSchedule)
    (taken,) = handle.describe().recent_actions
    assert runtime.handle(taken.workflow_id).result() == 8
    handle.trigger(overlap=OverlapPolicy.ALLOW_ALL)
    handle.pause("for now")
    assert [line.note for line in runtime.schedules.list()] == ["for now"]
    handle.resume()
    now = datetime.now(UTC)
    handle.backfill(ScheduleBackfill(now - timedelta(days=366), now))
    handle.update(lambda view: replace(view.schedule, spec=ScheduleSpec()))
    view = runtime.schedules.handle("s").describe()
    assert view.actions_taken + view.actions_skipped == 3
    assert view.next_times == ()
    handle.delete()
    assert list(runtime.schedules.list()) == []


def test_lists_are_read_page_by_page_and_may_be_left(runtime: RuntimeThread) -> None:
    for number in range(7):
        runtime.execute(doubled, number, id=str(number))
    lines = runtime.list(page_size=2)
    assert next(lines).workflow_id == "6"
    assert [line.workflow_id for line in lines] == ["5", "4", "3", "2", "1", "0"]
    left = runtime.list(page_size=2)
    next(left)
    del left


@pytest.mark.feature("VS-03", "VS-09", "VS-14")
def test_runs_are_found_and_counted(runtime: RuntimeThread) -> None:
    level = SearchAttributeKey.for_int("Level")
    runtime.search_attributes.add(level)
    assert runtime.search_attributes.list() == [level]
    for number in range(3):
        found_by = TypedSearchAttributes([level.value_set(number)])
        runtime.execute(doubled, number, id=str(number), search_attributes=found_by)
    assert [line.workflow_id for line in runtime.list("Level > 0", limit=1)] == ["2"]
    pages = runtime.list("Level >= 0", page_size=2)
    pages.fetch_next_page()
    assert len(pages.current_page or ()) == 2
    rest = runtime.list("Level >= 0", next_page_token=pages.next_page_token)
    assert [line.workflow_id for line in rest] == ["0"]
    counted = runtime.count("GROUP BY status")
    assert [(group.value, group.count) for group in counted.groups] == [
        ("completed", 3)
    ]
    runtime.search_attributes.remove(level)
    with pytest.raises(InvalidFilter):
        runtime.count("Level = 1")


def test_a_run_is_talked_to(runtime: RuntimeThread) -> None:
    handle = runtime.start(Tally.run, 10)
    handle.signal(Tally.add, 4)
    assert handle.query(Tally.so_far) == 4
    assert handle.query("so_far") == 4
    handle.signal("add", args=(3,), request_id="once")
    handle.signal("add", args=(3,), request_id="once")
    assert handle.query(Tally.so_far) == 7
    with pytest.raises(QueryFailed, match="so_far"):
        handle.query("unknown")
    handle.signal(Tally.add, 3)
    assert handle.result() == 10


@pytest.mark.feature("MS-07", "MS-13")
def test_a_run_is_updated(runtime: RuntimeThread) -> None:
    handle = runtime.start(Tally.run, 10, id="tally")
    assert handle.update(Tally.plus, 4) == 4
    sent = handle.start_update(Tally.plus, 3, id="once", wait_for="accepted")
    assert (sent.id, sent.workflow_id, sent.run_id, sent.result()) == (
        "once",
        "tally",
        handle.result_run_id,
        7,
    )
    assert handle.update_handle("once", update=Tally.plus).result() == 7
    start = StartOperation(Tally.run, 10, id="tally", on_conflict="use_existing")
    assert runtime.updates.execute_with(Tally.plus, 1, start=start) == 8
    assert runtime.updates.handle(start).result_run_id == handle.result_run_id
    start = StartOperation(Tally.run, 10, id="tally", on_conflict="use_existing")
    sent = runtime.updates.start_with(
        "plus", args=(2,), start=start, wait_for="completed"
    )
    assert sent.result() == handle.result() == 10


def test_a_run_is_looked_at(runtime: RuntimeThread) -> None:
    handle = runtime.start(doubled, 4)
    handle.result()
    assert handle.describe().status is RunStatus.COMPLETED
    kinds = [item.kind for item in handle.history()]
    assert (kinds[0], kinds[-1]) == ("Started", "Complete")
    assert [item.kind for item in handle.follow_history()] == kinds


def test_a_run_is_ended(runtime: RuntimeThread) -> None:
    first, second = runtime.start(Tally, 1), runtime.start(Tally, 1)
    first.cancel(reason="bored")
    with pytest.raises(WorkflowFailure) as cancelled:
        first.result()
    assert isinstance(cancelled.value.cause, RunCancelled)
    second.terminate({"by": "us"}, reason="enough")
    with pytest.raises(WorkflowFailure) as terminated:
        second.result()
    cause = terminated.value.cause
    assert isinstance(cause, RunTerminated)
    assert (cause.reason, cause.details) == ("enough", ({"by": "us"},))


def test_errors_are_those_of_the_asynchronous_form(runtime: RuntimeThread) -> None:
    open_run = runtime.start(Tally, 1, id="taken")
    with pytest.raises(WorkflowAlreadyStarted) as refused:
        runtime.start(Tally, 2, id="taken")
    assert refused.value.run_id == open_run.result_run_id
    with pytest.raises(RPCError) as unknown:
        runtime.handle("unknown").describe()
    assert unknown.value.status is RPCStatus.NOT_FOUND
    with pytest.raises(WorkflowFailure):
        runtime.execute(failing)
    with pytest.raises(LookupError, match="nowhere"):
        runtime.start(failing).value()
    with pytest.raises(ValueError, match="id"):
        runtime.handle("")
    with pytest.raises(ValueError, match="not both"):
        runtime.start(doubled, 1, args=[1])


def test_waiting_for_a_result_may_be_limited(runtime: RuntimeThread) -> None:
    handle = runtime.start(Tally, 1)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    with pytest.raises(TimeoutError):
        handle.value(timeout="1ms")
    with pytest.raises(ValueError, match="timeout"):
        handle.result(timeout=-1)
    handle.signal(Tally.add, 1)
    assert handle.result(timeout="1h") == 1


def test_many_threads_may_share_one(runtime: RuntimeThread) -> None:
    found: list[int] = []

    def use(number: int) -> None:
        found.append(runtime.execute(doubled, number))

    threads = [threading.Thread(target=use, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * n for n in range(16)]


def test_tasks_called_from_plain_code_go_to_it(runtime: RuntimeThread) -> None:
    assert double.blocking(21) == 42
    assert [line.workflow for line in runtime.list()] == ["double"]


def test_a_task_in_a_thread_may_use_it(runtime: RuntimeThread) -> None:
    @task(registry=REGISTRY, name="starts another")
    def starts_another(value: int) -> int:
        return runtime.execute(doubled, value) + 1

    assert runtime.execute(starts_another, 20) == 41


def test_workers_may_be_added(file: Path) -> None:
    with RuntimeThread(file, registry=REGISTRY, workers=[]) as runtime:
        handle = runtime.start(doubled, 1)
        assert "no worker" in str(handle.describe().aside)
        runtime.add_worker(Worker())
        assert handle.result() == 2


def test_runs_go_on_in_the_next_one(file: Path) -> None:
    with RuntimeThread(file, registry=REGISTRY) as runtime:
        runtime.start(Tally, 10, id="tally").signal(Tally.add, 4)
    with RuntimeThread(file, registry=REGISTRY) as runtime:
        handle = runtime.handle("tally", result_type=int)
        assert handle.query(Tally.so_far) == 4
        handle.signal(Tally.add, 6)
        assert handle.result() == 10


async def test_nothing_of_it_may_be_called_on_a_running_loop(file: Path) -> None:
    with pytest.raises(RuntimeStateError, match="running loop"):
        with RuntimeThread(file, registry=REGISTRY):
            pass
    runtime = await asyncio.to_thread(RuntimeThread(file, registry=REGISTRY).__enter__)
    handle = await asyncio.to_thread(runtime.start, Tally, 1)
    calls: list[Any] = [
        lambda: runtime.start(Tally, 1),
        lambda: runtime.execute(doubled, 1),
        lambda: list(runtime.list()),
        lambda: runtime.dispatch(double.build_call(1)),
        lambda: runtime.add_worker(Worker()),
        handle.result,
        handle.value,
        handle.describe,
        handle.history,
        lambda: list(handle.follow_history()),
        lambda: handle.signal(Tally.add, 1),
        lambda: handle.query(Tally.so_far),
        handle.cancel,
        handle.terminate,
        runtime.close,
    ]
    for call in calls:
        with pytest.raises(RuntimeStateError, match="running loop"):
            call()
    assert (await asyncio.to_thread(handle.describe)).status is RunStatus.RUNNING
    assert await asyncio.to_thread(lambda: len([*runtime.list()])) == 1
    await asyncio.to_thread(runtime.close)


def test_it_is_closed_once_and_then_refuses(file: Path) -> None:
    runtime = RuntimeThread(file, registry=REGISTRY)
    runtime.close()
    with pytest.raises(RuntimeStateError, match="not running"):
        runtime.start(doubled, 1)
    with runtime:
        handle = runtime.start(Tally, 1)
        lines = runtime.list(page_size=1)
        next(lines)
    runtime.close()
    for call in (handle.result, handle.describe, lambda: runtime.start(Tally, 1)):
        with pytest.raises(RuntimeStateError, match="not running"):
            call()
    with pytest.raises(RuntimeStateError):
        next(lines)
    with pytest.raises(RuntimeStateError, match="once"):
        runtime.__enter__()


def test_closing_tells_those_who_wait(file: Path) -> None:
    runtime = RuntimeThread(file, registry=REGISTRY)
    told: list[BaseException] = []
    with runtime:
        handle = runtime.start(Tally, 1)

        def wait() -> None:
            try:
                handle.result()
            except RuntimeStateError as error:
                told.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not runtime.wait(_waited_for(runtime.runtime)):
            pass
    waiting.join()
    assert len(told) == 1


async def _waited_for(runtime: Runtime) -> bool:
    return bool(runtime.engine.waiting.results)


def test_what_prevents_the_start_is_raised_where_it_is_entered(file: Path) -> None:
    with pytest.raises(TypeError):
        RuntimeThread(file, unknown_option=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="grace"):
        RuntimeThread(file, grace=-1)
    with RuntimeThread(file, registry=REGISTRY):
        with pytest.raises(StoreInUse):
            with RuntimeThread(file, registry=REGISTRY):
                pass
    with RuntimeThread(file, registry=REGISTRY) as runtime:
        assert runtime.execute(doubled, 1) == 2


INTERRUPTED = """
    import sys
    from everact.runtime import RuntimeThread, receive, workflow

    @workflow
    async def told() -> str:
        return await receive("go")

    if sys.argv[1] == "leave open":
        RuntimeThread("everact.db").__enter__().start(told, id="x")
    else:
        with RuntimeThread("everact.db") as runtime:
            handle = runtime.start(told, id="x", on_conflict="attach")
            if sys.argv[1] == "go":
                handle.signal("go", "gone")
            try:
                print("waiting")
                print(handle.result())
            except KeyboardInterrupt:
                print(handle.describe().status)
"""


@pytest.mark.kill
def test_an_interrupt_ends_the_waiting_and_not_the_run(tmp_path: Path) -> None:
    program = Program(tmp_path, INTERRUPTED)
    with program.running("waiting", "wait") as child:
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        assert child.stdout.read() == "running\n"
        assert child.wait() == 0
    assert program.run("go") == ["waiting", "gone"]


@task(registry=REGISTRY, cancellation="wait", retries=1)
def left_to_others() -> str:
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def leaving() -> str:
    return await left_to_others()


@pytest.mark.feature("AC-05", "AC-06", "AC-07", "AC-08")
def test_tasks_are_completed_from_outside_without_a_loop(tmp_path: Path) -> None:
    with RuntimeThread(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = runtime.start(leaving, id="leaving")
        (pending,) = handle.describe().pending_tasks
        named = runtime.task_handle(workflow_id="leaving", task_id=pending.task_id)
        named.heartbeat("so far")
        named.fail(ValueError("once more"))
        while handle.describe().pending_tasks[0].state == "retrying":
            pass
        named.complete("done")
        assert handle.result() == "done"
        second = runtime.start(leaving, id="second")
        named = runtime.task_handle(workflow_id="second", task_id="1")
        second.cancel()
        with pytest.raises(AsyncTaskCancelled):
            named.heartbeat()
        named.report_cancellation()
        with pytest.raises(WorkflowFailure):
            second.result()


@pytest.mark.kill
def test_a_program_that_ends_without_closing_loses_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path, INTERRUPTED)
    assert program.run("leave open") == []
    assert program.run("go") == ["waiting", "gone"]


@pytest.mark.parametrize(
    ("blocking", "asynchronous"),
    [
        (BlockingClient, Client),
        (BlockingHandle, RunHandle),
        (BlockingTaskHandle, TaskHandle),
        (BlockingVersions, VersionsClient),
    ],
)
def test_it_has_every_verb_of_the_asynchronous_form(
    blocking: type, asynchronous: type
) -> None:
    def verbs(kind: type) -> dict[str, list[str]]:
        return {
            name: [p for p in inspect.signature(member).parameters if p != "timeout"]
            for name, member in inspect.getmembers(kind, callable)
            if not name.startswith("_")
        }

    found, wanted = verbs(blocking), verbs(asynchronous)
    assert {name: found.get(name) for name in wanted} == wanted


def test_it_takes_every_option_of_a_runtime() -> None:
    options = inspect.signature(Runtime.__init__).parameters
    assert ["self", "path", *Hosting.__annotations__] == list(options)
