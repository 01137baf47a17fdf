"""Attempts that somebody outside completes: their tokens, their reports, their end.

What comes from outside is an event of the run like any other; whether it is about the
attempt that is under way is the state's to decide. Here is what the event entails, and
what a caller is told whose report was not taken.
"""

from typing import NamedTuple

import msgspec

from everact.runtime.core import failures
from everact.runtime.core.failures import Failure, TimeoutKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    RunTask,
    TaskFailed,
    TaskHandedOver,
    TaskReported,
)
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.core.tries import Tries
from everact.runtime.engine.host import Run
from everact.runtime.engine.seal import Seal
from everact.runtime.errors import AsyncTaskCancelled, EveractError, RPCError
from everact.runtime.values.outcomes import task_timed_out


class AttemptName(NamedTuple):
    """Which attempt of which task; attempt 0 is whichever is under way."""

    workspace: str
    workflow_id: str
    run_id: str
    generation: int
    call: int
    attempt: int
    dispatch: int = 0
    """Which dispatch of the attempt to a worker elsewhere; 0 is any."""


_decode = msgspec.msgpack.Decoder(AttemptName).decode


def token_of(run: Run, call: int, number: int, dispatch: int = 0) -> bytes:
    """What names an attempt to others, in a form that only this database makes."""
    name = AttemptName(
        run.row.workspace,
        run.row.workflow_id,
        run.row.run_id,
        run.state.generation,
        call,
        number,
        dispatch,
    )
    return run.engine.seal.token(msgspec.msgpack.encode(name))


def named_by(seal: Seal, token: bytes) -> AttemptName | None:
    """The attempt that a token names; None if it is no token of this database."""
    body = seal.open_token(token)
    return None if body is None else _decode(body)


def may_be_under_way(run: Run, event: TaskReported) -> bool:
    """Whether a report may be of the attempt that is under way.

    Not if it names no attempt, and the next one has not been dispatched yet. Nor if the
    attempt has been dispatched anew meanwhile: only who has it now is heard.
    """
    attempt = run.attempts.get(event.call)
    if event.generation != run.state.generation:
        return False
    if event.dispatch and attempt is not None and attempt.dispatch != event.dispatch:
        return False
    tries = run.state.calls.tried(event.call)
    return (
        event.attempt > 0
        or tries is None
        or tries.handed is not None
        or event.call in run.attempts
    )


def arms(run: Run, event: TaskHandedOver | TaskReported) -> bool:
    """Whether a durable event tells when its task is due next.

    While a handed over attempt lives its limits do. Once it has failed, that failure
    does, when it is durable.
    """
    tries = run.state.calls.tried(event.call)
    failed = type(event) is TaskReported and event.outcome is not None
    return failed or (tries is not None and tries.handed is not None)


def refusal(run: Run, event: TaskReported) -> EveractError:
    """What is told whoever made a report that does not count."""
    state = run.state
    if state.status:
        return over(event)
    tries = state.calls.tried(event.call)
    now = run.engine.clock.now()
    if may_be_under_way(run, event) and state.calls.under_way(event, now):
        if tries is None or tries.stopping is None:
            return RPCError(
                f"task {event.call} was not asked to stop, so it cannot report that it "
                "was cancelled: complete or fail it",
                RPCStatus.FAILED_PRECONDITION,
            )
        return cancelled(tries.stopping)
    return unheeded(state, event) or over(event)


def unheeded(state: RunState, event: TaskReported) -> EveractError | None:
    """What the sign of life of an attempt is answered whose call was cancelled."""
    if event.outcome is not None or event.generation != state.generation:
        return None
    reason = state.calls.unheeded(event)
    return None if reason is None else cancelled(reason)


def cancelled(reason: str) -> AsyncTaskCancelled:
    """What an attempt is told that was asked to stop."""
    return AsyncTaskCancelled(reason or "the task was cancelled")


def over(event: TaskReported) -> RPCError:
    """What is told about an attempt that is not under way."""
    which = f"attempt {event.attempt} of task" if event.attempt else "task"
    return RPCError(
        f"{which} {event.call} is not under way: it ended, is retried, or never was",
        RPCStatus.NOT_FOUND,
    )


# -- what the engine itself reports ----------------------------------------------------


def moment(run: Run, command: RunTask, tries: Tries) -> None:
    """The moment of a task has come that must not be dispatched now."""
    handed, due = tries.handed, tries.due
    if handed is None or due is None:
        return  # it was asked to stop, and reports that in its turn
    options = command.options or DEFAULT_TASK
    call, generation = command.call, run.state.generation
    cause: Failure | None = None
    if handed.deadline is not None and due >= handed.deadline:
        kind, limit = TimeoutKind.ATTEMPT, options.timeout or 0.0
        if command.deadline is not None and due >= command.deadline:
            kind, limit = TimeoutKind.TOTAL, options.total_timeout or 0.0
            cause = tries.failure
    else:
        kind, limit = TimeoutKind.HEARTBEAT, options.heartbeat_timeout or 0.0
        if due - limit < _opened(run) and tries.stopping is None:
            # While no engine ran nobody could be heard of: listen once more.
            run.post(TaskReported(call, generation, tries.attempt))
            return
    failed = TaskFailed(call, task_timed_out(kind, command.name, limit, cause))
    run.post(TaskReported(call, generation, tries.attempt, failed))


def _opened(run: Run) -> float:
    """The moment at which this engine began to listen."""
    engine = run.engine
    return engine.clock.now() - (engine.clock.monotonic() - engine.opened_at)


def stop(run: Run, call: int) -> None:
    """The request to stop a task is durable: tell its attempt, or end it without one.

    One that was handed over is told when it is heard of.
    """
    attempt = run.attempts.get(call)
    if attempt is not None:
        attempt.ask_to_stop()
        return
    tries = run.state.calls.tried(call)
    if tries is not None and tries.handed is None and tries.stopping is not None:
        run.post(TaskFailed(call, failures.cancelled(tries.stopping)))


def kept_from_dispatch(tries: Tries | None) -> bool:
    """Whether an open task without an attempt here gets none."""
    return tries is not None and (
        tries.handed is not None or tries.stopping is not None
    )
