"""Refusals of the engine as client errors: an HTTP status, a code and a message."""

from collections.abc import Iterator
from contextlib import contextmanager

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import (
    AuthorizationError,
    ClientError,
    EngineUnreachable,
    RPCError,
)
from everact.runtime.wire.refusals import HTTP_STATUS

_OF_KEYS = (RPCStatus.UNAUTHENTICATED, RPCStatus.PERMISSION_DENIED)


@contextmanager
def client_errors() -> Iterator[None]:
    """Raise what the engine refuses inside as ClientError or AuthorizationError.

    That no engine answered, or not within the caller's deadline, is no refusal, and
    stays what it is: the request may have been carried out.
    """
    try:
        yield
    except EngineUnreachable:
        raise
    except RPCError as refused:
        if refused.status is RPCStatus.DEADLINE_EXCEEDED:
            raise
        kind = AuthorizationError if refused.status in _OF_KEYS else ClientError
        status = HTTP_STATUS[refused.status]
        raise kind(refused.message, status, refused.status.name) from refused
