"""The state of one run, and the only code that changes it.

`RunState.apply` folds an event, `RunState.issue` folds the commands that a program
answered with; recovery folds the same events and commands from journal rows. The
state refuses to know how author code is driven, where rows are stored and what time
it is: every reading of a clock arrives as an argument.

A run is *held* while its program may not be shown events (a start delay, no worker,
code that is missing or does not fit). Events are still folded; what the program
would have been shown waits in `pending` and is shown by `Began`.

What brings a program back is its script: the rows of what it was shown, which whoever
folds a journal collects. If it `saved` itself, the script begins with the row by which
it did so last.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from everact.runtime.core import failures
from everact.runtime.core.calls import ABOUT_CALLS, Calls, Shown
from everact.runtime.core.failures import FailureKind, TimeoutKind
from everact.runtime.core.labels import AS_STARTED, Labels
from everact.runtime.core.records import (
    Began,
    CancelRequested,
    ChildClosed,
    ClosingCommand,
    Command,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Event,
    Fail,
    Held,
    Notice,
    RestartRequested,
    RunRenamed,
    RunTask,
    RunTimedOut,
    SaveState,
    SignalReceived,
    StartChild,
    Started,
    TailCall,
    TaskCompleted,
    TaskReported,
    TerminateRequested,
    Transition,
    UpdateAccepted,
)
from everact.runtime.core.statuses import RunStatus
from everact.runtime.core.tries import Tries as Tries  # checkpoints name it here

RUN_DEADLINE, EXECUTION_DEADLINE, BEGIN = 0, -1, -2
"""Timer numbers that no call has: the run's own moments."""

ACTIVE = 0.0
"""The wake time of a run that must be loaded as soon as an engine starts."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What `apply` made of an event: what to show, and commands of the core's own."""

    shown: Shown = ()
    commands: tuple[Command, ...] = ()


NOTHING = Answer()
"""The event changed the state, and the program is not concerned."""


class RunState:
    """All that is known of one run; see the module's header for who may change it.

    What the program was shown is not kept: it is folded anew out of the rows when a
    program is to be shown it again.
    """

    __slots__ = (
        "activations",
        "began",
        "calls",
        "cancel_reason",
        "closing",
        "generation",
        "held",
        "inbox_seq",
        "labels",
        "pending",
        "saved",
        "seq",
        "span",
        "start",
        "status",
        "time",
        "updates",
    )

    def __init__(self, start: Started, generation: int = 0) -> None:
        self.start = start
        self.status = RunStatus.RUNNING
        self.generation = generation
        self.seq = 0
        self.inbox_seq = start.inbox_seq
        self.time = 0.0
        self.began = False
        self.held: str | None = ""
        self.cancel_reason: str | None = None
        self.closing: ClosingCommand | None = None
        self.calls = Calls()
        self.span: tuple[tuple[float, int], ...] = ()
        """The run's own moments: when it begins, when its time is over."""
        self.pending: list[Event] = []
        self.saved = False
        self.activations = 0
        """Rows at which the program was shown something: how often it was run."""
        self.labels = AS_STARTED
        self.updates: dict[str, UpdateAccepted | CompleteUpdate] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All of it, flat: a checkpoint knows nothing of how the fields are grouped."""
        calls, labels = self.calls, self.labels
        saved = {name: getattr(self, name) for name in RunState.__slots__}
        saved |= {name: getattr(calls, name) for name in Calls.__slots__}
        saved["calls"] = dict(calls)
        saved["timers"] = sorted((*saved.pop("span"), *(calls.timers or ()))) or None
        del saved["labels"]
        saved["renamed"] = labels.name
        saved["attributes"], saved["memo"] = labels.attributes, labels.memo
        saved["details"] = labels.details
        return saved

    def __setstate__(self, saved: dict[str, Any]) -> None:
        RunState.__init__(self, saved["start"])
        saved = dict(saved)
        script = saved.pop("script", None)  # earlier versions kept what was shown
        if script is not None:
            saved["activations"] = len(script)
        calls, timers = self.calls, sorted(saved.pop("timers", None) or ())
        calls.update(saved.pop("calls"))
        calls.timers = [moment for moment in timers if moment[1] > 0] or None
        self.span = tuple(moment for moment in timers if moment[1] <= 0)
        self.labels = Labels(
            saved.pop("renamed", None),
            saved.pop("attributes", None),
            saved.pop("memo", None),
            saved.pop("details", ""),
        )
        for name, value in saved.items():
            setattr(calls if name in Calls.__slots__ else self, name, value)

    # -- taking in ----------------------------------------------------------------

    def apply(self, event: Event, now: float) -> Answer | None:
        """Fold `event`; None if it is stale, and then nothing changed."""
        if self.status:
            return None
        return _APPLY[type(event)](self, event, now)

    def issue(self, commands: Iterable[Command]) -> None:
        """Fold what the program, or the core itself, answered."""
        calls = self.calls
        for command in commands:
            kind = type(command)
            if kind is RunTask:
                calls[command.call] = command  # type: ignore[assignment,union-attr]
                calls.running += 1
            elif kind in _ISSUE:
                _ISSUE[kind](self, command)
            else:
                calls.issue(command, self.cancel_reason or "")  # type: ignore[arg-type]

    # The commonest events and answers, with nothing about them that is not common. What
    # answers False has changed nothing: `apply` is to fold the event.

    def begin(self) -> bool:
        """Fold the start and the beginning of a run without moments and messages."""
        start = self.start
        options = start.options
        if (
            options.run_timeout is not None
            or options.run_deadline is not None
            or options.execution_deadline is not None
            or options.begin_at is not None
            or start.carried
            or start.answered
            or not start.kind
        ):
            return False
        self.held = None
        self.began = True
        return True

    def complete(self, event: TaskCompleted | ChildClosed | SignalReceived) -> bool:
        """Fold the end of a task or child, or a signal, that is shown at once."""
        calls = self.calls  # none is open when the run is closed
        if (
            self.held is not None
            or calls.tries is not None
            or calls.unsettled is not None
        ):
            return False
        kind = type(event)
        if kind is SignalReceived:
            if self.status:
                return False
            self.inbox_seq += 1
            return True
        call = event.call  # type: ignore[union-attr]
        asked = type(calls.get(call))
        if asked is RunTask and kind is TaskCompleted:
            calls.running -= 1
        elif asked is StartChild and kind is ChildClosed:
            calls.children -= 1
        else:
            return False
        del calls[call]
        return True

    def open(self, tasks: Sequence[RunTask], now: float) -> None:
        """Fold an answer of tasks alone: what `issue` does, and the time."""
        calls = self.calls
        for task in tasks:
            calls[task.call] = task
        calls.running += len(tasks)
        self.time = now

    def end(self, command: Complete, now: float) -> None:
        """Fold an answer that is the end alone: what `issue` does, and the time."""
        self._close(command)
        self.time = now

    def append(self) -> None:
        """Count a row all of whose events were shown: what `record` does else."""
        self.seq += 1
        self.activations += 1

    def record(self, shown: Shown, now: float) -> None:
        """Count a row, at which the program was shown so much."""
        self.seq += 1
        self.time = now
        if shown:
            self.activations += 1

    def fold(self, row: Transition) -> Transition | None:
        """Fold a recorded row: the same path as live, without a program.

        Returns what a program is to be shown in place of that, and how it answered;
        None if it was shown nothing.
        """
        now, events = row.time, row.events
        if len(events) == 1:
            event = events[0]
            if type(event) is TaskCompleted and self.complete(event):
                self.issue(row.commands)
                self.time = now
                self.append()
                return row
        shown: Shown = ()
        for event in events:
            answer = self.apply(event, now)
            if answer is None:
                raise ValueError(f"recorded event {event!r} does not fit the state")
            shown += answer.shown
        self.issue(row.commands)
        self.record(shown, now)
        if not shown:
            return None
        if shown[0] is self.start:  # the state has it already
            shown = (_began(row), *shown[1:])
        return row if shown == events else Transition(now, shown, row.commands)

    # -- what the program was to be shown, and was not ---------------------------------

    def keep(self, shown: Shown, reason: str = "") -> None:
        """Keep for later what the program was to be shown; it is held for `reason`."""
        self.pending = list(shown) + self.pending
        self.held = reason
        if not self.begun:
            self.began = False

    def take_kept(self) -> Shown:
        """All that is kept: it is shown now, or kept again."""
        shown, self.pending = tuple(self.pending), []
        return shown

    def goes_on(self) -> None:
        """The program has begun, though no row says so yet."""
        self.held, self.began = None, True

    # -- what is open --------------------------------------------------------------

    def wake(self) -> float | None:
        """When the run must be in memory: `ACTIVE`, a moment, or None for never.

        None means that only a message can move it. Epoch seconds.
        """
        if self.status:
            return None
        calls = self.calls
        if calls.unsettled or (calls.running and calls.busy()):
            return ACTIVE
        if not self.began and self.held == "" and self.due(BEGIN) is None:
            return ACTIVE
        if type(self.closing) is TailCall:
            return ACTIVE
        first = calls.next_moment() if calls.timers else None
        for due, number in self.span:
            if (first is None or due < first) and self.due(number) is not None:
                first = due
        return first

    @property
    def begun(self) -> bool:
        """Whether anything was ever shown to the program, as recorded."""
        return self.activations > 0

    @property
    def put_off(self) -> bool:
        """Whether it has not begun, and only waits for the moment to do so."""
        waits = self.held == "" and not self.began and not self.status
        return waits and self.due(BEGIN) is not None

    @property
    def open_updates(self) -> tuple[UpdateAccepted, ...]:
        """The updates that are accepted and not answered, oldest first."""
        updates = self.updates or {}
        return tuple(u for u in updates.values() if type(u) is UpdateAccepted)

    def due(self, number: int) -> float | None:
        """When timer `number` is due now; None if there is none."""
        if number > 0:
            return self.calls.due(number)
        if number == BEGIN and self.began:
            return None
        return next((due for due, n in self.span if n == number), None)

    def moments(self) -> list[tuple[float, int]]:
        """All moments at which something is due, with their timer numbers."""
        if not (self.span or self.calls.timers):
            return []
        own = [(due, n) for due, n in self.span if n != BEGIN or not self.began]
        return sorted(own + self.calls.moments())

    def _take_update(self, event: UpdateAccepted) -> None:
        if self.updates is None:
            self.updates = {}
        self.updates[event.update_id] = event
        self.inbox_seq += 1

    def _show(self, shown: Shown) -> Answer:
        if shown and self.held is None:
            return Answer(shown)
        self.pending.extend(shown)
        return NOTHING

    # -- events --------------------------------------------------------------------

    def _started(self, event: Started, now: float) -> Answer:
        options = event.options
        self.pending.append(event)
        if event.answered:
            self.updates = {answer.update_id: answer for answer in event.answered}
        for message in event.carried:
            if type(message) is UpdateAccepted:
                self._take_update(message)
            self.pending.append(message)
        begin = options.begin_at if options.begin_at and options.begin_at > now else now
        deadline = options.run_deadline
        if deadline is None and options.run_timeout is not None:
            deadline = begin + options.run_timeout
        if options.begin_at is not None:
            self.span += ((options.begin_at, BEGIN),)
        if deadline is not None:
            self.span += ((deadline, RUN_DEADLINE),)
        if options.execution_deadline is not None:
            self.span += ((options.execution_deadline, EXECUTION_DEADLINE),)
        return NOTHING

    def _began(self, event: Began, now: float) -> Answer | None:
        if self.held is None:
            return None
        self.held = None
        self.began = True
        if event.kind:
            _is_of(self, event.kind)
        shown, self.pending = tuple(self.pending), []
        return Answer(shown)

    def _held(self, event: Held, now: float) -> Answer:
        self.held = event.reason
        return NOTHING

    def _of_a_call(self, event: Event, now: float) -> Answer | None:
        """What became of an open call is shown, if that is its end."""
        shown = self.calls.apply(event, now)
        return None if shown is None else self._show(shown)

    def _reported(self, event: TaskReported, now: float) -> Answer | None:
        if event.generation != self.generation:
            return None
        return self._of_a_call(event, now)

    def _signal(self, event: SignalReceived, now: float) -> Answer:
        self.inbox_seq += 1
        return self._show((event,))

    def _cancel(self, event: CancelRequested, now: float) -> Answer | None:
        if self.cancel_reason is not None:
            return None
        self.cancel_reason = event.reason
        if not self.began:
            return Answer((), (Fail(failures.cancelled(event.reason)),))
        return self._show((event,))

    def _renamed(self, event: RunRenamed, now: float) -> Answer:
        self.labels = replace(self.labels, name=event.name)
        return self._show((event,))

    def _update_accepted(self, event: UpdateAccepted, now: float) -> Answer | None:
        if self.updates is not None and event.update_id in self.updates:
            return None
        self._take_update(event)
        return self._show((event,))

    # -- commands ------------------------------------------------------------------

    def _label(self, notice: Notice) -> None:
        self.labels = self.labels.changed(notice, self.start.options)

    def _complete_update(self, command: CompleteUpdate) -> None:
        assert self.updates is not None
        self.updates[command.update_id] = command

    def _close(self, command: ClosingCommand) -> None:
        self.closing = command
        if self.calls:
            self.calls.close(self.cancel_reason or "")
        self.span = ()
        if self.pending:  # what was for any code is for the run that follows, if any
            self.pending = [e for e in self.pending if type(e) is SignalReceived]
        self.status = closing_status(command)

    def _tail_call(self, command: TailCall) -> None:
        self.closing = command
        abandoned, self.calls = self.calls.abandoned, Calls()
        self.calls.abandoned = abandoned
        self.held, self.began = "", False


def begins_in_time(state: RunState) -> bool:
    """Whether its first step is due before the limit of its chain."""
    begin, limit = state.due(BEGIN), state.start.options.execution_deadline
    return begin is None or limit is None or begin < limit


def may_restart(state: RunState) -> bool:
    """Whether it may begin anew: it is held, has begun, and is not to stop."""
    held = bool(state.held) and not state.status
    return held and state.begun and state.cancel_reason is None


def _is_of(state: RunState, kind: str) -> None:
    """The start did not say of what kind the program is, and now that is known."""
    before, state.start = state.start, replace(state.start, kind=kind)
    state.pending = [state.start if e is before else e for e in state.pending]


def _save(state: RunState, _: SaveState) -> None:
    """What came before is not shown again, but for the row of this command."""
    state.saved = True


def saves(row: Transition) -> bool:
    """Whether the program was saved with this row: last, or before the end."""
    return any(type(command) is SaveState for command in row.commands[-2:])


def _terminate(_: RunState, event: TerminateRequested, __: float) -> Answer:
    failure = failures.terminated(event.reason, event.details)
    return Answer((), (Fail(failure),))


def _timed_out(state: RunState, event: RunTimedOut, _: float) -> Answer:
    limit = "execution" if event.kind is TimeoutKind.EXECUTION else "run"
    message = f"the {limit} timeout of {state.start.name!r} expired"
    return Answer((), (Fail(failures.timed_out(event.kind, message)),))


def _restart(state: RunState, event: RestartRequested, _: float) -> Answer | None:
    """Its signals are shown again: nobody else would send them again."""
    if not may_restart(state):
        return None
    start = state.start
    again = TailCall(start.name, start.args, start.kwargs, event.signals, restart=True)
    return Answer((), (again,))


def _began(transition: Transition) -> Began:
    """The event by which the code began, with the rules that it is run by."""
    for event in transition.events:
        if type(event) is Began:
            return event
    return Began()


def closing_status(command: ClosingCommand) -> RunStatus:
    """The status that `command` gives a run; a tail call leaves it running."""
    if type(command) is Fail:
        return _STATUS_OF_FAILURE[command.failure.kind]
    return _STATUS_OF_CLOSING[type(command)]


_STATUS_OF_CLOSING: dict[type, RunStatus] = {
    Complete: RunStatus.COMPLETED,
    ContinueAsNew: RunStatus.CONTINUED_AS_NEW,
    TailCall: RunStatus.RUNNING,
}
_STATUS_OF_FAILURE = {
    FailureKind.APPLICATION: RunStatus.FAILED,
    FailureKind.CANCELLED: RunStatus.CANCELLED,
    FailureKind.TERMINATED: RunStatus.TERMINATED,
    FailureKind.TIMED_OUT: RunStatus.TIMED_OUT,
    FailureKind.CHILD: RunStatus.FAILED,
    FailureKind.LOST: RunStatus.FAILED,
}
_APPLY: dict[type, Callable[[RunState, Any, float], Answer | None]] = {
    **dict.fromkeys(ABOUT_CALLS, RunState._of_a_call),
    Started: RunState._started,
    Began: RunState._began,
    Held: RunState._held,
    TaskReported: RunState._reported,
    SignalReceived: RunState._signal,
    CancelRequested: RunState._cancel,
    TerminateRequested: _terminate,
    RunTimedOut: _timed_out,
    RestartRequested: _restart,
    RunRenamed: RunState._renamed,
    UpdateAccepted: RunState._update_accepted,
}
_ISSUE: dict[type, Callable[[RunState, Any], None]] = {
    **dict.fromkeys(get_args(Notice), RunState._label),
    SaveState: _save,
    CompleteUpdate: RunState._complete_update,
    Complete: RunState._close,
    Fail: RunState._close,
    ContinueAsNew: RunState._close,
    TailCall: RunState._tail_call,
}
