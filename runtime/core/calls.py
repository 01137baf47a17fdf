"""The open calls of a run: its tasks, timers, children, messages and waits.

`Calls` is a mapping of their commands by number, and beside it what is known of each
that is not in its command: attempts, moments, and who still owes an answer. A call
ends with the event that tells so; what comes later is stale. Only the run's state
changes it.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

from everact.runtime.core import failures
from everact.runtime.core.failures import FailureKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    AttemptStarted,
    AwaitEvent,
    CallCommand,
    CancelCall,
    CancelRun,
    CancelTask,
    ChildClosed,
    ChildStarted,
    Event,
    EventMatched,
    HeartbeatRecorded,
    MessageSent,
    RunTask,
    SignalRun,
    StartChild,
    StartTimer,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    TaskReported,
    TimerFired,
)
from everact.runtime.core.tries import LOST_LIMIT, Tries

Shown: TypeAlias = tuple[Event, ...]


class Calls(dict[int, CallCommand]):
    """What a run waits for; see the module's header.

    `running` and `children` count the tasks and children among them. What few runs
    need is None until then: `tries` by task, `timers` as a heap of moments (dead ones
    too), the calls that another run is to answer by memory (`unsettled`: after a crash
    it is asked again), and the handed over attempts whose calls were `abandoned`.
    """

    __slots__ = ("abandoned", "children", "running", "timers", "tries", "unsettled")

    def __init__(self) -> None:
        self.running = self.children = 0
        self.tries: dict[int, Tries] | None = None
        self.timers: list[tuple[float, int]] | None = None
        self.unsettled: set[int] | None = None
        self.abandoned: dict[int, tuple[int, str]] | None = None

    # -- what is open --------------------------------------------------------------

    def busy(self) -> bool:
        """Whether one of the open tasks needs its run in memory now."""
        if not self.tries:
            return self.running > 0
        return self.running > sum(1 for t in self.tries.values() if t.waits)

    def options(self, call: int) -> TaskOptions:
        """The options of open task `call`."""
        command = self[call]
        assert isinstance(command, RunTask)
        return command.options or DEFAULT_TASK

    def tried(self, call: int) -> Tries | None:
        """The retry state of `call`, if it has one yet."""
        return self.tries.get(call) if self.tries else None

    def trial(self, call: int) -> Tries:
        """The retry state of open task `call`, made on first need."""
        if self.tries is None:
            self.tries = {}
        found = self.tries.get(call)
        if found is None:
            found = self.tries[call] = Tries()
        return found

    def due(self, call: int) -> float | None:
        """The moment that `call` waits for now; None if there is none."""
        command = self.get(call)
        if type(command) is StartTimer:
            return command.due
        tries = self.tried(call)
        return tries.due if tries and type(command) is RunTask else None

    def next_moment(self) -> float | None:
        """The first moment that any of them waits for."""
        timers = self.timers
        while timers:
            due, call = timers[0]
            if self.due(call) == due:
                return due
            heappop(timers)
        return None

    def moments(self) -> list[tuple[float, int]]:
        """All moments that they wait for, with their numbers."""
        return [(due, call) for due, call in self.timers or () if self.due(call) == due]

    def under_way(self, event: TaskReported, now: float) -> bool:
        """Whether the attempt that `event` is about is the current one of its task."""
        if type(self.get(event.call)) is not RunTask:
            return False
        tries = self.tried(event.call)
        if tries is None:
            return event.attempt <= 1
        return tries.under_way(event, now)

    def unheeded(self, event: TaskReported) -> str | None:
        """Why the handed over attempt of `event` should stop, if nobody waits for it.

        Known for the life of the run; of a closed run, if it was cancelled.
        """
        found = (self.abandoned or {}).get(event.call)
        if found is None:
            return None
        attempt, reason = found
        return reason if event.attempt in (0, attempt) else None

    # -- what changes it -----------------------------------------------------------

    def apply(self, event: Any, now: float) -> Shown | None:
        """Fold what became of a call: what is to be shown; None if it is stale."""
        kind = type(event)
        if kind is TaskReported:
            return self._reported(event, now)
        if type(self.get(event.call)) not in _OF[kind]:
            return None
        fold = _FOLD.get(kind)
        if fold is not None:
            return fold(self, event, now)
        self.forget(event.call)
        return (event,)

    def issue(self, command: CallCommand | CancelCall | CancelTask, why: str) -> None:
        """Fold what opens a call or stops one; `why` its run is cancelled, if it is."""
        call = command.call
        if type(command) is StartChild:
            self[call] = command
            self.children += 1
            if command.announce:
                self._owe(call)
        elif type(command) is StartTimer:
            self[call] = command
            self._await(command.due, call)
        elif type(command) is CancelCall:
            self._abandon(call, why)
            self.forget(call)
        elif type(command) is CancelTask:
            if type(self.get(call)) in (RunTask, StartChild):
                self.trial(call).stopping = why
        else:
            self[call] = command  # type: ignore[assignment]
            if type(command) is not AwaitEvent:
                self._owe(call)

    def forget(self, call: int) -> None:
        """The call is over."""
        command = self.pop(call, None)
        if type(command) is RunTask:
            self.running -= 1
        elif type(command) is StartChild:
            self.children -= 1
        if self.tries:
            self.tries.pop(call, None)
        if self.unsettled:
            self._settle(call)

    def close(self, why: str) -> None:
        """All are over, with their run."""
        for call in self.tries or ():
            self._abandon(call, why)
        self.clear()
        self.running = self.children = 0
        self.tries = self.timers = self.unsettled = None

    def _await(self, due: float, call: int) -> None:
        if self.timers is None:
            self.timers = []
        heappush(self.timers, (due, call))

    def _owe(self, call: int) -> None:
        """Another run's answer to `call` comes by memory: after a crash, ask again."""
        if self.unsettled is None:
            self.unsettled = set()
        self.unsettled.add(call)

    def _settle(self, call: int) -> None:
        if self.unsettled is not None:
            self.unsettled.discard(call)
            self.unsettled = self.unsettled or None

    def _failed(self, event: TaskFailed, now: float) -> Shown:
        call, tries, command = event.call, self.trial(event.call), self[event.call]
        assert isinstance(command, RunTask)
        if tries.again(event.failure, command, now):
            assert tries.due is not None
            self._await(tries.due, call)
            return ()
        self.forget(call)
        return (event,)

    def _attempt_started(self, event: AttemptStarted, now: float) -> Shown:
        tries = self.trial(event.call)
        tries.due = None
        if event.lost:
            tries.lost += 1
        if tries.lost >= LOST_LIMIT:
            self.forget(event.call)
            return (TaskFailed(event.call, failures.lost(tries.lost)),)
        return ()

    def _heartbeat(self, event: HeartbeatRecorded, now: float) -> Shown:
        self.trial(event.call).details = event.details
        return ()

    def _child_started(self, event: ChildStarted, now: float) -> Shown:
        self._settle(event.call)
        return (event,)

    def _event_matched(self, event: EventMatched, now: float) -> Shown | None:
        command = self[event.call]
        assert isinstance(command, AwaitEvent)
        if command.key != event.key:
            return None
        del self[event.call]
        return (event,)

    # -- attempts that go on elsewhere ---------------------------------------------

    def _handed_over(self, event: TaskHandedOver, now: float) -> Shown:
        tries = self.trial(event.call)
        tries.handed = event
        self._heard(event.call, tries, now)
        return ()

    def _heard(self, call: int, tries: Tries, now: float) -> None:
        """A handed over attempt was heard of: it may be silent anew."""
        tries.heard(self.options(call).heartbeat_timeout, now)
        if tries.due is not None:
            self._await(tries.due, call)

    def _reported(self, event: TaskReported, now: float) -> Shown | None:
        call, outcome = event.call, event.outcome
        if not self.under_way(event, now):
            return self._stopped_unheeded(event)
        tries = self.tried(call)
        if tries is not None and tries.stopping is not None:
            if outcome is None:
                return None  # whoever still lives is to learn it
        elif _stopped(outcome):
            return None  # nobody asked for that
        if event.details:
            tries = self.trial(call)
            tries.details = event.details
        if outcome is not None:
            return self.apply(outcome, now)
        if tries is not None and tries.handed is not None:
            self._heard(call, tries, now)
        return ()

    def _stopped_unheeded(self, event: TaskReported) -> Shown | None:
        """An attempt whose call did not wait for it says that it has stopped."""
        if not _stopped(event.outcome) or self.unheeded(event) is None:
            return None
        assert self.abandoned is not None
        del self.abandoned[event.call]
        return ()

    def _abandon(self, call: int, why: str) -> None:
        """Remember a handed over attempt, which cannot be told before it asks."""
        tries = self.tried(call)
        if tries is not None and tries.handed is not None:
            if self.abandoned is None:
                self.abandoned = {}
            self.abandoned[call] = (tries.attempt, why)


def _stopped(outcome: TaskCompleted | TaskFailed | None) -> bool:
    """Whether an outcome says that the task stopped because it was asked to."""
    return type(outcome) is TaskFailed and outcome.failure.kind is FailureKind.CANCELLED


_OF: dict[type, tuple[type, ...]] = {
    TaskCompleted: (RunTask,),
    TaskFailed: (RunTask,),
    AttemptStarted: (RunTask,),
    HeartbeatRecorded: (RunTask,),
    TaskHandedOver: (RunTask,),
    TimerFired: (StartTimer,),
    ChildStarted: (StartChild,),
    ChildClosed: (StartChild,),
    MessageSent: (SignalRun, CancelRun),
    EventMatched: (AwaitEvent,),
}
"""What calls an event can be about: else it is stale."""

_FOLD: dict[type, Callable[[Calls, Any, float], Shown | None]] = {
    TaskFailed: Calls._failed,
    AttemptStarted: Calls._attempt_started,
    HeartbeatRecorded: Calls._heartbeat,
    TaskHandedOver: Calls._handed_over,
    ChildStarted: Calls._child_started,
    EventMatched: Calls._event_matched,
}
"""Events that do more than end their call."""

ABOUT_CALLS: tuple[type, ...] = (*_OF, TaskReported)
"""The events that `Calls.apply` folds."""
