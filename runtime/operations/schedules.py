"""Operations on schedules: create, look at, change, act now, forget."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core import schedules
from everact.runtime.core.bounds import moment_of
from everact.runtime.core.calendars import Spec
from everact.runtime.core.cron import compiled, times_of
from everact.runtime.core.opaque import Payload
from everact.runtime.core.projecting import alike
from everact.runtime.core.records import Attribute, AttributeKind
from everact.runtime.core.schedules import (
    BATCH,
    MOST_BACKFILLED,
    MOST_RANGES,
    Backfill,
    Definition,
    Order,
    OverlapPolicy,
    Present,
    Schedule,
    Taken,
)
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.search_attributes import typed_attributes
from everact.runtime.engine.parts.schedules import Fold
from everact.runtime.errors import RPCError, invalid
from everact.runtime.filters.parsing import parse
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import memo_stored, typed_start
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.requests import remembered
from everact.runtime.operations.runs import Limit
from everact.runtime.operations.starting import StartRun

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

UPCOMING = 10
"""Times to come that a description names."""

PAUSED, RESUMED = "paused", "resumed"
"""The notes where none is given."""

_SCANNED = 500
"""Schedules that are read at once while a list is made."""

Attributes = dict[str, Attribute]


class ScheduleDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a schedule. Moments are epoch seconds.

    Cron texts are shown as calendars and intervals. `serial` changes with the
    definition: an update names the one that it was made from. `waiting` are actions
    that wait for a run to end. `identity` is of whoever asked last for a change, or for
    an action.
    """

    id: str
    schedule: Definition
    serial: int
    memo: dict[str, Payload]
    attributes: Attributes
    static_summary: str
    static_details: str
    created_at: float
    updated_at: float
    actions_taken: int
    actions_missed: int
    actions_skipped: int
    waiting: int
    running: tuple[Taken, ...]
    recent: tuple[Taken, ...]
    upcoming: tuple[float, ...]
    identity: str = ""


class ScheduleSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule of a list."""

    id: str
    workflow: str
    spec: Spec
    paused: bool
    note: str
    memo: dict[str, Payload]
    attributes: Attributes
    running: tuple[Taken, ...]
    recent: tuple[Taken, ...]
    upcoming: tuple[float, ...]


class ScheduleList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of schedules; the token is for the next page, empty if there is none."""

    schedules: tuple[ScheduleSummary, ...]
    next_page_token: str = ""


class ChangeSchedule(Request[None], frozen=True, kw_only=True):
    """What all requests that change a schedule say."""

    id: Name
    request_id: str = ""
    workspace: str = "default"
    identity: str = ""


class CreateSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Create a schedule; durable when answered.

    `trigger_immediately` takes an action at once, `backfills` those of past times;
    see `BackfillSchedule` for how many.
    """

    schedule: Definition
    trigger_immediately: bool = False
    backfills: tuple[Backfill, ...] = ()
    memo: dict[str, Payload] = {}
    attributes: Attributes = {}
    static_summary: str = ""
    static_details: str = ""


class DescribeSchedule(Request[ScheduleDescription], frozen=True, kw_only=True):
    """Describe one schedule."""

    id: Name
    workspace: str = "default"


class UpdateSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Replace a schedule's definition, if it is the one with `serial` now.

    ABORTED if it has changed meanwhile. `keep_action` leaves the action as it is,
    `attributes` replace those of the schedule, unless they are null.
    """

    schedule: Definition
    serial: int
    keep_action: bool = False
    attributes: Attributes | None = None


class PauseSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Let a schedule act only when it is asked to."""

    note: str = ""


class ResumeSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Let a paused schedule act by itself again."""

    note: str = ""


class TriggerSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Have a schedule take an action now, paused or not."""

    overlap: OverlapPolicy | None = None


class BackfillSchedule(ChangeSchedule, frozen=True, kw_only=True):
    """Have a schedule take the actions of past times now, paused or not.

    The ranges of one request cover 100,000 times at most, and a schedule has 100
    ranges before it at most (RESOURCE_EXHAUSTED until some are done). It is durable
    when answered, and done in slices, between which everything else is served.
    """

    backfills: Annotated[tuple[Backfill, ...], Meta(min_length=1)]


class DeleteSchedule(Request[None], frozen=True, kw_only=True):
    """Forget a schedule; runs that it started go on."""

    id: Name
    request_id: str = ""
    workspace: str = "default"


class ListSchedules(Request[ScheduleList], frozen=True, kw_only=True):
    """A page of schedules by their IDs.

    `query` filters by ScheduleId, WorkflowType, Paused, Note, search attributes.
    """

    query: str = ""
    limit: Limit = 1000
    next_page_token: str = ""
    workspace: str = "default"


def _changed(request: Any) -> tuple[str, ...]:
    return (request.id,)


def _typed(engine: "Engine", definition: Definition) -> Definition:
    """A schedule with the action that it starts as values are stored."""
    action = definition.action
    start = typed_start(
        engine,
        StartRun(
            workflow=action.workflow,
            args=action.args,
            kwargs=action.kwargs,
            options=action.options,
        ),
    )
    action = replace(
        action, args=start.args, kwargs=start.kwargs, options=start.options
    )
    return replace(definition, action=action)


def _typed_create(engine: "Engine", request: CreateSchedule) -> CreateSchedule:
    memo = memo_stored(engine, request.memo)
    return replace(request, memo=memo, schedule=_typed(engine, request.schedule))


def _typed_update(engine: "Engine", request: UpdateSchedule) -> UpdateSchedule:
    if request.keep_action:
        return request
    return replace(request, schedule=_typed(engine, request.schedule))


@operation(
    "schedules.create",
    CreateSchedule,
    access=Access.WRITE,
    target=_changed,
    typed=_typed_create,
)
async def create_schedule(engine: "Engine", request: CreateSchedule) -> None:
    """Make it, and do at once what was asked for."""
    _check(schedules.check_new, request.schedule)
    await _check_backfills(request.backfills, request.schedule.spec)
    _check_attributes(request.attributes)
    _check_action(engine, request)
    now = engine.clock.now()
    schedule = Schedule(
        **alike(Schedule, request),
        definition=request.schedule,
        created_at=now,
        updated_at=now,
        until=now,
    )

    def begin(schedule: Schedule, present: Present) -> list[Order]:
        orders: list[Order] = []
        if request.trigger_immediately:
            orders += schedule.trigger(None, present)
        return orders + schedule.make_up(present)

    await engine.schedules.create(schedule, begin, remembered(engine, request))


@operation("schedules.describe", DescribeSchedule, access=Access.READ)
async def describe_schedule(
    engine: "Engine", request: DescribeSchedule
) -> ScheduleDescription:
    """Put together what is known of it."""
    found = await engine.schedules.read((request.workspace, request.id))
    definition = found.definition
    return ScheduleDescription(
        **alike(ScheduleDescription, found) | {"waiting": len(found.waiting)},
        schedule=replace(definition, spec=compiled(definition.spec)),
        actions_taken=found.taken,
        actions_missed=found.missed,
        actions_skipped=found.skipped,
        upcoming=found.upcoming(engine.clock.now(), UPCOMING),
    )


@operation(
    "schedules.update",
    UpdateSchedule,
    access=Access.WRITE,
    target=_changed,
    typed=_typed_update,
)
async def update_schedule(engine: "Engine", request: UpdateSchedule) -> None:
    """Replace the definition that the caller saw, and no other."""
    _check(schedules.check, request.schedule)
    _check_attributes(request.attributes or {})
    if not request.keep_action:
        _check_action(engine, request)

    def update(schedule: Schedule, present: Present) -> list[Order]:
        if schedule.serial != request.serial:
            raise RPCError(
                f"schedule {schedule.id!r} has changed since it was described",
                RPCStatus.ABORTED,
            )
        definition = request.schedule
        if request.keep_action:
            definition = replace(definition, action=schedule.definition.action)
        schedule.redefine(definition, present.now)
        if request.attributes is not None:
            schedule.attributes = request.attributes
        return []

    await _change(engine, request, update)


@operation("schedules.pause", PauseSchedule, access=Access.WRITE, target=_changed)
async def pause_schedule(engine: "Engine", request: PauseSchedule) -> None:
    """Pause it."""
    note = request.note or PAUSED
    await _change(engine, request, lambda schedule, _: schedule.pause(note))


@operation("schedules.resume", ResumeSchedule, access=Access.WRITE, target=_changed)
async def resume_schedule(engine: "Engine", request: ResumeSchedule) -> None:
    """Resume it."""
    note = request.note or RESUMED
    await _change(engine, request, lambda schedule, _: schedule.resume(note))


@operation("schedules.trigger", TriggerSchedule, access=Access.WRITE, target=_changed)
async def trigger_schedule(engine: "Engine", request: TriggerSchedule) -> None:
    """Take one action."""
    overlap = request.overlap
    await _change(
        engine, request, lambda schedule, present: schedule.trigger(overlap, present)
    )


@operation("schedules.backfill", BackfillSchedule, access=Access.WRITE, target=_changed)
async def backfill_schedule(engine: "Engine", request: BackfillSchedule) -> None:
    """Note what is to be made up for, and begin with it."""
    stored = await engine.schedules.read((request.workspace, request.id))
    await _check_backfills(request.backfills, stored.definition.spec)

    def backfill(schedule: Schedule, present: Present) -> list[Order]:
        if len(schedule.backfills) + len(request.backfills) > MOST_RANGES:
            raise RPCError(
                f"schedule {schedule.id!r} has {len(schedule.backfills)} backfills "
                f"before it, and {MOST_RANGES} at most: wait until some are done",
                RPCStatus.RESOURCE_EXHAUSTED,
            )
        schedule.backfills += request.backfills
        return schedule.make_up(present)

    await _change(engine, request, backfill)


@operation("schedules.delete", DeleteSchedule, access=Access.WRITE, target=_changed)
async def delete_schedule(engine: "Engine", request: DeleteSchedule) -> None:
    """Forget it."""
    place = (request.workspace, request.id)
    await engine.schedules.delete(place, remembered(engine, request))


@operation("schedules.list", ListSchedules, access=Access.READ)
async def list_schedules(engine: "Engine", request: ListSchedules) -> ScheduleList:
    """Read on from the token until a page is full."""
    chosen, now = parse(request.query), engine.clock.now()
    found: list[ScheduleSummary] = []
    after = request.next_page_token
    while True:
        read = await engine.schedules.page(request.workspace, after, _SCANNED)
        for schedule in read:
            if len(found) == request.limit:
                return ScheduleList(schedules=tuple(found), next_page_token=after)
            after = schedule.id
            if chosen.matches(_filtered(schedule)):
                found.append(_summary(schedule, now))
        if len(read) < _SCANNED:
            return ScheduleList(schedules=tuple(found))


def _summary(schedule: Schedule, now: float) -> ScheduleSummary:
    definition = schedule.definition
    return ScheduleSummary(
        **alike(ScheduleSummary, schedule),
        workflow=definition.action.workflow,
        spec=compiled(definition.spec),
        paused=definition.paused,
        note=definition.note,
        upcoming=schedule.upcoming(now, UPCOMING),
    )


def _filtered(schedule: Schedule) -> dict[str, Any]:
    """What a filter finds in a schedule."""
    found: dict[str, Any] = {
        name: (
            moment_of(attribute.value)  # type: ignore[arg-type]
            if attribute.kind is AttributeKind.DATETIME
            else attribute.value
        )
        for name, attribute in schedule.attributes.items()
    }
    definition = schedule.definition
    return found | {
        "ScheduleId": schedule.id,
        "WorkflowType": definition.action.workflow,
        "Paused": definition.paused,
        "Note": definition.note,
    }


async def _change(engine: "Engine", request: Any, change: Fold) -> None:
    place = (request.workspace, request.id)

    def fold(schedule: Schedule, present: Present) -> list[Order]:
        orders = change(schedule, present)
        schedule.identity = request.identity or schedule.identity
        return orders

    await engine.schedules.change(place, fold, remembered(engine, request))


def _check(check: Any, definition: Definition) -> None:
    try:
        check(definition)
    except ValueError as error:
        raise invalid(str(error)) from None


def _check_attributes(attributes: Attributes) -> None:
    try:
        typed_attributes(attributes)
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid(str(error)) from None


def _check_action(engine: "Engine", request: CreateSchedule | UpdateSchedule) -> None:
    """Refuse what a start of the action would be refused for."""
    extras = request.schedule.action.options.extras
    if extras is not None and extras.attributes:
        engine.visibility.check(request.workspace, extras.attributes)


async def _check_backfills(backfills: tuple[Backfill, ...], spec: Spec) -> None:
    """Refuse ranges that are too many, too long or no ranges at all."""
    if len(backfills) > MOST_RANGES:
        raise invalid(f"{len(backfills)} backfills are given, {MOST_RANGES} at most")
    times, found = times_of(spec), 0
    for one in backfills:
        if one.until < one.after:
            raise invalid(f"a backfill must not end before it starts: {one}")
        for _ in times.between(one.after, one.until):
            found += 1
            if found > MOST_BACKFILLED:
                raise invalid(
                    f"the backfills cover more than {MOST_BACKFILLED:,} times of the "
                    "schedule, which is the most for one request: give shorter ones, "
                    "one request after the other"
                )
            if not found % BATCH:
                await asyncio.sleep(0)  # others have their turn
