"""One row, message or checkpoint of every kind, each with every field set.

`python -m tests.golden.examples` writes what today's code encodes as a file of the
given format: run it when fields were appended, under the next number. A file that
has landed is never changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from everact.runtime.core import records
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.records import (
    ABANDON,
    AttemptStarted,
    Attribute,
    AttributeKind,
    AwaitEvent,
    Began,
    CancelCall,
    CancelRequested,
    CancelRun,
    CancelTask,
    ChildClosed,
    ChildStarted,
    Command,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Event,
    EventMatched,
    Extras,
    Fail,
    HeartbeatRecorded,
    Held,
    Message,
    MessageSent,
    Parent,
    Previous,
    RenameRun,
    RestartRequested,
    RunRenamed,
    RunTask,
    RunTimedOut,
    SaveState,
    SetDetails,
    SignalReceived,
    SignalRun,
    StartChild,
    Started,
    StartOptions,
    StartTimer,
    TailCall,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    TaskReported,
    TerminateRequested,
    TimerFired,
    Transition,
    UpdateAccepted,
    UpsertAttributes,
    UpsertMemo,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.statuses import Status

FOLDER = Path(__file__).parent

RETRY = RetryPolicy(0.5, 3.0, 60.0, 7, ("Final",), temporary_only=True)
CAUSE = Failure(FailureKind.TIMED_OUT, "TimedOut", "late", timeout=TimeoutKind.ATTEMPT)
FAILURE = Failure(
    FailureKind.APPLICATION,
    "Declined",
    "no money",
    Status.THROTTLED,
    non_retryable=True,
    retry_after=2.5,
    timeout=TimeoutKind.HEARTBEAT,
    details=(b"m\x01", b"m\x02"),
    traceback="Traceback …",
    value=b"c\x80",
    cause=CAUSE,
    workflow_id="child-7",
    run_id="run-c",
)
SIGNAL = SignalReceived(
    "paid", (b"m\x05",), {"by": b"m\x06"}, "req-1", "me@here", {"trace": "1"}
)
START_OPTIONS = StartOptions(
    queue="fast",
    retry=RETRY,
    run_timeout=10.0,
    execution_timeout=100.0,
    execution_deadline=1_700_000_100.0,
    task_timeout=3.0,
    begin_at=1_700_000_001.0,
    parameters=b'{"a":1}',
    context=b'{"b":2}',
    run_name="nightly",
    memo={"m": b"m\x01"},
    headers={"h": "1"},
    identity="me@here",
    correlation_id=2**40,
    run_deadline=1_700_000_010.0,
    extras=Extras(
        priority=3,
        static_summary="weekly",
        static_details="of every week",
        metadata=b'{"c":3}',
        attributes={
            "Customer": Attribute(AttributeKind.KEYWORD, "ada"),
            "Tags": Attribute(AttributeKind.KEYWORD_LIST, ("a", "b")),
            "Due": Attribute(AttributeKind.DATETIME, 1_700_000_000.5),
        },
        cron="0 9 * * *",
        event_id="event-1",
        event_key="user:created",
        schedule_id="weekly",
        nominal_time=1_700_000_000.0,
    ),
)
TASK_OPTIONS = TaskOptions(
    RETRY,
    1.0,
    2.0,
    3.0,
    "gpu",
    await_cancelled=True,
    manual_heartbeat=True,
    executor="elsewhere",
    total_timeout=90.0,
)
ARGS = (b"m\x01", b"p\x80")
KWARGS = {"k": b"m\x02"}

EVENTS: list[Event] = [
    Started(
        "order",
        "order-7",
        "run-2",
        "run-1",
        "run-0",
        ARGS,
        KWARGS,
        START_OPTIONS,
        3,
        Parent(9, "run-p", "parent", 1, 4, ABANDON),
        "team",
        "abc123",
        (SIGNAL,),
        6,
        Previous(b"m\x01", FAILURE),
        (CompleteUpdate("update-1", b"m\x01"),),
        2,
        "coroutine",
    ),
    Began(1, "task"),
    Held("no worker"),
    TaskCompleted(1, b"m\x01"),
    TaskFailed(2, FAILURE, 3, 1_700_000_000.25),
    AttemptStarted(3, lost=True),
    HeartbeatRecorded(4, ARGS),
    TimerFired(5),
    SIGNAL,
    CancelRequested("enough", "me@here", "req-2"),
    TerminateRequested("bad", ARGS, "me@here"),
    RunTimedOut(TimeoutKind.EXECUTION),
    ChildStarted(6, "run-c"),
    ChildClosed(7, b"m\x01", FAILURE, refused=True),
    MessageSent(8, FAILURE),
    TaskHandedOver(9, 2, 1_700_000_090.5, 7),
    TaskReported(9, 1, 2, TaskFailed(9, FAILURE), ARGS, "me@here", 7),
    EventMatched(9, "event-1", "user:created", b'j{"name":"Ada"}'),
    RunRenamed("the order of Ada"),
    UpdateAccepted("update-2", "pay", ARGS, KWARGS, "me@here", {"trace": "1"}),
    RestartRequested("its code has changed", (SIGNAL,)),
]
COMMANDS: list[Command] = [
    RunTask(1, "charge", ARGS, KWARGS, TASK_OPTIONS, {"trace": "1"}, 1_700_000_090.0),
    StartTimer(2, 1_700_000_060.25),
    StartChild(
        3,
        "ship",
        "ship-7",
        "run-c",
        ARGS,
        KWARGS,
        START_OPTIONS,
        ABANDON,
        announce=True,
        kind="coroutine",
        on_reuse="reject",
    ),
    SignalRun(4, "other", "run-o", "paid", ARGS, KWARGS, {"trace": "1"}),
    CancelRun(5, "other", "run-o", "enough"),
    CancelCall(6),
    Complete(b"m\x01"),
    Fail(FAILURE),
    ContinueAsNew(
        "order",
        ARGS,
        KWARGS,
        "slow",
        5.0,
        6.0,
        {"m": b"m\x01"},
        (SIGNAL, SIGNAL),
        {"Level": Attribute(AttributeKind.INT, 2)},
        "coroutine",
    ),
    TailCall("next", ARGS, KWARGS, (SIGNAL,), restart=True, kind="task"),
    CancelTask(7),
    AwaitEvent(7, "paid", "order-1", "amount > 3", 1_700_000_000.0, "payment"),
    RenameRun("order 7, paid"),
    UpsertAttributes(
        {"Level": Attribute(AttributeKind.INT, 3), "Customer": None},
    ),
    SetDetails("waits for\nan answer"),
    CompleteUpdate("update-2", b"m\x01", FAILURE),
    UpsertMemo({"m": b"m\x02", "gone": None}),
    SaveState(b"p\x80"),
]
MESSAGES: list[Message] = [
    e
    for e in EVENTS
    if isinstance(e, SignalReceived | CancelRequested | TerminateRequested)
]

TIME = 1_700_000_000.5


def rows() -> dict[str, Transition]:
    """A row for each kind of event and of command, by the kind's name."""
    made = {type(e).__name__: Transition(TIME, (e,)) for e in EVENTS}
    made |= {type(c).__name__: Transition(TIME, (), (c,)) for c in COMMANDS}
    made["Transition"] = Transition(TIME, tuple(EVENTS), tuple(COMMANDS))
    return made


def encoded() -> dict[str, bytes]:
    """What today's code writes."""
    made = {f"row {name}": records.encode(row) for name, row in rows().items()}
    return made | {
        f"message {type(m).__name__}": records.encode_message(m) for m in MESSAGES
    }


def path(version: int) -> Path:
    """The file of landed version `version` of the records."""
    return FOLDER / f"records-{version}.txt"


def read(version: int) -> dict[str, bytes]:
    """The rows and messages of a landed version by name."""
    found = {}
    for line in path(version).read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition(": ")
            found[name] = bytes.fromhex(text)
    return found


def write(version: int) -> None:
    """Write what today's code encodes as version `version`."""
    lines = [f"# Records of version {version}: one of each kind, in hex.", ""]
    lines += [f"{name}: {body.hex()}" for name, body in encoded().items()]
    with path(version).open("x", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(int(sys.argv[1]))
