"""After the commit: what a transition sets off: attempts, timers, answers, the end.

Everything here happens only after the commit. What an attempt reports while effects are
released is taken after them, in its place in the line.
"""

from typing import Any

from msgspec.structs import replace

from everact.runtime.core.records import (
    CancelCall,
    CancelTask,
    ChildClosed,
    ChildStarted,
    Command,
    Event,
    RunTask,
    StartChild,
    Started,
    StartTimer,
    TailCall,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskReported,
)
from everact.runtime.core.state import BEGIN, Answer
from everact.runtime.engine import logs
from everact.runtime.engine.execution import outside
from everact.runtime.engine.execution.attempt import Outcome, TaskActor
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.host import OwnRun
from everact.runtime.engine.run.recording import CLOSING, MESSAGES
from everact.runtime.engine.run.starting import attempt_of, start

_FOLLOWED = frozenset({TaskFailed, Started, TaskHandedOver, TaskReported})


class Releasing:
    """The attempts of one run, and the other effects of it."""

    __slots__ = ("_run", "attempts", "early")

    def __init__(self, run: OwnRun) -> None:
        self._run = run
        self.attempts: dict[int, TaskActor] = {}
        self.early: list[Any] | None = None
        """What comes in while effects are released; None at all other times."""

    def untie(self) -> None:
        """The run is gone, and nothing of it is under way."""
        self._run = None  # type: ignore[assignment]

    def settle(self, outcome: Outcome) -> None:
        """Take what an attempt reports, if it is still the one under way."""
        attempt, event, durable = outcome.attempt, outcome.event, outcome.durable
        call = event.call
        if self.attempts.get(call) is not attempt:
            if durable is not None:
                durable.cancel()
        else:
            del self.attempts[call]
            if type(event) is not TaskCompleted:
                self._keep_details(attempt)
            if type(event) is TaskFailed:
                number, began = attempt.number, attempt.began_at
                event = replace(event, attempt=number, started=began)
            asked = None if durable is None else Envelope(event, durable)
            self._run.take(event, asked)
            if type(event) is not TaskCompleted or self._run.engine.debugs:
                logs.attempt_ended(attempt, event)

    def settle_early(self, early: list[Any]) -> None:
        """Take what came in while effects were released, in its place in the line."""
        run = self._run
        if run.has_mail:
            for message in early:
                run.post(message)
            return
        try:
            for message in early:
                kind = type(message)
                if kind is TaskCompleted:
                    steps.take(run, message)
                elif kind is Outcome:
                    self.settle(message)
                else:
                    run.take(message, None)
        except Exception as error:
            run.engine.discard(run, error)
        if run.engine.steps:
            steps.record(run.engine)

    def report(self, event: TaskReported, now: float) -> Answer | None:
        """Fold a report; an attempt that still runs here then has no more to say."""
        if not outside.may_be_under_way(self._run, event):
            return None
        answer = self._run.state.apply(event, now)
        attempt = None if answer is None else self.attempts.get(event.call)
        if attempt is not None:
            if event.outcome is None:
                attempt.heartbeat(())
            else:
                del self.attempts[event.call]
                attempt.outdo()
        return answer

    def release(
        self, events: tuple[Event, ...], commands: tuple[Command, ...]
    ) -> list[Any]:
        """Do what is durable now; what came in meanwhile, to be taken after it."""
        run = self._run
        calls = run.state.calls
        self.early = early = []
        command: Any
        try:
            for command in commands:
                if type(command) is RunTask:
                    if command.call in calls:
                        outcome = start(run, command)
                        if outcome is not None:
                            early.append(outcome)
                else:
                    self._release(type(command), command)
            for event in events:
                if type(event) in _FOLLOWED:
                    self._follow(event)
        except Exception as bug:  # the rest of the batch must not wait for ever
            run.engine.discard(run, bug)
        self.early = None
        return early

    def _release(self, kind: type, command: Any) -> None:
        run = self._run
        calls, engine = run.state.calls, run.engine
        if kind in engine.after_commit:
            engine.after_commit[kind](run, command)
        if kind is StartTimer:
            if command.call in calls:
                engine.timers.add(command.due, run.row.key, command.call)
        elif kind is CancelCall:
            attempt = self.attempts.pop(command.call, None)
            if attempt is not None:
                attempt.stop_now()
        elif kind is StartChild:
            if command.announce and command.call in calls:
                run.report(ChildStarted(command.call, command.run_id))
        elif kind is TailCall:
            if not run.state.status:  # ended while the tail call was on its way
                engine.next_generation(run)
        elif kind in CLOSING:
            engine.relations.tell(self.closed())
        elif kind is CancelTask:
            outside.stop(run, command.call)

    def _follow(self, event: Any) -> None:
        """What an event itself entails once it is durable."""
        kind = type(event)
        if kind is TaskFailed or (
            kind in (TaskHandedOver, TaskReported) and outside.arms(self._run, event)
        ):
            self._arm_retry(event.call)
        else:
            run = self._run
            run.engine.start_durable(run)
            state = run.state
            # One that a tail call ended begins its next life, and not this one.
            ready = state.held == "" and state.closing is None
            if ready and state.due(BEGIN) is None:
                run.engine.loop.call_soon(run.begin)
            for due, number in state.moments():
                if number <= 0:  # timers of calls are armed by their commands
                    run.engine.timers.add(due, run.row.key, number)

    def _arm_retry(self, call: int) -> None:
        tries = self._run.state.calls.tried(call)
        if tries is not None and tries.due is not None:
            self._run.engine.timers.add(tries.due, self._run.row.key, call)

    def closed(self) -> "tuple[OwnRun, ChildClosed] | None":
        """The run's end is durable: tell everybody whom it concerns, and leave.

        What its parent is to be told, if it has one that waits for it.
        """
        run = self._run
        if self.attempts:
            self.stop()
        run.code.drop()
        return run.engine.run_closed(run)

    def dispatch(self, command: RunTask) -> None:
        """Start an attempt of an open task, as soon as a slot is free."""
        run, call = self._run, command.call
        state, engine = run.state, run.engine
        if engine.stopping or call in self.attempts:
            return
        if engine.suspects.convicts(run, command):
            return
        tries = state.calls.tried(call)
        attempt = attempt_of(run, command, 1 if tries is None else tries.attempt)
        self.attempts[call] = attempt
        options = command.options
        if engine.versions.active:
            attempt.lane = engine.versions.place(attempt)
        else:
            attempt.lane = (options and options.queue) or run.row.queue
        if not engine.suspects.keeps(attempt):
            attempt.stand_in_line()
        if not attempt.over:
            run.adopt(attempt)

    def stop(self) -> None:
        """Nobody waits for what they would say: it does not count now."""
        attempts, self.attempts = self.attempts, {}
        for attempt in attempts.values():
            attempt.stop_now()

    def _keep_details(self, attempt: TaskActor) -> None:
        """Record the last heartbeat of an attempt that failed, before its failure."""
        if attempt._limits is not None:
            event = attempt._limits.flush()
            if event is not None:
                self._run.take(event, None)

    def release_open(self, *, begin: bool) -> None:
        """After loading: release again all that is recorded as open.

        `begin` says that its code may go on if it was held.
        """
        run = self._run
        state, engine = run.state, run.engine
        if type(state.closing) is TailCall:
            engine.next_generation(run)
            return
        resumed = engine.parts.resumed
        for moment, number in state.moments():
            engine.timers.add(moment, run.row.key, number)
        for command in list(state.calls.values()):
            if type(command) is RunTask:
                tries = state.calls.tried(command.call)
                due = tries.due if tries else None
                if outside.kept_from_dispatch(tries):
                    outside.stop(run, command.call)
                elif due is None or due <= engine.clock.now():
                    self.dispatch(command)
            elif type(command) in MESSAGES:
                engine.relations.send(run, command, None)
            else:
                resume = resumed.get(type(command))
                if resume is not None:
                    resume(run, command)
        # Last: what the code asks for now is not durable yet, and not to be released.
        delayed = not state.began and state.due(BEGIN) is not None
        if begin and state.held is not None and not delayed:
            run.begin()
