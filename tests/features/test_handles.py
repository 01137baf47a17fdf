"""Handles: results, failures, descriptions and histories of runs."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    EveractError,
    Registry,
    RunHandle,
    RunStatus,
    WorkflowFailure,
    continue_as_new,
    execute_child,
    receive,
    retry,
    run_info,
    task,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    ContinuedAsNew,
    RPCError,
    RunCancelled,
    RunTerminated,
    RunTimedOut,
)
from everact.runtime.runs import HistoryItem
from everact.runtime.statuses import RPCStatus, TimeoutKind
from tests.features.conftest import Site
from tests.features.stage import note, noted

REGISTRY = Registry()


@task(registry=REGISTRY)
async def add(left: int, right: int) -> int:
    return left + right


@task(registry=REGISTRY, retry=retry(attempts=5, first="10s", growth=1.0))
async def flaky() -> str:
    note("tried")
    raise ConnectionError("no route")


@workflow(registry=REGISTRY)
async def summed(upto: int) -> int:
    total = 0
    for number in range(upto):
        total = await add(total, number)
    return total


@workflow(registry=REGISTRY)
async def told() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def failing() -> None:
    try:
        {"a": 1}["missing"]
    except KeyError as error:
        raise ApplicationError("no luck", 7, {"a": 1}, type="Unlucky") from error


@workflow(registry=REGISTRY)
async def cancelled_with_details() -> None:
    try:
        await durable_sleep("1d")
    except asyncio.CancelledError as error:
        raise RunCancelled("stopped", {"done": 3}) from error


@workflow(registry=REGISTRY)
async def countdown(number: int) -> list[Any]:
    if number:
        continue_as_new(number - 1)
    return [number, run_info().run_id]


@workflow(registry=REGISTRY)
async def trying() -> str:
    return await flaky()


@workflow(registry=REGISTRY)
async def with_child() -> list[Any]:
    return [run_info().run_id, await execute_child(whose_child, id="child")]


@workflow(registry=REGISTRY)
async def whose_child() -> Any:
    return await receive("go")


async def ended(handle: RunHandle[Any]) -> BaseException | None:
    with pytest.raises(WorkflowFailure) as failed:
        await handle.result()
    assert isinstance(failed.value, EveractError)
    return failed.value.cause


@pytest.mark.feature("HN-01")
async def test_the_handle_of_a_start_exposes_four_ids(runtime: Client) -> None:
    handle = await runtime.start(summed, 3, id="sum")
    assert handle.id == "sum"
    assert handle.run_id is None
    assert handle.result_run_id == (await handle.describe()).run_id
    assert handle.first_execution_run_id == handle.result_run_id
    for name in ("id", "run_id", "result_run_id", "first_execution_run_id"):
        with pytest.raises(AttributeError):
            setattr(handle, name, "other")


@pytest.mark.feature("HN-01")
async def test_operations_of_a_started_handle_address_the_latest_run(
    runtime: Client,
) -> None:
    first = await runtime.start(summed, 3, id="sum")
    assert await first.result() == 3
    second = await runtime.start(Told.run, id="sum")
    assert (await first.describe()).run_id == second.result_run_id
    assert (await first.history())[0].data["run_id"] == second.result_run_id
    assert await first.query("word") == ""
    assert await first.update("say", "well") == "well"
    await first.signal("go", "second")
    by_id = runtime.handle("sum")
    assert (await by_id.describe()).run_id == second.result_run_id
    assert await by_id.result() == "second"


@pytest.mark.feature("HN-01", "HN-04")
async def test_but_its_cancel_terminate_and_result_are_of_its_own_chain(
    runtime: Client,
) -> None:
    first = await runtime.start(summed, 3, id="sum")
    assert await first.result() == 3
    second = await runtime.start(Told.run, id="sum")
    for stop in (first.cancel, first.terminate):
        with pytest.raises(RPCError) as unknown:
            await stop()
        assert unknown.value.status is RPCStatus.NOT_FOUND
    assert await first.result() == 3
    assert (await second.describe()).status is RunStatus.RUNNING
    await second.cancel()
    assert isinstance(await ended(second), RunCancelled)


@workflow(registry=REGISTRY)
class Told:
    """Ends with the word that it is told."""

    def __init__(self) -> None:
        self.said = ""

    @workflow.run
    async def run(self) -> Any:
        return await receive("go")

    @workflow.query
    def word(self) -> str:
        return self.said

    @workflow.update
    def say(self, word: str) -> str:
        self.said = word
        return word


@pytest.mark.feature("HN-02")
async def test_a_handle_to_an_unknown_id_shows_it_on_use_only(runtime: Client) -> None:
    handle = runtime.handle("unknown", run_id="x", first_execution_run_id="y")
    assert (handle.id, handle.run_id) == ("unknown", "x")
    assert (handle.result_run_id, handle.first_execution_run_id) == ("x", "y")
    for use in (
        handle.describe,
        handle.result,
        handle.history,
        handle.cancel,
        handle.terminate,
        lambda: handle.signal("go"),
        lambda: handle.query("what"),
        runtime.handle("unknown").describe,
    ):
        with pytest.raises(RPCError) as unknown:
            await use()
        assert unknown.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("HN-02")
async def test_a_handle_narrows_to_one_run_or_to_one_chain(runtime: Client) -> None:
    chain = await runtime.start(countdown, 2, id="x")
    await chain.result()
    single = await runtime.start(summed, 3, id="x")
    await single.result()

    assert chain.result_run_id and single.result_run_id
    one = runtime.handle("x", run_id=chain.result_run_id, result_type=list)
    assert (await one.describe()).status is RunStatus.CONTINUED_AS_NEW
    whole = runtime.handle("x", first_execution_run_id=chain.result_run_id)
    assert (await whole.describe()).status is RunStatus.COMPLETED
    assert (await whole.describe()).first_run_id == chain.result_run_id
    assert (await whole.result())[0] == 0
    elsewhere = runtime.handle("x", run_id="00000000-0000-0000-0000-000000000000")
    with pytest.raises(RPCError):
        await elsewhere.describe()


@pytest.mark.feature("HN-06")
async def test_any_number_of_waiters_get_the_value(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(told, id="told")
        waiting = [asyncio.ensure_future(handle.result()) for _ in range(2)]
        another = asyncio.ensure_future(runtime.handle("told").result())
        await asyncio.sleep(3600)
        assert not any(waiter.done() for waiter in (*waiting, another))
        await handle.signal("go", {"x": 1})
        assert await asyncio.gather(*waiting, another) == [{"x": 1}] * 3
        assert await handle.result() == {"x": 1}
        assert await runtime.handle("told").result() == {"x": 1}
    async with site.up() as runtime:
        assert await runtime.handle("told").result() == {"x": 1}


@pytest.mark.feature("HN-06")
async def test_a_wait_goes_on_after_an_engine_restart(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(told, id="told")
        before = asyncio.ensure_future(handle.result())
        await asyncio.sleep(1)
    with pytest.raises(EveractError, match="closed"):
        await before
    async with site.up() as runtime:
        after = asyncio.ensure_future(runtime.handle("told").result())
        await asyncio.sleep(1)
        await runtime.handle("told").signal("go", "later")
        assert await after == "later"


@pytest.mark.feature("HN-06")
async def test_a_waiter_that_gives_up_disturbs_nobody(runtime: Client) -> None:
    handle = await runtime.start(told)
    stays = asyncio.ensure_future(handle.result())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await handle.result()
    await handle.signal("go", "x")
    assert await stays == "x"


@pytest.mark.feature("HN-06")
async def test_results_follow_retries_of_the_run(runtime: Client) -> None:
    handle = await runtime.start(
        third_time, retry=retry(attempts=3, first="1s"), id="retried"
    )
    assert await handle.result() == 3
    view = await handle.describe()
    assert view.attempt == 3
    assert view.first_run_id == handle.result_run_id != view.run_id


@workflow(registry=REGISTRY)
async def third_time() -> int:
    attempt = run_info().attempt
    if attempt < 3:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@pytest.mark.feature("HN-07")
async def test_a_failed_run_has_an_application_failure_as_its_cause(
    runtime: Client,
) -> None:
    cause = await ended(await runtime.start(failing))
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("Unlucky", "no luck")
    assert cause.details == (7, {"a": 1})
    assert isinstance(cause.cause, ApplicationError)
    assert cause.cause.type == "KeyError"
    assert "failing" in cause.traceback


@pytest.mark.feature("HN-07", "CN-04")
async def test_a_cancelled_run_has_its_details_in_the_cause(runtime: Client) -> None:
    handle = await runtime.start(cancelled_with_details)
    waiter = asyncio.ensure_future(ended(handle))
    await handle.cancel(reason="bored")
    for cause in (await waiter, await ended(handle)):
        assert isinstance(cause, RunCancelled)
        assert (cause.reason, cause.details) == ("stopped", ({"done": 3},))


@pytest.mark.feature("HN-07")
async def test_a_terminated_run_has_reason_and_details_in_the_cause(
    runtime: Client,
) -> None:
    handle = await runtime.start(told)
    await handle.terminate(1, "two", reason="enough")
    cause = await ended(handle)
    assert isinstance(cause, RunTerminated)
    assert (cause.reason, cause.details) == ("enough", (1, "two"))


@pytest.mark.feature("HN-07")
@pytest.mark.parametrize(
    ("limit", "kind"),
    [("run_timeout", TimeoutKind.RUN), ("execution_timeout", TimeoutKind.EXECUTION)],
)
async def test_a_timed_out_run_has_the_kind_of_timeout_in_the_cause(
    runtime: Client, site: Site, limit: Any, kind: TimeoutKind
) -> None:
    before = site.clock.now()
    options: dict[str, Any] = {limit: "30s"}
    handle = await runtime.start(told, **options)
    cause = await ended(handle)
    assert isinstance(cause, RunTimedOut)
    assert cause.kind is kind
    assert site.clock.now() == pytest.approx(before + 30, abs=0.1)
    assert (await handle.describe()).status is RunStatus.TIMED_OUT


@pytest.mark.feature("HN-07")
async def test_failures_stay_as_they_were_over_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        first = await ended(await runtime.start(failing, id="failing"))
    async with site.up() as runtime:
        second = await ended(runtime.handle("failing"))
    assert isinstance(first, ApplicationError) and isinstance(second, ApplicationError)
    assert (first.type, first.details, first.traceback) == (
        second.type,
        second.details,
        second.traceback,
    )


@pytest.mark.feature("HN-08")
async def test_without_following_a_continued_run_names_the_next(
    runtime: Client,
) -> None:
    handle = await runtime.start(countdown, 1, id="count")
    number, last = await handle.result()
    assert number == 0

    with pytest.raises(ContinuedAsNew) as continued:
        await handle.result(follow_runs=False)
    assert continued.value.next_run_id == last
    following = runtime.handle("count", run_id=continued.value.next_run_id)
    assert await following.result(follow_runs=False) == [0, last]
    view = await runtime.handle("count", run_id=handle.result_run_id).describe()
    assert (view.status, view.next_run_id) == (RunStatus.CONTINUED_AS_NEW, last)


@pytest.mark.feature("HN-08")
async def test_without_following_a_single_run_gives_its_value(runtime: Client) -> None:
    handle = await runtime.start(summed, 3)
    assert await handle.result(follow_runs=False) == 3
    with pytest.raises(WorkflowFailure):
        await (await runtime.start(failing)).result(follow_runs=False)


@pytest.mark.feature("HN-09")
async def test_describe_shows_a_task_that_is_retried(
    runtime: Client, site: Site
) -> None:
    began = site.clock.now()
    handle = await runtime.start(trying, id="trying")
    await noted("tried", 2)
    await asyncio.sleep(1)

    (pending,) = (await handle.describe()).pending_tasks
    assert (pending.name, pending.attempt, pending.state) == ("flaky", 3, "retrying")
    assert pending.last_failure == "ConnectionError: no route"
    assert pending.next_attempt_at is not None
    assert pending.next_attempt_at.timestamp() == pytest.approx(began + 20, abs=0.5)


@pytest.mark.feature("HN-09")
async def test_describe_shows_who_the_run_is_and_where_it_stands(
    runtime: Client, site: Site
) -> None:
    before = datetime.fromtimestamp(site.clock.now(), UTC)
    handle = await runtime.start(
        told, id="told", memo={"note": [1, 2]}, headers={"trace": "abc"}
    )
    open_view = await handle.describe()
    assert (open_view.workflow_id, open_view.workflow) == ("told", "told")
    assert open_view.status is RunStatus.RUNNING
    assert (open_view.queue, open_view.attempt, open_view.aside) == ("default", 1, None)
    assert open_view.run_id == open_view.first_run_id == open_view.root_run_id
    assert (open_view.parent_workflow_id, open_view.parent_run_id) == (None, None)
    assert open_view.memo == {"note": [1, 2]}
    assert open_view.headers == {"trace": "abc"}
    assert open_view.start_time == open_view.execution_time >= before
    assert open_view.start_time.tzinfo is UTC
    assert (open_view.close_time, open_view.next_run_id) == (None, None)

    await asyncio.sleep(10)
    await handle.signal("go")
    await handle.result()
    closed = await handle.describe()
    assert closed.status is RunStatus.COMPLETED
    assert closed.close_time is not None
    assert (closed.close_time - closed.start_time).total_seconds() == pytest.approx(10)
    assert closed.history_length > open_view.history_length
    assert (closed.pending_tasks, closed.pending_children) == ((), ())


@pytest.mark.feature("HN-09")
async def test_describe_shows_timers_children_parent_and_root(runtime: Client) -> None:
    asleep = await runtime.start(cancelled_with_details)
    (due,) = (await asleep.describe()).pending_timers
    slept = due - (await asleep.describe()).start_time
    assert slept.total_seconds() == pytest.approx(86400, abs=0.1)

    parent = await runtime.start(with_child, id="parent")
    assert (await parent.describe()).pending_children == ("child",)
    child = await runtime.handle("child").describe()
    assert child.parent_workflow_id == "parent"
    assert child.parent_run_id == child.root_run_id == parent.result_run_id


@pytest.mark.feature("HN-09")
async def test_descriptions_are_the_same_after_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(trying, id="trying", memo={"a": 1})
        await noted("tried", 1)
        await asyncio.sleep(1)
        before = await handle.describe()
    async with site.up() as runtime:
        assert await runtime.handle("trying").describe() == before


async def test_runs_are_listed_newest_first_and_can_be_chosen(site: Site) -> None:
    async with site.up() as runtime:
        await runtime.execute(summed, 1, id="a")
        await ended(await runtime.start(failing, id="b"))
        await runtime.start(told, id="c", queue="elsewhere", run_name="waiting")

        async def ids(**chosen: Any) -> list[str]:
            return [line.workflow_id async for line in runtime.list(**chosen)]

        assert await ids() == await ids(page_size=1) == ["c", "b", "a"]
        assert await ids(status=RunStatus.FAILED) == ["b"]
        assert await ids(status=RunStatus.RUNNING) == ["c"]
        assert await ids(workflow=summed) == await ids(workflow="summed") == ["a"]
        assert await ids(queue="elsewhere") == await ids(id="c") == ["c"]
        assert await ids(id="c", status=RunStatus.FAILED) == []
    async with site.up(namespace="other") as runtime:
        assert [line async for line in runtime.list()] == []
    async with site.up() as runtime:
        (line,) = [line async for line in runtime.list(id="c")]
        view = await runtime.handle("c").describe()
        assert (line.run_id, line.run_name) == (view.run_id, "waiting")
        assert (line.start_time, line.close_time) == (view.start_time, None)
        assert "'elsewhere'" in str(view.aside)


async def test_describe_shows_who_started_the_run(site: Site) -> None:
    async with site.up(identity="the nightly job") as runtime:
        handle = await runtime.start(told)
        assert (await handle.describe()).identity == "the nightly job"


@pytest.mark.feature("HN-10")
async def test_history_begins_with_the_start_and_ends_with_the_completion(
    runtime: Client,
) -> None:
    handle = await runtime.start(summed, 2)
    await handle.result()
    history = await handle.history()
    assert [item.kind for item in history] == [
        "Started",
        "Began",
        "RunTask",
        "TaskCompleted",
        "RunTask",
        "TaskCompleted",
        "Complete",
    ]
    assert history[0].data["name"] == "summed"
    assert history[0].data["args"] == [2]
    assert history[-1].data["result"] == 1
    assert [item.time for item in history] == sorted(item.time for item in history)


@pytest.mark.feature("HN-10")
async def test_history_can_be_exported_as_json(runtime: Client) -> None:
    handle = await runtime.start(failing)
    await ended(handle)
    exported = [json.loads(item.to_json()) for item in await handle.history()]
    assert exported[0]["kind"] == "Started"
    assert exported[-1]["kind"] == "Fail"
    assert exported[-1]["data"]["failure"]["type"] == "Unlucky"


@pytest.mark.feature("HN-10")
async def test_history_is_readable_beyond_one_page(runtime: Client) -> None:
    handle = await runtime.start(summed, 1500)
    await handle.result()
    items = await handle.history()
    assert sum(item.kind == "TaskCompleted" for item in items) == 1500
    assert len({(i.generation, i.seq, i.kind) for i in items}) == len(items)
    assert items[-1].kind == "Complete"


@pytest.mark.feature("HN-10")
async def test_history_can_be_followed_to_the_end(runtime: Client) -> None:
    handle = await runtime.start(told)
    seen: list[HistoryItem] = []

    async def follow() -> None:
        async for item in handle.follow_history():
            seen.append(item)
            note(item.kind)

    following = asyncio.ensure_future(follow())
    await noted("Began")
    await asyncio.sleep(3600)
    assert [item.kind for item in seen] == ["Started", "Began"]
    await handle.signal("go", 1)
    await following
    assert [item.kind for item in seen] == [
        "Started",
        "Began",
        "SignalReceived",
        "Complete",
    ]
    assert seen == await handle.history()


@pytest.mark.feature("HN-10")
async def test_one_can_wait_for_the_closing_item_only(runtime: Client) -> None:
    handle = await runtime.start(told)

    async def closing() -> list[HistoryItem]:
        return [item async for item in handle.follow_history(closing_only=True)]

    waiting = asyncio.ensure_future(closing())
    await asyncio.sleep(3600)
    assert not waiting.done()
    await handle.signal("go", 1)
    for found in (await waiting, await closing()):
        assert [item.kind for item in found] == ["Complete"]
    failed = await runtime.start(failing)
    assert [i.kind async for i in failed.follow_history(closing_only=True)] == ["Fail"]


@pytest.mark.feature("HN-10")
@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_pages_of_any_size_give_the_same_history(
    runtime: Client, page_size: int
) -> None:
    handle = await runtime.start(summed, 5)
    await handle.result()
    whole = await handle.history()
    paged = handle.follow_history(wait=False, page_size=page_size)
    assert [item async for item in paged] == whole
    paged = handle.follow_history(page_size=page_size)
    assert [item async for item in paged] == whole
    with pytest.raises(ValueError, match="page_size"):
        await anext(handle.follow_history(page_size=0))


@pytest.mark.feature("HN-10")
async def test_following_stays_with_one_run_of_a_chain(runtime: Client) -> None:
    handle = await runtime.start(told_then_continued, True, id="chain")
    following = asyncio.ensure_future(_all(handle))
    await asyncio.sleep(1)
    await handle.signal("go")
    kinds = [item.kind for item in await following]
    assert kinds[0] == "Started"
    assert kinds[-1] == "ContinueAsNew"
    await handle.signal("go")
    await handle.result()


@workflow(registry=REGISTRY)
async def told_then_continued(again: bool) -> None:
    await receive("go")
    if again:
        continue_as_new(False)


async def _all(handle: RunHandle[Any]) -> list[HistoryItem]:
    return [item async for item in handle.follow_history()]


@pytest.mark.feature("HN-10")
async def test_history_outlives_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(summed, 20, id="sum")
        await handle.result()
        before = await handle.history()
    async with site.up() as runtime:
        assert await runtime.handle("sum").history() == before
