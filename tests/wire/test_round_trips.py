"""What goes out on one end comes in on the other as the same value."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from everact.runtime import errors, wire
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    Attribute,
    AttributeKind,
    AwaitEvent,
    ChildClosed,
    Complete,
    CompleteUpdate,
    EventMatched,
    Fail,
    RunTask,
    SetDetails,
    SignalReceived,
    Started,
    StartOptions,
    TaskCompleted,
    UpdateAccepted,
    UpsertAttributes,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.errors import EveractError
from everact.runtime.operations.events import (
    EventDescription,
    ListEvents,
    PushEvent,
)
from everact.runtime.operations.runs import (
    AwaitRun,
    HistoryEntry,
    ReadHistory,
    RunClosed,
    RunRef,
)
from everact.runtime.operations.starting import StartRun
from everact.runtime.operations.updates import (
    AwaitUpdate,
    SendUpdate,
    SendWithStart,
    Update,
    UpdateState,
)
from everact.runtime.values.converter import DataConverter
from everact.runtime.wire.refusals import STATUS

VALUES = DataConverter.default
CAUSE = Failure(FailureKind.APPLICATION, "KeyError", "'x'", value=b"pickle")
FAILURE = Failure(
    FailureKind.CHILD, "ChildFailure", "b", details=(b"j[1]",), cause=CAUSE
)


def test_a_request_comes_in_as_it_went_out() -> None:
    request = StartRun(
        workflow="w",
        args=(b"j[1]", b"jnull"),
        kwargs={"x": b'j{"a":2}'},
        options=StartOptions(
            retry=RetryPolicy(attempts=3), parameters=b'{"p":1}', memo={"m": b"j1"}
        ),
    )
    assert (
        wire.decode_request(StartRun, wire.encode_request(request)).request == request
    )


def test_an_event_comes_in_as_it_went_out() -> None:
    request = PushEvent(
        key="paid", payload=b"j[1]", scope="a", metadata=b'{"m":2}', request_id="r"
    )
    sent = wire.encode_request(request)
    assert wire.decode_request(PushEvent, sent).request == request
    nothing = PushEvent(key="paid", payload=b"jnull")
    sent = wire.encode_request(nothing)
    assert wire.decode_request(PushEvent, sent).request == nothing
    assert wire.decode_request(PushEvent, b'{"key":"paid"}').request == nothing
    found = EventDescription(
        seq=1,
        event_id="e",
        key="paid",
        scope=None,
        payload=b"jnull",
        metadata=b'{"m":2}',
        at=1.5,
    )
    body = wire.encode_answer(ListEvents, (found,), VALUES)
    assert wire.decode_answer(ListEvents, body) == (found,)


def test_a_wait_travels_beside_its_request() -> None:
    request = AwaitRun(run=RunRef(workflow_id="w"))
    ask = wire.decode_request(AwaitRun, wire.encode_request(request, 7))
    assert ask == wire.Ask(request, 7)


@pytest.mark.feature("CT-04")
def test_history_comes_in_as_the_same_records_but_for_pickles() -> None:
    entry = HistoryEntry(
        generation=1,
        seq=2,
        time=3.5,
        events=(
            Started("w", "id", "r", "r", "r", args=(b"j6",)),
            TaskCompleted(1, b"jnull"),
            SignalReceived("s", (b'j"x"',)),
            EventMatched(5, "e", "paid", b'j{"a":[1]}'),
            ChildClosed(4, failure=FAILURE),
            UpdateAccepted("u", "n", (b"j1",)),
        ),
        commands=(
            RunTask(1, "t", (b"j1",)),
            Fail(FAILURE),
            Complete(b"j[]"),
            CompleteUpdate("u", b"j1"),
            AwaitEvent(5, "paid", "order-1", "a = 1", 1.5, "payment"),
            UpsertAttributes(
                {
                    "Tags": Attribute(AttributeKind.KEYWORD_LIST, ("a", "b")),
                    "Due": Attribute(AttributeKind.DATETIME, 1.5),
                    "Paid": Attribute(AttributeKind.BOOL, True),
                    "Gone": None,
                }
            ),
            SetDetails("here"),
        ),
        run_id="r",
    )
    (found,) = wire.decode_answer(
        ReadHistory, wire.encode_answer(ReadHistory, (entry,), VALUES)
    )
    bare = msgspec.structs.replace
    seen = bare(FAILURE, cause=bare(CAUSE, value=None))
    assert found == bare(
        entry,
        events=(*entry.events[:4], ChildClosed(4, failure=seen), entry.events[5]),
        commands=(entry.commands[0], Fail(seen), *entry.commands[2:]),
    )


def test_an_update_comes_in_as_it_went_out() -> None:
    update = Update(update_id="u", name="n", args=(b"j[1]",), kwargs={"x": b"jnull"})
    for request in (
        SendUpdate(run=RunRef(workflow_id="w"), update=update, wait_for="accepted"),
        SendWithStart(start=StartRun(workflow="w", on_conflict="fail"), update=update),
    ):
        ask = wire.decode_request(type(request), wire.encode_request(request, 7))
        assert ask == wire.Ask(request, 7)


@pytest.mark.parametrize("result", [VALUES.encode(None, ""), None])
def test_an_answer_of_none_is_not_the_absence_of_an_answer(result: Any) -> None:
    state = UpdateState(
        workflow_id="w", run_id="r", update_id="u", stage="completed", result=result
    )
    body = wire.encode_answer(AwaitUpdate, state, VALUES)
    found = wire.decode_answer(AwaitUpdate, body)
    assert found.result == (None if result is None else b"jnull")


def test_a_result_of_none_is_not_the_absence_of_a_result() -> None:
    for result in (VALUES.encode(None, "v"), None):
        closed = RunClosed(run_id="r", status=RunStatus.COMPLETED, result=result)
        body = wire.encode_answer(AwaitRun, closed, VALUES)
        found = wire.decode_answer(AwaitRun, body)
        assert found.result == (None if result is None else b"jnull")
        assert isinstance(found.status, RunStatus)


@pytest.mark.feature("ER-02")
@pytest.mark.parametrize(
    "error",
    [
        errors.RPCError("no", RPCStatus.NOT_FOUND, (1, "two")),
        errors.WorkflowAlreadyStarted("id", "type", "run"),
        errors.QueryRejected(RunStatus.FAILED),
        errors.QueryFailed("no such query"),
        errors.RunPutAside("id", "run", "no code"),
        errors.UpdateTimedOutOrCancelled("u", "after 1 s"),
        errors.ValueNotStorable("too large"),
        errors.StoreFull("disk"),
        errors.ContinuedAsNew("next"),
        errors.AsyncTaskCancelled("stop", 1, [2]),
        errors.RunTerminated("why", {"by": "us"}),
    ],
)
def test_an_error_comes_in_as_the_same_class_with_the_same_data(
    error: EveractError,
) -> None:
    _, body = wire.encode_error(error)
    found = wire.decode_error(body)
    assert type(found) is type(error) and str(found) == str(error)
    for name, value in vars(error).items():
        if name[0] != "_":
            assert getattr(found, name) == value


@pytest.mark.feature("ER-01")
@pytest.mark.parametrize("name", errors.__all__)
@pytest.mark.parametrize("data", [{}, {"status": 7}, {"status": [], "details": 1}])
def test_a_body_that_does_not_say_enough_is_an_error_of_the_family(
    name: str, data: dict[str, Any]
) -> None:
    told = {"type": name, "status": "NOT_FOUND", "message": "gone", "data": data}
    if not data:
        del told["data"]
    found = wire.decode_error(msgspec.json.encode({"error": told}))
    assert isinstance(found, EveractError)
    assert "gone" in str(found) or not isinstance(found, errors.RPCError)
    assert isinstance(wire.status_of(found), RPCStatus)
    if type(found) is errors.RPCError:
        assert found.status is RPCStatus.NOT_FOUND


def test_every_error_has_a_status() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert kind is EveractError or any(
            parent in STATUS or parent is errors.RPCError for parent in kind.__mro__
        )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {"type": "os"}}']
)
def test_what_is_no_refusal_of_ours_is_none(body: bytes) -> None:
    assert wire.decode_error(body) is None


def test_a_class_that_is_no_error_of_ours_is_never_made() -> None:
    body = b'{"error":{"type":"Any","status":"NOT_FOUND","message":"m"}}'
    found = wire.decode_error(body)
    assert type(found) is errors.RPCError and found.status is RPCStatus.NOT_FOUND


def test_plain_options_in_a_row_are_one_object_and_no_others_are_taken_for_them() -> (
    None
):
    def options(**given: Any) -> Any:
        body = msgspec.json.encode({"workflow": "w", "options": given})
        return wire.decode_request(StartRun, body).request.options

    plain = options(queue="a", parameters={}, memo={})
    assert options(queue="a", parameters={}, memo={}) is plain
    assert options(queue="b").queue == "b"
    for one in ({"queue": "a"}, {"parameters": {"a": 1}}, {"parameters": {"a": True}}):
        assert options(**one) == options(**one)
    assert options(parameters={"a": 1}).parameters == b'{"a":1}'
    assert options(parameters={"a": True}).parameters == b'{"a":true}'
    assert options(memo={"a": 1}).memo != options(memo={"a": True}).memo
