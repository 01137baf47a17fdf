"""Backfills that are long: done in slices, behind everything that an operator asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from everact.runtime import Client, Registry, workflow
from everact.runtime.core.schedules import BATCH, MOST_OPEN, MOST_RANGES
from everact.runtime.errors import RPCError
from everact.runtime.schedules import (
    IntervalSpec,
    OverlapPolicy,
    Schedule,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleSpec,
    StartWorkflow,
)
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site
from tests.features.stage import stage

__all__ = ["stage"]

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def short() -> None:
    pass


@workflow(registry=REGISTRY)
async def long() -> None:
    await asyncio.sleep(3600)


def minutely(target: object) -> Schedule:
    spec = ScheduleSpec(intervals=[IntervalSpec("1m")])
    return Schedule(StartWorkflow(target, id="past"), spec)


def minutes(site: Site, count: int) -> ScheduleBackfill:
    end = datetime.fromtimestamp(site.clock.now(), UTC)
    begin = end - timedelta(minutes=count)
    return ScheduleBackfill(begin, end, OverlapPolicy.ALLOW_ALL)


async def taken(handle: ScheduleHandle) -> int:
    """How many actions were taken; none by a schedule that is deleted."""
    try:
        return (await handle.describe()).actions_taken
    except RPCError:
        return 0


@pytest.mark.feature("SC-18")
@pytest.mark.parametrize("asked", ["pause", "update", "delete"])
async def test_an_operator_is_served_at_once_while_a_long_backfill_is_worked(
    site: Site, asked: str
) -> None:
    async with site.up() as client:
        handle = await client.schedules.create("s", minutely(short))
        await handle.backfill(minutes(site, 20_000))
        while await taken(handle) < 3 * BATCH:
            await asyncio.sleep(0)
        asking = {
            "pause": handle.pause("enough"),
            "update": handle.update(lambda view: view.schedule),
            "delete": handle.delete(),
        }
        before = await taken(handle)
        serving = asyncio.ensure_future(asking.pop(asked))
        for other in asking.values():
            other.close()
        while not serving.done() and await taken(handle) <= before + 5 * BATCH:
            await asyncio.sleep(0)
        assert await taken(handle) <= before + 5 * BATCH
        await serving
        if asked == "pause":
            assert (await handle.describe()).schedule.state.note == "enough"


@pytest.mark.feature("SC-18", "SC-24")
async def test_a_long_backfill_goes_on_after_a_restart_and_takes_each_time_once(
    site: Site,
) -> None:
    many = 1234
    async with site.up() as client:
        handle = await client.schedules.create("s", minutely(short))
        await handle.backfill(minutes(site, many))
        while await taken(handle) < many // 2:
            await asyncio.sleep(0)
    async with site.up() as client:
        handle = client.schedules.handle("s")
        assert await taken(handle) < many
        await asyncio.sleep(5)
        assert await taken(handle) == many
        ids = [run.workflow_id async for run in client.list("WorkflowType='short'")]
        assert len(ids) == len(set(ids)) == many


@pytest.mark.feature("SC-18")
async def test_a_backfill_waits_where_too_many_runs_are_open(site: Site) -> None:
    async with site.up() as client:
        handle = await client.schedules.create("s", minutely(long))
        await handle.pause()
        await handle.backfill(minutes(site, MOST_OPEN + 250))
        await asyncio.sleep(60)
        view = await handle.describe()
        assert view.actions_taken == len(view.running_actions) == MOST_OPEN
        await asyncio.sleep(2 * 3600)
        assert await taken(handle) == MOST_OPEN + 250


@pytest.mark.feature("SC-03", "SC-18")
async def test_a_request_that_covers_too_many_times_is_refused_whole(
    runtime: Client, site: Site
) -> None:
    too_long = minutes(site, 100_001)
    handle = await runtime.schedules.create("s", minutely(short))
    with pytest.raises(RPCError, match="more than 100,000 times") as refused:
        await handle.backfill(minutes(site, 10), too_long)
    assert refused.value.status is RPCStatus.INVALID_ARGUMENT
    with pytest.raises(RPCError, match="more than 100,000 times"):
        await runtime.schedules.create("t", minutely(short), backfill=[too_long])
    assert await taken(handle) == 0
    ids = [line.id async for line in await runtime.schedules.list()]
    assert ids == ["s"]


@pytest.mark.feature("SC-18")
async def test_a_schedule_has_so_many_ranges_before_it_and_no_more(
    runtime: Client, site: Site
) -> None:
    handle = await runtime.schedules.create("s", minutely(short))
    ranges = [minutes(site, 1000)] * MOST_RANGES
    with pytest.raises(RPCError, match="101 backfills are given, 100 at most"):
        await handle.backfill(*ranges, ranges[0])
    await handle.backfill(*ranges)
    with pytest.raises(RPCError, match="wait until some are done") as refused:
        await handle.backfill(ranges[0])
    assert refused.value.status is RPCStatus.RESOURCE_EXHAUSTED
    await handle.delete()
