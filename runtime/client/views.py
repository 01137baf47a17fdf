"""What a client shows of a run: descriptions and history with values decoded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec

from everact.runtime.core.bounds import moment_of
from everact.runtime.core.failures import Failure
from everact.runtime.core.projecting import alike
from everact.runtime.core.records import RunTask
from everact.runtime.core.statuses import RunStatus
from everact.runtime.definitions.search_attributes import (
    TypedSearchAttributes,
    typed_attributes,
)
from everact.runtime.operations.runs import (
    HistoryEntry,
    PendingTask,
    RunDescription,
    RunSummary,
)
from everact.runtime.values.json_payloads import JSON_TAG, of_type
from everact.runtime.values.payloads import Converter

_MISSING: Any = object()


def moment(seconds: float | None) -> datetime | None:
    """Epoch seconds as an aware datetime in UTC."""
    return None if seconds is None else moment_of(seconds)


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task that is not done: queued, running (here or elsewhere), or retrying.

    `waits_for` says what its attempt waits for: a slot of a queue, the end of a run.
    """

    name: str
    attempt: int
    state: str
    last_failure: str | None
    next_attempt_at: datetime | None
    lost_attempts: int
    worker: str
    task_id: str
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class UpdateView:
    """An update that has no answer yet."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a list.

    `kind` is of which kind its program is: "coroutine", or "task" for a task as a run
    of its own. It is None for a run that has not begun, if nothing tells yet.
    """

    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    parent_workflow_id: str | None
    parent_run_id: str | None
    workflow: str
    run_name: str
    status: RunStatus
    aside: str | None
    queue: str
    start_time: datetime
    execution_time: datetime
    close_time: datetime | None
    history_length: int
    memo: dict[str, Any]
    search_attributes: TypedSearchAttributes
    priority: int | None
    kind: str | None

    def memo_value(
        self, name: str, default: Any = _MISSING, *, type_hint: Any = None
    ) -> Any:
        """One value of the memo, made a `type_hint` if it is not one; KeyError."""
        if name not in self.memo and default is not _MISSING:
            return default
        return of_type(self.memo[name], type_hint)


@dataclass(frozen=True, slots=True)
class RunView(RunLine):
    """A run as described: who it is, where it stands, what it waits for.

    `state` is the status by name, or "scheduled" while the run waits for the moment
    that its start was put off to, `execution_time`; `scheduled_start_time` is that
    moment, also afterwards. `priority` is None if the run has none. `current_details`
    is what the run said last of where it stands.

    `args`, `kwargs`, `result` and `failure` are there if they were asked for, as values
    of JSON, or as text if they are none. A failure has its `type`, `message`, `status`,
    `cause`, and the author's `traceback`.
    """

    attempt: int
    generation: int
    next_run_id: str | None
    code: str
    identity: str
    parameters: dict[str, Any]
    context: dict[str, Any]
    headers: dict[str, str]
    pending_tasks: tuple[TaskView, ...]
    pending_timers: tuple[datetime, ...]
    pending_children: tuple[str, ...]
    build_id: str | None
    state: str
    scheduled_start_time: datetime | None
    static_summary: str | None
    static_details: str | None
    additional_metadata: dict[str, Any] | None
    pending_events: tuple[str, ...]
    event_id: str | None
    event_key: str | None
    pending_updates: tuple[UpdateView, ...]
    current_details: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One thing that happened to a run, or that it asked for, in order.

    `kind` is the record's name (Started, RunTask, TaskCompleted, …), `data` its
    fields as JSON-able values, with user values shown as text if they are not. What
    became of a task has its name too, as `task`.
    """

    generation: int
    seq: int
    time: datetime
    kind: str
    data: dict[str, Any]

    def to_json(self) -> str:
        """The item as one JSON object."""
        return msgspec.json.encode(
            {
                "generation": self.generation,
                "seq": self.seq,
                "time": self.time,
                "kind": self.kind,
                "data": self.data,
            }
        ).decode()


def run_view(found: RunDescription, values: Converter) -> RunView:
    """A description with its values decoded."""
    failure, metadata = found.failure, found.additional_metadata
    told = _shown(failure, values)
    decoded = {
        "parameters": msgspec.json.decode(found.parameters or b"{}"),
        "context": msgspec.json.decode(found.context or b"{}"),
        "pending_tasks": tuple(_task_view(task) for task in found.pending_tasks),
        "pending_timers": tuple(map(moment_of, found.pending_timers)),
        "scheduled_start_time": moment(found.begin_at),
        "additional_metadata": msgspec.json.decode(metadata or b"null"),
        "pending_updates": tuple(
            UpdateView(u.update_id, u.name) for u in found.pending_updates
        ),
        "args": tuple(_shown(found.args, values)),
        "kwargs": _shown(found.kwargs, values),
        "result": _shown(found.result, values),
        "failure": failure and told | {"traceback": failure.traceback},
    }
    return RunView(**_of_run(RunView, found, values) | decoded)


def run_line(found: RunSummary, values: Converter) -> RunLine:
    """A run that was found, with its values decoded."""
    return RunLine(**_of_run(RunLine, found, values))


_hints = cache(get_type_hints)


def _of_run(
    kind: type[RunLine], found: RunSummary, values: Converter
) -> dict[str, Any]:
    """The fields of a view: as they are called alike; None for what is empty."""
    hints: Any = _hints(kind)  # type: ignore[arg-type]  # a dataclass is hashable
    plain = alike(kind, found)
    for name, value in plain.items():
        if not value and NoneType in get_args(hints[name]):
            plain[name] = None
    started = moment_of(found.started_at)
    return plain | {
        "start_time": started,
        "execution_time": max(moment(found.begin_at) or started, started),
        "close_time": moment(found.closed_at),
        "memo": {name: values.decode(value) for name, value in found.memo.items()},
        "search_attributes": typed_attributes(found.attributes),
    }


def history_items(
    entries: Iterable[HistoryEntry],
    values: Converter,
    tasks: dict[tuple[int, int], str],
) -> list[HistoryItem]:
    """Entries as single items: events first, then the commands they caused.

    `tasks` are the names of the tasks that were asked for so far, by generation and
    call; those of `entries` are added.
    """
    return [
        HistoryItem(
            entry.generation,
            entry.seq,
            moment_of(entry.time),
            type(record).__name__,
            _data(record, entry.generation, values, tasks),
        )
        for entry in entries
        for record in (*entry.events, *entry.commands)
    ]


def _data(
    record: msgspec.Struct,
    generation: int,
    values: Converter,
    tasks: dict[tuple[int, int], str],
) -> dict[str, Any]:
    """The fields of a record, and the name of the task that it is about."""
    given = msgspec.structs.asdict(record)
    found = {name: _shown(value, values) for name, value in given.items()}
    if isinstance(record, RunTask):
        tasks[generation, record.call] = record.name
    elif "call" in given and (generation, given["call"]) in tasks:
        found = {"task": tasks[generation, given["call"]], **found}
    return found


def _task_view(task: PendingTask) -> TaskView:
    return TaskView(
        **alike(TaskView, task)
        | {
            "last_failure": _failure_text(task.last_failure),
            "next_attempt_at": moment(task.next_attempt_at),
        }
    )


def _failure_text(failure: Failure | None) -> str | None:
    return None if failure is None else f"{failure.type}: {failure.message}"


def _shown(value: Any, values: Converter) -> Any:
    """A record's field as JSON-able data; payloads decoded where they are simple."""
    if isinstance(value, bytes):
        return _shown_payload(value, values)
    if isinstance(value, Failure):
        return {
            "kind": value.kind.name.lower(),
            "type": value.type,
            "message": value.message,
            "status": str(value.status),
            "cause": _shown(value.cause, values),
        }
    if isinstance(value, msgspec.Struct):
        return _shown(msgspec.structs.asdict(value), values)
    if isinstance(value, (list, tuple)):
        return [_shown(item, values) for item in value]
    if isinstance(value, dict):
        return {str(key): _shown(item, values) for key, item in value.items()}
    return value


def _shown_payload(payload: bytes, values: Converter) -> Any:
    if not payload:
        return None
    try:
        if payload[:1] == JSON_TAG:
            return msgspec.json.decode(payload[1:])
        value = values.decode(payload)
        msgspec.json.encode(value)
    except Exception:
        return f"<{len(payload)} bytes>"
    return value
