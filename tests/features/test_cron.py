"""Cron runs: one chain, a run at each time, never two at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from everact.runtime import (
    Client,
    Registry,
    RetryPolicy,
    RunHandle,
    RunStatus,
    WorkflowFailure,
    now,
    run_info,
    task,
    workflow,
)
from everact.runtime.core.records import Extras, StartOptions
from everact.runtime.errors import RPCError, RunCancelled, RunTimedOut
from everact.runtime.operations.starting import StartRun
from everact.runtime.schedules import ScheduleSpec
from everact.runtime.search import RunLine
from everact.runtime.workflows import last_failure, last_result
from tests.features.conftest import Site
from tests.features.stage import note, noted, stage

REGISTRY = Registry()

EVERY_SECOND = "* * * * * * *"


@workflow(registry=REGISTRY)
async def ticking(seconds: float = 0.0) -> str:
    note("tick")
    await asyncio.sleep(seconds)
    return "tock"


@workflow(registry=REGISTRY)
async def counting() -> int:
    found = (last_result(int) or 0) + 1
    note(found)
    return found


@workflow(registry=REGISTRY)
async def seeing() -> str:
    """Fails at first, then succeeds; tells what it was told."""
    note(f"{last_result()} {last_failure()!r}")
    if last_failure() is None:
        raise LookupError("the first time")
    return "done"


@workflow(registry=REGISTRY)
async def failing() -> None:
    note(f"{now().timestamp() % 60:g} attempt {run_info().attempt}")
    raise LookupError("each time")


async def runs_of(client: Client, id: str) -> list[RunLine]:
    return [run async for run in client.list(id=id)][::-1]


async def to_the_minute(site: Site) -> None:
    await asyncio.sleep(60 - site.clock.now() % 60 + 0.5)


@pytest.mark.feature("CR-01")
async def test_each_run_is_followed_by_another_of_the_same_chain(
    runtime: Client, site: Site
) -> None:
    await to_the_minute(site)
    handle = await runtime.start(
        ticking, 0.25, id="c", cron_schedule=EVERY_SECOND, memo={"a": 1}
    )
    described = await handle.describe()
    assert described.status is RunStatus.RUNNING  # recorded at once
    assert described.execution_time - described.start_time == timedelta(seconds=0.5)
    assert stage.notes == []  # and not begun
    await asyncio.sleep(4)
    found = await runs_of(runtime, "c")
    assert len({run.run_id for run in found}) == len(found) == 5
    assert {run.first_run_id for run in found} == {handle.first_execution_run_id}
    assert [run.status for run in found] == [RunStatus.COMPLETED] * 4 + [
        RunStatus.RUNNING
    ]
    last = await runtime.handle("c").describe()
    assert last.memo == {"a": 1}
    assert stage.notes == ["tick"] * 4


@pytest.mark.feature("CR-02")
async def test_a_run_longer_than_the_period_skips_the_times_that_pass(
    runtime: Client, site: Site
) -> None:
    await to_the_minute(site)
    await runtime.start(ticking, 2.5, id="c", cron_schedule=EVERY_SECOND)
    await asyncio.sleep(20)
    begun = []
    for run in await runs_of(runtime, "c"):
        described = await runtime.handle("c", run_id=run.run_id).describe()
        begun.append(described.execution_time)
    assert {(b - a).total_seconds() for a, b in pairwise(begun)} == {3.0}


@pytest.mark.feature("CR-02")
async def test_a_failed_run_is_retried_first_and_then_the_next_time_is_awaited(
    runtime: Client, site: Site
) -> None:
    await to_the_minute(site)
    await runtime.start(
        failing,
        id="c",
        cron_schedule="*/10 * * * * * *",
        retry=RetryPolicy(first=1.0, growth=1.0, attempts=3),
    )
    await asyncio.sleep(25)
    assert stage.notes == [
        *(f"{second} attempt {second - 9}" for second in (10, 11, 12)),
        *(f"{second} attempt {second - 19}" for second in (20, 21, 22)),
    ]


@pytest.mark.feature("CR-03")
async def test_cancelling_ends_the_chain_and_a_success_does_not(
    runtime: Client,
) -> None:
    handle = await runtime.start(ticking, id="c", cron_schedule=EVERY_SECOND)
    waiting = asyncio.create_task(handle.result())
    await noted("tick", 3)
    assert not waiting.done()  # it outlasts single runs
    await runtime.handle("c").cancel()
    with pytest.raises(WorkflowFailure) as caught:
        await waiting
    assert isinstance(caught.value.cause, RunCancelled)
    before = len(await runs_of(runtime, "c"))
    await asyncio.sleep(5)
    assert len(await runs_of(runtime, "c")) == before
    assert stage.notes == ["tick"] * 3


@pytest.mark.feature("CR-03")
async def test_terminating_ends_the_chain(runtime: Client) -> None:
    await runtime.start(ticking, 0.5, id="c", cron_schedule=EVERY_SECOND)
    await noted("tick", 2)
    await runtime.handle("c").terminate()
    await asyncio.sleep(5)
    found = await runs_of(runtime, "c")
    assert [run.status for run in found] == [RunStatus.COMPLETED, RunStatus.TERMINATED]


@workflow(registry=REGISTRY)
async def undeterred() -> str:
    note("begun")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()  # type: ignore[union-attr]
    return "finished all the same"


@pytest.mark.feature("CR-03")
async def test_a_run_that_was_asked_to_stop_has_no_successor_even_if_it_succeeds(
    runtime: Client,
) -> None:
    handle = await runtime.start(undeterred, id="c", cron_schedule=EVERY_SECOND)
    await noted("begun")
    await runtime.handle("c").cancel()
    assert await handle.result() == "finished all the same"
    await asyncio.sleep(5)
    assert len(await runs_of(runtime, "c")) == 1


@pytest.mark.feature("CR-03")
async def test_the_execution_timeout_ends_the_chain_the_run_timeout_does_not(
    runtime: Client, site: Site
) -> None:
    await to_the_minute(site)
    handle = await runtime.start(
        ticking,
        5.0,
        id="c",
        cron_schedule=EVERY_SECOND,
        run_timeout="0.5s",
        execution_timeout="5.2s",
    )
    with pytest.raises(WorkflowFailure) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, RunTimedOut)
    await asyncio.sleep(5)
    assert stage.notes == ["tick"] * 6


@pytest.mark.feature("CR-04")
async def test_times_are_in_utc_unless_a_zone_is_given(
    runtime: Client, site: Site
) -> None:
    for text, hour in (("0 9 * * *", 9), ("TZ=Asia/Tokyo 0 9 * * *", 0)):
        handle = await runtime.start(ticking, cron_schedule=text)
        assert (await handle.describe()).execution_time.hour == hour


@pytest.mark.feature("CR-04")
async def test_invalid_text_and_a_start_delay_beside_it_are_refused(
    runtime: Client,
) -> None:
    with pytest.raises(ValueError, match="hour '25'"):
        await runtime.start(ticking, id="c", cron_schedule="0 25 * * *")
    with pytest.raises(ValueError, match="no time"):
        await runtime.start(ticking, id="c", cron_schedule="0 0 30 2 *")
    with pytest.raises(ValueError, match="start_delay"):
        await runtime.start(
            ticking, id="c", cron_schedule=EVERY_SECOND, start_delay="1s"
        )
    for options, delay, why in (
        (Extras(cron="0 25 * * *"), None, "hour '25'"),
        (Extras(cron=EVERY_SECOND), 1.0, "start delay"),
    ):
        request = StartRun(
            workflow="ticking",
            workflow_id="c",
            options=StartOptions(extras=options),
            start_delay=delay,
        )
        with pytest.raises(RPCError, match=why):
            await runtime.transport.call(request)
    assert await runs_of(runtime, "c") == []


@pytest.mark.feature("CR-04")
async def test_a_day_and_a_weekday_at_once_are_warned_about(runtime: Client) -> None:
    with pytest.warns(UserWarning, match="both must match") as warned:
        await runtime.start(ticking, id="c", cron_schedule="0 0 13 * FRI")
    assert [Path(one.filename).name for one in warned] == ["test_cron.py"]
    with pytest.warns(UserWarning, match="both must match") as warned:
        ScheduleSpec(cron_expressions=["0 0 * * FRI", "0 0 13 * FRI"])
    assert [Path(one.filename).name for one in warned] == ["test_cron.py"]


@pytest.mark.feature("CR-05")
async def test_a_counter_grows_by_one_per_run(runtime: Client) -> None:
    await runtime.start(counting, id="c", cron_schedule=EVERY_SECOND)
    await noted(5)
    assert stage.notes == [1, 2, 3, 4, 5]


@pytest.mark.feature("CR-05")
async def test_the_last_result_and_the_last_failure_are_read(runtime: Client) -> None:
    await runtime.start(seeing, id="c", cron_schedule=EVERY_SECOND)
    failure = "ApplicationError('the first time')"
    await noted(f"done {failure}", 2)
    assert stage.notes == ["None None", f"None {failure}", *[f"done {failure}"] * 2]


@pytest.mark.feature("CR-05")
async def test_outside_of_chains_and_schedules_there_is_nothing_to_read(
    runtime: Client,
) -> None:
    assert await runtime.execute(counting) == 1


@pytest.mark.feature("CR-01", "CR-05")
async def test_a_chain_goes_on_after_a_restart(site: Site) -> None:
    async with site.up() as client:
        await client.start(counting, id="c", cron_schedule=EVERY_SECOND)
        await noted(2)
    await asyncio.sleep(10)
    async with site.up() as client:
        await noted(4)
        assert stage.notes == [1, 2, 3, 4]


@task(registry=REGISTRY)
async def outside() -> None:
    last_result()


@pytest.mark.feature("CR-05")
async def test_a_task_has_no_last_result(runtime: Client) -> None:
    handle: RunHandle[None] = await runtime.start(outside)
    with pytest.raises(WorkflowFailure, match="inside a workflow only"):
        await handle.result()
