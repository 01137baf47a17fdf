"""Statuses: all there, what stands for which, which are retried."""

from __future__ import annotations

import concurrent.futures
import errno
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from everact.runtime import ApplicationError
from everact.runtime.errors import (
    AttemptLost,
    NonDeterminismError,
    RPCError,
    RunTimedOut,
    TaskCancelled,
    TaskTimeout,
    ValueNotStorable,
)
from everact.runtime.functions import (
    Error,
    Status,
    is_retried,
    register_status,
    status_of,
    status_of_result,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.values import status_of as tables


@pytest.fixture(autouse=True)
def own_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten with it."""
    monkeypatch.setattr(tables, "_of_exception", dict(tables._of_exception))
    monkeypatch.setattr(tables, "_of_result", dict(tables._of_result))


@pytest.mark.feature("PF-20")
def test_every_status_is_there_and_prints_as_its_name() -> None:
    names = [
        "UNSPECIFIED",
        "OK",
        "TIMEOUT",
        "THROTTLED",
        "INVALID_ARGUMENT",
        "INVALID_RESPONSE",
        "TEMPORARY_ERROR",
        "PERMANENT_ERROR",
        "INCOMPATIBLE_STATE",
        "DNS_ERROR",
        "TCP_ERROR",
        "TLS_ERROR",
        "HTTP_ERROR",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "NOT_FOUND",
    ]
    assert [status.name for status in Status] == names
    assert [int(status) for status in Status] == list(range(16))
    for status in Status:
        assert str(status) == repr(status) == f"{status}" == status.name
        assert isinstance(status, int)
        assert status == int(status)
    assert Status.OK < Status.TIMEOUT < 3


@pytest.mark.feature("PF-21")
def test_which_statuses_are_retried() -> None:
    assert {status.name for status in Status if is_retried(status)} == {
        "TIMEOUT",
        "THROTTLED",
        "TEMPORARY_ERROR",
        "INCOMPATIBLE_STATE",
        "DNS_ERROR",
        "TCP_ERROR",
        "TLS_ERROR",
        "HTTP_ERROR",
    }


class Unknown(Exception):
    pass


class Connector(aiohttp.ClientConnectorError):
    """Made without a connection key, which only aiohttp can build."""

    def __init__(self) -> None:
        key: Any = SimpleNamespace(host="h", port=1, ssl=None, is_ssl=False)
        super().__init__(key, OSError(errno.ECONNREFUSED, "refused"))


TABLE = [
    (TimeoutError(), Status.TIMEOUT),
    (concurrent.futures.TimeoutError(), Status.TIMEOUT),
    (TypeError(), Status.INVALID_ARGUMENT),
    (ValueError(), Status.INVALID_ARGUMENT),
    (UnicodeError(), Status.INVALID_ARGUMENT),
    (ConnectionError(), Status.TCP_ERROR),
    (ConnectionRefusedError(), Status.TCP_ERROR),
    (BrokenPipeError(), Status.TCP_ERROR),
    (PermissionError(), Status.PERMISSION_DENIED),
    (FileNotFoundError(), Status.NOT_FOUND),
    (InterruptedError(), Status.TEMPORARY_ERROR),
    (EOFError(), Status.TEMPORARY_ERROR),
    (OSError(), Status.TEMPORARY_ERROR),
    (IsADirectoryError(), Status.TEMPORARY_ERROR),
    (ssl.SSLError(), Status.TLS_ERROR),
    (ssl.SSLCertVerificationError(), Status.TLS_ERROR),
    (socket.gaierror(), Status.DNS_ERROR),
    (aiohttp.ClientError(), Status.HTTP_ERROR),
    (aiohttp.ClientPayloadError(), Status.HTTP_ERROR),
    (Connector(), Status.TCP_ERROR),
    (aiohttp.ServerTimeoutError(), Status.TIMEOUT),
    (TaskTimeout("late"), Status.TIMEOUT),
    (RunTimedOut("late"), Status.TIMEOUT),
    (AttemptLost("thrice"), Status.TEMPORARY_ERROR),
    (TaskCancelled(), Status.PERMANENT_ERROR),
    (NonDeterminismError("n"), Status.INCOMPATIBLE_STATE),
    (ValueNotStorable("v"), Status.INVALID_RESPONSE),
    (RPCError("n", RPCStatus.NOT_FOUND), Status.NOT_FOUND),
    (RPCError("p", RPCStatus.PERMISSION_DENIED), Status.PERMISSION_DENIED),
    (RPCError("f", RPCStatus.RESOURCE_EXHAUSTED), Status.THROTTLED),
    (RPCError("u", RPCStatus.UNAVAILABLE), Status.TEMPORARY_ERROR),
    (ApplicationError("a"), Status.TEMPORARY_ERROR),
    (ApplicationError("a", non_retryable=True), Status.PERMANENT_ERROR),
    (ApplicationError("a", original=PermissionError()), Status.PERMISSION_DENIED),
    (Unknown(), Status.TEMPORARY_ERROR),
    (KeyError(), Status.TEMPORARY_ERROR),
    (RuntimeError(), Status.TEMPORARY_ERROR),
]


@pytest.mark.feature("PF-18")
@pytest.mark.parametrize(("error", "status"), TABLE, ids=lambda g: type(g).__name__)
def test_an_exception_stands_for_a_status(error: Exception, status: Status) -> None:
    assert status_of(error) is status
    made = Error.from_exception(error)
    assert (made.status, made.type) == (status, type(error).__qualname__)


@pytest.mark.feature("PF-18")
def test_a_given_status_wins_over_the_inferred_one() -> None:
    assert Error.from_exception(ValueError("v"), Status.THROTTLED).status == 3


class Busy(Exception):
    pass


class VeryBusy(Busy):
    pass


class BusyConnection(ConnectionError, Busy):
    pass


@pytest.mark.feature("PF-22")
def test_the_most_specific_registered_class_wins() -> None:
    register_status(Busy, Status.THROTTLED)
    assert status_of(VeryBusy()) is Status.THROTTLED
    register_status(VeryBusy, Status.PERMANENT_ERROR)
    assert status_of(VeryBusy()) is Status.PERMANENT_ERROR
    assert status_of(Busy()) is Status.THROTTLED
    assert status_of(BusyConnection()) is Status.TCP_ERROR
    register_status(BusyConnection, Status.DNS_ERROR)
    assert status_of(BusyConnection()) is Status.DNS_ERROR


class Refused(ApplicationError):
    pass


@pytest.mark.feature("PF-22")
def test_a_class_derived_from_application_error_can_be_registered() -> None:
    register_status(Refused, Status.THROTTLED)
    assert status_of(Refused("r")) is Status.THROTTLED
    assert status_of(ApplicationError("a")) is Status.TEMPORARY_ERROR


class Answer:
    def __init__(self, code: int) -> None:
        self.code = code


class HttpError(Exception):
    code = 429


@pytest.mark.feature("PF-22")
def test_a_function_of_the_value_can_be_registered() -> None:
    def by_code(value: Any) -> Status:
        return Status.THROTTLED if value.code == 429 else Status.OK

    register_status(Answer, by_code)
    register_status(HttpError, by_code)
    assert status_of_result(Answer(429)) is Status.THROTTLED
    assert status_of_result(Answer(200)) is Status.OK
    assert status_of(HttpError()) is Status.THROTTLED


@pytest.mark.feature("PF-22")
def test_a_result_of_a_class_that_nobody_registered_is_ok() -> None:
    assert status_of_result(7) is Status.OK
    assert status_of_result(ValueError("returned, not raised")) is Status.OK


def test_a_registered_function_that_fails_does_not_hide_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(value: Any) -> Status:
        raise RuntimeError("mapping is broken")

    register_status(Busy, broken)
    assert status_of(Busy()) is Status.TEMPORARY_ERROR
    assert "mapping is broken" in caplog.text


@pytest.mark.parametrize("given", [ValueError("an instance"), "ValueError", None])
def test_only_classes_are_registered(given: Any) -> None:
    with pytest.raises(TypeError, match="a class is mapped"):
        register_status(given, Status.OK)
