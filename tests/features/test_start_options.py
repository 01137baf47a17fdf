"""What a start may say beside its input, and calls that start many at once."""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from inspect import currentframe
from typing import Any, assert_type

import pytest

from everact.runtime import (
    Call,
    Client,
    Registry,
    RunHandle,
    RunStatus,
    RuntimeThread,
    Worker,
    WorkflowFailure,
    context,
    continue_as_new,
    execute_child,
    now,
    receive,
    run_info,
    start_child,
    task,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    ClientError,
    RPCError,
    UpdateFailed,
    WorkflowAlreadyStarted,
)
from everact.runtime.operations.batches import StartTogether
from everact.runtime.operations.starting import StartRun, StartSignal
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from everact.runtime.updates import StartOperation
from everact.runtime.workflows import rename_current_execution
from tests.features.conftest import Site
from tests.features.stage import note, noted, stage
from tests.features.support import items, kinds

REGISTRY = Registry()


@task(registry=REGISTRY)
async def own_priority() -> int | None:
    return context().priority


@task(registry=REGISTRY)
def own_metadata() -> dict[str, Any] | None:
    return context().additional_metadata


@task(registry=REGISTRY)
async def hold(label: str, seconds: float) -> None:
    note(label)
    await asyncio.sleep(seconds)


@task(registry=REGISTRY)
async def name_after(customer: str) -> None:
    rename_current_execution("being paid")
    rename_current_execution(f"order of {customer}")


@task(registry=REGISTRY)
def name_in_thread(name: str) -> None:
    rename_current_execution(name)


@task(registry=REGISTRY)
async def double(value: int) -> int:
    return 2 * value


@workflow(registry=REGISTRY)
async def order(customer: str) -> str:
    await name_after(customer)
    return run_info().run_name


@workflow(registry=REGISTRY)
async def begun_at() -> float:
    note("begun")
    return now().timestamp()


@workflow(registry=REGISTRY)
async def until_told() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def priority() -> int | None:
    return await own_priority()


@workflow(registry=REGISTRY, priority=2)
async def urgent() -> int | None:
    return await own_priority()


@workflow(registry=REGISTRY, priority=3)
class Urgent:
    @workflow.run
    async def run(self) -> int | None:
        return await own_priority()


@workflow(registry=REGISTRY)
async def with_urgent_children() -> list[int | None]:
    plain = await execute_child(priority)
    given = await execute_child(priority, priority=3)
    return [plain, given, await urgent()]


@workflow(registry=REGISTRY)
async def holding(label: str, seconds: float = 1.0) -> None:
    await hold(label, seconds)


@workflow(registry=REGISTRY)
async def also_holding(label: str) -> None:
    await hold(label, 1.0)


@workflow(registry=REGISTRY)
async def metadata() -> list[dict[str, Any] | None]:
    return [run_info().additional_metadata, await own_metadata()]


@workflow(registry=REGISTRY)
async def with_children() -> list[Any]:
    first = await execute_child(metadata, additional_metadata={"j": 2})
    second = await (await start_child(metadata, additional_metadata={"k": 9})).result()
    return [first, second, await metadata()]


@workflow(registry=REGISTRY)
async def with_grandchildren() -> Any:
    return await execute_child(with_children, additional_metadata={"up": [1]})


@workflow(registry=REGISTRY)
async def continued(again: bool) -> Any:
    if again:
        continue_as_new(False)
    return await metadata()


@dataclass
class Bill:
    customer: str
    cents: int


@workflow(registry=REGISTRY)
async def billed(customer: str) -> Bill:
    return Bill(customer, 250)


@workflow(registry=REGISTRY)
class Bills:
    def __init__(self) -> None:
        self.seen = asyncio.Event()

    @workflow.run
    async def run(self, customer: str) -> Bill:
        await self.seen.wait()
        return Bill(customer, 1)

    @workflow.signal
    def look(self) -> None:
        self.seen.set()

    @workflow.query
    def was_seen(self) -> bool:
        return self.seen.is_set()


@workflow(registry=REGISTRY)
async def renaming() -> list[str]:
    names = [run_info().run_name]
    rename_current_execution("first")
    rename_current_execution("second")
    names.append(run_info().run_name)
    await durable_sleep(60)
    names.append(run_info().run_name)
    await name_in_thread("third")
    await durable_sleep(60)
    names.append(run_info().run_name)
    return names


@workflow(registry=REGISTRY)
async def renamed_then_continued(again: bool) -> str:
    if again:
        rename_current_execution("kept")
        continue_as_new(False)
    return run_info().run_name


@workflow(registry=REGISTRY)
async def renamed_badly() -> None:
    rename_current_execution("")


@workflow(registry=REGISTRY)
async def renamed_from_all_sides() -> str:
    await asyncio.gather(*(name_in_thread(f"name {n}") for n in range(5)))
    await name_in_thread("last")
    return run_info().run_name


@pytest.mark.feature("ST-09", "ST-14", "ST-15", "ST-16", "ST-17", "QT-09")
async def test_a_start_says_when_how_urgent_and_what_for(
    runtime: Client, site: Site
) -> None:
    at = datetime.fromtimestamp(site.clock.now(), UTC) + timedelta(hours=1)
    handle = await runtime.start(
        priority,
        scheduled_start_time=at,
        priority=3,
        run_name="nightly import",
        static_summary="Imports what the shops sold",
        static_details="One file a shop.\nAsk Ada if it takes longer.",
        additional_metadata={"region": "north"},
    )
    view = await handle.describe()
    assert (view.state, view.scheduled_start_time) == ("scheduled", at)
    assert (view.priority, view.run_name) == (3, "nightly import")
    assert view.static_summary == "Imports what the shops sold"
    assert view.additional_metadata == {"region": "north"}
    assert await handle.result() == 3
    assert site.clock.now() == pytest.approx(at.timestamp(), abs=0.1)


@pytest.mark.feature("ST-14")
async def test_a_scheduled_run_begins_at_its_time_and_not_before(
    runtime: Client, site: Site
) -> None:
    before = site.clock.now()
    at = datetime.fromtimestamp(before + 2, UTC)
    handle = await runtime.start(begun_at, scheduled_start_time=at)
    view = await handle.describe()
    assert (view.state, view.status) == ("scheduled", RunStatus.RUNNING)
    assert view.execution_time == view.scheduled_start_time == at
    await asyncio.sleep(1.9)
    assert stage.notes == []
    assert (await handle.describe()).state == "scheduled"
    assert await handle.result() == pytest.approx(before + 2, abs=0.1)
    view = await handle.describe()
    assert (view.state, view.scheduled_start_time) == ("completed", at)


@pytest.mark.feature("ST-14")
async def test_also_after_restarts(site: Site) -> None:
    at = datetime.fromtimestamp(site.clock.now() + 3600, UTC)
    async with site.up() as runtime:
        await runtime.start(begun_at, id="x", scheduled_start_time=at)
    await asyncio.sleep(600)
    async with site.up() as runtime:
        handle = runtime.handle("x")
        assert (await handle.describe()).state == "scheduled"
        assert await handle.result() == pytest.approx(at.timestamp(), abs=0.1)


@pytest.mark.feature("ST-14")
@pytest.mark.parametrize("years", [1, 60, 100])
async def test_a_time_that_is_past_is_now(
    runtime: Client, site: Site, years: int
) -> None:
    now = datetime.fromtimestamp(site.clock.now(), UTC)
    handle = await runtime.start(
        until_told, scheduled_start_time=now.replace(year=now.year - years)
    )
    view = await handle.describe()
    assert view.state == "running"
    assert view.execution_time == view.start_time
    assert (await kinds(handle))["Began"] == 1
    await handle.signal("go")
    await handle.result()


@pytest.mark.feature("ST-14")
async def test_a_naive_time_is_utc(runtime: Client, site: Site) -> None:
    at = datetime.fromtimestamp(site.clock.now() + 60, UTC)
    naive = at.replace(tzinfo=None)
    handle = await runtime.start(begun_at, scheduled_start_time=naive)
    assert (await handle.describe()).scheduled_start_time == at


@pytest.mark.feature("ST-14")
@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"start_delay": 1, "scheduled_start_time": datetime.now(UTC)}),
        (ValueError, {"start_delay": 0, "scheduled_start_time": datetime.now(UTC)}),
        (ValueError, {"scheduled_start_time": datetime(9500, 1, 1, tzinfo=UTC)}),
        (TypeError, {"scheduled_start_time": 1_700_000_000}),
        (TypeError, {"scheduled_start_time": "tomorrow"}),
    ],
)
async def test_what_is_no_time_is_refused(
    runtime: Client, error: type[Exception], options: Any
) -> None:
    with pytest.raises(error, match="scheduled_start_time"):
        await runtime.start(begun_at, **options)
    assert (await runtime.count()).count == 0


@pytest.mark.feature("ST-06", "ST-14")
async def test_a_signal_with_start_does_not_wait_for_the_time(
    runtime: Client, site: Site
) -> None:
    at = datetime.fromtimestamp(site.clock.now() + 3600, UTC)
    await runtime.start(until_told, id="x", scheduled_start_time=at)
    handle = await runtime.start(
        until_told, id="x", start_signal="go", start_signal_args=["now"]
    )
    assert await handle.result() == "now"
    assert site.clock.now() < at.timestamp() - 3000


@pytest.mark.feature("ST-08")
async def test_the_first_step_is_taken_in_the_transaction_of_the_start(
    runtime: Client,
) -> None:
    plain = await runtime.start(holding, "a")
    eager = await runtime.start(holding, "b", request_eager_start=True)
    for handle in (plain, eager):
        (begun,) = await items(handle, "RunTask")
        assert (begun.generation, begun.seq) == (0, 0)
    assert await kinds(plain) == await kinds(eager)


@pytest.mark.feature("ST-08")
async def test_an_eager_start_without_a_worker_begins_later(site: Site) -> None:
    async with site.up(workers=[]) as runtime:
        handle = await runtime.start(begun_at, id="x", request_eager_start=True)
        await asyncio.sleep(60)
        assert (await handle.describe()).status is RunStatus.RUNNING
        assert stage.notes == []
    async with site.up() as runtime:
        assert await runtime.handle("x").result() > 0


@pytest.mark.feature("ST-09")
async def test_summary_and_details_are_fixed_for_the_life_of_the_run(
    site: Site,
) -> None:
    said: Any = {"static_summary": "line", "static_details": "one\ntwo"}
    async with site.up() as runtime:
        handle = await runtime.start(continued, True, id="x", **said)
        await handle.result()
        await runtime.start(until_told, id="y")
    async with site.up() as runtime:
        view = await runtime.handle("x").describe()
        assert (view.static_summary, view.static_details) == ("line", "one\ntwo")
        view = await runtime.handle("y").describe()
        assert (view.static_summary, view.static_details) == (None, None)


@pytest.mark.feature("ST-09", "ST-16", "ST-17")
@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"static_summary": "two\nlines"}),
        (ValueError, {"priority": 0}),
        (ValueError, {"priority": 4}),
        (ValueError, {"priority": -1}),
        (ValueError, {"priority": True}),
        (ValueError, {"priority": "high"}),
        (TypeError, {"additional_metadata": ["x"]}),
        (TypeError, {"additional_metadata": {"x": object()}}),
        *(
            (TypeError, {option: {"deep": [{"x": value}]}})
            for option in ("additional_metadata", "parameters", "context")
            for value in (math.nan, -math.inf, b"x", {1}, {2: 3}, datetime.now(UTC))
        ),
        *((TypeError, {option: {1: 2}}) for option in ("parameters", "context")),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_stored(
    runtime: Client, error: type[Exception], options: Any
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        await runtime.start(begun_at, **options)
    assert (await runtime.count()).count == 0


@pytest.mark.feature("ST-16", "TC-08")
async def test_children_have_the_metadata_of_their_parent_under_their_own(
    runtime: Client,
) -> None:
    handle = await runtime.start(with_children, additional_metadata={"k": 1})
    first, second, third = await handle.result()
    assert first == [{"k": 1, "j": 2}] * 2
    assert second == [{"k": 9}] * 2
    assert third == [{"k": 1}] * 2
    assert (await handle.describe()).additional_metadata == {"k": 1}
    found = await runtime.execute(with_grandchildren, additional_metadata={"top": None})
    assert found[0] == [{"top": None, "up": [1], "j": 2}] * 2
    assert found[2] == [{"top": None, "up": [1]}] * 2


@pytest.mark.feature("ST-16")
@pytest.mark.parametrize("option", ["additional_metadata", "parameters", "context"])
async def test_a_child_takes_no_more_than_a_start(runtime: Client, option: str) -> None:
    with pytest.raises(WorkflowFailure, match=f"TypeError: {option}"):
        await runtime.execute(with_odd_child, option)


@workflow(registry=REGISTRY)
async def with_odd_child(option: str) -> Any:
    options: Any = {option: {"x": math.nan}}
    return await execute_child(metadata, **options)


@pytest.mark.feature("ST-16", "TC-08")
async def test_metadata_stays_with_the_chain_and_is_none_if_none_was_sent(
    runtime: Client,
) -> None:
    handle = await runtime.start(continued, True, additional_metadata={"k": 1})
    assert await handle.result() == [{"k": 1}, {"k": 1}]
    plain = await runtime.start(continued, True)
    assert await plain.result() == [None, None]
    assert (await plain.describe()).additional_metadata is None


@pytest.mark.feature("ST-17", "QT-09")
@pytest.mark.parametrize(
    ("target", "given", "found"),
    [
        (priority, None, None),
        (priority, 1, 1),
        (priority, 3, 3),
        (urgent, None, 2),
        (urgent, 1, 1),
        (Urgent.run, None, 3),
        ("Urgent", None, 3),
        ("urgent", 3, 3),
    ],
)
async def test_the_priority_is_that_of_the_start_or_of_the_workflow(
    runtime: Client, target: Any, given: int | None, found: int | None
) -> None:
    handle = await runtime.start(target, priority=given)
    assert await handle.result() == found
    assert (await handle.describe()).priority == found
    assert [line.priority async for line in runtime.list()] == [found]


@pytest.mark.feature("ST-17", "QT-09")
async def test_child_runs_have_priorities_of_their_own(runtime: Client) -> None:
    handle = await runtime.start(with_urgent_children, priority=1)
    assert await handle.result() == [None, 3, 2]


@pytest.mark.feature("ST-17")
@pytest.mark.parametrize("given", [0, 4, True])
def test_the_priority_of_a_workflow_is_1_to_3(given: int) -> None:
    with pytest.raises(ValueError, match="priority"):
        workflow(registry=Registry(), priority=given)


@pytest.mark.feature("QT-10")
async def test_while_the_slot_is_busy_the_higher_go_first(site: Site) -> None:
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        await runtime.start(holding, "busy", priority=1)
        await noted("busy")
        labels = [("low", 1), ("none", None), ("high", 3), ("middle", 2), ("high 2", 3)]
        handles = [
            await runtime.start(holding, label, priority=priority)
            for label, priority in labels
        ]
        await asyncio.gather(*(handle.result() for handle in handles))
    assert stage.notes == ["busy", "high", "high 2", "middle", "low", "none"]


@pytest.mark.feature("QT-10")
async def test_they_do_so_in_the_places_of_their_own_workflow(site: Site) -> None:
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        await runtime.start(holding, "busy")
        await noted("busy")
        handles: list[RunHandle[None]] = [
            await runtime.start(holding, "low", priority=1),
            await runtime.start(also_holding, "other", priority=1),
            await runtime.start(holding, "high", priority=3),
        ]
        await asyncio.gather(*(handle.result() for handle in handles))
    assert stage.notes == ["busy", "high", "other", "low"]


@pytest.mark.feature("QT-10")
async def test_after_a_restart_as_well(site: Site) -> None:
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        await runtime.start(holding, args=["busy", 5.0], id="busy")
        await noted("busy")
        for label, priority in (("low", 1), ("middle", 2), ("high", 3)):
            await runtime.start(holding, label, id=label, priority=priority)
        await runtime.handle("busy").terminate()
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        for label in ("low", "middle", "high"):
            await runtime.handle(label).result()
    assert [n for n in stage.notes if n != "busy"][-3:] == ["high", "middle", "low"]


@pytest.mark.feature("QT-10")
async def test_runs_that_waited_for_a_worker_go_on_in_turn(site: Site) -> None:
    async with site.up(workers=[]) as runtime:
        for label, priority in (("low", 1), ("middle", 2), ("high", 3)):
            await runtime.start(holding, label, id=label, priority=priority)
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        for label in ("low", "middle", "high"):
            await runtime.handle(label).result()
    assert stage.notes == ["high", "middle", "low"]


@pytest.mark.feature("EX-05", "ST-15")
async def test_a_task_names_its_run_after_its_input(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(order, "Ada", id="order-1", run_name="order")
        assert await handle.result() == "order of Ada"
        assert (await handle.describe()).run_name == "order of Ada"
    async with site.up() as runtime:
        assert [line.run_name async for line in runtime.list()] == ["order of Ada"]
        view = await runtime.handle("order-1").describe()
        assert (view.workflow_id, view.run_name) == ("order-1", "order of Ada")
        assert view.run_id == handle.result_run_id


@pytest.mark.feature("EX-05")
async def test_workflow_code_names_its_run_and_sees_every_name(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(renaming, id="x", run_name="zeroth")
        assert (await handle.describe()).run_name == "second"
    async with site.up() as runtime:
        assert [line.run_name async for line in runtime.list()] == ["second"]
        await asyncio.sleep(70)
        assert (await runtime.handle("x").describe()).run_name == "third"
    async with site.up() as runtime:
        names = await runtime.handle("x").result()
        assert names == ["zeroth", "second", "second", "third"]
        found = await kinds(runtime.handle("x"))
        assert (found["RenameRun"], found["RunRenamed"]) == (2, 1)


@pytest.mark.feature("EX-05")
async def test_the_last_name_counts_and_stays_with_the_chain(runtime: Client) -> None:
    handle = await runtime.start(renamed_from_all_sides)
    assert await handle.result() == "last"
    assert (await handle.describe()).run_name == "last"
    chain = await runtime.start(renamed_then_continued, True, run_name="first")
    assert await chain.result() == "kept"
    assert [v.run_name async for v in runtime.list(id=chain.id)] == ["kept", "kept"]


@pytest.mark.feature("EX-05")
async def test_an_empty_name_is_an_error(runtime: Client) -> None:
    handle = await runtime.start(renamed_badly, run_name="kept")
    with pytest.raises(WorkflowFailure, match="ValueError"):
        await handle.result()
    assert (await handle.describe()).run_name == "kept"


@pytest.mark.feature("EX-05")
def test_outside_of_an_execution_nothing_happens() -> None:
    rename_current_execution("anything")
    rename_current_execution("")


@pytest.mark.feature("HN-05")
async def test_a_handle_for_a_workflow_knows_the_type_of_the_result(
    runtime: Client,
) -> None:
    await runtime.execute(billed, "Ada", id="bill")
    handle = runtime.handle_for(billed, "bill")
    assert_type(handle, RunHandle[Bill])
    assert await handle.result() == Bill("Ada", 250)

    started = await runtime.start(Bills.run, "Bob", id="bills")
    looking = runtime.handle_for(Bills.run, "bills", run_id=started.result_run_id)
    assert await looking.query(Bills.was_seen) is False
    await looking.signal(Bills.look)
    assert await looking.result() == Bill("Bob", 1)
    assert await runtime.handle_for(Bills, "bills").result() == Bill("Bob", 1)
    first = runtime.handle_for(
        billed, "bill", first_execution_run_id=(await handle.describe()).run_id
    )
    assert await first.result() == Bill("Ada", 250)


@pytest.mark.feature("HN-05")
async def test_it_takes_workflows_only_and_makes_no_request(runtime: Client) -> None:
    with pytest.raises(RPCError):
        await runtime.handle_for(billed, "unknown").describe()
    bad: Any
    for bad in ("billed", hold.function, 3):
        with pytest.raises(TypeError):
            runtime.handle_for(bad, "x")
    with pytest.raises(ValueError, match="id"):
        runtime.handle_for(billed, "")


@pytest.mark.feature("ST-19")
async def test_many_calls_are_started_together_in_order(site: Site) -> None:
    def calls() -> Iterator[Call]:
        for number in range(100):
            yield double.build_call(number)

    async with site.up() as runtime:
        identifiers = await runtime.dispatch(calls())
        assert len(set(identifiers)) == 100
    async with site.up() as runtime:
        waiting = [runtime.handle(id).result() for id in identifiers]
        results = await asyncio.gather(*waiting)
        assert results == [2 * number for number in range(100)]
        assert await runtime.dispatch([]) == await runtime.dispatch(iter(())) == []


@pytest.mark.feature("ST-19")
@pytest.mark.parametrize(
    ("malformed", "error"),
    [
        (Call("never heard of", 1), ClientError),
        (Call("double", "x" * 100_000_000), Exception),
        ("double", TypeError),
        (None, TypeError),
    ],
    ids=["unknown", "too large", "text", "none"],
)
async def test_one_malformed_call_and_none_is_started(
    runtime: Client, malformed: Any, error: type[Exception]
) -> None:
    calls = [double.build_call(number) for number in range(100)]
    calls[50] = malformed
    with pytest.raises(error):
        await runtime.dispatch(calls)
    assert (await runtime.count()).count == 0
    del calls[50]
    assert len(await runtime.dispatch(calls)) == 99


@pytest.mark.feature("ST-19", "ID-08", "ID-11")
async def test_starts_of_given_ids_are_together_too(runtime: Client) -> None:
    def starts(*ids: str, **more: Any) -> StartTogether:
        return StartTogether(
            starts=tuple(
                StartRun(workflow="until_told", workflow_id=id, **more) for id in ids
            )
        )

    async def call(request: StartTogether) -> list[str]:
        return [s.run_id for s in await runtime.transport.call(request)]

    first = await call(starts("a", "b"))
    bad: list[tuple[type[Exception], StartTogether]] = [
        (WorkflowAlreadyStarted, starts("c", "b")),
        (RPCError, starts("c", "d", "c")),
        (RPCError, starts("c", on_conflict="fail", on_reuse="terminate_if_running")),
        (RPCError, starts("c", signal=StartSignal(name="go"))),
        (RPCError, starts("c", start_delay=1.0, begin_at=1.0)),
    ]
    for error, refused in bad:
        with pytest.raises(error):
            await call(refused)
        assert (await runtime.count()).count == 2
    second = await call(starts("b", "c", on_conflict="terminate_existing"))
    assert (await runtime.count()).count == 4
    used = await call(starts("a", "b", on_conflict="use_existing"))
    assert used == [first[0], second[0]]
    assert (await runtime.count(status=RunStatus.RUNNING)).count == 3


@pytest.mark.feature("ST-19", "ID-11")
async def test_a_repeated_batch_is_the_same_runs(site: Site) -> None:
    batch = StartTogether(
        starts=tuple(
            StartRun(workflow="until_told", request_id=f"r{n}") for n in range(3)
        )
    )
    async with site.up() as runtime:
        both = await asyncio.gather(*(runtime.transport.call(batch) for _ in range(2)))
    async with site.up() as runtime:
        again = await runtime.transport.call(batch)
        assert (await runtime.count()).count == 3
    ids = [[started.run_id for started in answers] for answers in (*both, again)]
    assert ids[0] == ids[1] == ids[2]


@pytest.mark.feature("ST-19", "ER-02")
async def test_what_is_refused_of_a_dispatch_is_the_client_error(
    runtime: Client,
) -> None:
    unknown = Call("never heard of", 2)
    for calls in (unknown, [Call("double", 1), unknown]):
        with pytest.raises(ClientError, match="never heard of") as refused:
            await runtime.dispatch(calls)
        assert type(refused.value) is ClientError
        assert (refused.value.status, refused.value.code) == (404, "NOT_FOUND")
    assert (await runtime.count()).count == 0


TEAM = SearchAttributeKey.for_keyword("Team")
OLD: Any = {"Team": ["red"]}  # the dictionary form of search attributes


@pytest.mark.feature("ST-10")
async def test_a_warning_points_at_the_line_that_calls(runtime: Client) -> None:
    await runtime.search_attributes.add(TEAM)

    async def between() -> float:
        return await runtime.execute(begun_at, search_attributes=OLD)

    lines = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        handle = await runtime.start(begun_at, search_attributes=OLD)
        lines.append(_line() - 1)
        await runtime.execute(begun_at, search_attributes=OLD)
        lines.append(_line() - 1)
        await asyncio.create_task(runtime.execute(begun_at, search_attributes=OLD))
        lines.append(_line() - 1)
        await asyncio.gather(runtime.start(begun_at, search_attributes=OLD))
        lines.append(_line() - 1)
        await runtime.start(begun_at, start_signal="go", search_attributes=OLD)
        lines.append(_line() - 1)
        await runtime.start(begun_at, search_attributes=TypedSearchAttributes())
        start = StartOperation(begun_at, on_conflict="fail", search_attributes=OLD)
        lines.append(_line() - 1)
        with suppress(UpdateFailed, RPCError):  # it has no update; the start is meant
            await runtime.updates.execute_with("none", start=start)
        await asyncio.create_task(between())
    told = [(w.filename, w.lineno) for w in caught]
    assert told[:-1] == [(__file__, line) for line in lines]
    assert (told[-1][0], len(told)) == (__file__, 7)
    assert all(w.category is DeprecationWarning for w in caught)
    assert all("TypedSearchAttributes" in str(w.message) for w in caught)
    assert (await handle.describe()).search_attributes.get(TEAM) == "red"


@pytest.mark.feature("ST-10")
def test_so_it_does_from_a_thread_without_a_loop() -> None:
    with (
        RuntimeThread(":memory:", registry=REGISTRY) as runtime,
        warnings.catch_warnings(record=True) as caught,
    ):
        runtime.search_attributes.add(TEAM)
        warnings.simplefilter("always")
        runtime.execute(begun_at, search_attributes=OLD)
        line = _line() - 1
        runtime.start(begun_at, search_attributes=OLD).result()
    assert [(w.filename, w.lineno) for w in caught] == [
        (__file__, line),
        (__file__, line + 2),
    ]


def _line() -> int:
    """The line that this is called from."""
    frame = currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno
