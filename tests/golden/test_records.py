"""Rows of every landed version are read by today's code, and mean the same."""

from __future__ import annotations

import typing

import msgspec
import pytest

from everact.runtime.core import records
from everact.runtime.core.records import (
    Command,
    Event,
    Message,
    Record,
    Started,
    StartOptions,
    TaskCompleted,
    Transition,
)
from tests.golden import examples

VERSIONS = sorted(
    int(p.stem.rpartition("-")[2]) for p in examples.FOLDER.glob("records-*.txt")
)
LATEST = VERSIONS[-1]


def of_kind(kind: typing.Any) -> set[type]:
    """The records of a union, unions inside it included."""
    return {
        inner
        for part in typing.get_args(kind)
        for inner in (of_kind(part) if typing.get_args(part) else {part})
    }


def test_there_is_an_example_of_every_kind_with_every_field_set() -> None:
    assert {type(e) for e in examples.EVENTS} == of_kind(Event)
    assert {type(c) for c in examples.COMMANDS} == of_kind(Command)
    assert {type(m) for m in examples.MESSAGES} == of_kind(Message)
    for example in (*examples.EVENTS, *examples.COMMANDS):
        unset = [
            field.name
            for field in msgspec.structs.fields(example)
            if not field.required and getattr(example, field.name) == field.default
        ]
        assert unset == [], type(example).__name__


@pytest.mark.parametrize("name", sorted(examples.encoded()))
def test_todays_rows_are_those_of_the_latest_version(name: str) -> None:
    assert examples.read(LATEST)[name] == examples.encoded()[name]


@pytest.mark.parametrize("name", sorted(examples.rows()))
def test_a_row_of_the_latest_version_is_what_was_written(name: str) -> None:
    body = examples.read(LATEST)[f"row {name}"]
    assert records.decode(body) == examples.rows()[name]


@pytest.mark.parametrize("message", examples.MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_of_the_latest_version_is_what_was_written(message: Message) -> None:
    body = examples.read(LATEST)[f"message {type(message).__name__}"]
    assert records.decode_message(body) == message


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_of_every_version_still_mean_what_they_said(version: int) -> None:
    for name, body in examples.read(version).items():
        kind, _, what = name.partition(" ")
        if kind == "message":
            found: typing.Any = records.decode_message(body)
            expected: typing.Any = next(
                m for m in examples.MESSAGES if type(m).__name__ == what
            )
        else:
            found, expected = records.decode(body), examples.rows()[what]
        _agree(msgspec.to_builtins(found), msgspec.to_builtins(expected), raw(body))


def raw(body: bytes) -> typing.Any:
    return msgspec.msgpack.decode(memoryview(body)[1:])


def _agree(found: typing.Any, expected: typing.Any, written: typing.Any) -> None:
    """What was written is there; what came later has its default."""
    if isinstance(written, list) and isinstance(found, list | tuple):
        assert len(found) >= len(written)
        for one, other, text in zip(found, expected, written, strict=False):
            _agree(one, other, text)
    else:
        assert found == expected


def shorter(body: bytes, *, by: int) -> bytes:
    """The row as it was before its event's last fields were appended."""
    time, events, commands = raw(body)
    events[0] = events[0][:-by]
    return records.FORMAT + msgspec.msgpack.encode([time, events, commands])


def test_a_row_from_before_a_field_was_appended_has_the_default() -> None:
    body = records.encode(Transition(1.0, (examples.EVENTS[0],)))
    (event,) = records.decode(shorter(body, by=7)).events
    assert isinstance(event, Started)
    assert (event.workspace, event.code, event.carried, event.inbox_seq) == (
        "team",
        "",
        (),
        0,
    )


def test_a_row_with_a_field_appended_later_is_still_read() -> None:
    row = Transition(1.0, (TaskCompleted(1, b"r"),))
    time, events, commands = raw(records.encode(row))
    later = [time, [[*events[0], {"new": 1}]], commands, "also new"]
    assert records.decode(records.FORMAT + msgspec.msgpack.encode(later)) == row


def test_every_field_but_the_first_ones_has_a_default() -> None:
    """A kind's required fields never grow: old rows could not give the new one."""
    required = {
        kind.__name__: [f.name for f in msgspec.structs.fields(kind) if f.required]
        for kind in (*of_kind(Event), *of_kind(Command), StartOptions, Transition)
        if issubclass(kind, Record)
    }
    assert required == {
        "AttemptStarted": ["call", "lost"],
        "AwaitEvent": ["call", "key"],
        "Began": [],
        "CancelCall": ["call"],
        "CancelRequested": [],
        "CancelRun": ["call", "workflow_id", "run_id"],
        "CancelTask": ["call"],
        "ChildClosed": ["call"],
        "ChildStarted": ["call", "run_id"],
        "Complete": ["result"],
        "CompleteUpdate": ["update_id"],
        "ContinueAsNew": ["name"],
        "EventMatched": ["call", "event_id", "key"],
        "Fail": ["failure"],
        "HeartbeatRecorded": ["call", "details"],
        "Held": ["reason"],
        "MessageSent": ["call"],
        "RenameRun": ["name"],
        "RestartRequested": [],
        "RunRenamed": ["name"],
        "RunTask": ["call", "name"],
        "RunTimedOut": ["kind"],
        "SaveState": ["state"],
        "SetDetails": ["text"],
        "SignalReceived": ["name"],
        "SignalRun": ["call", "workflow_id", "run_id", "name"],
        "StartChild": ["call", "name", "workflow_id", "run_id"],
        "StartOptions": [],
        "StartTimer": ["call", "due"],
        "Started": ["name", "workflow_id", "run_id", "first_run_id", "root_run_id"],
        "TailCall": ["name"],
        "TaskCompleted": ["call", "result"],
        "TaskFailed": ["call", "failure"],
        "TaskHandedOver": ["call"],
        "TaskReported": ["call"],
        "TerminateRequested": [],
        "TimerFired": ["call"],
        "Transition": ["time", "events"],
        "UpdateAccepted": ["update_id", "name"],
        "UpsertAttributes": ["attributes"],
        "UpsertMemo": ["memo"],
    }


def test_no_two_kinds_share_a_tag() -> None:
    tags = [
        kind.__struct_config__.tag
        for kind in of_kind(Event) | of_kind(Command)
        if issubclass(kind, Record)
    ]
    assert len(tags) == len(set(tags))


@pytest.mark.parametrize(
    "body",
    [b"", b"\x02" + b"\x93", b"\x01", b"\x01\x91\x01", b"\x01\xc0", b"rubbish"],
    ids=repr,
)
def test_bytes_that_are_no_row_are_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        records.decode(body)


def test_a_row_that_holds_a_large_value_once_is_still_read() -> None:
    value = b"v" * 5000
    head, tail = (
        "02929193cd13a012cd1388c513a00193cb3ff800000000000091930401c51388",
        ("919230c51388"),
    )
    body = bytes.fromhex(head) + value + bytes.fromhex(tail)
    row = Transition(1.5, (TaskCompleted(1, value),), (records.Complete(value),))
    assert records.decode(body) == row
    assert records.encode(row) == body
