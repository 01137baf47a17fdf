"""What a schedule consists of, as users write and read it.

Durations and datetimes are those of the whole client: see `core.durations`; moments
without a zone are in UTC, and so are those that are given back.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Unpack

from msgspec.structs import replace

from everact.runtime.client.callers import warn_caller, warn_of_crons, warn_of_options
from everact.runtime.client.requester import Requester
from everact.runtime.client.rpc import RPC_OPTIONS
from everact.runtime.client.starting import UNSET, Starting, start_request
from everact.runtime.core import schedules as core
from everact.runtime.core.bounds import duration_of, epoch_of, moment_of
from everact.runtime.core.calendars import CalendarSpec, Interval, Spec
from everact.runtime.core.durations import Duration, seconds
from everact.runtime.core.keywords import closed, suggesting
from everact.runtime.core.projecting import alike
from everact.runtime.core.records import (
    NO_EXTRAS,
    Extras,
    StartOptions,
)
from everact.runtime.core.schedules import OverlapPolicy
from everact.runtime.definitions.search_attributes import (
    SearchAttributes,
    TypedSearchAttributes,
    old_form,
    typed_attributes,
)
from everact.runtime.operations import schedules as requests
from everact.runtime.values.payloads import Converter

_OF_A_CALLER = RPC_OPTIONS | {
    "on_conflict",
    "on_reuse",
    "start_delay",
    "scheduled_start_time",
    "request_eager_start",
    "start_signal",
    "start_signal_args",
    "cron_schedule",
    "request_id",
    "result_type",
}
"""Options of a start that make no sense for one that a schedule does."""
_OPTIONS = frozenset(StartOptions.__struct_fields__)
_EXTRAS = frozenset(Extras.__struct_fields__)


class StartWorkflow:
    """The run that a schedule starts: parameters as those of `Client.start`.

    `id` and the nominal time make the workflow ID of each run; without one it is the
    schedule's ID. An action that was described knows the workflow by its name only;
    `changed` gives another one, whatever is not given staying as it is.
    """

    __slots__ = ("args", "id", "kwargs", "options", "recorded", "workflow")

    def __init__(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> None:
        warn_of_options(options)
        misplaced = sorted(options.keys() & _OF_A_CALLER)
        if misplaced:
            raise TypeError(f"a schedule's start takes no {', '.join(misplaced)}")
        closed(options, Starting.__annotations__, "a schedule's start")
        given: dict[str, Any] = dict(options)
        args = given.pop("args", None)
        if arg is not UNSET and args is not None:
            raise ValueError("give arg or args, not both")
        self.workflow = workflow
        self.args: tuple[Any, ...] = (arg,) if arg is not UNSET else tuple(args or ())
        self.kwargs: dict[str, Any] = given.pop("kwargs", None) or {}
        self.id: str = given.pop("id", None) or ""
        self.options = given
        self.recorded: StartOptions | None = None

    def changed(self, **options: Unpack[Starting]) -> "StartWorkflow":
        """The same action with other options, arguments or ID."""
        made = StartWorkflow(self.workflow, **options)
        made.recorded = self.recorded
        made.options = self.options | made.options
        made.args = made.args if "args" in options else self.args
        made.kwargs = made.kwargs if "kwargs" in options else self.kwargs
        made.id = made.id if "id" in options else self.id
        return made

    def __repr__(self) -> str:
        return f"<StartWorkflow {self.workflow!r} id={self.id!r} args={self.args!r}>"


@dataclass(frozen=True, slots=True)
class IntervalSpec:
    """Every `every` since the Unix epoch, `offset` later; whole seconds both."""

    every: Duration
    offset: Duration = 0.0


@suggesting
@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """When: the union of all that is given, less what `skip` matches.

    `start_at` and `end_at` are included. Each action is up to `jitter` late, never
    later than the next. `time_zone_name` (default UTC) is for calendars and cron
    expressions: a local time that a clock change skips does not come, one that it
    repeats comes twice.
    """

    calendars: Sequence[CalendarSpec] = ()
    intervals: Sequence[IntervalSpec] = ()
    cron_expressions: Sequence[str] = ()
    skip: Sequence[CalendarSpec] = ()
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter: Duration = 0.0
    time_zone_name: str = ""

    def __post_init__(self) -> None:
        warn_of_crons(self.cron_expressions)


@suggesting
@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePolicy:
    """What overlaps, outages and failures lead to; see `OverlapPolicy`.

    A time that was missed, because no engine was there, leads to an action if that is
    no longer ago than `catchup_window` (at least 10 s). `pause_on_failure` pauses the
    schedule when a run of it has failed or timed out for good.
    """

    overlap: OverlapPolicy = OverlapPolicy.SKIP
    catchup_window: Duration = timedelta(days=365)
    pause_on_failure: bool = False


@suggesting
@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """Whether it acts by itself, and with `limited_actions` how many times more."""

    paused: bool = False
    note: str = ""
    limited_actions: bool = False
    remaining_actions: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule: what to start, when, by which policy."""

    action: StartWorkflow
    spec: ScheduleSpec = field(default_factory=ScheduleSpec)
    policy: SchedulePolicy = field(default_factory=SchedulePolicy)
    state: ScheduleState = field(default_factory=ScheduleState)


@dataclass(frozen=True, slots=True)
class ScheduleBackfill:
    """The times after `start_at`, up to and with `end_at`, as if they passed now."""

    start_at: datetime
    end_at: datetime
    overlap: OverlapPolicy | None = None


@dataclass(frozen=True, slots=True)
class ScheduleUpdate:
    """What an update callback may return: a definition, and search attributes.

    None leaves the search attributes as they are.
    """

    schedule: Schedule
    search_attributes: SearchAttributes | None = None

    def __post_init__(self) -> None:
        said = old_form(self.search_attributes)
        if said is not None:
            warn_caller(said)


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """An action that was taken: its time, when it was taken, and the run it started."""

    nominal_time: datetime
    taken_at: datetime
    workflow_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as described; cron expressions are shown as calendars."""

    id: str
    schedule: Schedule
    memo: dict[str, Any]
    search_attributes: TypedSearchAttributes
    static_summary: str
    static_details: str
    created_at: datetime
    updated_at: datetime
    actions_taken: int
    actions_missed: int
    actions_skipped: int
    waiting_actions: int
    running_actions: tuple[ScheduledRun, ...]
    recent_actions: tuple[ScheduledRun, ...]
    next_times: tuple[datetime, ...]
    identity: str
    """Of whoever asked last for a change, or for an action."""


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """One schedule of a list."""

    id: str
    workflow: str
    spec: ScheduleSpec
    paused: bool
    note: str
    memo: dict[str, Any]
    search_attributes: TypedSearchAttributes
    running_actions: tuple[ScheduledRun, ...]
    recent_actions: tuple[ScheduledRun, ...]
    next_times: tuple[datetime, ...]


# -- as the engine takes it ----------------------------------------------------------


def definition_of(client: Requester, schedule: Schedule) -> core.Definition:
    """A definition as it is sent; ValueError, TypeError, ValueNotStorable."""
    policy = schedule.policy
    return core.Definition(
        action=_action(client, schedule.action),
        spec=_spec(schedule.spec),
        policy=core.Policy(
            policy.overlap,
            seconds(policy.catchup_window, what="catchup_window"),
            policy.pause_on_failure,
        ),
        **asdict(schedule.state),
    )


def backfills_of(given: Sequence[ScheduleBackfill]) -> tuple[core.Backfill, ...]:
    """Ranges of times as they are sent; ValueError if one ends before it starts."""
    for one in given:
        if epoch_of(one.end_at) < epoch_of(one.start_at):
            raise ValueError(f"a backfill must not end before it starts: {one}")
    return tuple(
        core.Backfill(epoch_of(one.start_at), epoch_of(one.end_at), one.overlap)
        for one in given
    )


def _action(client: Requester, action: StartWorkflow) -> core.Action:
    request = start_request(
        client,
        action.workflow,
        UNSET,
        args=action.args,
        kwargs=action.kwargs,
        **action.options,
    )
    options = request.options
    if action.recorded is not None:
        options = _overlaid(action.recorded, options, action.options.keys())
    return core.Action(
        request.workflow, action.id, request.args, request.kwargs, options
    )


def _overlaid(recorded: StartOptions, given: StartOptions, names: Any) -> StartOptions:
    """Recorded options, except for those that are given anew."""
    named = {_RENAMED.get(name, name) for name in names}
    extras = given.extras or NO_EXTRAS
    changes: dict[str, Any] = {n: getattr(given, n) for n in named & _OPTIONS}
    further = {name: getattr(extras, name) for name in named & _EXTRAS}
    if further:
        changes["extras"] = replace(recorded.extras or NO_EXTRAS, **further)
    return replace(recorded, **changes)


_RENAMED = {"search_attributes": "attributes", "additional_metadata": "metadata"}


def _spec(spec: ScheduleSpec) -> Spec:
    return Spec(
        calendars=tuple(spec.calendars),
        intervals=tuple(_interval(one) for one in spec.intervals),
        crons=tuple(spec.cron_expressions),
        excluded=tuple(spec.skip),
        start_at=None if spec.start_at is None else epoch_of(spec.start_at),
        end_at=None if spec.end_at is None else epoch_of(spec.end_at),
        jitter=seconds(spec.jitter, what="jitter"),
        time_zone=spec.time_zone_name,
    )


def _interval(given: IntervalSpec) -> Interval:
    every = seconds(given.every, what="every")
    offset = seconds(given.offset, what="offset")
    if every % 1 or offset % 1:
        raise ValueError(f"an interval and its offset must be whole seconds: {given}")
    return Interval(int(every), int(offset))


# -- as the engine tells it ----------------------------------------------------------


def schedule_view(
    found: requests.ScheduleDescription, values: Converter
) -> ScheduleView:
    """A description with its values decoded."""
    return ScheduleView(
        **_of_schedule(ScheduleView, found, values)
        | {
            "schedule": _schedule(found.schedule, values),
            "created_at": moment_of(found.created_at),
            "updated_at": moment_of(found.updated_at),
            "waiting_actions": found.waiting,
        }
    )


def schedule_line(found: requests.ScheduleSummary, values: Converter) -> ScheduleLine:
    """One line of a list with its values decoded."""
    fields = _of_schedule(ScheduleLine, found, values)
    return ScheduleLine(**fields | {"spec": _spec_shown(found.spec)})


def _of_schedule(kind: Any, found: Any, values: Converter) -> dict[str, Any]:
    """What a view and a line of a schedule have in common."""
    return alike(kind, found) | {
        "memo": {name: values.decode(value) for name, value in found.memo.items()},
        "search_attributes": typed_attributes(found.attributes),
        "running_actions": _runs(found.running),
        "recent_actions": _runs(found.recent),
        "next_times": tuple(map(moment_of, found.upcoming)),
    }


def _schedule(found: core.Definition, values: Converter) -> Schedule:
    policy = found.policy
    return Schedule(
        _action_shown(found.action, values),
        _spec_shown(found.spec),
        SchedulePolicy(
            **alike(SchedulePolicy, policy)
            | {"catchup_window": duration_of(policy.catchup_window)}
        ),
        ScheduleState(**alike(ScheduleState, found)),
    )


def _action_shown(found: core.Action, values: Converter) -> StartWorkflow:
    made = StartWorkflow(
        found.workflow,
        args=[values.decode(value) for value in found.args],
        kwargs={name: values.decode(value) for name, value in found.kwargs.items()},
        id=found.workflow_id,
    )
    made.recorded = found.options
    return made


def _spec_shown(found: Spec) -> ScheduleSpec:
    return ScheduleSpec(
        calendars=found.calendars,
        intervals=tuple(
            IntervalSpec(duration_of(one.every), duration_of(one.offset))
            for one in found.intervals
        ),
        cron_expressions=found.crons,
        skip=found.excluded,
        start_at=None if found.start_at is None else moment_of(found.start_at),
        end_at=None if found.end_at is None else moment_of(found.end_at),
        jitter=duration_of(found.jitter),
        time_zone_name=found.time_zone,
    )


def _runs(found: Sequence[core.Taken]) -> tuple[ScheduledRun, ...]:
    return tuple(
        ScheduledRun(
            moment_of(taken.nominal_time),
            moment_of(taken.taken_at),
            taken.workflow_id,
            taken.run_id,
        )
        for taken in found
    )
