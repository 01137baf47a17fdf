"""Operations on tasks that are completed from outside of their function."""

import base64
import binascii
import math
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from everact.runtime.core import failures
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import TaskCompleted, TaskFailed, TaskReported
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.execution.outside import AttemptName, named_by, unheeded
from everact.runtime.engine.loading import read
from everact.runtime.errors import RPCError, invalid, not_found
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import (
    failure_stored,
    result_stored,
    with_details,
)
from everact.runtime.operations.base import Request, operation
from everact.runtime.operations.requests import remembered, to_its_end
from everact.runtime.store.base import RunRow

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


class TaskRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which task: the token of an attempt as base64url, or the IDs of a task.

    With IDs the attempt that is under way is meant, and without a run ID the open or
    latest run of the workflow ID. A task ID may be the number of the task's call alone.
    """

    token: str = ""
    workflow_id: str = ""
    run_id: str = ""
    task_id: str = ""
    workspace: str = "default"

    @property
    def named(self) -> tuple[str, ...]:
        """What it says of which task is meant."""
        return self.workflow_id, self.run_id, self.task_id, self.token


class SettleTask(Request[None], frozen=True, kw_only=True):
    """What all requests that settle an attempt say."""

    task: TaskRef
    identity: str = ""
    request_id: str = ""


class CompleteTask(SettleTask, frozen=True, kw_only=True):
    """Complete a task in its function's place; without a result, with None."""

    result: Payload = b""


class FailTask(SettleTask, frozen=True, kw_only=True):
    """Fail an attempt; its policy decides what follows.

    `details` are those of a last heartbeat, for the next attempt.
    """

    failure: Failure
    details: tuple[Payload, ...] = ()


class HeartbeatTask(Request[None], frozen=True, kw_only=True):
    """Say that an attempt lives, with details for a later one."""

    task: TaskRef
    details: tuple[Payload, ...] = ()
    identity: str = ""


class ReportCancelled(SettleTask, frozen=True, kw_only=True):
    """Say that an attempt has stopped because it was asked to."""

    details: tuple[Payload, ...] = ()


def text_of(token: bytes) -> str:
    """A token as text for an address or a command line: base64url."""
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def token_of(text: str) -> bytes:
    """The token of such text; ValueError if it is none."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a task token is base64url text") from None


def _reported(request: SettleTask) -> tuple[str, ...]:
    return request.task.named


async def _typed_result(engine: "Engine", request: CompleteTask) -> CompleteTask:
    """`request` with its result as what the task's function returns."""
    row, name = await found(engine, request.task)
    run = await engine.loaded(row.key)
    command = None if run is None else run.state.calls.get(name.call)
    task = getattr(command, "name", "")
    return replace(request, result=result_stored(engine, request.result, task))


def _typed_failure(engine: "Engine", request: FailTask) -> FailTask:
    failure = failure_stored(engine, request.failure)
    return replace(with_details(engine, request), failure=failure)


@operation(
    "tasks.complete",
    CompleteTask,
    access=Access.WORK,
    target=_reported,
    typed=_typed_result,
)
async def complete_task(engine: "Engine", request: CompleteTask) -> None:
    """Complete a task; durable when answered."""
    row, name = await found(engine, request.task)
    result = request.result or engine.values.encode(None, "no result")
    event = _event(name, request.identity, TaskCompleted(name.call, result))
    await _report(engine, row, event, request)


@operation(
    "tasks.fail",
    FailTask,
    access=Access.WORK,
    target=_reported,
    typed=_typed_failure,
)
async def fail_task(engine: "Engine", request: FailTask) -> None:
    """Fail an attempt; durable when answered."""
    wait = request.failure.retry_after
    if wait is not None and not 0 <= wait < math.inf:
        raise invalid(f"failure.retry_after must be 0 or more seconds, not {wait}")
    row, name = await found(engine, request.task)
    failure = replace(
        request.failure, kind=FailureKind.APPLICATION, timeout=TimeoutKind.NONE
    )
    event = _event(
        name, request.identity, TaskFailed(name.call, failure), request.details
    )
    await _report(engine, row, event, request)


@operation("tasks.heartbeat", HeartbeatTask, access=Access.WORK, typed=with_details)
async def heartbeat_task(engine: "Engine", request: HeartbeatTask) -> None:
    """Take a sign of life; AsyncTaskCancelled if the task was asked to stop."""
    row, name = await found(engine, request.task)
    event = _event(name, request.identity, None, request.details)
    try:
        await _report(engine, row, event, request)
    except RPCError as error:
        if error.status is RPCStatus.NOT_FOUND:
            await _tell_if_cancelled(engine, row, event)
        raise


async def _tell_if_cancelled(
    engine: "Engine", row: RunRow, event: TaskReported
) -> None:
    """AsyncTaskCancelled if the run ended because it was asked to stop."""
    ended = await engine.store.reads.load(row.key, partial(read, engine.seal))
    if ended is None or not ended.row.status:
        return
    state = ended.state
    failure = getattr(state.closing, "failure", None)
    if failure is not None and failure.kind is FailureKind.CANCELLED:
        told = unheeded(state, event)
        if told is not None:
            raise told


@operation(
    "tasks.report_cancelled",
    ReportCancelled,
    access=Access.WORK,
    target=_reported,
    typed=with_details,
)
async def report_cancelled(engine: "Engine", request: ReportCancelled) -> None:
    """Settle a task that was asked to stop; durable when answered."""
    row, name = await found(engine, request.task)
    failure = failures.cancelled("the task stopped when asked to", request.details)
    event = _event(name, request.identity, TaskFailed(name.call, failure))
    await _report(engine, row, event, request)


def _event(
    name: AttemptName,
    identity: str,
    outcome: TaskCompleted | TaskFailed | None,
    details: tuple[bytes, ...] = (),
) -> TaskReported:
    return TaskReported(
        name.call,
        name.generation,
        name.attempt,
        outcome,
        details,
        identity,
        name.dispatch,
    )


async def _report(
    engine: "Engine", row: RunRow, event: TaskReported, request: Request[None]
) -> None:
    """Give a run what was reported."""
    engine.check_open()
    if row.status:
        raise not_found(f"run {row.workflow_id!r} ({row.run_id}) of the task is over")
    noted = remembered(engine, request)
    await to_its_end(engine, engine.deliver(row.key, event, noted))


async def found(engine: "Engine", ref: TaskRef) -> tuple[RunRow, AttemptName]:
    """The run of a task, and which attempt is meant; RPCError NOT_FOUND."""
    if ref.token:
        name = _of_token(engine, ref)
        row = await engine.store.reads.find(
            name.workspace, name.workflow_id, name.run_id
        )
        if row is None:
            raise not_found("the run of the task is not known any more")
        return row, name
    row = await engine.store.reads.find(ref.workspace, ref.workflow_id, ref.run_id)
    if row is None:
        raise not_found(f"no run of workflow ID {ref.workflow_id!r} is known")
    run_id, _, rest = ref.task_id.partition("/")
    generation, _, call = rest.partition("/")
    if not rest:
        run_id, generation, call = row.run_id, str(row.generation), ref.task_id
    if run_id != row.run_id or not (_is_number(generation) and _is_number(call)):
        raise not_found(
            f"run {row.workflow_id!r} ({row.run_id}) has no task {ref.task_id!r}"
        )
    return row, AttemptName(
        row.workspace, row.workflow_id, row.run_id, int(generation), int(call), 0
    )


def _of_token(engine: "Engine", ref: TaskRef) -> AttemptName:
    try:
        name = named_by(engine.seal, token_of(ref.token))
    except ValueError:
        name = None
    if name is None or name.workspace != ref.workspace:
        raise not_found("the token names no task of this engine and workspace")
    return name


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
