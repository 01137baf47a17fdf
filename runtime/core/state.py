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
from heapq import heappop, heappush
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from everact.runtime.core import failures
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    AttemptStarted,
    Attribute,
    AwaitEvent,
    Began,
    CallCommand,
    CancelCall,
    CancelRequested,
    CancelRun,
    CancelTask,
    ChildClosed,
    ChildStarted,
    ClosingCommand,
    Command,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Event,
    EventMatched,
    Fail,
    HeartbeatRecorded,
    Held,
    MessageSent,
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
from everact.runtime.core.statuses import RunStatus

LOST_LIMIT = 3
"""Lost attempts after which a task failed when every one was counted: old journals."""

RUN_DEADLINE, EXECUTION_DEADLINE, BEGIN = 0, -1, -2
"""Timer numbers that no call has: the run's own moments."""

ACTIVE = 0.0
"""The wake time of a run that must be loaded as soon as an engine starts."""

Shown: TypeAlias = tuple[Event, ...]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What `apply` made of an event: what to show, and commands of the core's own."""

    shown: Shown = ()
    commands: tuple[Command, ...] = ()


NOTHING = Answer()
"""The event changed the state, and the program is not concerned."""


class Tries:
    """What is known of one open task beside its call: made on first need.

    Of an open child there may be one too, which tells only that it is `stopping`.
    `due` is when its next attempt begins, or when one that was handed over has been
    silent, or has taken, too long. `stopping` is why it was asked to stop.
    """

    __slots__ = (
        "attempt",
        "details",
        "due",
        "failure",
        "handed",
        "lost",
        "stopping",
    )

    def __init__(self) -> None:
        self.attempt = 1
        self.lost = 0
        self.due: float | None = None
        self.details: tuple[bytes, ...] = ()
        self.failure: Failure | None = None
        self.handed: TaskHandedOver | None = None
        self.stopping: str | None = None

    def __setstate__(self, saved: tuple[None, dict[str, Any]]) -> None:
        Tries.__init__(self)
        for name, value in saved[1].items():
            setattr(self, name, value)


class RunState:
    """All that is known of one run; see the module's header for who may change it.

    What the program was shown is not kept: it is folded anew out of the rows when a
    program is to be shown it again.
    """

    __slots__ = (
        "abandoned",
        "activations",
        "attributes",
        "began",
        "calls",
        "cancel_reason",
        "children",
        "closing",
        "details",
        "generation",
        "held",
        "inbox_seq",
        "memo",
        "pending",
        "renamed",
        "running",
        "saved",
        "seq",
        "start",
        "status",
        "time",
        "timers",
        "tries",
        "unsettled",
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
        self.calls: dict[int, CallCommand] = {}
        self.running = 0
        self.children = 0
        self.tries: dict[int, Tries] | None = None
        self.timers: list[tuple[float, int]] | None = None
        self.pending: list[Event] = []
        self.saved = False
        self.activations = 0
        """Rows at which the program was shown something: how often it was run."""
        self.unsettled: set[int] | None = None
        self.abandoned: dict[int, tuple[int, str]] | None = None
        self.renamed: str | None = None
        self.attributes: dict[str, Attribute] | None = None
        self.memo: dict[str, bytes] | None = None
        self.details = ""
        self.updates: dict[str, UpdateAccepted | CompleteUpdate] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        RunState.__init__(self, saved["start"])
        script = saved.pop("script", None)  # earlier versions kept what was shown
        if script is not None:
            saved["activations"] = len(script)
        for name, value in saved.items():
            setattr(self, name, value)

    # -- taking in ----------------------------------------------------------------

    def apply(self, event: Event, now: float) -> Answer | None:
        """Fold `event`; None if it is stale, and then nothing changed."""
        if self.status:
            return None
        return _APPLY[type(event)](self, event, now)

    def issue(self, commands: Iterable[Command]) -> None:
        """Fold what the program, or the core itself, answered."""
        for command in commands:
            kind = type(command)
            if kind is RunTask:
                self.calls[command.call] = command  # type: ignore[assignment,union-attr]
                self.running += 1
            else:
                _ISSUE[kind](self, command)

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

    def complete(self, event: TaskCompleted | ChildClosed) -> bool:
        """Fold the end of a task or child of a program that is shown it at once."""
        calls, call = self.calls, event.call
        if (
            self.held is not None
            or self.tries is not None
            or self.unsettled is not None
            or self.status
        ):
            return False
        kind = type(calls.get(call))
        if kind is RunTask and type(event) is TaskCompleted:
            self.running -= 1
        elif kind is StartChild and type(event) is ChildClosed:
            self.children -= 1
        else:
            return False
        del calls[call]
        return True

    def open(self, tasks: Sequence[RunTask], now: float) -> None:
        """Fold an answer of tasks alone: what `issue` does, and the time."""
        calls = self.calls
        for task in tasks:
            calls[task.call] = task
        self.running += len(tasks)
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
        if self.unsettled or (self.running and self._running_now()):
            return ACTIVE
        if type(self.closing) is TailCall:
            return ACTIVE
        if self.held == "" and self._moment(BEGIN) is None and not self.began:
            return ACTIVE
        return self._next_moment()

    @property
    def begun(self) -> bool:
        """Whether anything was ever shown to the program, as recorded."""
        return self.activations > 0

    @property
    def put_off(self) -> bool:
        """Whether it has not begun, and only waits for the moment to do so."""
        waits = self.held == "" and not self.began and not self.status
        return waits and self._moment(BEGIN) is not None

    @property
    def open_updates(self) -> tuple[UpdateAccepted, ...]:
        """The updates that are accepted and not answered, oldest first."""
        updates = self.updates or {}
        return tuple(u for u in updates.values() if type(u) is UpdateAccepted)

    def options(self, call: int) -> TaskOptions:
        """The options of open task `call`."""
        command = self.calls[call]
        assert isinstance(command, RunTask)
        return command.options or DEFAULT_TASK

    def trial(self, call: int) -> Tries:
        """The retry state of open task `call`, made on first need."""
        if self.tries is None:
            self.tries = {}
        found = self.tries.get(call)
        if found is None:
            found = self.tries[call] = Tries()
        return found

    def attempt(self, call: int) -> int:
        """The number of the current attempt of task `call`, from 1."""
        found = self.tries.get(call) if self.tries else None
        return found.attempt if found else 1

    @property
    def current_attributes(self) -> dict[str, Attribute]:
        """The search attributes of the run: those of its start, or as changed since."""
        if self.attributes is not None:
            return self.attributes
        extras = self.start.options.extras
        return {} if extras is None else extras.attributes

    @property
    def current_memo(self) -> dict[str, bytes]:
        """The memo of the run: that of its start, or as changed since."""
        return self.start.options.memo if self.memo is None else self.memo

    def moments(self) -> list[tuple[float, int]]:
        """All moments at which something is due, with their timer numbers."""
        if not self.timers:
            return []
        self._next_moment()
        live = [(due, n) for due, n in self.timers if self._moment(n) == due]
        return sorted(live)

    def _running_now(self) -> bool:
        if not self.tries:
            return True
        waiting = sum(
            1
            for t in self.tries.values()
            if t.handed or (t.due is not None and t.stopping is None)
        )
        return self.running > waiting

    def _add_moment(self, due: float, number: int) -> None:
        if self.timers is None:
            self.timers = []
        heappush(self.timers, (due, number))

    def _moment(self, number: int) -> float | None:
        """When timer `number` is due now; None if there is none."""
        if number > 0:
            command = self.calls.get(number)
            if type(command) is StartTimer:
                return command.due
            found = self.tries.get(number) if self.tries else None
            return found.due if found and type(command) is RunTask else None
        options = self.start.options
        if number == BEGIN:
            return options.begin_at if not self.began else None
        if number == EXECUTION_DEADLINE:
            return options.execution_deadline
        return self.run_deadline()

    def run_deadline(self) -> float | None:
        if not self.timers:
            return None
        return next((due for due, n in self.timers if n == RUN_DEADLINE), None)

    def _next_moment(self) -> float | None:
        timers = self.timers
        while timers:
            due, number = timers[0]
            if self._moment(number) == due:
                return due
            heappop(timers)
        return None

    def _forget(self, call: int) -> CallCommand | None:
        command = self.calls.pop(call, None)
        if command is not None:
            if type(command) is RunTask:
                self.running -= 1
            elif type(command) is StartChild:
                self.children -= 1
            if self.tries:
                self.tries.pop(call, None)
            if self.unsettled:
                self._settle(call)
        return command

    def _owe(self, call: int) -> None:
        """Another run's answer to `call` comes by memory: after a crash, ask again."""
        if self.unsettled is None:
            self.unsettled = set()
        self.unsettled.add(call)

    def _settle(self, call: int) -> None:
        if self.unsettled is not None:
            self.unsettled.discard(call)
            self.unsettled = self.unsettled or None

    def _take_update(self, event: UpdateAccepted) -> None:
        if self.updates is None:
            self.updates = {}
        self.updates[event.update_id] = event
        self.inbox_seq += 1

    def _show(self, event: Event) -> Answer:
        if self.held is None:
            return Answer((event,))
        self.pending.append(event)
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
        if options.begin_at is not None:
            self._add_moment(options.begin_at, BEGIN)
        if options.run_deadline is not None:
            self._add_moment(options.run_deadline, RUN_DEADLINE)
        elif options.run_timeout is not None:
            self._add_moment(begin + options.run_timeout, RUN_DEADLINE)
        if options.execution_deadline is not None:
            self._add_moment(options.execution_deadline, EXECUTION_DEADLINE)
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

    def _task_completed(self, event: TaskCompleted, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not RunTask:
            return None
        del self.calls[event.call]
        self.running -= 1
        if self.tries:
            self.tries.pop(event.call, None)
        if self.held is None:
            return Answer((event,))
        self.pending.append(event)
        return NOTHING

    def _task_failed(self, event: TaskFailed, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not RunTask:
            return None
        options, tries = self.options(event.call), self.trial(event.call)
        tries.failure = event.failure
        tries.handed = None
        final = tries.stopping is not None or event.failure.kind is FailureKind.LOST
        if not final and options.retry.allows(event.failure, tries.attempt):
            tries.due = now + options.retry.delay(event.failure, tries.attempt)
            tries.attempt += 1
            tries.lost = 0
            self._add_moment(tries.due, event.call)
            return NOTHING
        self._forget(event.call)
        return self._show(event)

    def _attempt_started(self, event: AttemptStarted, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not RunTask:
            return None
        tries = self.trial(event.call)
        tries.due = None
        if event.lost:
            tries.lost += 1
        if tries.lost >= LOST_LIMIT:
            self._forget(event.call)
            return self._show(TaskFailed(event.call, failures.lost(tries.lost)))
        return NOTHING

    def _heartbeat(self, event: HeartbeatRecorded, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not RunTask:
            return None
        self.trial(event.call).details = event.details
        return NOTHING

    def _timer_fired(self, event: TimerFired, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not StartTimer:
            return None
        del self.calls[event.call]
        return self._show(event)

    def _signal(self, event: SignalReceived, now: float) -> Answer:
        self.inbox_seq += 1
        return self._show(event)

    def _cancel(self, event: CancelRequested, now: float) -> Answer | None:
        if self.cancel_reason is not None:
            return None
        self.cancel_reason = event.reason
        if not self.began:
            return Answer((), (Fail(failures.cancelled(event.reason)),))
        return self._show(event)

    def _terminate(self, event: TerminateRequested, now: float) -> Answer:
        failure = failures.terminated(event.reason, event.details)
        return Answer((), (Fail(failure),))

    def _timed_out(self, event: RunTimedOut, now: float) -> Answer:
        limit = "execution" if event.kind is TimeoutKind.EXECUTION else "run"
        message = f"the {limit} timeout of {self.start.name!r} expired"
        return Answer((), (Fail(failures.timed_out(event.kind, message)),))

    def _child_started(self, event: ChildStarted, now: float) -> Answer | None:
        if event.call not in self.calls:
            return None
        self._settle(event.call)
        return self._show(event)

    def _child_closed(self, event: ChildClosed, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not StartChild:
            return None
        self._forget(event.call)
        return self._show(event)

    def _message_sent(self, event: MessageSent, now: float) -> Answer | None:
        if self._forget(event.call) is None:
            return None
        return self._show(event)

    # -- attempts that go on elsewhere ---------------------------------------------

    def _handed_over(self, event: TaskHandedOver, now: float) -> Answer | None:
        if type(self.calls.get(event.call)) is not RunTask:
            return None
        tries = self.trial(event.call)
        tries.handed = event
        self._expect(event.call, tries, now)
        return NOTHING

    def _expect(self, call: int, tries: Tries, now: float) -> None:
        """A handed over attempt was heard of: until when it may be silent now."""
        assert tries.handed is not None
        silence = self.options(call).heartbeat_timeout
        limits = (tries.handed.deadline, None if silence is None else now + silence)
        tries.due = min((at for at in limits if at is not None), default=None)
        if tries.due is not None:
            self._add_moment(tries.due, call)

    def _task_reported(self, event: TaskReported, now: float) -> Answer | None:
        call, outcome = event.call, event.outcome
        if not self.under_way(event, now):
            return self._stopped_unheeded(event)
        tries = self.tries.get(call) if self.tries else None
        if tries is not None and tries.stopping is not None:
            if outcome is None:
                return None  # whoever still lives is to learn it
        elif _stopped(outcome):
            return None  # nobody asked for that
        if event.details:
            tries = self.trial(call)
            tries.details = event.details
        if type(outcome) is TaskCompleted:
            return self._task_completed(outcome, now)
        if type(outcome) is TaskFailed:
            return self._task_failed(outcome, now)
        if tries is not None and tries.handed is not None:
            self._expect(call, tries, now)
        return NOTHING

    def under_way(self, event: TaskReported, now: float) -> bool:
        """Whether the attempt that `event` is about is the current one of its task."""
        if (
            event.generation != self.generation
            or type(self.calls.get(event.call)) is not RunTask
        ):
            return False
        tries = self.tries.get(event.call) if self.tries else None
        if tries is None:
            return event.attempt <= 1
        if tries.due is not None and tries.handed is None and tries.due > now:
            return False  # it waits for its next attempt
        if tries.handed is not None and event.dispatch not in (
            0,
            tries.handed.dispatch,
        ):
            return False  # another has it now
        return event.attempt in (0, tries.attempt)

    def _stopped_unheeded(self, event: TaskReported) -> Answer | None:
        """An attempt whose call did not wait for it says that it has stopped."""
        if not _stopped(event.outcome) or self.unheeded(event) is None:
            return None
        assert self.abandoned is not None
        del self.abandoned[event.call]
        return NOTHING

    def unheeded(self, event: TaskReported) -> str | None:
        """Why the handed over attempt of `event` should stop, if nobody waits for it.

        Known for the life of the run; of a closed run, if it was cancelled.
        """
        found = (self.abandoned or {}).get(event.call)
        if found is None or event.generation != self.generation:
            return None
        attempt, reason = found
        return reason if event.attempt in (0, attempt) else None

    def _abandon(self, call: int) -> None:
        """Remember a handed over attempt, which cannot be told before it asks."""
        tries = self.tries.get(call) if self.tries else None
        if tries is not None and tries.handed is not None:
            if self.abandoned is None:
                self.abandoned = {}
            self.abandoned[call] = (tries.attempt, self.cancel_reason or "")

    def _event_matched(self, event: EventMatched, now: float) -> Answer | None:
        command = self.calls.get(event.call)
        if type(command) is not AwaitEvent or command.key != event.key:
            return None
        del self.calls[event.call]
        return self._show(event)

    def _renamed(self, event: RunRenamed, now: float) -> Answer:
        self.renamed = event.name
        return self._show(event)

    def _update_accepted(self, event: UpdateAccepted, now: float) -> Answer | None:
        if self.updates is not None and event.update_id in self.updates:
            return None
        self._take_update(event)
        return self._show(event)

    # -- commands ------------------------------------------------------------------

    def _upsert(self, command: UpsertAttributes) -> None:
        found = {**self.current_attributes, **command.attributes}
        self.attributes = {k: v for k, v in found.items() if v is not None}

    def _describe(self, command: SetDetails) -> None:
        self.details = command.text

    def _rename(self, command: RenameRun) -> None:
        self.renamed = command.name

    def _open_timer(self, command: StartTimer) -> None:
        self.calls[command.call] = command
        self._add_moment(command.due, command.call)

    def _open_child(self, command: StartChild) -> None:
        self.calls[command.call] = command
        self.children += 1
        if command.announce:
            self._owe(command.call)

    def _open_message(self, command: SignalRun | CancelRun) -> None:
        self.calls[command.call] = command
        self._owe(command.call)

    def _open_wait(self, command: AwaitEvent) -> None:
        self.calls[command.call] = command

    def _drop_call(self, command: CancelCall) -> None:
        self._abandon(command.call)
        self._forget(command.call)

    def _stop_task(self, command: CancelTask) -> None:
        if type(self.calls.get(command.call)) in (RunTask, StartChild):
            self.trial(command.call).stopping = self.cancel_reason or ""

    def _complete_update(self, command: CompleteUpdate) -> None:
        assert self.updates is not None
        self.updates[command.update_id] = command

    def _close(self, command: ClosingCommand) -> None:
        self.closing = command
        for call in self.tries or ():
            self._abandon(call)
        self.calls = {}
        self.running = self.children = 0
        self.tries = self.timers = self.unsettled = None
        if self.pending:  # what was for any code is for the run that follows, if any
            self.pending = [e for e in self.pending if type(e) is SignalReceived]
        self.status = closing_status(command)

    def _tail_call(self, command: TailCall) -> None:
        self.closing = command
        self.calls = {}
        self.running = self.children = 0
        self.tries = self.unsettled = None
        self.held, self.began = "", False


def begins_in_time(state: RunState) -> bool:
    """Whether its first step is due before the limit of its chain."""
    begin, limit = state._moment(BEGIN), state.start.options.execution_deadline
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


def _remember(state: RunState, command: UpsertMemo) -> None:
    found = {**state.current_memo, **command.memo}
    state.memo = {k: v for k, v in found.items() if v is not None}


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


def _stopped(outcome: TaskCompleted | TaskFailed | None) -> bool:
    """Whether an outcome says that the task stopped because it was asked to."""
    return type(outcome) is TaskFailed and outcome.failure.kind is FailureKind.CANCELLED


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
    Started: RunState._started,
    Began: RunState._began,
    Held: RunState._held,
    TaskCompleted: RunState._task_completed,
    TaskFailed: RunState._task_failed,
    AttemptStarted: RunState._attempt_started,
    HeartbeatRecorded: RunState._heartbeat,
    TimerFired: RunState._timer_fired,
    SignalReceived: RunState._signal,
    CancelRequested: RunState._cancel,
    TerminateRequested: RunState._terminate,
    RunTimedOut: RunState._timed_out,
    ChildStarted: RunState._child_started,
    ChildClosed: RunState._child_closed,
    MessageSent: RunState._message_sent,
    TaskHandedOver: RunState._handed_over,
    TaskReported: RunState._task_reported,
    EventMatched: RunState._event_matched,
    RestartRequested: _restart,
    RunRenamed: RunState._renamed,
    UpdateAccepted: RunState._update_accepted,
}
_ISSUE: dict[type, Callable[[RunState, Any], None]] = {
    StartTimer: RunState._open_timer,
    StartChild: RunState._open_child,
    SignalRun: RunState._open_message,
    CancelRun: RunState._open_message,
    AwaitEvent: RunState._open_wait,
    CancelCall: RunState._drop_call,
    UpsertAttributes: RunState._upsert,
    UpsertMemo: _remember,
    SaveState: _save,
    SetDetails: RunState._describe,
    CancelTask: RunState._stop_task,
    RenameRun: RunState._rename,
    CompleteUpdate: RunState._complete_update,
    Complete: RunState._close,
    Fail: RunState._close,
    ContinueAsNew: RunState._close,
    TailCall: RunState._tail_call,
}
