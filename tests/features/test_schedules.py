"""Schedules: what is started when, what is left out, and what outlives a crash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    RetryPolicy,
    RunStatus,
    run_info,
    workflow,
)
from everact.runtime.definitions.search_attributes import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.errors import RPCError, ScheduleAlreadyRunning
from everact.runtime.schedules import (
    CalendarSpec,
    IntervalSpec,
    OverlapPolicy,
    Range,
    Schedule,
    ScheduleBackfill,
    ScheduleHandle,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleView,
    StartWorkflow,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.workflows import last_failure, last_result
from tests.features.conftest import Site
from tests.features.stage import note, stage

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def importing(seconds: float = 0.0) -> str:
    info = run_info()
    note(info.workflow_id)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
        raise
    return info.workflow_id


@workflow(registry=REGISTRY)
async def counting() -> int:
    return (last_result(int) or 0) + 1


@workflow(registry=REGISTRY)
async def failing(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
    note("failed")
    raise LookupError("nothing there")


@workflow(registry=REGISTRY)
async def seeing() -> list[str]:
    found = [str(last_result()), repr(last_failure())]
    if run_info().workflow_id.endswith("0Z"):
        raise ApplicationError("every tenth second")
    return found


@pytest.fixture
async def client(runtime: Client, site: Site) -> Client:
    """A client whose time begins at a whole second, twenty past the hour."""
    now = site.clock.now()
    await asyncio.sleep(3600 - now % 3600 + 1200)
    return runtime


def every(
    interval: Any,
    *,
    action: StartWorkflow | None = None,
    state: ScheduleState | None = None,
    **policy: Any,
) -> Schedule:
    return Schedule(
        action or StartWorkflow(importing, id="import"),
        ScheduleSpec(intervals=[IntervalSpec(interval)]),
        SchedulePolicy(**policy),
        state or ScheduleState(),
    )


def attributes(**values: str | int) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        SearchAttributePair(
            SearchAttributeKey.for_int(name)
            if isinstance(value, int)
            else SearchAttributeKey.for_keyword(name),
            value,
        )
        for name, value in values.items()
    )


def yearly(action: StartWorkflow | None = None, **policy: Any) -> Schedule:
    return Schedule(
        action or StartWorkflow(importing, id="import"),
        ScheduleSpec(cron_expressions=["@yearly"]),
        SchedulePolicy(**policy),
    )


async def lines(client: Client, prefix: str = "import-") -> list[tuple[str, RunStatus]]:
    """The runs of a schedule's action, oldest first."""
    found = [run async for run in client.list()]
    return [
        (run.workflow_id.removeprefix(prefix), run.status)
        for run in reversed(found)
        if run.workflow_id.startswith(prefix)
    ]


async def counts(handle: ScheduleHandle) -> tuple[int, int, int]:
    view = await handle.describe()
    return view.actions_taken, view.actions_missed, view.actions_skipped


def seconds(moments: list[datetime]) -> list[float]:
    return [(b - a).total_seconds() for a, b in pairwise(moments)]


@pytest.mark.feature("SC-01", "SC-20")
async def test_a_schedule_starts_a_run_at_each_of_its_times(client: Client) -> None:
    handle = await client.schedules.create("nightly", every("10s"))
    await asyncio.sleep(35)
    view = await handle.describe()
    assert view.id == handle.id == "nightly"
    assert view.actions_taken == 3
    runs = [client.handle(one.workflow_id) for one in view.recent_actions]
    assert [await run.result() for run in runs] == [run.id for run in runs]
    nominal = [one.nominal_time for one in view.recent_actions]
    assert seconds(nominal) == [10, 10]
    assert [one.taken_at for one in view.recent_actions] == nominal


@pytest.mark.feature("SC-01")
async def test_an_id_is_unique_among_schedules(client: Client) -> None:
    await client.schedules.create("nightly", every("10s"))
    with pytest.raises(ScheduleAlreadyRunning, match="nightly") as caught:
        await client.schedules.create("nightly", every("5s"))
    assert caught.value.schedule_id == "nightly"
    await asyncio.sleep(35)
    assert (await client.schedules.handle("nightly").describe()).actions_taken == 3


@pytest.mark.feature("SC-01")
async def test_a_creation_that_is_repeated_under_its_request_id_counts_once(
    client: Client,
) -> None:
    for _ in range(2):
        await client.schedules.create(
            "s", yearly(), trigger_immediately=True, request_id="once"
        )
    handle = client.schedules.handle("s")
    assert await counts(handle) == (1, 0, 0)
    for _ in range(2):
        await handle.trigger(request_id="now")
    assert await counts(handle) == (2, 0, 0)
    for _ in range(2):
        await handle.delete(request_id="enough")


@pytest.mark.feature("SC-01", "SC-16")
@pytest.mark.parametrize(
    "state",
    [
        ScheduleState(limited_actions=True),
        ScheduleState(remaining_actions=3),
        ScheduleState(limited_actions=True, remaining_actions=-1),
    ],
)
async def test_limited_actions_and_their_number_must_agree(
    runtime: Client, state: ScheduleState
) -> None:
    with pytest.raises(ValueError, match="remaining_actions"):
        await runtime.schedules.create("s", every("1s", state=state))
    with pytest.raises(RPCError):
        await runtime.schedules.handle("s").describe()


@pytest.mark.feature("SC-01", "SC-07", "SC-08", "SC-09", "SC-10", "SC-11", "SC-14")
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (ScheduleSpec(cron_expressions=["61 * * * *"]), "minute '61'"),
        (ScheduleSpec(intervals=[IntervalSpec(0)]), "interval"),
        (ScheduleSpec(intervals=[IntervalSpec("1500ms")]), "whole seconds"),
        (ScheduleSpec(calendars=[CalendarSpec(hour=(Range(25),))]), "hour"),
        (
            ScheduleSpec(calendars=[CalendarSpec()], time_zone_name="Nowhere"),
            "time zone 'Nowhere'",
        ),
        (ScheduleSpec(jitter="-1s"), "jitter"),
        (SchedulePolicy(catchup_window="9s"), "catch-up window"),
    ],
)
async def test_a_definition_that_makes_no_sense_is_refused(
    runtime: Client, wrong: Any, why: str
) -> None:
    given = {"spec": wrong} if isinstance(wrong, ScheduleSpec) else {"policy": wrong}
    with pytest.raises(ValueError, match=why):
        await runtime.schedules.create("s", Schedule(StartWorkflow(importing), **given))
    with pytest.raises(RPCError):
        await runtime.schedules.handle("s").describe()


@pytest.mark.feature("SC-01")
async def test_options_that_are_not_for_a_schedule_are_refused() -> None:
    with pytest.raises(TypeError, match="start_delay"):
        StartWorkflow(importing, start_delay="1s")
    with pytest.raises(ValueError, match="not both"):
        StartWorkflow(importing, 1, args=(1,))


@pytest.mark.feature("SC-02")
async def test_a_yearly_schedule_that_is_triggered_at_creation_has_one_run(
    client: Client,
) -> None:
    handle = await client.schedules.create("s", yearly(), trigger_immediately=True)
    await asyncio.sleep(60)
    assert len(await lines(client)) == 1
    assert await counts(handle) == (1, 0, 0)
    assert await counts(await client.schedules.create("t", yearly())) == (0, 0, 0)


def six_hours(client_time: float) -> ScheduleBackfill:
    end = datetime.fromtimestamp(client_time // 3600 * 3600, UTC)
    return ScheduleBackfill(end - timedelta(hours=6), end)


@pytest.mark.feature("SC-03")
async def test_a_creation_makes_up_for_past_times(client: Client, site: Site) -> None:
    past = six_hours(site.clock.now())
    all_of_them = ScheduleBackfill(past.start_at, past.end_at, OverlapPolicy.BUFFER_ALL)
    action = StartWorkflow(importing, 60.0, id="import")
    handle = await client.schedules.create(
        "s", every("1h", action=action), backfill=[all_of_them]
    )
    assert (await handle.describe()).waiting_actions == 5
    await asyncio.sleep(6 * 60 + 1)
    taken = (await handle.describe()).recent_actions
    assert [one.nominal_time for one in taken] == [
        past.start_at + timedelta(hours=hour) for hour in range(1, 7)
    ]
    assert seconds([one.taken_at for one in taken]) == [60] * 5  # one after the other
    assert stage.notes == [one.workflow_id for one in taken]


@pytest.mark.feature("SC-03", "SC-13")
async def test_under_the_default_policy_past_times_that_would_overlap_are_skipped(
    client: Client, site: Site
) -> None:
    action = StartWorkflow(importing, 60.0, id="import")
    handle = await client.schedules.create(
        "s", every("1h", action=action), backfill=[six_hours(site.clock.now())]
    )
    assert await counts(handle) == (1, 0, 5)


@pytest.mark.feature("SC-05")
async def test_static_texts_of_a_schedule_are_kept_as_they_are(client: Client) -> None:
    handle = await client.schedules.create(
        "s", yearly(), static_summary="Orders", static_details="All of *them*"
    )
    view = await handle.describe()
    assert (view.static_summary, view.static_details) == ("Orders", "All of *them*")


@pytest.mark.feature("SC-05")
async def test_runs_carry_the_static_texts_of_the_action(client: Client) -> None:
    action = StartWorkflow(
        importing, id="import", static_summary="One order", static_details="details"
    )
    handle = await client.schedules.create(
        "s", yearly(action), trigger_immediately=True, static_summary="Orders"
    )
    (taken,) = (await handle.describe()).recent_actions
    run = await client.handle(taken.workflow_id).describe()
    assert (run.static_summary, run.static_details) == ("One order", "details")


@pytest.mark.feature("SC-04")
async def test_memo_and_attributes_of_a_schedule_are_not_those_of_its_runs(
    client: Client,
) -> None:
    await client.search_attributes.add(SearchAttributeKey.for_keyword("Team"))
    action = StartWorkflow(importing, id="import", memo={"of": "the run"})
    handle = await client.schedules.create(
        "s",
        yearly(action),
        memo={"team": "red"},
        search_attributes=attributes(Team="red"),
        trigger_immediately=True,
    )
    view = await handle.describe()
    assert (view.memo, view.search_attributes) == (
        {"team": "red"},
        attributes(Team="red"),
    )
    (line,) = [line async for line in await client.schedules.list()]
    assert (line.memo, line.search_attributes) == (view.memo, view.search_attributes)
    run = await client.handle(view.recent_actions[0].workflow_id).describe()
    assert run.memo == {"of": "the run"}
    assert run.search_attributes == TypedSearchAttributes()
    assert [found.workflow_id async for found in client.list("Team = 'red'")] == []
    found = [line.id async for line in await client.schedules.list("Team = 'red'")]
    assert found == ["s"]


@pytest.mark.feature("SC-04")
async def test_attributes_as_a_dictionary_are_deprecated(client: Client) -> None:
    with pytest.warns(DeprecationWarning, match="TypedSearchAttributes") as warned:
        handle = await client.schedules.create(
            "s", yearly(), search_attributes={"Team": ["red"]}
        )
    assert warned[0].filename == __file__
    assert (await handle.describe()).search_attributes == attributes(Team="red")
    with pytest.warns(DeprecationWarning, match="TypedSearchAttributes"):
        ScheduleUpdate(yearly(), {"Team": ["red"]})


@pytest.mark.feature("SC-06", "SC-21")
async def test_a_handle_asks_nothing_and_a_wrong_one_shows_on_use(
    runtime: Client,
) -> None:
    handle = runtime.schedules.handle("nobody")
    now = datetime.now(UTC)
    for use in (
        handle.describe(),
        handle.pause(),
        handle.resume(),
        handle.trigger(),
        handle.backfill(ScheduleBackfill(now, now)),
        handle.update(lambda view: view.schedule),
        handle.delete(),
    ):
        with pytest.raises(RPCError, match="nobody") as caught:
            await use
        assert caught.value.status is RPCStatus.NOT_FOUND
    with pytest.raises(ValueError, match="id"):
        runtime.schedules.handle("")


@pytest.mark.feature("SC-07", "SC-20")
async def test_a_description_shows_cron_expressions_as_calendars_and_next_times(
    client: Client, site: Site
) -> None:
    spec = ScheduleSpec(
        cron_expressions=["0 */6 * * * # four times"],
        intervals=[IntervalSpec("12h", "1h")],
        skip=[CalendarSpec(hour=(Range(6),))],
    )
    handle = await client.schedules.create(
        "s", Schedule(StartWorkflow(importing), spec)
    )
    view = await handle.describe()
    assert view.schedule.spec.cron_expressions == ()
    (calendar,) = view.schedule.spec.calendars
    assert (calendar.hour, calendar.comment) == ((Range(0, 23, 6),), "four times")
    assert len(view.next_times) == 10
    assert {time.hour for time in view.next_times} == {0, 12, 18, 1, 13}
    assert list(view.next_times) == sorted(view.next_times)
    assert view.next_times[0].timestamp() > site.clock.now()


@pytest.mark.feature("SC-12")
async def test_actions_are_late_by_a_random_amount_within_the_jitter(
    client: Client,
) -> None:
    spec = ScheduleSpec(intervals=[IntervalSpec("60s")], jitter="20s")
    handle = await client.schedules.create(
        "s", Schedule(StartWorkflow(importing), spec)
    )
    late: dict[datetime, float] = {}
    for _ in range(5):
        await asyncio.sleep(600)
        for one in (await handle.describe()).recent_actions:
            late[one.nominal_time] = (one.taken_at - one.nominal_time).total_seconds()
    assert len(late) >= 48
    assert all(0 <= each <= 20 for each in late.values())
    assert len({round(each, 3) for each in late.values()}) > 40
    assert max(late.values()) - min(late.values()) > 10


@pytest.mark.feature("SC-12")
async def test_jitter_never_delays_an_action_past_the_next(client: Client) -> None:
    spec = ScheduleSpec(intervals=[IntervalSpec("5s")], jitter="1h")
    policy = SchedulePolicy(overlap=OverlapPolicy.ALLOW_ALL)
    handle = await client.schedules.create(
        "s", Schedule(StartWorkflow(importing), spec, policy)
    )
    await asyncio.sleep(51)
    view = await handle.describe()
    assert view.actions_taken in (9, 10)
    for one in view.recent_actions:
        assert one.taken_at - one.nominal_time <= timedelta(seconds=5)


# -- overlap -------------------------------------------------------------------------

LONG_RUN = StartWorkflow(importing, 25.0, id="import")
"""Two and a half times as long as the period."""


@pytest.mark.feature("SC-13")
async def test_skip_leaves_out_what_would_overlap(client: Client) -> None:
    handle = await client.schedules.create("s", every("10s", action=LONG_RUN))
    await asyncio.sleep(61)
    assert await counts(handle) == (2, 0, 4)
    taken = (await handle.describe()).recent_actions
    assert seconds([one.nominal_time for one in taken]) == [30]


@pytest.mark.feature("SC-13")
async def test_buffer_one_lets_a_single_action_wait(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=LONG_RUN, overlap=OverlapPolicy.BUFFER_ONE)
    )
    await asyncio.sleep(41)  # 10 began, 20 waited, 30 was skipped, at 35 began 20
    view = await handle.describe()
    assert await counts(handle) == (2, 0, 1)
    assert view.waiting_actions == 1
    first, second = view.recent_actions
    assert second.taken_at - first.taken_at == timedelta(seconds=25)
    assert second.nominal_time - first.nominal_time == timedelta(seconds=10)


@pytest.mark.feature("SC-13")
async def test_buffer_all_lets_every_action_wait(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=LONG_RUN, overlap=OverlapPolicy.BUFFER_ALL)
    )
    await asyncio.sleep(61)
    view = await handle.describe()
    assert await counts(handle) == (3, 0, 0)
    assert view.waiting_actions == 3
    assert len(view.running_actions) == 1


@pytest.mark.feature("SC-13")
async def test_cancel_other_starts_when_the_one_before_has_ended(
    client: Client,
) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=LONG_RUN, overlap=OverlapPolicy.CANCEL_OTHER)
    )
    await asyncio.sleep(32)
    statuses = [status for _, status in await lines(client)]
    assert statuses == [RunStatus.CANCELLED, RunStatus.CANCELLED, RunStatus.RUNNING]
    first, second, third = (await handle.describe()).recent_actions
    assert first.taken_at == first.nominal_time
    for one in (second, third):  # the clean-up of the one before takes a second
        assert one.taken_at - one.nominal_time == timedelta(seconds=1)


@pytest.mark.feature("SC-13")
async def test_terminate_other_starts_at_once(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=LONG_RUN, overlap=OverlapPolicy.TERMINATE_OTHER)
    )
    await asyncio.sleep(32)
    statuses = [status for _, status in await lines(client)]
    assert statuses == [RunStatus.TERMINATED, RunStatus.TERMINATED, RunStatus.RUNNING]
    view = await handle.describe()
    assert all(one.taken_at == one.nominal_time for one in view.recent_actions)
    assert len(view.running_actions) == 1


@pytest.mark.feature("SC-13")
async def test_allow_all_starts_beside_what_is_open(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=LONG_RUN, overlap=OverlapPolicy.ALLOW_ALL)
    )
    await asyncio.sleep(31)
    assert await counts(handle) == (3, 0, 0)
    assert len((await handle.describe()).running_actions) == 3


@pytest.mark.feature("SC-13", "SC-17")
async def test_an_overlap_policy_may_be_given_for_one_trigger(client: Client) -> None:
    action = StartWorkflow(importing, 100.0, id="import")
    handle = await client.schedules.create("s", yearly(action))
    await handle.trigger()
    await handle.trigger()  # skipped
    await handle.trigger(overlap=OverlapPolicy.ALLOW_ALL)
    statuses = [status for _, status in await lines(client)]
    assert statuses == [RunStatus.RUNNING, RunStatus.RUNNING]
    assert await counts(handle) == (2, 0, 1)


# -- failures, pauses, limits --------------------------------------------------------


@pytest.mark.feature("SC-15")
async def test_a_failure_after_all_retries_pauses_a_schedule_that_wants_it(
    client: Client,
) -> None:
    action = StartWorkflow(failing, id="f", retry=RetryPolicy(first=1, attempts=3))
    handle = await client.schedules.create(
        "s", every("10s", action=action, pause_on_failure=True)
    )
    await asyncio.sleep(60)
    view = await handle.describe()
    assert view.schedule.state.paused
    assert "nothing there" in view.schedule.state.note
    assert view.actions_taken == 1
    assert stage.notes == ["failed"] * 3


@pytest.mark.feature("SC-15")
async def test_a_time_out_pauses_as_well_but_a_cancellation_does_not(
    client: Client,
) -> None:
    action = StartWorkflow(importing, 100.0, id="import", run_timeout="5s")
    handle = await client.schedules.create("s", yearly(action, pause_on_failure=True))
    await handle.trigger()
    (taken,) = (await handle.describe()).running_actions
    await client.handle(taken.workflow_id).cancel()
    await asyncio.sleep(2)
    view = await handle.describe()
    assert (view.running_actions, view.schedule.state.paused) == ((), False)
    await handle.trigger()
    await asyncio.sleep(6)
    assert (await handle.describe()).schedule.state.paused


@pytest.mark.feature("SC-16")
async def test_while_paused_only_triggers_and_backfills_act(
    client: Client, site: Site
) -> None:
    handle = await client.schedules.create("s", every("10s"))
    await asyncio.sleep(15)
    await handle.pause("maintenance")
    assert (await handle.describe()).schedule.state.note == "maintenance"
    await asyncio.sleep(30)
    assert await counts(handle) == (1, 0, 0)
    await handle.trigger()
    now = datetime.fromtimestamp(site.clock.now(), UTC)
    await handle.backfill(ScheduleBackfill(now - timedelta(seconds=12), now))
    assert (await handle.describe()).actions_taken == 3
    await handle.resume()
    await asyncio.sleep(10)  # what passed meanwhile is not made up for
    view = await handle.describe()
    assert (view.actions_taken, view.actions_missed) == (4, 0)
    assert (view.schedule.state.paused, view.schedule.state.note) == (False, "resumed")


@pytest.mark.feature("SC-16")
async def test_pausing_without_a_note_leaves_a_default_one(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", state=ScheduleState(paused=True, note="not yet"))
    )
    assert (await handle.describe()).schedule.state.note == "not yet"
    await handle.pause()
    assert (await handle.describe()).schedule.state.note == "paused"


@pytest.mark.feature("SC-16")
async def test_three_remaining_actions_give_three_runs_and_a_trigger_works(
    client: Client,
) -> None:
    state = ScheduleState(limited_actions=True, remaining_actions=3)
    action = StartWorkflow(importing, 15.0, id="import")
    handle = await client.schedules.create(
        "s", every("10s", action=action, state=state)
    )
    await asyncio.sleep(100)
    view = await handle.describe()
    assert view.actions_taken == 3
    assert view.actions_skipped == 2  # which did not count
    assert view.schedule.state.remaining_actions == 0
    await handle.trigger()
    assert (await handle.describe()).actions_taken == 4


# -- backfill ------------------------------------------------------------------------


@pytest.mark.feature("SC-18")
async def test_a_backfill_includes_its_end_but_not_its_start(
    client: Client, site: Site
) -> None:
    handle = await client.schedules.create("s", every("1h"))
    end = datetime.fromtimestamp(site.clock.now() // 3600 * 3600, UTC)
    start = end - timedelta(hours=2)
    await handle.backfill(ScheduleBackfill(start, end, OverlapPolicy.ALLOW_ALL))
    taken = (await handle.describe()).recent_actions
    assert [one.nominal_time for one in taken] == [start + timedelta(hours=1), end]
    # naive moments are in UTC
    naive = ScheduleBackfill(end.replace(tzinfo=None), end.replace(tzinfo=None))
    await handle.backfill(naive)
    assert (await handle.describe()).actions_taken == 2


@pytest.mark.feature("SC-18")
async def test_a_long_backfill_is_taken_whole(client: Client, site: Site) -> None:
    handle = await client.schedules.create("s", every("1m"))
    end = datetime.fromtimestamp(site.clock.now(), UTC)
    span = ScheduleBackfill(end - timedelta(minutes=250), end)
    await handle.backfill(span)
    await asyncio.sleep(5)
    taken, _, skipped = await counts(handle)
    assert taken + skipped == 250


@pytest.mark.feature("SC-18")
async def test_a_backfill_of_nothing_is_refused(client: Client) -> None:
    handle = await client.schedules.create("s", every("1h"))
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="one backfill or more"):
        await handle.backfill()
    with pytest.raises(ValueError, match="must not end before it starts"):
        await handle.backfill(ScheduleBackfill(now, now - timedelta(hours=1)))


# -- update, describe, delete, list --------------------------------------------------


@pytest.mark.feature("SC-19")
async def test_an_update_replaces_the_definition(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("1h", state=ScheduleState(note="a"))
    )

    async def faster(view: ScheduleView) -> ScheduleUpdate:
        action = view.schedule.action.changed(args=(7.0,), queue="default")
        return ScheduleUpdate(every("10s", action=action), attributes(Team="red"))

    before = await handle.describe()
    await asyncio.sleep(1)
    await handle.update(faster)
    await asyncio.sleep(20)
    view = await handle.describe()
    assert view.actions_taken == 2
    assert view.schedule.action.args == (7.0,)
    assert view.schedule.action.id == "import"
    assert view.search_attributes == attributes(Team="red")
    assert view.updated_at > before.updated_at == before.created_at == view.created_at


@pytest.mark.feature("SC-19")
async def test_two_updates_at_once_both_take_effect(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("1h", state=ScheduleState(paused=True, note=""))
    )
    looking, seen = asyncio.Barrier(2), 0

    def adding(letter: str) -> Any:
        first = True

        async def add(view: ScheduleView) -> Schedule:
            nonlocal first, seen
            seen += 1
            if first:
                first = False
                await looking.wait()
            note_ = view.schedule.state.note + letter
            return Schedule(
                view.schedule.action,
                view.schedule.spec,
                view.schedule.policy,
                ScheduleState(paused=True, note=note_),
            )

        return add

    await asyncio.gather(handle.update(adding("a")), handle.update(adding("b")))
    assert sorted((await handle.describe()).schedule.state.note) == ["a", "b"]
    assert seen == 3


@pytest.mark.feature("SC-19")
async def test_an_update_that_returns_nothing_changes_nothing(client: Client) -> None:
    handle = await client.schedules.create("s", every("1h"))
    before = await handle.describe()
    await handle.update(lambda _: None)
    after = await handle.describe()
    assert after.updated_at == before.updated_at
    with pytest.raises(TypeError, match="ScheduleUpdate or None, not str"):
        await handle.update(lambda _: "nonsense")  # type: ignore[arg-type,return-value]


@pytest.mark.feature("CX-13")
async def test_a_schedule_tells_who_asked_last(site: Site) -> None:
    async with site.up(identity="alice") as alice:
        handle = await alice.schedules.create("s", every("1h"))
        bob = Client(**(alice.config() | {"identity": "bob"}))
        theirs = bob.schedules.handle("s")

        async def last() -> str:
            return (await handle.describe()).identity

        assert await last() == "alice"
        once = ScheduleBackfill(datetime.now(UTC), datetime.now(UTC))
        changes: list[Callable[[], Awaitable[None]]] = [
            theirs.pause,
            theirs.resume,
            theirs.trigger,
            lambda: theirs.update(lambda view: view.schedule),
            lambda: theirs.backfill(once),
        ]
        for change in changes:
            await change()
            assert await last() == "bob"
            await handle.pause("mine")
            assert await last() == "alice"
        await handle.resume()
        await asyncio.sleep(3600)
        assert await last() == "alice"
    async with site.up() as somebody:
        await somebody.schedules.handle("s").pause()
        view = await somebody.schedules.handle("s").describe()
        assert version("everact") in view.identity and str(os.getpid()) in view.identity


@pytest.mark.feature("SC-19")
async def test_an_update_may_keep_a_schedule_whose_actions_are_used_up(
    client: Client,
) -> None:
    state = ScheduleState(limited_actions=True, remaining_actions=1)
    handle = await client.schedules.create("s", every("10s", state=state))
    await asyncio.sleep(20)
    await handle.update(lambda view: view.schedule)
    view = await handle.describe()
    assert (view.actions_taken, view.schedule.state.remaining_actions) == (1, 0)


@pytest.mark.feature("SC-20")
async def test_there_are_no_more_next_times_than_actions_are_left(
    client: Client,
) -> None:
    state = ScheduleState(limited_actions=True, remaining_actions=2)
    action = StartWorkflow(counting, id="count")
    handle = await client.schedules.create(
        "s", every("10s", action=action, state=state)
    )
    for left in (2, 1, 0):
        assert len((await handle.describe()).next_times) == left
        (line,) = [line async for line in await client.schedules.list()]
        assert len(line.next_times) == left
        await asyncio.sleep(11)


@pytest.mark.feature("SC-20")
async def test_a_description_agrees_with_what_was_played(
    client: Client, site: Site
) -> None:
    began = site.clock.now()
    action = StartWorkflow(importing, 15.0, id="import")
    handle = await client.schedules.create(
        "s",
        every("10s", action=action),
        memo={"a": 1},
        search_attributes=attributes(N=5),
    )
    await asyncio.sleep(127)  # from 10 on, each second time is skipped
    view = await handle.describe()
    assert (view.actions_taken, view.actions_missed, view.actions_skipped) == (6, 0, 6)
    offsets = [one.nominal_time.timestamp() - began for one in view.recent_actions]
    assert offsets == [10, 30, 50, 70, 90, 110]
    assert view.running_actions == ()
    following = [time.timestamp() - began for time in view.next_times]
    assert following == [130.0 + 10 * n for n in range(10)]
    assert (view.memo, view.search_attributes) == ({"a": 1}, attributes(N=5))
    assert view.created_at.timestamp() == pytest.approx(began)
    await asyncio.sleep(120)
    view = await handle.describe()
    assert view.actions_taken == 12
    offsets = [one.nominal_time.timestamp() - began for one in view.recent_actions]
    assert offsets == [50.0 + 20 * n for n in range(10)]  # the last ten


@pytest.mark.feature("SC-21")
async def test_deleting_stops_a_schedule_but_not_its_runs(client: Client) -> None:
    action = StartWorkflow(importing, 15.0, id="import")
    handle = await client.schedules.create("s", every("10s", action=action))
    await asyncio.sleep(12)
    await handle.delete()
    await asyncio.sleep(60)
    assert [status for _, status in await lines(client)] == [RunStatus.COMPLETED]
    with pytest.raises(RPCError, match="'s'"):
        await handle.describe()
    again = await client.schedules.create("s", every("10s"))
    assert await counts(again) == (0, 0, 0)


@pytest.mark.feature("SC-22")
async def test_schedules_are_listed_page_by_page(client: Client) -> None:
    for n in range(5):
        await client.schedules.create(f"s{n}", every("1h"))
    listed = await client.schedules.list(page_size=2)
    pages = []
    while True:
        await listed.fetch_next_page()
        pages.append([line.id for line in listed.current_page])
        if listed.next_page_token is None:
            break
    assert pages == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    everything = [line.id async for line in await client.schedules.list(page_size=2)]
    assert everything == ["s0", "s1", "s2", "s3", "s4"]
    listed = await client.schedules.list(page_size=2)
    await listed.fetch_next_page()
    later = await client.schedules.list(next_page_token=listed.next_page_token)
    assert [line.id async for line in later] == ["s2", "s3", "s4"]


@pytest.mark.feature("SC-22")
async def test_a_filter_chooses_and_a_bad_one_shows_at_the_first_iteration(
    client: Client,
) -> None:
    await client.schedules.create(
        "red", every("1h"), search_attributes=attributes(Team="r")
    )
    await client.schedules.create(
        "blue", every("1h"), search_attributes=attributes(Team="b")
    )
    await client.schedules.handle("blue").pause()

    async def found(query: str) -> list[str]:
        return [line.id async for line in await client.schedules.list(query)]

    assert await found("Team = 'r'") == ["red"]
    assert await found("Paused = true AND WorkflowType = 'importing'") == ["blue"]
    assert await found("ScheduleId STARTS_WITH 'r'") == ["red"]
    assert await found("Team IS NULL") == []
    listed = await client.schedules.list("Team = = 'r'")
    with pytest.raises(RPCError) as caught:
        await anext(listed)
    assert caught.value.status is RPCStatus.INVALID_ARGUMENT
    with pytest.raises(ValueError, match="page_size"):
        await client.schedules.list(page_size=0)


# -- the runs ------------------------------------------------------------------------


@pytest.mark.feature("SC-23")
async def test_runs_have_ids_of_their_times_and_read_the_result_before(
    client: Client,
) -> None:
    action = StartWorkflow(counting, id="count")
    handle = await client.schedules.create("s", every("10s", action=action))
    await asyncio.sleep(35)
    taken = (await handle.describe()).recent_actions
    ids = [one.workflow_id for one in taken]
    assert ids == [f"count-{one.nominal_time:%Y-%m-%dT%H:%M:%S}Z" for one in taken]
    assert [await client.handle(id).result() for id in ids] == [1, 2, 3]


@pytest.mark.feature("SC-23")
async def test_runs_are_found_by_their_schedule_and_nominal_time(
    client: Client,
) -> None:
    handle = await client.schedules.create("s", every("10s"))
    await asyncio.sleep(25)
    first, second = (await handle.describe()).recent_actions

    async def found(query: str) -> set[str]:
        return {run.workflow_id async for run in client.list(query)}

    assert await found("ScheduleId = 's'") == {first.workflow_id, second.workflow_id}
    later = f"ScheduleId = 's' AND NominalTime > '{first.nominal_time.isoformat()}'"
    assert await found(later) == {second.workflow_id}
    assert await found("ScheduleId = 'other'") == set()


@pytest.mark.feature("SC-23")
async def test_a_run_reads_its_schedule_and_nominal_time(client: Client) -> None:
    handle = await client.schedules.create(
        "s", every("10s", action=StartWorkflow(whose))
    )
    await asyncio.sleep(25)
    first, second = (await handle.describe()).recent_actions
    for taken in (first, second):
        found = await client.handle(taken.workflow_id).result()
        assert found == ["s", taken.nominal_time.isoformat()]
    plain = await client.start(whose)
    assert await plain.result() == [None, "None"]


@workflow(registry=REGISTRY)
async def whose() -> list[str | None]:
    info, at = run_info(), run_info().nominal_time
    return [info.schedule_id, at.isoformat() if at else str(at)]


@pytest.mark.feature("SC-23")
async def test_a_run_reads_how_the_one_before_failed(client: Client) -> None:
    action = StartWorkflow(seeing, id="see")
    handle = await client.schedules.create("s", every("5s", action=action))
    await asyncio.sleep(26)
    *_, before, failed, last, after = (await handle.describe()).recent_actions
    if not failed.workflow_id.endswith("0Z"):
        before, failed, last = failed, last, after
    seen = await client.handle(before.workflow_id).result()
    assert await client.handle(last.workflow_id).result() == [
        str(seen),
        "ApplicationError('every tenth second')",
    ]


@pytest.mark.feature("SC-23")
async def test_without_an_id_of_its_own_an_action_has_that_of_its_schedule(
    client: Client,
) -> None:
    handle = await client.schedules.create("s", yearly(StartWorkflow(counting)))
    await handle.trigger()
    await handle.trigger()  # in the same moment, and yet distinct
    first, second = (await handle.describe()).recent_actions
    assert first.workflow_id.startswith("s-20")
    assert first.run_id != second.run_id


@pytest.mark.feature("SC-13", "SC-23")
async def test_runs_that_may_overlap_read_no_result_before(client: Client) -> None:
    action = StartWorkflow(counting, id="count")
    handle = await client.schedules.create(
        "s", every("10s", action=action, overlap=OverlapPolicy.ALLOW_ALL)
    )
    await asyncio.sleep(25)
    taken = (await handle.describe()).recent_actions
    assert [await client.handle(one.workflow_id).result() for one in taken] == [1, 1]


# -- outages -------------------------------------------------------------------------


async def outage(site: Site, down: float, window: str) -> tuple[int, int, int]:
    """What a schedule of each second took, missed and skipped in an outage."""
    policy: dict[str, Any] = {
        "overlap": OverlapPolicy.ALLOW_ALL,
        "catchup_window": window,
    }
    async with site.up() as client:
        await asyncio.sleep(2 - site.clock.now() % 1)
        await asyncio.sleep(0.5)
        handle = await client.schedules.create("s", every("1s", **policy))
        await asyncio.sleep(3)
        before = await counts(handle)
        assert before == (3, 0, 0)
    await asyncio.sleep(down)
    async with site.up() as client:
        handle = client.schedules.handle("s")
        await asyncio.sleep(0.2)
        taken, missed, skipped = await counts(handle)
        ids = [id for id, _ in await lines(client)]
        assert len(ids) == len(set(ids)) == taken
        return taken - 3, missed, skipped


@pytest.mark.feature("SC-14", "SC-24")
async def test_missed_times_within_the_catch_up_window_are_made_up_for(
    site: Site,
) -> None:
    assert await outage(site, 5.0, "10s") == (5, 0, 0)


@pytest.mark.feature("SC-14")
async def test_those_before_it_are_counted_as_missed(site: Site) -> None:
    taken, missed, _ = await outage(site, 15.0, "10s")
    assert taken + missed == 15
    assert missed in (4, 5, 6)


@pytest.mark.feature("SC-13", "SC-20")
async def test_a_run_that_ended_after_a_restart_is_seen_to_have_ended(
    site: Site,
) -> None:
    action = StartWorkflow(importing, 15.0, id="import")
    async with site.up() as client:
        handle = await client.schedules.create("s", yearly(action))
        await handle.trigger()
        await handle.trigger(overlap=OverlapPolicy.BUFFER_ALL)
        await asyncio.sleep(1)
    async with site.up() as client:
        handle = client.schedules.handle("s")
        await asyncio.sleep(20)
        view = await handle.describe()
        assert (view.actions_taken, len(view.running_actions)) == (2, 1)
