"""Arguments that came as JSON, as the values that author code expects.

They are made here, by the type hints of the workflow, task or handler that they are
for, so that what does not fit is refused before anything is stored, and the engine
stores what it would store for a caller in its own process. Without a hint, and for
names that nothing here knows, a value stays the plain JSON that it is.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from everact.runtime.core.failures import Failure
from everact.runtime.core.records import NO_EXTRAS, Extras, StartOptions
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.extras import PRIORITIES
from everact.runtime.definitions.signature import Signature
from everact.runtime.definitions.workflows import Handler
from everact.runtime.errors import QueryFailed, RPCError
from everact.runtime.isolation import text_of
from everact.runtime.operations import (
    actors,
    runs,
    schedules,
    starting,
    tasks,
    updates,
)
from everact.runtime.operations.base import Request
from everact.runtime.store.base import RunRow
from everact.runtime.values.coded import coded
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.payloads import JSON_TAG, PickleConverter

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

_READER = JsonConverter(otherwise=PickleConverter())
"""Reads what is harmless, and nothing else is given to it."""


class Target(NamedTuple):
    """What arguments are for."""

    name: str
    signature: Signature


def typed(engine: "Engine", request: Request[Any]) -> Request[Any]:
    """`request` with its JSON payloads as the engine stores values.

    RPCError INVALID_ARGUMENT (of a query, QueryFailed) names the argument that does
    not fit.
    """
    match request:
        case starting.StartRun():
            return typed_start(engine, request)
        case runs.SignalRun():
            return _message(engine, request)
        case updates.SendUpdate():
            row = _row(engine, request.run)
            name = "" if row is None else row.name
            return replace(request, update=_update(engine, name, request.update))
        case updates.SendWithStart():
            start = typed_start(engine, request.start)
            row = engine.store.find(start.workspace, start.workflow_id)
            name = start.workflow if row is None or row.status else row.name
            update = _update(engine, name, request.update)
            return replace(request, start=start, update=update)
        case runs.QueryRun():
            try:
                return _message(engine, request)
            except RPCError as error:
                raise QueryFailed(str(error)) from None
        case runs.TerminateRun() | tasks.HeartbeatTask() | tasks.ReportCancelled():
            return replace(request, details=_details(engine, request.details))
        case tasks.CompleteTask() | tasks.FailTask():
            return _report(engine, request)
        case schedules.CreateSchedule() | schedules.UpdateSchedule():
            return _typed_schedule(engine, request)
        case actors.SpawnActor():
            args, kwargs = _arguments(engine, None, request.args, request.kwargs)
            return replace(request, args=args, kwargs=kwargs)
        case actors.TellActor() | actors.AskActor():
            message = _stored(engine, request.message, "the message")
            return replace(request, message=message)
    return request


def _message(engine: "Engine", request: runs.SignalRun | runs.QueryRun) -> Request[Any]:
    target = _handler(engine, request)
    args, kwargs = _arguments(engine, target, request.args, request.kwargs)
    typed: Request[Any] = replace(request, args=args, kwargs=kwargs)
    return typed


def typed_start(engine: "Engine", request: starting.StartRun) -> starting.StartRun:
    """`request` with what came as JSON as the engine stores values."""
    _check(request.options)
    target = _target(engine, request.workflow)
    if target is not None:
        try:
            target.signature.check(request.args, request.kwargs, target.name)
        except TypeError as error:
            raise _refusal(str(error)) from None
    args, kwargs = _arguments(engine, target, request.args, request.kwargs)
    signal = request.signal
    if signal is not None:
        handler = _signal_handler(engine, request.workflow, signal.name)
        given = _arguments(engine, handler, signal.args, signal.kwargs)
        signal = replace(signal, args=given[0], kwargs=given[1])
    memo = {
        name: _stored(engine, value, f"memo {name!r}")
        for name, value in request.options.memo.items()
    }
    options = replace(request.options, memo=memo) if memo else request.options
    return replace(request, args=args, kwargs=kwargs, options=options, signal=signal)


def _typed_schedule(
    engine: "Engine", request: schedules.CreateSchedule | schedules.UpdateSchedule
) -> Request[Any]:
    """`request` with the action that it starts, and its memo, as values are stored."""
    definition = request.schedule
    if isinstance(request, schedules.UpdateSchedule):
        if request.keep_action:
            return request
    else:
        memo = {k: _stored(engine, v, f"memo {k!r}") for k, v in request.memo.items()}
        request = replace(request, memo=memo)
    action = definition.action
    start = typed_start(
        engine,
        starting.StartRun(
            workflow=action.workflow,
            args=action.args,
            kwargs=action.kwargs,
            options=action.options,
        ),
    )
    action = replace(
        action, args=start.args, kwargs=start.kwargs, options=start.options
    )
    return replace(request, schedule=replace(definition, action=action))


def _check(options: StartOptions) -> None:
    """Refuse what the client of this process would not have let through."""
    if not options.queue:
        raise _refusal("options.queue must not be empty")
    for name in ("begin_at", "execution_deadline", "run_deadline"):
        if getattr(options, name) is not None:
            raise _refusal(
                f"options.{name} is the engine's own: give start_delay, begin_at, "
                "execution_timeout or run_timeout"
            )
    _check_extras(options.extras or NO_EXTRAS)


def _check_extras(extras: Extras) -> None:
    if extras.priority not in (0, *PRIORITIES):
        raise _refusal("options.extras.priority must be 1, 2 or 3, or 0 for none")
    if len(extras.static_summary.splitlines()) > 1:
        raise _refusal("options.extras.static_summary must be one line")
    for name in ("event_id", "event_key", "schedule_id", "nominal_time"):
        if getattr(extras, name) not in ("", None):
            raise _refusal(f"options.extras.{name} is the engine's own")


def _target(engine: "Engine", name: str) -> Target | None:
    registry = engine.code_of(name)
    definition = registry.workflows.get(name)
    if definition is not None:
        return Target(name, definition.signature)
    task = registry.tasks.get(name)
    return None if task is None else Target(name, task.signature)


def _row(engine: "Engine", run: runs.RunRef) -> RunRow | None:
    return engine.store.find(
        run.workspace, run.workflow_id, run.run_id, run.first_run_id
    )


def _handler(
    engine: "Engine", request: runs.SignalRun | runs.QueryRun
) -> Target | None:
    row = _row(engine, request.run)
    if row is None:
        return None
    if isinstance(request, runs.SignalRun):
        return _signal_handler(engine, row.name, request.name)
    definition = engine.code_of(row.name).workflows.get(row.name)
    return None if definition is None else _taker(definition.queries, request.name)


def _signal_handler(engine: "Engine", workflow: str, name: str) -> Target | None:
    definition = engine.code_of(workflow).workflows.get(workflow)
    return None if definition is None else _taker(definition.signals, name)


def _taker(handlers: dict[str, Handler], name: str) -> Target | None:
    handler = handlers.get(name)
    if handler is None:
        return None
    return Target(handler.function.__name__, handler.signature)


def _update(engine: "Engine", workflow: str, update: updates.Update) -> updates.Update:
    """`update`, for a run of `workflow`, with its arguments as values are stored."""
    definition = engine.code_of(workflow).workflows.get(workflow)
    target = _taker(definition.updates, update.name) if definition else None
    args, kwargs = _arguments(engine, target, update.args, update.kwargs)
    return replace(update, args=args, kwargs=kwargs)


def _arguments(
    engine: "Engine",
    target: Target | None,
    args: tuple[bytes, ...],
    kwargs: dict[str, bytes],
) -> tuple[tuple[bytes, ...], dict[str, bytes]]:
    if target is None:
        label = "the arguments"
        return (
            tuple(
                _stored(engine, payload, f"argument {n} of {label}")
                for n, payload in enumerate(args, 1)
            ),
            {
                k: _stored(engine, payload, f"argument {k!r} of {label}")
                for k, payload in kwargs.items()
            },
        )
    signature, label = target.signature, target.name

    def stored(payload: bytes, name: str) -> bytes:
        what = f"argument {name!r} of {label}"
        return _stored(engine, payload, what, signature.hint(name))

    names = signature.named(len(args))
    return (
        tuple(stored(payload, n) for payload, n in zip(args, names, strict=True)),
        {k: stored(payload, k) for k, payload in kwargs.items()},
    )


def _report(
    engine: "Engine", request: tasks.CompleteTask | tasks.FailTask
) -> Request[Any]:
    if isinstance(request, tasks.CompleteTask):
        return _result(engine, request)
    return replace(
        request,
        details=_details(engine, request.details),
        failure=_failure(engine, request.failure),
    )


def _result(engine: "Engine", request: tasks.CompleteTask) -> tasks.CompleteTask:
    """`request` with its result as what the task's function returns."""
    row, name = tasks.found(engine, request.task)
    run = engine.resident(row.key)
    command = None if run is None else run.state.calls.get(name.call)
    name_of_task = getattr(command, "name", "")
    task = engine.code_of(name_of_task).tasks.get(name_of_task)
    kind = Any if task is None or _is_none(request.result) else task.signature.returned
    what = f"the result of {name_of_task}"
    result = _stored(engine, request.result, what, kind) if request.result else b""
    return replace(request, result=result)


def _is_none(payload: bytes) -> bool:
    """Whether it is no result, which fits whatever the type."""
    return payload == JSON_TAG + b"null"


def _failure(engine: "Engine", failure: Failure) -> Failure:
    cause = failure.cause
    return replace(
        failure,
        details=_details(engine, failure.details),
        cause=None if cause is None else _failure(engine, cause),
    )


def _details(engine: "Engine", details: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(_stored(engine, detail, "a detail") for detail in details)


def _stored(engine: "Engine", payload: bytes, what: str, kind: Any = Any) -> bytes:
    """A value that came over the network as the engine stores it.

    What it cannot read, for want of the codec, is stored as it came.
    """
    found = coded(payload)
    if found is None and payload[:1] != JSON_TAG:
        return payload  # of a client in this process
    if found is not None and not (found.foreign and engine.values.reads(payload)):
        return payload
    try:
        value = _READER.decode(engine.values.unwrap(payload), kind)
    except Exception as error:  # out of a class of the author's, perhaps
        raise _refusal(f"{what}: {text_of(error)}") from None
    return engine.values.encode(value, what)


def _refusal(message: str) -> RPCError:
    return RPCError(message, RPCStatus.INVALID_ARGUMENT)
