"""Commands that look: search, count, describe, history, workflows."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from everact.runtime.cli.asking import asked, listed
from everact.runtime.cli.options import Remote, limited, remote, taking, unserved
from everact.runtime.cli.output import (
    Output,
    facts,
    moment,
    plain,
    status,
    table,
    to_json,
    took,
)
from everact.runtime.cli.runs import Run, on_run
from everact.runtime.cli.unserved import Unserved
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.views import (
    HistoryItem,
    RunLine,
    RunView,
    TaskView,
)
from everact.runtime.core.statuses import RunStatus
from everact.runtime.operations.engines import ReadDefinitions

filtered: Final = taking(
    click.option(
        "--status",
        type=click.Choice(RunStatus, case_sensitive=False),
        help="Only runs in this state.",
    ),
    click.option("--workflow", help="Only runs of this workflow."),
    click.option("--queue", help="Only runs of this queue."),
    click.option("--id", help="Only runs of this ID."),
)
"""Lets a command take filters of runs, as a client takes them."""


@click.command()
@click.argument("query", required=False)
@filtered
@limited(50)
@click.option("--after", metavar="TOKEN", help="Go on after a page: its `next`.")
@unserved
def search(
    engine: Remote | Unserved,
    out: Output,
    query: str | None,
    limit: int,
    after: str | None,
    **given: Any,
) -> None:
    """Find the runs that match the filter QUERY: first the open ones, then those
    closed last.

    `everact list` is the same.

    \b
    Examples:
      everact search
      everact list --status failed --workflow squares
      everact search "Customer = 'ada' AND start_time > '2026-01-01'"
      everact search --limit 1000 --json | jq -r '.runs[].workflow_id'
    """
    listed(
        engine,
        out,
        lambda client: client.search(
            query, page_size=limit, next_page_token=after, **given
        ),
        "runs",
        ("ID", "NAME", "WORKFLOW", "STATUS", "QUEUE", "STARTED", "TOOK"),
        _row,
    )


def _row(line: RunLine) -> tuple[Any, ...]:
    return (
        line.workflow_id,
        line.run_name,
        line.workflow,
        status(line.status, line.aside),
        line.queue,
        moment(line.start_time),
        took(line.start_time, line.close_time),
    )


@click.command()
@click.argument("query", required=False)
@filtered
@unserved
def count(
    engine: Remote | Unserved,
    out: Output,
    query: str | None,
    **given: Any,
) -> None:
    """Count the runs that match the filter QUERY, which may group them.

    \b
    Examples:
      everact count
      everact count --status running --queue imports
      everact count "workflow = 'squares' GROUP BY status"
    """
    found = asked(engine, lambda client: client.count(query, **given))
    if not found.groups:
        out.answer(found, str(found.count))
        return
    rows = [("" if g.value is None else g.value, g.count) for g in found.groups]
    out.answer(found, table(("VALUE", "RUNS"), rows), f"{found.count} in all")


@click.command()
@on_run(unserved)
def describe(run: Run) -> None:
    """Show what is known of the run ID: its state, what it waits for, why.

    \b
    Examples:
      everact describe squares-1
      everact describe squares-1 --json | jq .pending_tasks
    """
    view = run.asked(lambda handle: handle.describe(values=True))
    shown: list[Any] = [facts(_facts(view))]
    if view.pending_tasks:
        shown += ["", _tasks(view.pending_tasks)]
    if view.failure is not None and view.failure["traceback"]:
        shown += ["", plain(view.failure["traceback"].rstrip(), "dim")]
    run.out.answer(view, *shown)


def _facts(view: RunView) -> dict[str, Any]:
    return {
        "ID": view.workflow_id,
        "run": view.run_id,
        "name": view.run_name,
        "workflow": view.workflow,
        "kind": view.kind,
        "status": _state(view),
        "summary": view.static_summary,
        "details": view.static_details,
        "because": view.aside,
        "queue": view.queue,
        "priority": view.priority,
        "attempt": view.attempt if view.attempt > 1 else None,
        "started": moment(view.start_time),
        "begins": moment(view.execution_time)
        if view.execution_time > view.start_time
        else None,
        "closed": moment(view.close_time),
        "parent": view.parent_workflow_id,
        "continued by": view.next_run_id,
        "started by": view.identity,
        "attributes": to_json(view.search_attributes)
        if view.search_attributes
        else None,
        "current details": view.current_details,
        "memo": to_json(view.memo) if view.memo else None,
        "metadata": to_json(view.additional_metadata)
        if view.additional_metadata
        else None,
        "parameters": to_json(view.parameters) if view.parameters else None,
        "timers": ", ".join(moment(due) for due in view.pending_timers),
        "child runs": ", ".join(view.pending_children),
        "events": ", ".join(view.pending_events),
        "updates": ", ".join(f"{u.name} ({u.id})" for u in view.pending_updates),
        "arguments": _arguments(view),
        "result": None if view.result is None else to_json(view.result),
        "failure": None if view.failure is None else _failure(view.failure),
        "journal": f"{view.history_length} rows",
    }


def _arguments(view: RunView) -> str | None:
    named = [f"{name}={to_json(value)}" for name, value in view.kwargs.items()]
    return ", ".join([*map(to_json, view.args), *named]) or None


def _failure(failure: Mapping[str, Any]) -> str:
    return f"{failure['type']}: {failure['message']}"


def _state(view: RunView) -> Text:
    if view.state == "scheduled" and not view.aside:
        return plain("scheduled", "cyan")
    return status(view.status, view.aside)


def _tasks(tasks: Sequence[TaskView]) -> Any:
    columns = ("TASK", "STATE", "ATTEMPT", "NEXT ATTEMPT", "LAST FAILURE")
    rows = [
        (
            task.name,
            f"{task.state}, waits for {task.waits_for}"
            if task.waits_for
            else task.state,
            task.attempt,
            moment(task.next_attempt_at),
            task.last_failure or "",
        )
        for task in tasks
    ]
    return table(columns, rows)


@click.command()
@on_run()
@click.option("--follow", is_flag=True, help="Go on until the run is closed.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write it to a file, for `everact.runtime.testing` to replay.",
)
def history(run: Run, follow: bool, save: Path | None) -> None:
    """Show all that happened to the run ID, in order.

    With --json it is one object; with --follow one object a line. With --save it goes
    to a file instead, values as JSON; of a run that made a tail call, the latest part.

    \b
    Examples:
      everact history squares-1
      everact history squares-1 --follow
      everact history squares-1 --save squares-1.history
    """
    if save is not None:
        _save(run, save)
    elif follow:
        run.asked(lambda handle: _followed(handle, run.out), None)
    else:
        items = run.asked(lambda handle: handle.history())
        data = {"workflow_id": run.id, "items": items}
        run.out.answer(data, *(_line(item) for item in items))


async def _followed(handle: RunHandle[Any], out: Output) -> None:
    async for item in handle.follow_history():
        out.answer(item, _line(item))


def _save(run: Run, file: Path) -> None:
    from everact.runtime.testing import history as recorded

    latest = run.asked(recorded)[-1]
    latest.save(file)
    rows = len(latest.rows)
    data = {"workflow_id": run.id, "file": str(file), "rows": rows}
    run.out.answer(data, f"{rows} rows in {file}")


def _line(item: HistoryItem) -> Any:
    data = _pruned(item.data)
    when = f"{item.time.astimezone():%H:%M:%S.%f}"[:-3]
    line = plain(f"{item.generation}.{item.seq:<4} {when}  ", "dim")
    line.append_text(plain(f"{item.kind:<18}", _KINDS.get(item.kind, "")))
    return line.append_text(plain(to_json(data) if data else ""))


def _pruned(data: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: a person need not read it."""
    found = {
        key: _pruned(value) if isinstance(value, dict) else value
        for key, value in data.items()
    }
    return {
        key: value for key, value in found.items() if value not in (None, "", [], {})
    }


_KINDS: Final = {
    "Complete": "green",
    "TaskCompleted": "green",
    "Fail": "red",
    "TaskFailed": "yellow",
    "SignalReceived": "cyan",
    "TaskReported": "cyan",
}


@click.command()
@remote
def workflows(engine: Remote, out: Output) -> None:
    """List what the engine can run by name: workflows, tasks, actor classes.

    \b
    Example:
      everact workflows
    """
    request = ReadDefinitions()
    found = asked(engine, lambda c: c.operator_service.call(request, retry=True))
    rows = [
        (item.name, "workflow", item.parameters, _messages(item))
        for item in found.workflows
    ]
    rows += [(item.name, "task", item.parameters, "") for item in found.tasks]
    rows += [(name, "actor class", "", "") for name in found.actors]
    shown = table(("NAME", "KIND", "PARAMETERS", "MESSAGES"), rows)
    out.answer(found, shown if rows else "nothing is registered")


def _messages(item: Any) -> str:
    parts = (
        ("signals", item.signals),
        ("queries", item.queries),
        ("updates", item.updates),
    )
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)


listing: Final = copy(search)
listing.name, listing.hidden = "list", True

COMMANDS: Final = (search, listing, count, describe, history, workflows)
