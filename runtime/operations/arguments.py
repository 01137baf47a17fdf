"""Arguments that came as JSON, as the values that author code expects.

They are made here, by the type hints of the workflow, task or handler that they are
for, so that what does not fit is refused before anything is stored, and the engine
stores what it would store for a caller in its own process. Without a hint, and for
names that nothing here knows, a value stays the plain JSON that it is.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from everact.runtime.core.opaque import LONGEST
from everact.runtime.core.records import StartOptions
from everact.runtime.core.retry import retry
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.signature import Signature
from everact.runtime.errors import QueryFailed, RPCError, ValueNotReadable
from everact.runtime.operations import actors, runs
from everact.runtime.operations.base import Request
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
        case runs.StartRun():
            return typed_start(engine, request)
        case runs.SignalRun():
            return _message(engine, request)
        case runs.QueryRun():
            try:
                return _message(engine, request)
            except RPCError as error:
                raise QueryFailed(str(error)) from None
        case runs.TerminateRun():
            details = tuple(_stored(engine, d, "a detail") for d in request.details)
            return replace(request, details=details)
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


def typed_start(engine: "Engine", request: runs.StartRun) -> runs.StartRun:
    """`request` with what came as JSON as the engine stores values."""
    _check(request.options)
    target = _target(engine, request.workflow)
    if target is not None:
        try:
            target.signature.check(request.args, request.kwargs, target.name)
        except TypeError as error:
            raise _refusal(str(error)) from None
    args, kwargs = _arguments(engine, target, request.args, request.kwargs)
    memo = {
        name: _stored(engine, value, f"memo {name!r}")
        for name, value in request.options.memo.items()
    }
    options = replace(request.options, memo=memo) if memo else request.options
    return replace(request, args=args, kwargs=kwargs, options=options)


def _check(options: StartOptions) -> None:
    """Refuse what the client of this process would not have let through."""
    if not options.queue:
        raise _refusal("options.queue must not be empty")
    for name in ("run_timeout", "execution_timeout", "task_timeout"):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= LONGEST:
            raise _refusal(f"options.{name} must be 0 to {LONGEST:.0f} s, not {value}")
    for name in ("begin_at", "execution_deadline", "run_deadline"):
        if getattr(options, name) is not None:
            raise _refusal(
                f"options.{name} is the engine's own: give start_delay, "
                "execution_timeout or run_timeout"
            )
    policy = options.retry
    if policy is not None:
        try:
            retry(
                first=timedelta(seconds=policy.first),
                growth=policy.growth,
                longest=timedelta(seconds=policy.longest),
                attempts=policy.attempts,
            )
        except (ValueError, OverflowError) as error:
            raise _refusal(f"options.retry: {error}") from None


def _target(engine: "Engine", name: str) -> Target | None:
    definition = engine.registry.workflows.get(name)
    if definition is not None:
        return Target(name, definition.signature)
    task = engine.registry.tasks.get(name)
    return None if task is None else Target(name, task.signature)


def _handler(
    engine: "Engine", request: runs.SignalRun | runs.QueryRun
) -> Target | None:
    row = engine.store.find(
        request.run.workspace,
        request.run.workflow_id,
        request.run.run_id,
        request.run.first_run_id,
    )
    definition = engine.registry.workflows.get(row.name) if row else None
    if definition is None:
        return None
    signal = isinstance(request, runs.SignalRun)
    found = (definition.signals if signal else definition.queries).get(request.name)
    if found is None:
        return None
    return Target(found.function.__name__, found.signature)


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
    except (msgspec.ValidationError, ValueNotReadable) as error:
        raise _refusal(f"{what}: {error}") from None
    return engine.values.encode(value, what)


def _refusal(message: str) -> RPCError:
    return RPCError(message, RPCStatus.INVALID_ARGUMENT)
