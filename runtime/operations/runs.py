"""Operations on runs: start, address, wait, look at, talk to, end."""

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from everact.runtime.core.failures import Failure
from everact.runtime.core.naming import generated_name
from everact.runtime.core.opaque import Document, Payload
from everact.runtime.core.projecting import alike
from everact.runtime.core.records import (
    NO_EXTRAS,
    Attribute,
    AwaitEvent,
    CancelRequested,
    Command,
    Complete,
    Event,
    Fail,
    RunTask,
    SignalReceived,
    StartChild,
    Started,
    TerminateRequested,
    decode,
)
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine.loading import read
from everact.runtime.engine.requests import Known
from everact.runtime.errors import (
    QueryFailed,
    QueryRejected,
    RequestIdReused,
    RPCError,
    not_found,
)
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import (
    Target,
    handler_of,
    with_arguments,
    with_details,
)
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.requests import remembered, to_its_end
from everact.runtime.programs.base import Query
from everact.runtime.programs.workflow_loop import decode_arguments
from everact.runtime.store.base import Reads, Remembered, RunRow

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine
    from everact.runtime.engine.execution.attempt import TaskActor
    from everact.runtime.engine.run.actor import RunActor

D = TypeVar("D", bound=msgspec.Struct)

REJECT_NONE, REJECT_NOT_OPEN, REJECT_NOT_COMPLETED = (
    "none",
    "not_open",
    "not_completed_cleanly",
)
REJECTS = (REJECT_NONE, REJECT_NOT_OPEN, REJECT_NOT_COMPLETED)

SLICE = 200
"""Entries of a history that are put together in one turn of the loop."""

LARGEST_PAGE = 10_000
"""What one page of an answer holds at most."""

Limit: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
Reject: TypeAlias = Annotated[str, Meta(pattern=f"^({'|'.join(REJECTS)})$")]


class RunRef(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is addressed.

    Without a run ID the open run of the ID is meant, or else its latest; with
    `first_run_id`, the same within that chain. `key` is only a hint for speed.
    """

    workflow_id: str
    run_id: str = ""
    first_run_id: str = ""
    workspace: str = "default"
    key: int = 0


class RunClosed(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: a result, a failure, or the run that followed it."""

    run_id: str
    status: RunStatus
    result: Payload | None = None
    failure: Failure | None = None
    next_run_id: str = ""


class AwaitRun(Request[RunClosed], frozen=True, kw_only=True):
    """Wait for a run's durable end; `follow` goes on to the last run of its chain."""

    run: RunRef
    follow: bool = True


class PendingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is not done. `next_attempt_at` is epoch seconds while it waits.

    `waits_for` says in words what an attempt that is queued or running waits for: a
    slot of a queue, or the end of a run that it awaits.
    """

    call: int
    name: str
    attempt: int
    state: str
    last_failure: Failure | None = None
    next_attempt_at: float | None = None
    lost_attempts: int = 0
    worker: str = ""
    task_id: str = ""
    waits_for: str = ""


class PendingUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An update that has no answer yet."""

    update_id: str
    name: str


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run from outside, as lists and streams of changes show it.

    Moments are epoch seconds. `key` grows with each run that is made. `begin_at` is
    when it was to begin, if its start was put off; `priority` is 0 for none. `kind` is
    of which kind its program is; a run may be without one until it begins.
    """

    key: int = 0
    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    parent_workflow_id: str = ""
    parent_run_id: str = ""
    workflow: str
    run_name: str
    status: RunStatus
    aside: str
    queue: str
    started_at: float
    begin_at: float | None = None
    closed_at: float | None
    history_length: int = 0
    memo: dict[str, Payload] = {}
    attributes: dict[str, Attribute] = {}
    priority: int = 0
    kind: str = ""


class RunDescription(RunSummary, frozen=True, kw_only=True):
    """All that is known of a run.

    `pending_events` are the keys of the events that it waits for, `event_id` and
    `event_key` are of the event that started it.
    `state` is the status by name, or "scheduled" for a run that waits for its
    `begin_at`.
    """

    attempt: int
    generation: int
    next_run_id: str
    code: str
    identity: str
    parameters: Document = b""
    context: Document = b""
    headers: dict[str, str] = {}
    pending_tasks: tuple[PendingTask, ...] = ()
    pending_timers: tuple[float, ...] = ()
    pending_children: tuple[str, ...] = ()
    build_id: str = ""
    pending_events: tuple[str, ...] = ()
    event_id: str = ""
    event_key: str = ""
    state: str = ""
    static_summary: str = ""
    static_details: str = ""
    additional_metadata: Document = b""
    current_details: str = ""
    pending_updates: tuple[PendingUpdate, ...] = ()
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    result: Payload | None = None
    failure: Failure | None = None


class DescribeRun(Request[RunDescription], frozen=True, kw_only=True):
    """Describe one run; with `values` its arguments, result and failure too."""

    run: RunRef
    values: bool = False


class SignalRun(Request[None], frozen=True, kw_only=True):
    """Send a one-way message; durable when answered."""

    run: RunRef
    name: Name
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    request_id: str = ""
    identity: str = ""
    headers: dict[str, str] = {}


class QueryRun(Request[Payload], frozen=True, kw_only=True):
    """Ask a read-only question; the answer is a payload."""

    run: RunRef
    name: Name
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    reject: Reject = REJECT_NONE
    headers: dict[str, str] = {}


class CancelRun(Request[None], frozen=True, kw_only=True):
    """Ask a run to stop; durable when answered, the run may go on to clean up."""

    run: RunRef
    reason: str = ""
    identity: str = ""
    request_id: str = ""


class TerminateRun(CancelRun, frozen=True, kw_only=True):
    """End a run without running its code."""

    details: tuple[Payload, ...] = ()


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One journal row: where it stands, when, what came in and what went out."""

    generation: int
    seq: int
    time: float
    events: tuple[Event, ...]
    commands: tuple[Command, ...]
    run_id: str


class ReadHistory(Request[tuple[HistoryEntry, ...]], frozen=True, kw_only=True):
    """A page of a run's history after (generation, seq).

    `follow` waits for at least one new entry, unless the run is closed.
    """

    run: RunRef
    after: tuple[int, int] = (-1, -1)
    limit: Limit = 1000
    follow: bool = False


@operation("runs.result", AwaitRun, access=Access.READ, waits=True)
async def await_run(engine: "Engine", request: AwaitRun) -> RunClosed:
    """Wait for the end of a run or of its chain."""
    ref = request.run
    run = engine.runs.get(ref.key)
    hinted = run is not None and run.row.run_id == ref.run_id
    if run is not None and hinted and run.row.workspace == ref.workspace:
        row = run.row
    else:
        row = await find_run(engine, ref)
    ended = await end_of(engine, row, request.follow)
    assert ended is not None
    return ended


async def end_of(
    engine: "Engine", row: RunRow, follow: bool, wait: float = math.inf
) -> RunClosed | None:
    """Wait for the end of a run; None if that takes over `wait` seconds.

    With `follow` it is the end of the run's chain.
    """
    key, run_id = row.key, row.run_id
    until = math.inf if wait == math.inf else engine.loop.time() + wait
    while True:
        closed = await engine.wait_closed(key, wait)
        if closed is None:
            return None
        if not (closed.next_run_id and follow):
            command = closed.command
            return RunClosed(
                run_id=run_id,
                status=closed.status,
                result=command.result if isinstance(command, Complete) else None,
                failure=command.failure if isinstance(command, Fail) else None,
                next_run_id=closed.next_run_id,
            )
        run_id = closed.next_run_id
        following = await engine.store.reads.find(
            row.workspace, row.workflow_id, run_id
        )
        assert following is not None
        key, wait = following.key, max(0.0, until - engine.loop.time())


@operation("runs.describe", DescribeRun, access=Access.READ)
async def describe_run(engine: "Engine", request: DescribeRun) -> RunDescription:
    """Put together what is known of a run."""
    row, run, length = await _measured(engine, request.run)
    if run is not None:
        row, state, aside = run.row, run.state, engine.held_reason(row.key) or ""
        aside = aside or (state.held or "")
    else:
        found = await engine.store.reads.load(row.key, partial(read, engine.seal))
        assert found is not None
        aside = engine.held_reason(row.key) or row.aside
        try:
            state = found.state
        except Exception as error:
            return of_row(RunDescription, row, aside="" if row.status else f"{error}")
        aside = aside or engine.no_code(row, state)
    start, options = state.start, state.labels.on(state.start.options)
    extras = options.extras or NO_EXTRAS
    calls = state.calls.values()
    known = {name: getattr(options, name) for name in _OPTIONS}
    known |= {name: getattr(extras, name) for name in _EXTRAS}
    return of_row(
        RunDescription,
        row,
        **known,
        **of_parent(start),
        workflow=start.name,
        aside="" if row.status else aside,
        generation=state.generation,
        history_length=length,
        pending_tasks=tuple(
            _pending(engine, state, run, call)
            for call in calls
            if isinstance(call, RunTask)
        ),
        pending_timers=tuple(
            due
            for due, number in (state.moments() if not row.status else ())
            if number > 0 and not isinstance(state.calls.get(number), RunTask)
        ),
        pending_children=tuple(
            call.workflow_id for call in calls if isinstance(call, StartChild)
        ),
        pending_events=tuple(
            call.key for call in calls if isinstance(call, AwaitEvent)
        ),
        state="scheduled" if state.put_off else str(RunStatus(row.status)),
        additional_metadata=extras.metadata,
        attributes=extras.attributes,
        current_details=state.labels.details,
        pending_updates=tuple(
            PendingUpdate(**alike(PendingUpdate, update))
            for update in (() if row.status else state.open_updates)
        ),
        **(_values(state) if request.values else {}),
    )


_OPTIONS = ("begin_at", "parameters", "context", "memo", "headers")
_EXTRAS = ("event_id", "event_key", "static_summary", "static_details")
"""What a description has as the start's options say it."""


def of_row(kind: type[D], row: RunRow, **known: Any) -> D:
    """What a run's row tells of it, as a struct of a `kind`, with what else is known.

    `RunRow` and the structs call most of it the same.
    """
    fields = alike(kind, row) | {
        "workflow": row.name,
        "run_name": row.run_name or generated_name(row.run_id),
        "status": RunStatus(row.status),
    }
    if "state" in kind.__struct_fields__:
        fields["state"] = str(RunStatus(row.status))
    return kind(**fields | known)


def of_parent(start: Started) -> dict[str, str]:
    """Which run started a run."""
    parent = start.parent
    if parent is None:
        return {}
    return {"parent_workflow_id": parent.workflow_id, "parent_run_id": parent.run_id}


def _values(state: RunState) -> dict[str, Any]:
    """What a run was given, and what came of it."""
    closing, start = state.closing, state.start
    return {
        "args": start.args,
        "kwargs": start.kwargs,
        "result": closing.result if isinstance(closing, Complete) else None,
        "failure": closing.failure if isinstance(closing, Fail) else None,
    }


async def _measured(
    engine: "Engine", ref: RunRef
) -> "tuple[RunRow, RunActor | None, int]":
    """The run that is addressed, as it durably is, and the length of its history.

    Nothing is awaited after the look: what it shows would not be durable any more.
    """
    length, of = 0, None
    while True:
        row, run = await _looked_at(engine, ref)
        if row.key == of:
            return row, run, length
        of = row.key
        ((length,),) = await engine.store.reads.rows("history_length", of)


async def _looked_at(engine: "Engine", ref: RunRef) -> "tuple[RunRow, RunActor | None]":
    """The run that is addressed, as it durably is.

    One that closes meanwhile may have made room for another, which is meant then.
    """
    while True:
        row = await find_run(engine, ref)
        run = engine.runs.get(row.key)
        if run is None:
            return row, None
        await run.journal.durable()
        if run.row.status == row.status:
            return row, run


def _pending(
    engine: "Engine", state: Any, run: "RunActor | None", command: RunTask
) -> PendingTask:
    tries = state.calls.tried(command.call)
    elsewhere = tries is not None and tries.handed is not None
    attempt = run.attempts.get(command.call) if run is not None else None
    waits = tries is not None and tries.due is not None and attempt is None
    waits = waits and not elsewhere
    running = attempt is not None and bool(attempt.worker_name)
    busy = "elsewhere" if elsewhere else "running" if running else "queued"
    return PendingTask(
        call=command.call,
        name=command.name,
        attempt=tries.attempt if tries else 1,
        state="retrying" if waits else busy,
        last_failure=tries.failure if tries else None,
        next_attempt_at=tries.due if tries and waits else None,
        lost_attempts=tries.lost if tries else 0,
        worker=attempt.worker_name if attempt is not None else "",
        task_id=f"{state.start.run_id}/{state.generation}/{command.call}",
        waits_for="" if attempt is None else _waits_for(engine, attempt),
    )


def _waits_for(engine: "Engine", attempt: "TaskActor") -> str:
    """What an attempt waits for before it begins, or goes on; empty if for nothing."""
    if attempt.worker is None and not attempt.over:
        return engine.admission.lacking(attempt)
    awaited = (_row_of(engine, key) for key in attempt.awaits or ())
    return ", ".join(
        f"the end of run {row.workflow_id!r} ({row.run_id})" for row in awaited if row
    )


def _row_of(engine: "Engine", key: int) -> RunRow | None:
    run = engine.runs.get(key)
    if run is not None:
        return run.row
    stored = engine.store.ending(key)
    return None if stored is None else stored.run


def _signalled(request: SignalRun) -> tuple[str, ...]:
    return request.run.workflow_id, request.name


def _ended(request: CancelRun) -> tuple[str, ...]:
    return (request.run.workflow_id,)


async def told_again(
    engine: "Engine", request: SignalRun | CancelRun, known: Known
) -> None:
    """The run had it; RequestIdReused if now another run of the ID is named."""
    await check_reached(engine, request.run, request.request_id, known)


async def check_reached(
    engine: "Engine", ref: RunRef, request_id: str, known: Known
) -> None:
    """Refuse a repetition that names another run than the one that was reached."""
    stored = await engine.store.reads.ending(known.run_key)
    if stored is None:
        return
    reached = stored.run
    for named, run_id in (
        (ref.run_id, reached.run_id),
        (ref.first_run_id, reached.first_run_id),
    ):
        if named not in ("", run_id):
            raise RequestIdReused(request_id, f"run {run_id}", f"run {named}")


async def _typed_signal(engine: "Engine", request: SignalRun) -> SignalRun:
    handler = await _handler(engine, request, "signals")
    return with_arguments(engine, handler, request)


async def _typed_query(engine: "Engine", request: QueryRun) -> QueryRun:
    try:
        handler = await _handler(engine, request, "queries")
        return with_arguments(engine, handler, request)
    except RPCError as error:
        raise QueryFailed(str(error)) from None


async def _handler(
    engine: "Engine", request: SignalRun | QueryRun, kind: str
) -> Target | None:
    run = present_run(engine, request.run)
    row = await known_run(engine, request.run) if run is None else run.row
    return None if row is None else handler_of(engine, row.name, kind, request.name)


@operation(
    "runs.signal",
    SignalRun,
    access=Access.WRITE,
    target=_signalled,
    again=told_again,
    typed=_typed_signal,
)
async def signal_run(engine: "Engine", request: SignalRun) -> None:
    """Store a signal."""
    event = SignalReceived(
        request.name,
        request.args,
        request.kwargs,
        request.request_id,
        request.identity,
        request.headers,
    )
    await _deliver(engine, request, event)


@operation(
    "runs.cancel", CancelRun, access=Access.WRITE, target=_ended, again=told_again
)
async def cancel_run(engine: "Engine", request: CancelRun) -> None:
    """Store a request to stop."""
    event = CancelRequested(request.reason, request.identity, request.request_id)
    await _deliver(engine, request, event)


@operation(
    "runs.terminate",
    TerminateRun,
    access=Access.WRITE,
    target=_ended,
    again=told_again,
    typed=with_details,
)
async def terminate_run(engine: "Engine", request: TerminateRun) -> None:
    """Close a run from outside."""
    event = TerminateRequested(request.reason, request.details, request.identity)
    await _deliver(engine, request, event)


async def _deliver(
    engine: "Engine",
    request: SignalRun | CancelRun,
    event: Any,
) -> None:
    """Give an event to the run that is meant; durable when it returns.

    One that is in memory is not asked the database for, and gets it at once.
    """
    engine.check_open()
    ref = request.run
    noted = remembered(engine, request) if request.request_id else None
    run = present_run(engine, ref)
    if run is not None:
        try:
            await engine.hand(run, event, noted, follow=not ref.run_id)
        except RPCError as refused:
            if refused.status is not RPCStatus.NOT_FOUND:
                raise
        else:
            return
    row = await find_run(engine, ref)
    if row.status:
        raise not_open(row)
    await to_its_end(engine, delivered(engine, request.run, row, event, noted))


def not_open(row: RunRow) -> RPCError:
    """The refusal of what only an open run takes."""
    status = RunStatus(row.status)
    return not_found(f"run {row.workflow_id!r} ({row.run_id}) is {status}, not open")


async def delivered(
    engine: "Engine",
    ref: RunRef,
    row: RunRow,
    event: Any,
    request: Remembered | None,
) -> Any:
    """Deliver to the run of `row`, or to the one that took its place meanwhile."""
    while True:
        try:
            return await engine.deliver(row.key, event, request, follow=not ref.run_id)
        except RPCError as refused:
            if refused.status is not RPCStatus.NOT_FOUND:
                raise
            present = await find_run(engine, ref)
            if present.key == row.key or present.status:
                raise
            row = present


@operation("runs.query", QueryRun, access=Access.READ, typed=_typed_query)
async def query_run(engine: "Engine", request: QueryRun) -> bytes:
    """Put a question to a run."""
    run = present_run(engine, request.run)
    row = await find_run(engine, request.run) if run is None else run.row
    status = RunStatus(row.status)
    if request.reject == REJECT_NOT_OPEN and status:
        raise QueryRejected(status)
    if request.reject == REJECT_NOT_COMPLETED and status not in (
        RunStatus.RUNNING,
        RunStatus.COMPLETED,
    ):
        raise QueryRejected(status)
    definition = engine.code_of(row.name).workflows.get(row.name)
    handler = definition.queries.get(request.name) if definition else None
    signature = handler.signature if handler else None
    given = decode_arguments(engine.values, request.args, request.kwargs, signature)
    answer = await engine.ask(row.key, Query(request.name, *given, request.headers))
    return engine.values.encode(answer, f"the answer to query {request.name!r}")


@operation(
    "runs.history",
    ReadHistory,
    access=Access.READ,
    waits=lambda request: request.follow,
)
async def read_history(
    engine: "Engine", request: ReadHistory
) -> tuple[HistoryEntry, ...]:
    """Read a page of the journal, verified."""
    reads = engine.store.reads
    row = await find_run(engine, request.run)
    while True:
        with engine.waiting.following(row.key) as moved:
            rows = await reads.history(row.key, request.after, request.limit)
            if rows or not request.follow:
                break
            if (await _row(reads, row.key)).status:  # perhaps since the look at rows
                rows = await reads.history(row.key, request.after, request.limit)
                break
            await moved
    entries: list[HistoryEntry] = []
    for found in rows:
        if entries and not len(entries) % SLICE:
            await asyncio.sleep(0)  # others have their turn
        engine.seal.verify(found, row.run_id)
        transition = decode(found.body)
        known = alike(HistoryEntry, found) | alike(HistoryEntry, transition)
        entries.append(HistoryEntry(**known, run_id=row.run_id))
    return tuple(entries)


def present_run(engine: "Engine", ref: RunRef) -> "RunActor | None":
    """The open run that a reference names, if it is in memory; None says nothing.

    What is answered from it waits until it is durable.
    """
    run = engine.present(ref.workspace, ref.workflow_id)
    if run is None:
        return None
    row = run.row
    if ref.run_id not in ("", row.run_id):
        return None
    return run if ref.first_run_id in ("", row.first_run_id) else None


async def known_run(engine: "Engine", ref: RunRef) -> RunRow | None:
    """The row of a run; None if there is none."""
    return await engine.store.reads.find(
        ref.workspace, ref.workflow_id, ref.run_id, ref.first_run_id
    )


async def find_run(engine: "Engine", ref: RunRef) -> RunRow:
    """The row of a run; RPCError NOT_FOUND."""
    row = await known_run(engine, ref)
    if row is None:
        which = f" run {ref.run_id or ref.first_run_id}" if ref.run_id else ""
        raise not_found(f"no run of workflow ID {ref.workflow_id!r}{which} is known")
    return row


async def _row(reads: Reads, key: int) -> RunRow:
    (row,) = await reads.runs((key,))
    return row
