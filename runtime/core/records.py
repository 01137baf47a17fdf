"""What a journal row holds: events in, commands out, as tagged records.

Events are past tense: something happened to the run. Commands are imperative: what
the run's program asked for in answer. A `Transition` is one row: the events that
were taken in together and the commands that they caused. User values are opaque
payloads inside (`everact.runtime.values`); reading a record never runs user code.

Records travel as MessagePack arrays. Fields may only ever be appended, with a
default; `tests/golden/` holds rows of every landed version.
"""

from enum import IntEnum
from typing import Annotated, TypeAlias

import msgspec

from everact.runtime.core import repeats
from everact.runtime.core.bounds import Finite, Moment, Seconds, within
from everact.runtime.core.failures import Failure, TimeoutKind
from everact.runtime.core.opaque import Document, Payload
from everact.runtime.core.retry import ONCE, RetryPolicy

FORMAT = b"\x01"
"""First byte of every encoded row and checkpoint: the version of the framing."""

SHORTENED = b"\x02"
"""First byte of a row that holds a large value more than once, and says so."""

Args: TypeAlias = tuple[Payload, ...]
Kwargs: TypeAlias = dict[str, Payload]


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all records."""


class TaskOptions(Record, frozen=True):
    """How a task's attempts are run; all times in seconds, None meaning no limit."""

    retry: RetryPolicy = ONCE
    timeout: Seconds | None = None
    heartbeat_timeout: Seconds | None = None
    queue_timeout: Seconds | None = None
    queue: str | None = None
    await_cancelled: bool = False
    """Whether a cancelled call waits for what becomes of the task."""
    manual_heartbeat: bool = False
    """Whether silence counts while the process lives that the attempt runs in."""
    executor: str = ""
    """Where attempts run; if empty, where the task's function says."""
    total_timeout: Seconds | None = None
    """For all attempts and the waits between them together."""


DEFAULT_TASK = TaskOptions()

TERMINATE, REQUEST_CANCEL, ABANDON = 0, 1, 2
"""What becomes of an open child when its parent closes."""


class Parent(Record, frozen=True):
    """The call by which another run started this one."""

    key: int
    run_id: str
    workflow_id: str
    generation: int
    call: int
    on_close: int = TERMINATE


class AttributeKind(IntEnum):
    """The types that a search attribute can have."""

    TEXT = 1
    KEYWORD = 2
    INT = 3
    FLOAT = 4
    BOOL = 5
    DATETIME = 6
    KEYWORD_LIST = 7


class Attribute(Record, frozen=True):
    """A typed value by which runs are found. A moment is epoch seconds, a float."""

    kind: AttributeKind
    value: str | int | Finite | bool | tuple[str, ...]


class Extras(Record, frozen=True):
    """What few starts have; a start without any of it has None in its place.

    `priority` is 1 to 3, 0 if none was given. `event_id` and `event_key` are of the
    event that started the run, `schedule_id` and `nominal_time` (epoch seconds) of
    the schedule that did. `cron` is the cron expression of the chain.
    """

    priority: Annotated[int, within(0, 3)] = 0
    static_summary: str = ""
    static_details: str = ""
    metadata: Document = b""
    attributes: dict[str, Attribute] = {}
    cron: str = ""
    event_id: str = ""
    event_key: str = ""
    schedule_id: str = ""
    nominal_time: Moment | None = None


NO_EXTRAS = Extras()


class Previous(Record, frozen=True):
    """How earlier runs of a cron chain or of a schedule ended: the last success, and
    a failure: in a chain the last there was, of a schedule that of its last run.
    """

    result: Payload = b""
    failure: Failure | None = None


class StartOptions(Record, frozen=True):
    """Everything about a start that is not its code and input.

    Durations are seconds, moments epoch seconds. `begin_at` is the end of a start
    delay, `execution_deadline` bounds the whole chain of runs, `run_deadline` is what
    a tail call inherits of the run timeout.
    """

    queue: str = "default"
    retry: RetryPolicy | None = None
    run_timeout: Seconds | None = None
    execution_timeout: Seconds | None = None
    execution_deadline: Moment | None = None
    task_timeout: Seconds = 10.0
    begin_at: Moment | None = None
    parameters: Document = b""
    context: Document = b""
    run_name: str = ""
    memo: dict[str, Payload] = {}
    headers: dict[str, str] = {}
    identity: str = ""
    correlation_id: int | None = None
    run_deadline: Moment | None = None
    extras: Extras | None = None


class Started(Record, tag=1, frozen=True):
    """The run, or a new generation of it, was asked for: who it is and its input.

    `carried` are messages to be shown first of all: signals that the one before did
    not read, an update that came with the start. `inbox_seq` is how many messages the
    run had taken in before this generation, `answered` what updates of earlier
    generations were answered with, `restarts` how many generations were made by
    `RestartRequested`. `kind` is that of the program, see `core/kinds.py`; empty if it
    is not known yet: then `Began` says it.
    """

    name: str
    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    args: Args = ()
    kwargs: Kwargs = {}
    options: StartOptions = StartOptions()
    attempt: int = 1
    parent: Parent | None = None
    workspace: str = "default"
    code: str = ""
    carried: tuple["SignalReceived | UpdateAccepted", ...] = ()
    inbox_seq: int = 0
    previous: Previous | None = None
    answered: tuple["CompleteUpdate", ...] = ()
    restarts: int = 0
    kind: str = ""


RULES = 1
"""The rules by which code is run that begins now. A run keeps those it began by: other
rules give other commands, which its history would not fit.

0: async handlers of messages that came before the code begin after it; a cancelled
await of a child raises at once. 1: all handlers of such messages begin before the
code, in order of arrival; a cancelled await of a child waits for the child's end.
"""


class Began(Record, tag=2, frozen=True):
    """The program is shown events from now on, first of all those kept for it.

    `rules` are those that its code is run by, see `RULES`: they count where the code
    begins, and mean nothing where it goes on. `kind` is that of the program, if the
    start did not say it.
    """

    rules: int = 0
    kind: str = ""


class Held(Record, tag=3, frozen=True):
    """The program is shown no events until it begins again; they are kept."""

    reason: str


class TaskCompleted(Record, tag=4, frozen=True):
    """The current attempt of task `call` returned."""

    call: int
    result: Payload


class TaskFailed(Record, tag=5, frozen=True):
    """The current attempt of task `call` failed; the policy decides what follows.

    `attempt` is its number, 0 if that is not known, and `started` when its function
    was begun (epoch seconds), None if it was not.
    """

    call: int
    failure: Failure
    attempt: int = 0
    started: float | None = None


class AttemptStarted(Record, tag=6, frozen=True):
    """A task that was open when the engine died is dispatched again.

    No engine records it any more: who ended a process is noted beside the journal. It
    stands in older ones; `lost` says that the attempt before it was counted as lost.
    """

    call: int
    lost: bool


class HeartbeatRecorded(Record, tag=7, frozen=True):
    """The current attempt of task `call` reported progress."""

    call: int
    details: Args


class TimerFired(Record, tag=8, frozen=True):
    """The moment of timer `call` has come."""

    call: int


class SignalReceived(Record, tag=9, frozen=True):
    """A one-way message for the run's code."""

    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    request_id: str = ""
    identity: str = ""
    headers: dict[str, str] = {}


class CancelRequested(Record, tag=10, frozen=True):
    """Somebody asked the run to stop."""

    reason: str = ""
    identity: str = ""
    request_id: str = ""


class TerminateRequested(Record, tag=11, frozen=True):
    """Somebody ended the run without asking its code."""

    reason: str = ""
    details: Args = ()
    identity: str = ""


class RunTimedOut(Record, tag=12, frozen=True):
    """A limit on the run or on its chain was exceeded."""

    kind: TimeoutKind


class ChildStarted(Record, tag=13, frozen=True):
    """The child run of `call` is durably there."""

    call: int
    run_id: str


class ChildClosed(Record, tag=14, frozen=True):
    """The child run of `call` ended; or, if `refused`, could not be started."""

    call: int
    result: Payload = b""
    failure: Failure | None = None
    refused: bool = False


class MessageSent(Record, tag=15, frozen=True):
    """The message that `call` sent to another run was stored, or refused."""

    call: int
    failure: Failure | None = None


class TaskHandedOver(Record, tag=18, frozen=True):
    """Attempt `attempt` of task `call` goes on elsewhere, without its function.

    `deadline` is when its time is over (epoch seconds), if that is limited. `dispatch`
    is what tells a taking by a worker elsewhere from others of the attempt, if one took
    it.
    """

    call: int
    attempt: int = 1
    deadline: float | None = None
    dispatch: int = 0


class TaskReported(Record, tag=20, frozen=True):
    """An attempt was heard of from outside: how it ended, or only that it lives.

    `attempt` 0 is whichever is under way, and `dispatch` 0 whoever has it. `details`
    are those of a heartbeat, for a later attempt. A limit that a handed over attempt
    exceeded is told like this too.
    """

    call: int
    generation: int = 0
    attempt: int = 0
    outcome: TaskCompleted | TaskFailed | None = None
    details: Args = ()
    identity: str = ""
    dispatch: int = 0


class RestartRequested(Record, tag=21, frozen=True):
    """The run's code fits its history no more, and says that it is to begin anew.

    `signals` are those that it was shown: they are to be shown again.
    """

    reason: str = ""
    signals: tuple[SignalReceived, ...] = ()


class EventMatched(Record, tag=17, frozen=True):
    """A user event that `call` waits for was stored. `payload` is JSON."""

    call: int
    event_id: str
    key: str
    payload: Payload = b""


class RunRenamed(Record, tag=19, frozen=True):
    """A task of the run gave it another display name."""

    name: str


class UpdateAccepted(Record, tag=16, frozen=True):
    """A message with an answer passed its validator; `update_id` tells it apart."""

    update_id: str
    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    identity: str = ""
    headers: dict[str, str] = {}


class RunTask(Record, tag=32, frozen=True):
    """Start a task. `deadline` ends all its attempts (epoch seconds)."""

    call: int
    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    options: TaskOptions | None = None
    headers: dict[str, str] | None = None
    deadline: Moment | None = None


class StartTimer(Record, tag=33, frozen=True):
    """Fire timer `call` at `due` (epoch seconds)."""

    call: int
    due: float


class StartChild(Record, tag=34, frozen=True):
    """Start a child run; `announce` asks for `ChildStarted` as well.

    `kind` is that of its program, empty if that is not known here. `on_reuse` is what
    the latest run of its ID means if that is closed, see `core/identity.py`.
    """

    call: int
    name: str
    workflow_id: str
    run_id: str
    args: Args = ()
    kwargs: Kwargs = {}
    options: StartOptions = StartOptions()
    on_close: int = TERMINATE
    announce: bool = False
    kind: str = ""
    on_reuse: str = "allow"


class SignalRun(Record, tag=35, frozen=True):
    """Send a signal to another run."""

    call: int
    workflow_id: str
    run_id: str
    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    headers: dict[str, str] = {}


class CancelRun(Record, tag=36, frozen=True):
    """Ask another run to stop."""

    call: int
    workflow_id: str
    run_id: str
    reason: str = ""


class CancelCall(Record, tag=37, frozen=True):
    """Nobody waits for `call` any more: stop it and ignore its outcome."""

    call: int


class CancelTask(Record, tag=43, frozen=True):
    """Ask the task or the child of `call` to stop, and wait for what becomes of it."""

    call: int


class AwaitEvent(Record, tag=38, frozen=True):
    """Wait for the next user event of `key`, of `scope` and fitting `filter` if given.

    `since` is how far back (epoch seconds) events count that were stored before;
    None: not at all. `wait` is what the author calls the wait that it belongs to.
    """

    call: int
    key: str
    scope: str | None = None
    filter: str = ""
    since: float | None = None
    wait: str = ""


class UpsertAttributes(Record, tag=40, frozen=True):
    """Set search attributes of the run, or take those away that are None."""

    attributes: dict[str, Attribute | None]


class SetDetails(Record, tag=41, frozen=True):
    """Replace the text by which the run says where it stands."""

    text: str


class RenameRun(Record, tag=42, frozen=True):
    """Give the run another display name; it is not a call, and nothing answers it."""

    name: str


class UpsertMemo(Record, tag=45, frozen=True):
    """Set entries of the run's memo, or take those away that are None."""

    memo: dict[str, Payload | None]


class SaveState(Record, tag=44, frozen=True):
    """All that the program is from now on, of a kind that saves.

    It is then brought back by this, and by what it was shown after it.
    """

    state: Payload


class CompleteUpdate(Record, tag=39, frozen=True):
    """Answer update `update_id`, with a failure or else a result."""

    update_id: str
    result: Payload = b""
    failure: Failure | None = None


class Complete(Record, tag=48, frozen=True):
    """Close the run with a result."""

    result: Payload


class Fail(Record, tag=49, frozen=True):
    """Close the run without one; `failure.kind` decides the status."""

    failure: Failure


class ContinueAsNew(Record, tag=50, frozen=True):
    """Close the run and start its successor with fresh history.

    A None keeps what this run has. `kind` is that of the program, empty if that is not
    known here.
    """

    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    queue: str | None = None
    run_timeout: float | None = None
    task_timeout: float | None = None
    memo: dict[str, Payload] | None = None
    unread: tuple[SignalReceived, ...] = ()
    attributes: dict[str, Attribute] | None = None
    kind: str = ""


class TailCall(Record, tag=51, frozen=True):
    """Drop this generation's frames and history and call `name` in its place.

    With `restart` it is the call that the generation began with, done anew. `kind` is
    that of the program, empty if that is not known here.
    """

    name: str
    args: Args = ()
    kwargs: Kwargs = {}
    unread: tuple[SignalReceived, ...] = ()
    restart: bool = False
    kind: str = ""


Event: TypeAlias = (
    Started
    | Began
    | Held
    | TaskCompleted
    | TaskFailed
    | AttemptStarted
    | HeartbeatRecorded
    | TimerFired
    | SignalReceived
    | CancelRequested
    | TerminateRequested
    | RunTimedOut
    | ChildStarted
    | ChildClosed
    | MessageSent
    | TaskHandedOver
    | TaskReported
    | RestartRequested
    | EventMatched
    | RunRenamed
    | UpdateAccepted
)
CallCommand: TypeAlias = (
    RunTask | StartTimer | StartChild | SignalRun | CancelRun | AwaitEvent
)
ClosingCommand: TypeAlias = Complete | Fail | ContinueAsNew | TailCall
Notice: TypeAlias = UpsertAttributes | UpsertMemo | SetDetails | RenameRun
"""Commands that say something of the run itself, and that nothing answers."""
Command: TypeAlias = (
    CallCommand
    | CancelCall
    | CancelTask
    | CompleteUpdate
    | Notice
    | SaveState
    | ClosingCommand
)
Message: TypeAlias = SignalReceived | CancelRequested | TerminateRequested
"""What one run may send to another."""


class Transition(Record, frozen=True):
    """One journal row: at `time` the run took in `events` and answered `commands`."""

    time: float
    events: tuple[Event, ...]
    commands: tuple[Command, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Transition)
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(transition: Transition) -> bytes:
    """Return `transition` as the body of a journal row."""
    body = FORMAT + _encoder.encode(transition)
    return body if len(body) < repeats.LARGE else _shortened(body, transition)


def _shortened(body: bytes, transition: Transition) -> bytes:
    records = len(transition.events) + len(transition.commands)
    if len(body) < records * repeats.LARGE:
        return body  # many small ones, which it would take long to look through
    short = repeats.shorten(body, transition)
    return body if short is None else SHORTENED + short


def check(command: Command) -> None:
    """Raise what keeps `command` from being recorded, and from being read again."""
    decode(encode(Transition(0.0, (), (command,))))


def decode(body: bytes) -> Transition:
    """Return the transition of a row; msgspec.ValidationError if it is none."""
    if body[:1] == SHORTENED:
        body = repeats.restore(memoryview(body)[1:])
    if body[:1] != FORMAT:
        raise msgspec.ValidationError(f"row of unknown format {body[:1]!r}")
    return _decoder.decode(memoryview(body)[1:])


def encode_message(message: Message) -> bytes:
    """Return a message from one run to another as an inbox row."""
    return FORMAT + _encoder.encode(message)


def decode_message(body: bytes) -> Message:
    """Return the message of an inbox row."""
    return _message_decoder.decode(memoryview(body)[1:])
