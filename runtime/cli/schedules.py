"""`everact schedules`: start runs at certain times, and look after that."""

from datetime import datetime
from typing import Any, Final, TypeAlias

import click

from everact.runtime.cli.asking import Addressed, about, asked, listed
from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.options import (
    DURATION,
    MOMENT,
    Remote,
    json_values,
    limited,
    named_values,
    remote,
)
from everact.runtime.cli.output import Output, facts, moment, value_shown
from everact.runtime.client.schedules import ScheduleHandle
from everact.runtime.client.scheduling import (
    IntervalSpec,
    Schedule,
    ScheduleBackfill,
    ScheduleLine,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleView,
    StartWorkflow,
)
from everact.runtime.core.schedules import OverlapPolicy

OVERLAP: Final = click.Choice(OverlapPolicy, case_sensitive=False)

On: TypeAlias = Addressed[ScheduleHandle]
on_schedule: Final = about(
    remote,
    lambda client, schedule_id: client.schedules.handle(schedule_id),
    "schedule_id",
    schedule_id=click.argument("schedule_id", metavar="ID"),
)


@click.group()
def schedules() -> None:
    """Start runs at certain times.

    \b
    Examples:
      everact schedules create nightly import_all --cron '0 2 * * *'
      everact schedules list
      everact schedules trigger nightly
    """


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.argument("workflow")
@click.argument("args", nargs=-1)
@click.option("--cron", multiple=True, help="When, as '0 2 * * MON-FRI'.")
@click.option("--every", multiple=True, type=DURATION, help="How often, as 15m.")
@click.option("--zone", default="", help="Time zone of --cron, as Europe/Berlin [UTC].")
@click.option("--jitter", type=DURATION, default=0.0, help="Late by up to that much.")
@click.option("--overlap", type=OVERLAP, default="skip", help="If a run is open.")
@click.option(
    "--catchup-window",
    type=DURATION,
    default=365 * 86400.0,
    help="Make up for times missed no longer ago than that [365d].",
)
@click.option("--pause-on-failure", is_flag=True, help="Pause when a run has failed.")
@click.option("--remaining", type=click.IntRange(1), help="Act only so many times.")
@click.option("--paused", is_flag=True, help="Act only when triggered, for now.")
@click.option("--note", default="", help="Why it is as it is.")
@click.option("--trigger", is_flag=True, help="Act at once as well.")
@click.option("--workflow-id", help="Begins the IDs of the runs [the schedule's ID].")
@click.option(
    "--queue", default="default", show_default=True, help="Queue of the runs."
)
@click.option("--kwarg", multiple=True, metavar="NAME=VALUE", help="Named argument.")
@click.option(
    "--memo", multiple=True, metavar="NAME=VALUE", help="Note on the schedule."
)
@click.option("--request-id", default="", help="Repeating it makes one schedule.")
@remote
def create(
    engine: Remote,
    out: Output,
    schedule_id: str,
    workflow: str,
    args: tuple[str, ...],
    trigger: bool,
    memo: tuple[str, ...],
    request_id: str,
    **given: Any,
) -> None:
    """Create the schedule ID, which starts runs of WORKFLOW; ARGS are JSON.

    \b
    Examples:
      everact schedules create nightly import_all '"s3://in"' --cron '0 2 * * *'
      everact schedules create poll poll_prices --every 30s --overlap buffer_one
    """
    if not (given["cron"] or given["every"]):
        raise Mistake("say when: give --cron or --every")
    schedule = _schedule(workflow, args, **given)
    noted = named_values(memo, "--memo")
    asked(
        engine,
        lambda client: client.schedules.create(
            schedule_id,
            schedule,
            trigger_immediately=trigger,
            memo=noted,
            request_id=request_id,
        ),
    )
    out.answer({"schedule_id": schedule_id, "created": True}, schedule_id)


def _schedule(
    workflow: str,
    args: tuple[str, ...],
    *,
    workflow_id: str | None,
    queue: str,
    kwarg: tuple[str, ...],
    remaining: int | None,
    **given: Any,
) -> Schedule:
    return Schedule(
        StartWorkflow(
            workflow,
            args=json_values(args),
            kwargs=named_values(kwarg, "--kwarg"),
            id=workflow_id,
            queue=queue,
        ),
        ScheduleSpec(
            cron_expressions=given["cron"],
            intervals=[IntervalSpec(each) for each in given["every"]],
            jitter=given["jitter"],
            time_zone_name=given["zone"],
        ),
        SchedulePolicy(
            overlap=given["overlap"],
            catchup_window=given["catchup_window"],
            pause_on_failure=given["pause_on_failure"],
        ),
        ScheduleState(
            paused=given["paused"],
            note=given["note"],
            limited_actions=remaining is not None,
            remaining_actions=remaining or 0,
        ),
    )


@schedules.command("list")
@click.argument("query", default="")
@limited(100)
@click.option("--after", help="Go on after a list that said so.")
@remote
def list_schedules(
    engine: Remote, out: Output, query: str, limit: int, after: str | None
) -> None:
    """List schedules by their IDs, those that pass the filter QUERY.

    \b
    Examples:
      everact schedules list
      everact schedules list "Paused = true"
    """
    listed(
        engine,
        out,
        lambda client: client.schedules.list(
            query, page_size=limit, next_page_token=after
        ),
        "schedules",
        ("ID", "WORKFLOW", "STATE", "LAST", "NEXT"),
        _row,
    )


def _row(line: ScheduleLine) -> tuple[str, ...]:
    return (
        line.id,
        line.workflow,
        "paused" if line.paused else "active",
        moment(line.recent_actions[-1].taken_at) if line.recent_actions else "",
        moment(line.next_times[0]) if line.next_times else "",
    )


@schedules.command()
@on_schedule
def describe(on: On) -> None:
    """Show what is known of the schedule ID: its runs, its next times.

    \b
    Examples:
      everact schedules describe nightly
      everact schedules describe nightly --json | jq .next_times
    """
    view = on.asked(lambda handle: handle.describe())
    state, action = view.schedule.state, view.schedule.action
    shown = facts(
        {
            "id": view.id,
            "summary": view.static_summary,
            "workflow": action.workflow,
            "arguments": value_shown(list(action.args)) if action.args else "",
            "state": "paused" if state.paused else "active",
            "note": state.note,
            "remaining": state.remaining_actions if state.limited_actions else "",
            "overlap": view.schedule.policy.overlap.name.lower(),
            "taken": view.actions_taken,
            "missed": view.actions_missed,
            "skipped": view.actions_skipped,
            "waiting": view.waiting_actions,
            "running": ", ".join(one.workflow_id for one in view.running_actions),
            "recent": ", ".join(one.workflow_id for one in view.recent_actions),
            "next": ", ".join(moment(time) for time in view.next_times),
            "created": moment(view.created_at),
            "updated": moment(view.updated_at),
            "by": view.identity,
        }
    )
    on.out.answer(_described(view), shown)


def _described(view: ScheduleView) -> dict[str, Any]:
    """A description as JSON."""
    names = [name for name in ScheduleView.__dataclass_fields__ if name != "schedule"]
    found = {name: getattr(view, name) for name in names}
    schedule, action = view.schedule, view.schedule.action
    return found | {
        "action": {
            "workflow": action.workflow,
            "args": action.args,
            "kwargs": action.kwargs,
            "id": action.id,
        },
        "spec": schedule.spec,
        "policy": schedule.policy,
        "state": schedule.state,
    }


@schedules.command()
@on_schedule
@click.option("--note", default="", help="Why.")
def pause(on: On, note: str) -> None:
    """Let the schedule ID act only when it is triggered or backfilled.

    \b
    Example:
      everact schedules pause nightly --note "disk is full"
    """
    on.do(lambda handle: handle.pause(note), f"{on.id}: paused", paused=True)


@schedules.command()
@on_schedule
@click.option("--note", default="", help="Why.")
def resume(on: On, note: str) -> None:
    """Let the schedule ID act by itself again.

    \b
    Example:
      everact schedules resume nightly
    """
    on.do(lambda handle: handle.resume(note), f"{on.id}: resumed", resumed=True)


@schedules.command()
@on_schedule
@click.option("--overlap", type=OVERLAP, help="If a run is open [its own policy].")
@click.option("--request-id", default="", help="Repeating it acts only once.")
def trigger(on: On, overlap: OverlapPolicy | None, request_id: str) -> None:
    """Have the schedule ID act now, paused or not.

    \b
    Example:
      everact schedules trigger nightly --overlap allow_all
    """
    on.do(
        lambda handle: handle.trigger(overlap=overlap, request_id=request_id),
        f"{on.id}: triggered",
        triggered=True,
    )


@schedules.command()
@on_schedule
@click.argument("start", type=MOMENT)
@click.argument("end", type=MOMENT)
@click.option("--overlap", type=OVERLAP, help="If a run is open [its own policy].")
@click.option("--request-id", default="", help="Repeating it acts only once.")
def backfill(
    on: On,
    start: datetime,
    end: datetime,
    overlap: OverlapPolicy | None,
    request_id: str,
) -> None:
    """Have the schedule ID make up for its times after START, up to and with END.

    \b
    Example:
      everact schedules backfill nightly 2026-01-01T00:00Z 2026-01-08T00:00Z \\
        --overlap buffer_all
    """
    span = ScheduleBackfill(start, end, overlap)
    on.do(
        lambda handle: handle.backfill(span, request_id=request_id),
        f"{on.id}: backfilled",
        backfilled=True,
    )


@schedules.command()
@on_schedule
@click.option("--request-id", default="", help="Repeating it is no error.")
def delete(on: On, request_id: str) -> None:
    """Forget the schedule ID; runs that it started go on.

    \b
    Example:
      everact schedules delete nightly
    """
    on.do(
        lambda handle: handle.delete(request_id=request_id),
        f"{on.id}: deleted",
        deleted=True,
    )


COMMANDS: Final = (schedules,)
