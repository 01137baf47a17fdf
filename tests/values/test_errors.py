"""The family of errors: one base, all of them pickle with what they carry."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import cloudpickle
import pytest

from everact.runtime import (
    ApplicationError,
    ChildFailure,
    EveractError,
    RunStatus,
    WorkflowFailure,
    errors,
)
from everact.runtime.errors import (
    AsyncTaskCancelled,
    AttemptLost,
    AuthorizationError,
    ClientError,
    ContinuedAsNew,
    EngineUnreachable,
    ForeignAwait,
    InvalidFilter,
    NonDeterminismError,
    QueryFailed,
    QueryRejected,
    ReadOnlyError,
    RequestIdReused,
    RPCError,
    RunCancelled,
    RunPutAside,
    RunTerminated,
    RunTimedOut,
    RuntimeStateError,
    ScheduleAlreadyRunning,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreKeyError,
    StoreLost,
    StoreTampered,
    StoreTooNew,
    TaskCancelled,
    TaskTimeout,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    ValueNotReadable,
    ValueNotStorable,
    WorkflowAlreadyStarted,
)
from everact.runtime.statuses import RPCStatus, TimeoutKind

SAMPLES: list[EveractError] = [
    errors.EndpointError("cannot be opened"),
    errors.AddressInUse("taken"),
    errors.SecretFileError("readable by others"),
    ApplicationError(
        "m", 1, [2], type="T", non_retryable=True, retry_after=3, traceback="tb"
    ),
    AsyncTaskCancelled("m", 1, "two"),
    AttemptLost("m"),
    AuthorizationError("m", 403, "PERMISSION_DENIED"),
    ChildFailure("m", "wf", "run"),
    ClientError("m", 404, "NOT_FOUND"),
    EngineUnreachable("m", "host:1", True),
    InvalidFilter("m", 3),
    ContinuedAsNew("run-2"),
    ForeignAwait("m"),
    NonDeterminismError("m", "old", "new"),
    QueryFailed("m"),
    QueryRejected(RunStatus.FAILED),
    RPCError("m", RPCStatus.NOT_FOUND, ("d", 1)),
    ReadOnlyError("m"),
    RequestIdReused("r-1", "a signal", "a start"),
    RunCancelled("why", 1, 2),
    RunPutAside("wf", "run", "why"),
    RunTerminated("why", 1, 2),
    RunTimedOut("m", TimeoutKind.EXECUTION),
    RuntimeStateError("m"),
    ScheduleAlreadyRunning("nightly"),
    StoreError("m"),
    StoreFull("m"),
    StoreInUse("m"),
    StoreDamaged("m"),
    StoreLost("m"),
    StoreKeyError("m"),
    StoreTampered("m"),
    StoreTooNew("m"),
    TaskCancelled("m"),
    TaskTimeout("m", TimeoutKind.HEARTBEAT),
    UpdateFailed("m", ApplicationError("inner")),
    UpdateTimedOutOrCancelled("u", "after 1 s"),
    ValueNotStorable("m"),
    ValueNotReadable("its codec is not there"),
    WorkflowAlreadyStarted("wf", "Order", "run"),
    WorkflowFailure("m", RunCancelled("why")),
]


def public_errors() -> set[type]:
    return {
        member
        for name, member in vars(errors).items()
        if inspect.isclass(member)
        and issubclass(member, EveractError)
        and not name.startswith("_")
        and member is not EveractError
    }


@pytest.mark.feature("ER-01")
def test_all_errors_have_one_base() -> None:
    assert public_errors() == {type(sample) for sample in SAMPLES}
    assert set(errors.__all__) == {k.__name__ for k in public_errors()} | {
        "EveractError"
    }
    assert all(issubclass(kind, Exception) for kind in public_errors())


@pytest.mark.feature("ER-01")
def test_the_statuses_of_refused_requests_are_all_there() -> None:
    assert [status.name.lower().replace("_", " ") for status in RPCStatus] == [
        "cancelled",
        "unknown",
        "invalid argument",
        "deadline exceeded",
        "not found",
        "already exists",
        "permission denied",
        "resource exhausted",
        "failed precondition",
        "aborted",
        "out of range",
        "unimplemented",
        "internal",
        "unavailable",
        "data loss",
        "unauthenticated",
    ]
    error = RPCError("m", RPCStatus.ABORTED, ("d",))
    assert (error.message, error.status, error.details) == ("m", 10, ("d",))


def contents(error: BaseException) -> dict[str, Any]:
    """What an error says and carries, its cause included."""
    found = {
        name: value
        for name, value in vars(error).items()
        if not name.startswith("_") and name != "original"
    }
    cause = error.__cause__
    return {
        "type": type(error),
        "text": str(error),
        "args": error.args,
        "cause": None if cause is None else contents(cause),
        **found,
    }


@pytest.mark.feature("ER-04")
@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("how", [pickle, cloudpickle], ids=lambda m: m.__name__)
def test_an_error_pickles_with_all_that_it_carries(
    error: EveractError, how: Any
) -> None:
    assert contents(pickle.loads(how.dumps(error))) == contents(error)


@pytest.mark.feature("ER-04")
@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_pickles_with_the_chain_of_its_causes(error: EveractError) -> None:
    made = pickle.loads(pickle.dumps(error))
    made.__cause__ = KeyError("inner")
    made.__cause__.__cause__ = None
    outer = RuntimeStateError("outer")
    outer.__cause__ = made
    assert contents(pickle.loads(pickle.dumps(outer))) == contents(outer)


@pytest.mark.feature("ER-04")
@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_the_data_that_an_error_names_is_readable(error: EveractError) -> None:
    named: dict[type, dict[str, Any]] = {
        WorkflowAlreadyStarted: {
            "workflow_id": "wf",
            "workflow_type": "Order",
            "run_id": "run",
        },
        ContinuedAsNew: {"next_run_id": "run-2"},
        QueryRejected: {"status": RunStatus.FAILED},
        RPCError: {"status": RPCStatus.NOT_FOUND, "details": ("d", 1)},
        TaskTimeout: {"kind": TimeoutKind.HEARTBEAT, "message": "m"},
        RunTimedOut: {"kind": TimeoutKind.EXECUTION, "message": "m"},
        RunCancelled: {"reason": "why", "details": (1, 2)},
        RunTerminated: {"reason": "why", "details": (1, 2)},
        AsyncTaskCancelled: {"details": (1, "two")},
        ScheduleAlreadyRunning: {"schedule_id": "nightly"},
        RunPutAside: {"workflow_id": "wf", "run_id": "run", "reason": "why"},
        NonDeterminismError: {"recorded": "old", "produced": "new"},
        ChildFailure: {"workflow_id": "wf", "run_id": "run"},
        RequestIdReused: {
            "request_id": "r-1",
            "first": "a signal",
            "second": "a start",
        },
    }
    for name, value in named.get(type(error), {}).items():
        assert getattr(error, name) == value
    assert str(error)


@pytest.mark.feature("ER-04")
@pytest.mark.parametrize("kind", [TaskTimeout, RunTimedOut])
def test_timeouts_are_timeouts_of_the_language_too(kind: type[Exception]) -> None:
    assert issubclass(kind, TimeoutError)


def test_errors_given_by_keyword_pickle_too() -> None:
    error = RPCError(message="m", status=RPCStatus.ABORTED, details=(1,))
    assert contents(pickle.loads(pickle.dumps(error))) == contents(error)
    late = TaskTimeout(message="m", kind=TimeoutKind.QUEUE)
    assert (str(late), late.kind) == ("m", TimeoutKind.QUEUE)


class Own(ApplicationError):
    """A user's error with a constructor of its own."""

    def __init__(self, order: int) -> None:
        super().__init__(f"order {order} declined", order, non_retryable=True)
        self.order = order


@pytest.mark.feature("ER-04")
def test_a_users_own_kind_of_application_error_pickles() -> None:
    found = pickle.loads(pickle.dumps(Own(7)))
    assert contents(found) == contents(Own(7))
    assert found.order == 7
