"""Calls and errors as plain values."""

from __future__ import annotations

import dataclasses
import pickle
import threading
import traceback
from typing import Any

import pytest

from everact.runtime import Call
from everact.runtime.functions import Arguments, Error, Status


@pytest.mark.feature("PF-14")
def test_a_call_is_a_plain_value_with_defaults() -> None:
    call = Call("f")
    assert (call.function, call.input, call.endpoint, call.correlation_id) == (
        "f",
        None,
        None,
        None,
    )
    assert call == Call("f")
    assert call != Call("f", 1)
    assert pickle.loads(pickle.dumps(call)) == call
    with pytest.raises(dataclasses.FrozenInstanceError):
        call.function = "g"  # type: ignore[misc]


@pytest.mark.feature("PF-14")
@pytest.mark.parametrize("name", ["", None, 7, b"f"], ids=repr)
def test_a_call_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="name of a function"):
        _ = Call(name)


@pytest.mark.feature("PF-14")
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (None, Arguments()),
        (5, Arguments((5,))),
        ((1, 2), Arguments(((1, 2),))),
        (Arguments((1,), {"k": 2}), Arguments((1,), {"k": 2})),
        (Arguments((None,)), Arguments((None,))),
    ],
    ids=repr,
)
def test_the_input_of_a_call_is_one_value_or_arguments(
    given: Any, arguments: Arguments
) -> None:
    assert Call("f", given).arguments() == arguments


@pytest.mark.feature("PF-16")
@pytest.mark.parametrize(
    ("status", "type_", "message"),
    [
        (Status.TIMEOUT, "", "m"),
        (Status.TIMEOUT, "T", ""),
        (Status.OK, "T", "m"),
        (Status.OK, "", ""),
        (Status.TIMEOUT, None, "m"),
        (Status.TIMEOUT, "T", None),
    ],
)
def test_an_error_that_says_nothing_is_refused(
    status: Status, type_: Any, message: Any
) -> None:
    with pytest.raises(ValueError, match="an error"):
        Error(status, type_, message)


@pytest.mark.feature("PF-16")
def test_an_error_is_no_exception() -> None:
    error = Error(Status.TIMEOUT, "T", "m")
    assert not isinstance(error, BaseException)
    assert (error.value, error.traceback) == (None, None)


@pytest.mark.feature("PF-16")
def test_the_traceback_is_filled_from_the_value_unless_given() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        print(1 / 0)
    filled = Error(Status.TIMEOUT, "T", "m", caught.value)
    assert filled.traceback is not None
    assert b"test_calls.py" in filled.traceback
    assert Error(Status.TIMEOUT, "T", "m", caught.value, b"given").traceback == b"given"


class Own(Exception):
    class Inner(Exception):
        pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Empty(Exception):
    """An exception that is false."""

    def __bool__(self) -> bool:
        return False


@pytest.mark.feature("PF-18")
def test_an_error_from_an_exception_says_type_message_and_keeps_it() -> None:
    inner = Own.Inner("why")
    made = Error.from_exception(inner)
    assert (made.type, made.message, made.value) == ("Own.Inner", "why", inner)
    assert Error.from_exception(Own()).message == "Own"
    assert "Mute" in Error.from_exception(Mute()).message


@pytest.mark.feature("PF-18")
def test_only_exceptions_become_errors_that_way() -> None:
    given: Any = "text"
    with pytest.raises(TypeError, match="an exception is needed"):
        Error.from_exception(given)


@pytest.mark.feature("PF-19")
@pytest.mark.parametrize("raised", [ValueError("v"), Own("o"), Empty("e")], ids=repr)
def test_the_exception_that_travelled_comes_back(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught:
        raise raised
    assert Error.from_exception(caught.value).to_exception() is raised


@pytest.mark.feature("PF-19")
def test_a_known_type_comes_back_by_its_name_with_text_and_traceback() -> None:
    with pytest.raises(ValueError, match="v") as caught:
        raise ValueError("v")
    made = Error.from_exception(caught.value)
    travelled = dataclasses.replace(made, value=None)
    found = pickle.loads(pickle.dumps(travelled)).to_exception()
    assert type(found) is ValueError
    assert str(found) == "v"
    assert "test_calls.py" in "".join(traceback.format_exception(found))


@pytest.mark.feature("PF-19")
def test_an_unknown_type_comes_back_as_a_runtime_error_with_the_message() -> None:
    found = Error(Status.TIMEOUT, "NobodyKnows", "why").to_exception()
    assert type(found) is RuntimeError
    assert str(found) == "why"


@pytest.mark.feature("PF-19")
@pytest.mark.parametrize("text", [b"", b"\xff\xfe not text", b"rubbish"])
def test_a_traceback_is_never_a_cause_of_failure(text: bytes) -> None:
    found = Error(Status.TIMEOUT, "ValueError", "why", None, text).to_exception()
    assert (type(found), str(found)) == (ValueError, "why")


@pytest.mark.feature("PF-19")
def test_asking_twice_does_not_say_it_twice() -> None:
    error = Error(Status.TIMEOUT, "T", "m", ValueError("v"), b"Traceback: here")
    error.to_exception()
    assert error.to_exception().__notes__ == ["Traceback: here"]


def test_an_error_whose_value_does_not_pickle_is_still_a_value() -> None:
    value = ValueError("v")
    value.lock = threading.Lock()  # type: ignore[attr-defined]
    assert Error.from_exception(value).message == "v"
