"""The run actor: one open run, its messages one at a time.

Whatever happens to a run is an event through this actor's mailbox. An event is folded
into the state, what it shows to the program is run (`activation`), and events and
commands together become one journal row (`recording`). Only when that row is durable is
released what it asks for: attempts, timers, messages, answers (`releasing`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from everact.actors import Actor
from everact.runtime.core import chain
from everact.runtime.core.calls import Shown
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.records import (
    ChildClosed,
    Event,
    Held,
    MessageSent,
    RunTask,
    RunTimedOut,
    SignalReceived,
    StartTimer,
    TaskReported,
    TerminateRequested,
    TimerFired,
    UpdateAccepted,
)
from everact.runtime.core.state import (
    BEGIN,
    EXECUTION_DEADLINE,
    RUN_DEADLINE,
    RunState,
    begins_in_time,
)
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine import logs
from everact.runtime.engine.execution import outside
from everact.runtime.engine.execution.attempt import Outcome, TaskActor
from everact.runtime.engine.host import Run
from everact.runtime.engine.messages import Envelope, Question
from everact.runtime.engine.reasons import WAITING
from everact.runtime.engine.restarting import begins_anew
from everact.runtime.engine.run.activation import BEGAN, Activation
from everact.runtime.engine.run.host import RunHost
from everact.runtime.engine.run.recording import Recording
from everact.runtime.engine.run.releasing import Releasing
from everact.runtime.engine.run.turn import Turn
from everact.runtime.errors import EveractError, RPCError, RuntimeStateError
from everact.runtime.store.base import Remembered, RunRow, Write


class RunActor(Actor):
    """One open run in memory; all of it on the loop's thread.

    Nobody but it and what it consists of (its `code`, `journal` and `work`) changes
    what it has.
    """

    __slots__ = (
        "code",
        "dropped",
        "engine",
        "journal",
        "row",
        "state",
        "successor",
        "work",
    )

    def __init__(self, engine: RunHost, row: RunRow, state: RunState) -> None:
        self.engine = engine
        self.row = row
        self.state = state
        self.code = Activation(self)
        self.journal = Recording(self)
        self.work = Releasing(self)
        self.dropped = False
        self.successor: Run | None = None

    def __str__(self) -> str:
        start = self.state.start
        return f"run {start.workflow_id!r} ({start.run_id}) of {start.name!r}"

    @property
    def about(self) -> str:
        """The workflow ID of the run."""
        return self.row.workflow_id

    @property
    def attempts(self) -> Mapping[int, TaskActor]:
        """Its attempts that are under way here, by their calls."""
        return self.work.attempts

    # -- the mailbox ---------------------------------------------------------------

    def on_receive(self, message: Any) -> None:
        kind, paused = type(message), self.code.paused
        if paused is not None and not _urgent(message):
            paused.deferred.append(message)
        elif kind is Outcome:
            self.work.settle(message)
        elif kind is Envelope and type(message.event) is UpdateAccepted:
            self.engine.updates.receive(self, message)
        elif kind is Envelope:
            self.take(message.event, message)
        elif kind is Question:
            self.code.answer(message)
        else:
            self.take(message, None)

    @property
    def has_mail(self) -> bool:
        """Whether anything waits in line before what might be taken at once."""
        return self._actor_queue is not None or self.code.paused is not None

    def report(self, message: Any) -> None:
        """Take a message in its turn; after the effects that are being released."""
        early = self.work.early
        if early is None:
            self.post(message)
        else:
            early.append(message)

    def on_failure(self, *error: Any) -> None:
        """A bug of ours: the run is dropped from memory and loaded again."""
        self.engine.discard(self, error[1])

    def take(
        self, event: Event, envelope: Envelope | None, within: Write | None = None
    ) -> None:
        """One event: fold it, show it, record it.

        `within` is another run's write that must be in the same transaction.
        """
        if self.dropped:
            self.refuse(event, envelope)
            return
        if self.code.paused is not None:
            self.code.interrupt()
        if type(event) is ChildClosed:
            self.engine.relations.end_taken(self.row.key, event.call)
        state = self.state
        now = self.engine.now()
        now = max(now, state.time)
        if type(event) is TaskReported:
            answer = self.work.report(event, now)
        else:
            answer = state.apply(event, now)
        if answer is None:
            self.refuse(event, envelope)
            return
        turn = Turn((event,), answer.shown, now, envelope, within)
        if answer.shown:
            self.code.activate(turn)
        else:
            self.journal.record(turn, answer.commands)

    def refuse(self, event: Event, envelope: Envelope | None) -> None:
        """The event does not fit: forward, answer, or ignore it."""
        heir = self.successor
        follows = envelope is not None and envelope.follow
        if heir is not None and (follows or type(event) is SignalReceived):
            present = self.engine.resident(heir.row.key)
            if present is not None:
                present.post(event if envelope is None else envelope)
            else:
                heir.refuse(event, envelope)
        elif envelope is not None:
            if type(event) is TaskReported and not self.dropped:
                self.journal.when_durable(envelope.reply, outside.refusal(self, event))
            elif self.state.status or self.dropped:
                self.journal.when_durable(envelope.reply, self._not_open())
            else:
                self.journal.when_durable(envelope.reply, None)
        self.rest()

    def _not_open(self) -> EveractError:
        if self.engine.stopping and not self.state.status:
            return RuntimeStateError("the runtime was closed")
        start = self.state.start
        return RPCError(
            f"run {start.workflow_id!r} ({start.run_id}) is not open: it is "
            f"{RunStatus(self.state.status)}",
            RPCStatus.NOT_FOUND,
        )

    # -- beginning -----------------------------------------------------------------

    def begin_new(
        self, envelope: Envelope | None, within: Write | None, *, hold: str | None
    ) -> None:
        """The first transition of a run or generation that was just made.

        `hold` keeps the program from beginning: a reason, or "" for a start delay.
        """
        state, now = self.state, self.engine.now()
        started = state.start
        events: tuple[Event, ...] = (started,)
        shown: Shown = ()
        if hold is None and state.begin():
            events, shown = (started, BEGAN), events
        else:
            state.apply(started, now)
            if hold != "":
                second = self.code.began() if hold is None else Held(hold)
                events = (started, second)
                answer = state.apply(second, now)
                assert answer is not None
                shown = answer.shown
        turn = Turn(events, shown, now, envelope, within, True)
        if shown:
            self.code.activate(turn)
        else:
            self.journal.record(turn)

    def begin(self) -> None:
        """Show the program what is kept for it, if there is a program and a worker."""
        if self.dropped or self.state.status or self.state.held is None:
            return
        if self.engine.stopping:
            return
        obstacle = self.engine.obstacle(self)
        held = self.state.held
        if obstacle is None:
            if held and not held.startswith(WAITING):
                logs.goes_on(self, held)
            if self.engine.updates.admitted:
                self.engine.updates.before_begin(self)
            self.take(self.code.began(), None)
        elif begins_anew(self.engine, self, obstacle):
            return
        elif held != obstacle:
            self.take(Held(obstacle), None)
            self.engine.put_aside(self, obstacle)

    @property
    def put_off(self) -> bool:
        """Whether it only waits for the moment that its start was put off to.

        The waits of a chain, for its next attempt or its next time, are not meant.
        """
        start = self.state.start
        extras = start.options.extras
        chained = start.attempt > 1 or (extras is not None and extras.cron)
        return self.state.put_off and not chained

    async def begin_with(
        self, signal: SignalReceived, request: Remembered | None
    ) -> None:
        """Take a signal and begin, in one transaction; returns when it is durable."""
        reply: asyncio.Future[Any] = self.engine.loop.create_future()
        envelope, state = Envelope(signal, reply, request), self.state
        if self.dropped or self.code.paused is not None or not state.put_off:
            self.take(signal, envelope)
            await reply
            return
        obstacle = self.engine.obstacle(self)
        second: Event = self.code.began() if obstacle is None else Held(obstacle)
        now = max(self.engine.clock.now(), state.time)
        state.apply(signal, now)
        answer = state.apply(second, now)
        assert answer is not None
        turn = Turn((signal, second), answer.shown, now, envelope)
        if obstacle is None:
            self.code.activate(turn)
        else:
            self.journal.record(turn)
            self.engine.put_aside(self, obstacle)
        await reply

    def bind(self, build_id: str) -> None:
        """Be of the code of `build_id` from now on."""
        self.row.build_id = build_id

    def renew(self) -> None:
        """Be in the next generation from now on, as a tail call asked for."""
        self.work.stop()
        self.code.drop()
        self.state = chain.next_generation(self.state)
        self.row.kind = self.state.start.kind or self.row.kind
        self.journal.renew()

    # -- what comes by itself --------------------------------------------------------

    def moment(self, number: int, due: float) -> None:
        """A moment of the run has come; dead ones are ignored."""
        state = self.state
        if self.dropped or state.status or state.due(number) != due:
            return
        if number > 0:
            command = state.calls[number]
            if type(command) is StartTimer:
                self.post(TimerFired(number))
            elif type(command) is RunTask and number not in self.work.attempts:
                tries = state.calls.tried(number)
                if tries is not None and outside.kept_from_dispatch(tries):
                    outside.moment(self, command, tries)
                else:
                    self.work.dispatch(command)
        elif number == BEGIN:
            if begins_in_time(state):  # else it waits for the end of its time
                self.begin()
        elif number == RUN_DEADLINE:
            self.post(RunTimedOut(TimeoutKind.RUN))
        elif number == EXECUTION_DEADLINE:
            self.post(RunTimedOut(TimeoutKind.EXECUTION))

    def sent(self, call: int, failure: Any) -> None:
        """A message to another run is durable there, or refused."""
        self.post(MessageSent(call, failure))

    def rest(self) -> None:
        """If the run only waits now, it may be put away."""
        works = self.work.attempts or self.journal.in_flight
        if not (works or self.state.status or self.dropped):
            self.enlist()
            self.engine.idle(self)

    def adopt(self, attempt: TaskActor) -> None:
        """Make an attempt known to its system, as a child of this run."""
        attempt.enlisted = True
        self.enlist()
        self.system.adopt(attempt, self)

    def leave(self) -> tuple[Any, ...]:
        """Leave memory: nothing of it counts now. The messages that it has not read."""
        self.dropped = True
        deferred = self.code.leave()
        if self.work.attempts:
            self.work.stop()
        queue: Any = self._actor_queue
        self.finish()
        return (*deferred, *queue) if queue else deferred

    def untie(self) -> None:
        """It has left memory and nothing of it is under way: it is no cycle any more.

        So nothing of a run is left to the garbage collector.
        """
        self.code.untie()
        self.journal.untie()
        self.work.untie()


def _urgent(message: Any) -> bool:
    event = message.event if type(message) is Envelope else message
    return type(event) in (TerminateRequested, RunTimedOut)
