"""Errors as JSON and back, and the one table of their HTTP statuses.

The body is ``{"error": {"type", "status", "message", "data"}}``: the class, its
`RPCStatus`, its text, and what the class is made from by name. A client makes the
same error of it.
"""

import inspect
from enum import Enum
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from everact.runtime import errors
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import EveractError, RPCError
from everact.runtime.isolation import contained, text_of

HTTP_STATUS: Final = {
    RPCStatus.CANCELLED: 499,
    RPCStatus.UNKNOWN: 500,
    RPCStatus.INVALID_ARGUMENT: 400,
    RPCStatus.DEADLINE_EXCEEDED: 504,
    RPCStatus.NOT_FOUND: 404,
    RPCStatus.ALREADY_EXISTS: 409,
    RPCStatus.PERMISSION_DENIED: 403,
    RPCStatus.RESOURCE_EXHAUSTED: 429,
    RPCStatus.FAILED_PRECONDITION: 412,
    RPCStatus.ABORTED: 409,
    RPCStatus.OUT_OF_RANGE: 400,
    RPCStatus.UNIMPLEMENTED: 501,
    RPCStatus.INTERNAL: 500,
    RPCStatus.UNAVAILABLE: 503,
    RPCStatus.DATA_LOSS: 500,
    RPCStatus.UNAUTHENTICATED: 401,
}

STATUS: Final[dict[type[BaseException], RPCStatus]] = {
    errors.WorkflowAlreadyStarted: RPCStatus.ALREADY_EXISTS,
    errors.ScheduleAlreadyRunning: RPCStatus.ALREADY_EXISTS,
    errors.RequestIdReused: RPCStatus.ALREADY_EXISTS,
    errors.QueryRejected: RPCStatus.FAILED_PRECONDITION,
    errors.QueryFailed: RPCStatus.FAILED_PRECONDITION,
    errors.UpdateFailed: RPCStatus.FAILED_PRECONDITION,
    errors.AsyncTaskCancelled: RPCStatus.CANCELLED,
    errors.UpdateTimedOutOrCancelled: RPCStatus.CANCELLED,
    errors.RunPutAside: RPCStatus.FAILED_PRECONDITION,
    errors.ValueNotStorable: RPCStatus.INVALID_ARGUMENT,
    errors.StoreFull: RPCStatus.RESOURCE_EXHAUSTED,
    errors.StoreTampered: RPCStatus.DATA_LOSS,
    errors.StoreDamaged: RPCStatus.DATA_LOSS,
    errors.StoreError: RPCStatus.UNAVAILABLE,
    errors.RuntimeStateError: RPCStatus.UNAVAILABLE,
    EveractError: RPCStatus.FAILED_PRECONDITION,
}
"""By class; of an error that is not named, its nearest ancestor's. An `RPCError` has
its own."""


class Told(msgspec.Struct, kw_only=True):
    """What the body of a refusal says."""

    type: str
    status: str
    message: str
    data: dict[str, Any] = {}


class Refusal(msgspec.Struct, kw_only=True):
    """The body of a refusal."""

    error: Told


def status_of(error: EveractError) -> RPCStatus:
    """The status of an error."""
    if isinstance(error, RPCError):
        return error.status
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def encode_error(error: EveractError) -> tuple[int, bytes]:
    """The HTTP status and body that tell of an error."""
    if isinstance(error, errors.RuntimeStateError):
        # Another life of the engine will answer: that is for the client to wait for.
        error = RPCError(f"{error}; ask again", RPCStatus.UNAVAILABLE)
    status = status_of(error)
    told = Told(
        type=type(error).__name__,
        status=status.name,
        message=str(error),
        data=_data(error),
    )
    return HTTP_STATUS[status], msgspec.json.encode(Refusal(error=told))


def decode_error(body: bytes) -> EveractError | None:
    """The error that a body tells of; None if it is none of ours."""
    try:
        told = msgspec.json.decode(body, type=Refusal).error
    except msgspec.DecodeError:
        return None
    kind = getattr(errors, told.type, None) if told.type in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, EveractError):
        try:
            return _made(kind, told)
        except (TypeError, ValueError, KeyError):
            pass
    status = RPCStatus.__members__.get(told.status, RPCStatus.UNKNOWN)
    return RPCError(told.message, status)


def _data(error: EveractError) -> dict[str, Any]:
    """What the error was made from, by the names of its constructor."""
    args, kwargs = error._made_from  # type: ignore[attr-defined]
    data: dict[str, Any] = {}
    try:
        kind: Any = type(error)
        bound = _parameters(kind).bind(*args, **kwargs).arguments
    except TypeError:
        return data
    for name, value in bound.items():
        if name == "message" and value == str(error):
            continue
        if isinstance(value, Enum):
            value = value.name
        if isinstance(value, BaseException) or value is None:
            continue
        try:
            data[name] = msgspec.to_builtins(value, str_keys=True)
        except BaseException as raised:
            contained(raised)
            data[name] = text_of(value)
    return data


def _made(kind: Any, told: Told) -> EveractError:
    """The error of that class, from what it was made from.

    KeyError if the body does not say what the class needs.
    """
    first: list[Any] = []
    rest: list[Any] = []
    named: dict[str, Any] = {}
    hints = _hints(kind)
    for name, parameter in _parameters(kind).parameters.items():
        default = told.message if name == "message" else parameter.default
        value = told.data.get(name, default)
        hint: Any = hints.get(name)
        if value is parameter.empty and hint is RPCStatus:
            value = told.status
        if isinstance(hint, type) and issubclass(hint, Enum) and value is not default:
            value = hint[value]
        elif parameter.kind is parameter.VAR_POSITIONAL and value is parameter.empty:
            value = ()
        elif value is parameter.empty:
            raise KeyError(name)
        elif isinstance(value, list):
            value = tuple(value)
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest += value
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            first.append(value)
    made: EveractError = kind(*first, *rest, **named)
    return made


@cache
def _parameters(kind: Any) -> inspect.Signature:
    signature = inspect.signature(kind.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind.__init__)
