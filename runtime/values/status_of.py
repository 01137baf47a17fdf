"""Which status an exception, or a returned value, stands for.

An exception class maps to a status, or to a function giving one; the most specific
class wins, found by walking the class's method resolution order. Applications add
their own with `register_status`. An exception that nothing maps counts as a
temporary error: retries are always bounded by a finite policy.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeAlias

from everact.runtime import errors
from everact.runtime.core.statuses import RETRIED, RPCStatus, Status
from everact.runtime.isolation import contained, is_a, log, shown

logger = logging.getLogger("everact.values")

Mapping: TypeAlias = Status | Callable[[Any], Status]

_of_request = {
    RPCStatus.INVALID_ARGUMENT: Status.INVALID_ARGUMENT,
    RPCStatus.OUT_OF_RANGE: Status.INVALID_ARGUMENT,
    RPCStatus.DEADLINE_EXCEEDED: Status.TIMEOUT,
    RPCStatus.NOT_FOUND: Status.NOT_FOUND,
    RPCStatus.PERMISSION_DENIED: Status.PERMISSION_DENIED,
    RPCStatus.UNAUTHENTICATED: Status.UNAUTHENTICATED,
    RPCStatus.RESOURCE_EXHAUSTED: Status.THROTTLED,
    RPCStatus.CANCELLED: Status.PERMANENT_ERROR,
    RPCStatus.ALREADY_EXISTS: Status.PERMANENT_ERROR,
    RPCStatus.FAILED_PRECONDITION: Status.PERMANENT_ERROR,
    RPCStatus.UNIMPLEMENTED: Status.PERMANENT_ERROR,
    RPCStatus.DATA_LOSS: Status.PERMANENT_ERROR,
}
"""What a refused request stands for; one that may succeed later is not listed."""

_of_exception: dict[type, Mapping] = {
    TimeoutError: Status.TIMEOUT,
    TypeError: Status.INVALID_ARGUMENT,
    ValueError: Status.INVALID_ARGUMENT,
    ConnectionError: Status.TCP_ERROR,
    PermissionError: Status.PERMISSION_DENIED,
    FileNotFoundError: Status.NOT_FOUND,
    InterruptedError: Status.TEMPORARY_ERROR,
    EOFError: Status.TEMPORARY_ERROR,
    OSError: Status.TEMPORARY_ERROR,
    ssl.SSLError: Status.TLS_ERROR,
    socket.gaierror: Status.DNS_ERROR,
    errors.RPCError: lambda e: _of_request.get(e.status, Status.TEMPORARY_ERROR),
    errors.NonDeterminismError: Status.INCOMPATIBLE_STATE,
    errors.ValueNotStorable: Status.INVALID_RESPONSE,
    errors.TaskTimeout: Status.TIMEOUT,
    errors.TaskCancelled: Status.PERMANENT_ERROR,
    errors.AttemptLost: Status.TEMPORARY_ERROR,
    errors.RunTimedOut: Status.TIMEOUT,
    errors.RunTerminated: Status.PERMANENT_ERROR,
    errors.RunCancelled: Status.PERMANENT_ERROR,
    errors.WorkflowAlreadyStarted: Status.PERMANENT_ERROR,
}
_of_foreign: dict[tuple[str, str], Status] = {
    ("aiohttp", "ClientError"): Status.HTTP_ERROR,
    ("aiohttp", "ClientConnectorError"): Status.TCP_ERROR,
    ("aiohttp", "ClientConnectorDNSError"): Status.DNS_ERROR,
    ("aiohttp", "ClientSSLError"): Status.TLS_ERROR,
    ("aiohttp", "ServerTimeoutError"): Status.TIMEOUT,
}
"""By package and class name: what only programs that use the package can raise."""

_of_result: dict[type, Mapping] = {}


def status_of(error: BaseException) -> Status:
    """The status that `error` stands for; TEMPORARY_ERROR if nothing maps it."""
    found = _look_up(_of_exception, error)
    if found is None and is_a(error, errors.ApplicationError):
        ours: Any = error
        if ours.non_retryable:
            found = Status.PERMANENT_ERROR
        elif ours.original is not None:
            found = status_of(ours.original)
    return found or Status.TEMPORARY_ERROR


def status_of_result(value: object) -> Status:
    """The status that a returned `value` stands for; OK if nothing maps it."""
    if not _of_result:
        return Status.OK
    return _look_up(_of_result, value) or Status.OK


def results_are_mapped() -> bool:
    """Whether any class of results stands for a status."""
    return bool(_of_result)


def register_status(kind: type, status: Mapping) -> None:
    """Map an exception class, or a result class, to a status or a function of one.

    Takes effect for the whole process. Raises TypeError for anything but a class.
    """
    if not isinstance(kind, type):
        raise TypeError(f"a class is mapped to a status, not {kind!r}")
    table = _of_exception if issubclass(kind, BaseException) else _of_result
    table[kind] = status


def is_retried(status: Status) -> bool:
    """Whether a retry may cure `status`."""
    return status in RETRIED


def _look_up(table: dict[type, Mapping], value: object) -> Status | None:
    for kind in type(value).__mro__:
        found = table.get(kind)
        if found is None and table is _of_exception:
            package = kind.__module__.partition(".")[0]
            found = _of_foreign.get((package, kind.__name__))
        if found is not None:
            return found if isinstance(found, Status) else _asked(found, value)
    return None


def _asked(mapping: Callable[[Any], Status], value: object) -> Status | None:
    """What an application's function says; a broken one must not hide the error."""
    try:
        return Status(mapping(value))
    except BaseException as raised:
        text = "%s, registered with register_status, failed"
        log(logger, logging.ERROR, contained(raised), text, shown(mapping))
        return None
