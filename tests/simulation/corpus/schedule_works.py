"""Schedules and cron chains: each time once, whatever dies when."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from everact.runtime import sleep, workflow
from everact.runtime.core.records import Complete, decode
from everact.runtime.schedules import (
    IntervalSpec,
    OverlapPolicy,
    Schedule,
    ScheduleBackfill,
    ScheduleHandle,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleView,
    StartWorkflow,
)
from everact.runtime.values.payloads import PickleConverter
from everact.runtime.workflows import last_result
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.scene import Scene
from tests.simulation.world import EPOCH, Entry


@workflow(registry=CORPUS)
async def counted(seconds: float) -> int:
    """Counts the runs of its chain or schedule."""
    await sleep(seconds)
    await echo(0)
    return (last_result(int) or 0) + 1


def scheduled(scene: Scene, seconds: float, overlap: OverlapPolicy) -> Schedule:
    """Five actions, three seconds apart."""
    return Schedule(
        StartWorkflow(counted, seconds, id=scene.id("a")),
        ScheduleSpec(intervals=[IntervalSpec("3s")]),
        SchedulePolicy(overlap=overlap),
        ScheduleState(limited_actions=True, remaining_actions=5),
    )


async def create(scene: Scene, schedule: Schedule, **given: Any) -> None:
    """Create the schedule of a scene, once."""

    async def attempt() -> None:
        await scene.runtime.schedules.create(
            scene.id("s"), schedule, request_id=scene.id("create"), **given
        )

    await scene._once("create", attempt)


def handle(scene: Scene) -> ScheduleHandle:
    return scene.runtime.schedules.handle(scene.id("s"))


async def seen(scene: Scene, taken: int) -> ScheduleView:
    """The schedule when so many actions were taken and all their runs have ended."""

    async def look() -> ScheduleView:
        return await handle(scene).describe()

    def made() -> int:
        runs = scene.world.image.runs.values()
        return sum(row.workflow_id.startswith(scene.id("a-")) for row in runs)

    while True:
        before = made()
        view: ScheduleView = await scene._patiently("describe", look)
        assert view.actions_taken <= taken, view
        assert before <= view.actions_taken <= made(), "an action without its run"
        if view.actions_taken == taken and not view.running_actions:
            return view
        await asyncio.sleep(1.0)


async def play_scheduled(scene: Scene) -> None:
    """Every time is made up for, and none is taken twice."""
    await create(scene, scheduled(scene, 1, OverlapPolicy.ALLOW_ALL))
    view = await seen(scene, 5)
    times = [one.nominal_time for one in view.recent_actions]
    assert times == [times[0] + n * timedelta(seconds=3) for n in range(5)], times
    for one in view.recent_actions:
        name = one.workflow_id.removeprefix(scene.id(""))
        assert await scene.outcome(name) == 1


async def play_waiting(scene: Scene) -> None:
    """Each action waits for the one before, and reads its result."""
    await create(scene, scheduled(scene, 4, OverlapPolicy.BUFFER_ALL))
    view = await seen(scene, 5)
    names = [o.workflow_id.removeprefix(scene.id("")) for o in view.recent_actions]
    assert [await scene.outcome(name) for name in names] == [1, 2, 3, 4, 5]


async def play_ending(scene: Scene) -> None:
    """Each action ends the one before in the transaction that starts it."""
    await create(scene, scheduled(scene, 8, OverlapPolicy.TERMINATE_OTHER))
    view = await seen(scene, 5)
    names = [o.workflow_id.removeprefix(scene.id("")) for o in view.recent_actions]
    ends = [await scene.outcome(name) for name in names]
    assert set(ends[:-1]) <= {"RunTerminated", 1, 2, 3, 4}, ends
    assert isinstance(ends[-1], int)


async def play_backfilled(scene: Scene) -> None:
    """What is asked for is done once, also when the asking is repeated."""
    schedule = Schedule(
        StartWorkflow(counted, 1.0, id=scene.id("a")),
        ScheduleSpec(intervals=[IntervalSpec("1h")]),
        state=ScheduleState(paused=True),
    )
    end = datetime.fromtimestamp(EPOCH, UTC)
    past = ScheduleBackfill(end - timedelta(hours=3), end, OverlapPolicy.BUFFER_ALL)
    await create(scene, schedule, backfill=[past])

    async def trigger() -> None:
        await handle(scene).trigger(
            overlap=OverlapPolicy.CANCEL_OTHER, request_id=scene.id("trigger")
        )

    await scene._once("trigger", trigger)
    if not scene.answers.get("seen"):
        await seen(scene, 4)
        scene.answers["seen"] = True

    async def delete() -> None:
        await handle(scene).delete(request_id=scene.id("delete"))

    await scene._once("delete", delete)


async def play_cron(scene: Scene) -> None:
    """A chain goes on until it is cancelled, and counts on."""
    await scene.start(counted, 1.0, id="a", cron_schedule="*/2 * * * * * *")
    ended, chain = 0, []
    while ended < 3:
        await asyncio.sleep(1.0)
        rows = scene.world.image.runs.values()
        chain = [row for row in rows if row.workflow_id == scene.id("a")]
        ended = sum(1 for row in chain if row.status)
    await scene.cancel("a")
    assert await scene.outcome("a") == "RunCancelled"
    for number, row in enumerate(sorted(chain, key=lambda row: row.key)[:3], 1):
        *_, last = scene.world.image.journal[row.key].values()
        closing = decode(last.body).commands[-1]
        assert isinstance(closing, Complete)
        assert PickleConverter().decode(closing.result) == number


WORKS = (
    Entry("scheduled", play_scheduled),
    Entry("waiting", play_waiting),
    Entry("ending", play_ending),
    Entry("backfilled", play_backfilled),
    Entry("cron", play_cron),
)
