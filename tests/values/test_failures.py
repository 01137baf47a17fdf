"""Exceptions into recorded failures and back: nothing of what was said is lost."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from everact.runtime import ApplicationError, ChildFailure, EveractError
from everact.runtime.core import failures
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.errors import (
    AttemptLost,
    RunCancelled,
    RunTerminated,
    RunTimedOut,
    TaskCancelled,
    TaskTimeout,
)
from everact.runtime.functions import Status
from everact.runtime.statuses import TimeoutKind
from everact.runtime.values.outcomes import (
    cause_of,
    child_failure,
    exception_of,
    failure_of,
    task_timed_out,
)
from everact.runtime.values.payloads import PickleConverter

VALUES = PickleConverter()


class Declined(Exception):
    """An author's own error."""

    class Inner(Exception):
        pass


class Unpicklable(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class Picky(Exception):
    """Pickles, and cannot be made again from what was pickled."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code} {reason}")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class OwnApplicationError(ApplicationError):
    pass


def caught(*errors: BaseException) -> BaseException:
    """The last error, raised from the one before it, and so on."""
    found: BaseException | None = None
    for error in errors:
        try:
            raise error from found
        except BaseException as raised:
            found = raised
    assert found is not None
    return found


def recorded(*errors: BaseException) -> Failure:
    return failure_of(caught(*errors), values=VALUES)


def chain(error: BaseException | None) -> list[tuple[str, str]]:
    found = []
    while error is not None:
        found.append((type(error).__name__, str(error)))
        error = error.__cause__
    return found


def test_a_failure_keeps_type_message_status_and_place() -> None:
    failure = recorded(ValueError("bad input"))
    assert (failure.kind, failure.type, failure.message) == (
        FailureKind.APPLICATION,
        "ValueError",
        "bad input",
    )
    assert failure.status is Status.INVALID_ARGUMENT
    assert not failure.non_retryable
    assert "test_failures.py" in failure.traceback
    assert "ValueError: bad input" in failure.traceback


def test_the_type_is_the_qualified_name_without_the_module() -> None:
    assert recorded(Declined.Inner("x")).type == "Declined.Inner"


@pytest.mark.feature("DC-06")
def test_the_whole_chain_of_causes_is_recorded() -> None:
    failure = recorded(KeyError("k"), Declined("no"), ValueError("v"))
    types = []
    found: Failure | None = failure
    while found is not None:
        types.append(found.type)
        found = found.cause
    assert types == ["ValueError", "Declined", "KeyError"]


def test_what_an_error_was_raised_in_handling_of_is_its_cause() -> None:
    try:
        try:
            raise KeyError("k")
        except KeyError:
            raise ValueError("v")  # noqa: B904  the implicit context is the promise
    except ValueError as error:
        failure = failure_of(error, values=VALUES)
    assert failure.cause is not None
    assert failure.cause.type == "KeyError"


def test_from_none_hides_the_cause() -> None:
    with pytest.raises(ValueError, match="v") as hidden:
        try:
            raise KeyError("k")
        except KeyError:
            raise ValueError("v") from None
    assert failure_of(hidden.value, values=VALUES).cause is None


def test_a_chain_without_end_is_cut_off() -> None:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    failure = failure_of(one, values=VALUES)
    depth = 0
    while failure.cause is not None:
        failure, depth = failure.cause, depth + 1
    assert 2 <= depth <= 50


@pytest.mark.feature("DC-06")
def test_an_application_error_says_what_is_recorded() -> None:
    failure = recorded(
        ApplicationError(
            "no money",
            {"code": 7},
            "second",
            type="Declined",
            non_retryable=True,
            retry_after="1m",
        )
    )
    assert (failure.type, failure.message) == ("Declined", "no money")
    assert [VALUES.decode(d) for d in failure.details] == [{"code": 7}, "second"]
    assert failure.non_retryable
    assert failure.retry_after == 60.0


def test_a_class_derived_from_application_error_gives_its_own_name() -> None:
    assert recorded(OwnApplicationError("x")).type == "OwnApplicationError"
    assert recorded(OwnApplicationError("x", type="Given")).type == "Given"


def test_any_error_may_say_when_to_try_again() -> None:
    error = Declined("busy")
    error.retry_after = 3  # type: ignore[attr-defined]
    assert recorded(error).retry_after == 3.0
    error.retry_after = "nonsense"  # type: ignore[attr-defined]
    assert recorded(error).retry_after is None


def test_an_error_whose_text_cannot_be_made_is_recorded_all_the_same() -> None:
    failure = recorded(Mute())
    assert failure.type == "Mute"
    assert "Mute" in failure.message


def test_text_that_cannot_be_encoded_is_recorded_legibly() -> None:
    """Names of files come with lone surrogates where they are not UTF-8."""
    failure = recorded(FileNotFoundError(2, "no such file", "caf\udce9"))
    assert "caf\\udce9" in failure.message
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
    own = recorded(ApplicationError("caf\udce9", type="T\udce9"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(own), type=Failure) == own


# -- what workflow code gets -----------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("v"), Declined("d"), KeyError("k")])
def test_workflow_code_gets_the_original_error(error: Exception) -> None:
    found = exception_of(recorded(error), values=VALUES)
    assert type(found) is type(error)
    assert found.args == error.args
    assert any("test_failures.py" in note for note in found.__notes__)


def test_workflow_code_gets_the_causes_too() -> None:
    found = exception_of(recorded(KeyError("k"), Declined("d")), values=VALUES)
    assert chain(found) == [("Declined", "d"), ("KeyError", "'k'")]


@pytest.mark.feature("DC-06")
@pytest.mark.parametrize("error", [Unpicklable("no"), Picky(1, reason="no")], ids=repr)
def test_an_error_that_does_not_travel_keeps_its_name(error: Exception) -> None:
    found = exception_of(recorded(error), values=VALUES)
    assert isinstance(found, ApplicationError)
    assert found.type == type(error).__name__
    assert found.message == str(error)


def test_a_builtin_error_that_does_not_travel_is_one_of_its_class() -> None:
    error = ValueError("v")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    found = exception_of(recorded(error), values=VALUES)
    assert type(found) is ValueError
    assert found.args == ("v",)


def test_an_exception_group_comes_back_as_one() -> None:
    group = ExceptionGroup("both", [ValueError("v"), Declined("d")])
    found = exception_of(recorded(group), values=VALUES)
    assert isinstance(found, ExceptionGroup)
    assert [type(e) for e in found.exceptions] == [ValueError, Declined]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (task_timed_out(TimeoutKind.ATTEMPT, "t", 2.0), TaskTimeout),
        (failures.lost(3), AttemptLost),
        (failures.cancelled("c"), TaskCancelled),
        (child_failure(failures.cancelled("c"), "w", "id", "run"), ChildFailure),
    ],
)
def test_the_kind_of_a_failure_is_the_class_of_the_error(
    failure: Failure, kind: type[EveractError]
) -> None:
    assert type(exception_of(failure, values=VALUES)) is kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TimeoutKind.ATTEMPT, "ran longer than its timeout of 2.5 s"),
        (TimeoutKind.HEARTBEAT, "sent no heartbeat for 2.5 s"),
        (TimeoutKind.QUEUE, "waited for a slot longer than 2.5 s"),
    ],
)
def test_a_task_that_timed_out_says_which_limit(kind: TimeoutKind, text: str) -> None:
    error = exception_of(task_timed_out(kind, "fetch", 2.5), values=VALUES)
    assert isinstance(error, TaskTimeout)
    assert isinstance(error, TimeoutError)
    assert (str(error), error.kind) == (f"task 'fetch' {text}", kind)


# -- what a caller gets ----------------------------------------------------------------


@pytest.mark.feature("DC-06")
def test_a_caller_sees_both_ends_of_a_chain() -> None:
    found = cause_of(recorded(KeyError("k"), Declined("d")), values=VALUES)
    assert isinstance(found, ApplicationError)
    assert (found.type, found.message) == ("Declined", "d")
    assert isinstance(found.original, Declined)
    assert isinstance(found.cause, ApplicationError)
    assert found.cause.type == "KeyError"
    assert "test_failures.py" in found.traceback


@pytest.mark.feature("DC-06")
def test_a_caller_gets_the_details_of_an_application_error() -> None:
    given = ApplicationError("m", 1, [2], type="T", non_retryable=True, retry_after=4)
    found = cause_of(recorded(given), values=VALUES)
    assert isinstance(found, ApplicationError)
    assert (found.type, found.message, found.details) == ("T", "m", (1, [2]))
    assert (found.non_retryable, found.retry_after) == (True, 4.0)


@pytest.mark.feature("DC-06")
def test_library_errors_come_back_as_themselves() -> None:
    for error in (TaskTimeout("late"), AttemptLost("thrice"), TaskCancelled("gone")):
        assert type(cause_of(recorded(error), values=VALUES)) is type(error)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (failures.cancelled("why", (VALUES.encode(7, ""),)), RunCancelled),
        (failures.terminated("why", (VALUES.encode(7, ""),)), RunTerminated),
    ],
)
def test_how_a_run_was_ended_is_the_class_of_the_cause(
    failure: Failure, kind: type[RunCancelled | RunTerminated]
) -> None:
    found: Any = cause_of(failure, values=VALUES)
    assert type(found) is kind
    assert (found.reason, found.details) == ("why", (7,))


def test_a_run_that_timed_out_says_which_limit() -> None:
    found = cause_of(failures.timed_out(TimeoutKind.EXECUTION, "late"), values=VALUES)
    assert isinstance(found, RunTimedOut)
    assert (str(found), found.kind) == ("late", TimeoutKind.EXECUTION)
    assert found.args == ("late",)


def test_a_childs_failure_reaches_the_parents_caller_with_its_causes() -> None:
    inner = recorded(KeyError("k"), Declined("d"))
    outer = exception_of(child_failure(inner, "w", "id", "run"), values=VALUES)
    found = cause_of(failure_of(outer, values=VALUES), values=VALUES)
    assert [name for name, _ in chain(found)] == [
        "ChildFailure",
        "ApplicationError",
        "ApplicationError",
    ]
    assert "child run 'id' of 'w' ended: Declined: d" in str(found)


def test_a_detail_that_cannot_be_stored_does_not_hide_the_error() -> None:
    failure = failure_of(ApplicationError("m", threading.Lock(), 7), values=VALUES)
    assert failure.message == "m"
    details = [VALUES.decode(d) for d in failure.details]
    assert details == ["<lock that cannot be stored>", 7]
