"""Successors: how continue-as-new, tail call, retry and cron follow a run. Pure.

A chain is the runs that share a workflow ID and a first run ID: retries of a failed
run, the next one of a cron chain, and continue-as-new. A tail call stays in the run and
raises its generation.
"""

from hashlib import sha1

from msgspec.structs import replace

from everact.runtime.core.cron import cron_times
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.kinds import kind_of
from everact.runtime.core.records import (
    NO_EXTRAS,
    Attribute,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Extras,
    Fail,
    Previous,
    SignalReceived,
    Started,
    StartOptions,
    TailCall,
    UpdateAccepted,
)
from everact.runtime.core.state import RUN_DEADLINE, RunState


def child_run_id(parent: str, generation: int, call: int) -> str:
    """The run ID of a child, the same on every replay."""
    return _derived(parent, f"{generation}/{call}")


def next_run_id(run_id: str, generation: int) -> str:
    """The run ID of the run that follows another, whenever that is asked."""
    return _derived(run_id, f"{generation}/next")


def _derived(run_id: str, name: str) -> str:
    """A UUID of version 5 (RFC 9562, section 5.5) in the namespace of a run ID.

    It is made without the objects of the `uuid` module, which cost more than the hash.
    """
    place = bytes.fromhex(run_id.replace("-", "")) + name.encode()
    digest = bytearray(sha1(place, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_RETRIED = (
    FailureKind.APPLICATION,
    FailureKind.TIMED_OUT,
    FailureKind.CHILD,
    FailureKind.LOST,
)


def unread(state: RunState) -> tuple[SignalReceived, ...]:
    """Signals that were stored and never shown to the program, in order."""
    return tuple(e for e in state.pending if type(e) is SignalReceived)


def successor(
    state: RunState, carried: tuple[SignalReceived, ...], run_id: str, now: float
) -> Started | None:
    """The start of the run that follows a closed `state`; None if it was the last.

    `carried` are the unread signals, `run_id` the ID for a successor. A retry that
    would come due after the limit of the chain is a successor too: it waits, and the
    limit closes it.
    """
    command, start = state.closing, replace(state.start, answered=())
    options = state.labels.on(start.options)
    if type(command) is ContinueAsNew:
        options = replace(
            options,
            begin_at=None,
            queue=command.queue or options.queue,
            run_timeout=_or(command.run_timeout, options.run_timeout),
            task_timeout=_or(command.task_timeout, options.task_timeout)
            or options.task_timeout,
            memo=options.memo if command.memo is None else command.memo,
            run_deadline=None,
            extras=_continued(options.extras, command.attributes),
        )
        return replace(
            start,
            name=command.name,
            args=command.args,
            kwargs=command.kwargs,
            run_id=run_id,
            options=options,
            attempt=1,
            carried=(*command.unread, *carried),
            inbox_seq=0,
            kind=kind_of(command.kind, command.name, start),
        )
    if type(command) is Fail and command.failure.kind not in _RETRIED:
        return None
    begin = _next_by_retry(state, now)
    attempt, previous = start.attempt + 1, start.previous
    if begin is None and cron_of(start.options):
        begin, previous = _next_by_cron(state, now), _previous(state)
        attempt = 1
        deadline = options.execution_deadline
        if begin is not None and deadline is not None and begin >= deadline:
            return None
    if begin is None:
        return None
    return replace(
        start,
        run_id=run_id,
        attempt=attempt,
        options=replace(options, begin_at=begin, run_deadline=None),
        carried=carried,
        inbox_seq=0,
        previous=previous,
    )


def _continued(
    extras: Extras | None, attributes: dict[str, Attribute] | None
) -> Extras | None:
    """The extras of a run that no event starts: its arguments are its own.

    `attributes` are its search attributes, if they are to be others.
    """
    if extras is not None and extras.event_id:
        extras = replace(extras, event_id="", event_key="")
    if attributes is not None:
        extras = replace(extras or NO_EXTRAS, attributes=attributes)
    return None if extras == NO_EXTRAS else extras


def cron_of(options: StartOptions) -> str:
    """The cron text by which runs follow each other; empty without one."""
    extras = options.extras
    return extras.cron if extras is not None else ""


def _next_by_retry(state: RunState, now: float) -> float | None:
    """When a failed run is tried again; None if it is not."""
    command, start = state.closing, state.start
    policy = start.options.retry
    if type(command) is not Fail or policy is None:
        return None
    failure = command.failure
    if failure.timeout is TimeoutKind.EXECUTION and (
        failure.kind is FailureKind.TIMED_OUT
    ):
        return None
    if not policy.allows(failure, start.attempt):
        return None
    return now + policy.delay(failure, start.attempt)


def _next_by_cron(state: RunState, now: float) -> float | None:
    """When the next run of a cron chain begins; None if this one was its last."""
    command = state.closing
    if state.cancel_reason is not None:
        return None
    if type(command) is Fail and command.failure.timeout is TimeoutKind.EXECUTION:
        return None
    return cron_times(cron_of(state.start.options)).after(now)


def _previous(state: RunState) -> Previous:
    """What the next run of a cron chain may know of this one and those before."""
    command, known = state.closing, state.start.previous or Previous()
    if type(command) is Complete:
        return Previous(command.result, known.failure)
    assert type(command) is Fail
    return Previous(known.result, command.failure)


def next_generation(state: RunState) -> RunState:
    """The state after a tail call, before its first event; same run, same deadlines."""
    command = state.closing
    assert type(command) is TailCall
    options, deadline = state.labels.on(state.start.options), state.due(RUN_DEADLINE)
    start = replace(
        state.start,
        name=command.name,
        args=command.args,
        kwargs=command.kwargs,
        options=replace(options, begin_at=None, run_deadline=deadline),
        carried=(*command.unread, *unread(state)),
        inbox_seq=state.inbox_seq,
        answered=tuple(
            abandoned(state, update) if type(update) is UpdateAccepted else update
            for update in (state.updates or {}).values()
        ),
        restarts=state.start.restarts + command.restart,
        kind=kind_of(command.kind, command.name, state.start),
    )
    return RunState(start, state.generation + 1)


def abandoned(state: RunState, update: UpdateAccepted) -> CompleteUpdate:
    """What an update is answered with whose handler ended with the run's code."""
    start = state.start
    how = f"is {state.status}" if state.status else "went on with a tail call"
    if type(state.closing) is TailCall and state.closing.restart:
        how = "began anew"
    failure = Failure(
        FailureKind.APPLICATION,
        "UpdateAbandoned",
        f"run {start.workflow_id!r} ({start.run_id}) {how}, and the handler of update "
        f"{update.name!r} was not done",
    )
    return CompleteUpdate(update.update_id, failure=failure)


def _or(given: float | None, kept: float | None) -> float | None:
    return kept if given is None else given
