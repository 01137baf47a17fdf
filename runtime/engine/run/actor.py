"""The run actor: one open run, its messages one at a time, its effects after commit.

Whatever happens to a run is an event through this actor's mailbox. An event is folded
into the state, what it shows to the program is run, and events and commands together
become one journal row. Only when that row is durable does `committed` release what it
asks for: attempts, timers, messages, answers.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from everact.actors import Actor
from everact.runtime.core import chain, records
from everact.runtime.core.blame import CODE
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.records import (
    RULES,
    Began,
    CancelCall,
    CancelRun,
    CancelTask,
    ChildClosed,
    ChildStarted,
    Command,
    Complete,
    ContinueAsNew,
    Event,
    Fail,
    Held,
    MessageSent,
    RunTask,
    RunTimedOut,
    SignalReceived,
    SignalRun,
    StartChild,
    Started,
    StartTimer,
    TailCall,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskReported,
    TerminateRequested,
    TimerFired,
    Transition,
    UpdateAccepted,
)
from everact.runtime.core.state import (
    ACTIVE,
    BEGIN,
    EXECUTION_DEADLINE,
    RUN_DEADLINE,
    Answer,
    RunState,
    Shown,
    begins_in_time,
)
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine import outside, telling
from everact.runtime.engine.attempt import Outcome, TaskActor
from everact.runtime.engine.host import Run
from everact.runtime.engine.interrupting import ActivationOverrun
from everact.runtime.engine.messages import Asked, Question
from everact.runtime.engine.reasons import STALLED, WAITING
from everact.runtime.engine.restarting import begins_anew
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.host import RunHost
from everact.runtime.engine.run.releasing import attempt_of, start
from everact.runtime.engine.run.turn import Turn
from everact.runtime.engine.stage import on_stage
from everact.runtime.engine.waiting import copy_of
from everact.runtime.engine.waiting import fail as fail_reply
from everact.runtime.engine.watchdog import OVERRUNS, Overran
from everact.runtime.errors import (
    EveractError,
    NonDeterminismError,
    QueryFailed,
    RPCError,
    RuntimeStateError,
)
from everact.runtime.isolation import contained, is_a, is_interrupt, shown
from everact.runtime.programs.base import Program
from everact.runtime.store.base import Remembered, RunRow, Statement, Write

logger = logging.getLogger("everact.engine")

AGAIN = 0.05
"""Seconds until code that took too long is run again: others have their turn first."""

_CLOSING = frozenset({Complete, Fail, ContinueAsNew, TailCall})
_FOLLOWED = frozenset({TaskFailed, Started, TaskHandedOver, TaskReported})
_MESSAGES = frozenset({StartChild, SignalRun, CancelRun})
"""Commands that concern another run: done in the same transaction."""


class Paused(msgspec.Struct, eq=False):
    """An activation that was interrupted to give others a turn."""

    turn: Turn
    since: float
    deferred: list[Any] = []


class RunActor(Actor):
    """One open run in memory; all of it on the loop's thread."""

    __slots__ = (
        "after_commit",
        "attempts",
        "checkpoint_bytes",
        "dropped",
        "early",
        "engine",
        "grown",
        "in_flight",
        "overruns",
        "paused",
        "program",
        "row",
        "state",
        "successor",
    )

    def __init__(self, engine: RunHost, row: RunRow, state: RunState) -> None:
        self.engine = engine
        self.row = row
        self.state = state
        self.program: Program | None = None
        self.attempts: dict[int, TaskActor] = {}
        self.in_flight = 0
        self.grown = 0
        self.checkpoint_bytes = 0
        self.overruns = 0
        self.dropped = False
        self.early: list[Any] | None = None
        self.paused: Paused | None = None
        self.successor: Run | None = None
        self.after_commit: list[tuple[asyncio.Future[Any], Any]] | None = None

    def __str__(self) -> str:
        start = self.state.start
        return f"run {start.workflow_id!r} ({start.run_id}) of {start.name!r}"

    @property
    def about(self) -> str:
        """The workflow ID of the run."""
        return self.row.workflow_id

    # -- the mailbox ---------------------------------------------------------------

    def on_receive(self, message: Any) -> None:
        kind = type(message)
        if self.paused is not None and not _urgent(message):
            self.paused.deferred.append(message)
        elif kind is Outcome:
            self._settle(message)
        elif kind is Asked and type(message.event) is UpdateAccepted:
            self.engine.updates.receive(self, message)
        elif kind is Asked:
            self.take(message.event, message)
        elif kind is Question:
            self._answer(message)
        else:
            self.take(message, None)

    @property
    def has_mail(self) -> bool:
        """Whether anything waits in line before what might be taken at once."""
        return self._actor_queue is not None or self.paused is not None

    def outcome(self, outcome: Outcome) -> None:
        """An attempt reports; one that ends while it is started needs no mailbox."""
        if self.early is None:
            self.post(outcome)
        else:
            self.early.append(outcome)

    def _settle(self, outcome: Outcome) -> None:
        attempt, event = outcome.attempt, outcome.event
        call = event.call
        if self.attempts.get(call) is attempt:
            del self.attempts[call]
            if type(event) is not TaskCompleted:
                self._keep_details(attempt)
            self.take(event, None)
            if type(event) is not TaskCompleted or self.engine.debugs:
                telling.attempt_ended(attempt, event)

    def _settle_early(self, early: list[Any]) -> None:
        """Take what came in while effects were released, in its place in the line."""
        if self._actor_queue is not None or self.paused is not None:
            for message in early:
                self.post(message)
            return
        try:
            for message in early:
                kind = type(message)
                if kind is TaskCompleted:
                    steps.take(self, message)
                elif kind is Outcome:
                    self._settle(message)
                else:
                    self.take(message, None)
        except Exception as error:
            self.engine.discard(self, error)
        if self.engine.steps:
            steps.record(self.engine)

    def on_failure(self, *error: Any) -> None:
        """A bug of ours: the run is dropped from memory and loaded again."""
        self.engine.discard(self, error[1])

    def take(
        self, event: Event, asked: Asked | None, within: Write | None = None
    ) -> None:
        """One event: fold it, show it, record it.

        `within` is another run's write that must be in the same transaction.
        """
        if self.dropped:
            self.refuse(event, asked)
            return
        if self.paused is not None:
            self._interrupt()
        if type(event) is ChildClosed:
            self.engine.relations.told(self.row.key, event.call)
        state = self.state
        now = self.engine.clock.now()
        now = max(now, state.time)
        if type(event) is TaskReported:
            answer = self._report(event, now)
        else:
            answer = state.apply(event, now)
        if answer is None:
            self.refuse(event, asked)
            return
        turn = Turn((event,), answer.shown, now, asked, within)
        if answer.shown:
            self._activate(turn)
        else:
            self._record(turn, answer.commands)

    def _report(self, event: TaskReported, now: float) -> Answer | None:
        """Fold a report; an attempt that still runs here then has no more to say."""
        if not outside.may_be_under_way(self, event):
            return None
        answer = self.state.apply(event, now)
        attempt = None if answer is None else self.attempts.get(event.call)
        if attempt is not None:
            if event.outcome is None:
                attempt.heartbeat(())
            else:
                del self.attempts[event.call]
                attempt.outdo()
        return answer

    def begin_new(
        self, asked: Asked | None, within: Write | None, *, hold: str | None
    ) -> None:
        """The first transition of a run or generation that was just made.

        `hold` keeps the program from beginning: a reason, or "" for a start delay.
        """
        state, now = self.state, self.engine.clock.now()
        started = state.start
        state.apply(started, now)
        second: Event | None = Began(RULES) if hold is None else None
        if hold:
            second = Held(hold)
        events: tuple[Event, ...] = (started,) if second is None else (started, second)
        shown: Shown = ()
        if second is not None:
            answer = state.apply(second, now)
            assert answer is not None
            shown = answer.shown
        turn = Turn(events, shown, now, asked, within, insert=True)
        if shown:
            self._activate(turn)
        else:
            self._record(turn)

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
                telling.goes_on(self, held)
            if self.engine.updates.admitted:
                self.engine.updates.before_begin(self)
            self.take(Began(RULES), None)
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
        asked, state = Asked(signal, reply, request), self.state
        if self.dropped or self.paused is not None or not state.put_off:
            self.take(signal, asked)
            await reply
            return
        obstacle = self.engine.obstacle(self)
        second: Event = Began() if obstacle is None else Held(obstacle)
        now = max(self.engine.clock.now(), state.time)
        state.apply(signal, now)
        answer = state.apply(second, now)
        assert answer is not None
        turn = Turn((signal, second), answer.shown, now, asked)
        if obstacle is None:
            self._activate(turn)
        else:
            self._record(turn)
            self.engine.put_aside(self, obstacle)
        await reply

    def moment(self, number: int, due: float) -> None:
        """A moment of the run has come; dead ones are ignored."""
        state = self.state
        if self.dropped or state.status or state._moment(number) != due:
            return
        if number > 0:
            command = state.calls[number]
            if type(command) is StartTimer:
                self.post(TimerFired(number))
            elif type(command) is RunTask and number not in self.attempts:
                tries = state.tries.get(number) if state.tries else None
                if tries is not None and outside.kept_from_dispatch(tries):
                    outside.moment(self, command, tries)
                else:
                    self.dispatch(command)
        elif number == BEGIN:
            if begins_in_time(state):  # else it waits for the end of its time
                self.begin()
        elif number == RUN_DEADLINE:
            self.post(RunTimedOut(TimeoutKind.RUN))
        elif number == EXECUTION_DEADLINE:
            self.post(RunTimedOut(TimeoutKind.EXECUTION))

    # -- one transition ------------------------------------------------------------

    def _activate(self, turn: Turn, *, resumed: bool = False) -> None:
        """Show events to the code, and record what it answers."""
        program, watchdog = self.program, self.engine.watchdog
        assert program is not None
        on_loop = self.engine.on_loop
        before = on_loop[0], on_loop[1]
        on_loop[0], on_loop[1] = self.row.key, CODE
        watchdog.enter(self, self.state.start.options.task_timeout)
        try:
            if resumed:
                commands = program.resume()
            else:
                commands = program.activate(turn.shown, turn.now)
            on_loop[0], on_loop[1] = before
            over = watchdog.leave()
        except BaseException as error:
            on_loop[0], on_loop[1] = before
            self.interrupted(turn, error)
        else:
            self.activated(turn, commands, over)

    def interrupted(self, turn: Turn, error: BaseException) -> None:
        """An activation did not come to its end."""
        self.engine.watchdog.leave()  # it may have come in the middle of leaving
        if is_a(error, ActivationOverrun):
            self.activated(turn, None, True)
        elif is_interrupt(error):
            self.engine.discard(self, None)
            raise error
        else:
            self._put_back(turn, f"its values cannot be loaded: {shown(error)}")

    def _put_back(self, turn: Turn, reason: str) -> None:
        """Hold a run whose turn cannot be recorded; its start must be all the same."""
        if turn.insert:
            turn = self._record_start(turn)
        self._put_aside(turn, reason)

    def activated(self, turn: Turn, commands: list[Command] | None, over: bool) -> None:
        """An activation ended with commands, wants another slice, or is over time."""
        if commands is None and not over:
            self._pause(turn)
            return
        if self.paused is not None:
            self._unpause()
        if over:
            self._overrun(turn, self.engine.watchdog.place)
            return
        assert commands is not None
        try:
            self._record(turn, tuple(commands))
        except _Unrecordable as error:
            self._put_back(turn, f"what it asks for cannot be recorded: {error}")
            return
        if not commands and not self.state.calls and not self.state.status:
            self._check_stuck()

    def _record_start(self, turn: Turn) -> Turn:
        """Record a start that must not wait for its code; the turn that is left."""
        self._unshow(turn.shown)
        self._record(replace(turn, events=turn.events[:1], shown=()))
        shown, self.state.pending = tuple(self.state.pending), []
        return Turn((), shown, turn.now)

    def _record(self, turn: Turn, commands: tuple[Command, ...] = ()) -> None:
        events, shown, now, asked = turn.events, turn.shown, turn.now, turn.asked
        insert, within = turn.insert, turn.within
        engine, state, row = self.engine, self.state, self.row
        if engine.steps:
            steps.record(engine, self)
        transition = Transition(now, events, commands)
        body = _encoded(transition)
        seq = state.seq
        closes = bool(commands) and type(commands[-1]) in _CLOSING
        children = self._left_children(commands, closes) if state.children else ()
        also = self._written(events, commands)
        state.issue(commands)
        state.record(body, transition, shown, now)
        sealed = engine.seal.row(
            row.key, state.start.run_id, state.generation, seq, body
        )
        write = Write(sealed, self.committed)
        write.effects = (events, commands, asked)
        write.also = also
        if within is not None:
            write.within = within
        self.in_flight += 1
        if asked is not None and asked.request is not None:
            write.request = asked.request
        wake, aside = self._wake(), "" if state.status else (state.held or "")
        if state.status and not row.status:
            self._close_row(write, now)
        renamed = state.renamed is not None and self._rename(state.renamed)
        if insert and not state.generation:
            row.wake_at, row.aside = wake, aside
            write.insert = replace(row)
        elif closes or renamed or wake != row.wake_at or aside != row.aside or insert:
            row.wake_at, row.aside = wake, aside
            row.generation, row.inbox_seq = state.generation, state.inbox_seq
            write.change = replace(row)
        if insert and state.generation:
            write.drop_before = state.generation
        self.grow(len(body), write)
        engine.commits.add(write)
        for command in commands:
            if type(command) in _MESSAGES:
                engine.relations.send(self, command, write)
        if children:
            engine.relations.leave_children(children, write)
        if closes:
            self._succeed(write, now)

    def _written(
        self, events: tuple[Event, ...], commands: tuple[Command, ...]
    ) -> tuple[Statement, ...]:
        """What parts write with the records, made before the commands are folded."""
        find = self.engine.written.get
        found: tuple[Statement, ...] = ()
        for record in events + commands:
            write = find(type(record))
            if write is not None:
                found += write(self, record)
        return found

    def _wake(self) -> float | None:
        """When it must be in memory: at once if a child's end is on its way to it."""
        state, owed = self.state, self.engine.relations.owed
        if state.status:
            return None
        if (state.running and state.tries is None) or (owed and self.row.key in owed):
            return ACTIVE
        return state.wake()

    def _rename(self, name: str) -> bool:
        """Put the run's name into its row; whether that changes it."""
        before, self.row.run_name = self.row.run_name, name
        return before != name

    def _close_row(self, write: Write, now: float) -> None:
        state, row = self.state, self.row
        row.status, row.closed_at = int(state.status), now
        parent = state.start.parent
        if parent is not None:
            write.wake = parent.key
            self.engine.relations.owe(parent.key, parent.call)

    def _succeed(self, write: Write, now: float) -> None:
        """Start the successor of a closed run in the same transaction."""
        engine, state = self.engine, self.state
        if not state.status:
            return
        if type(state.closing) is Complete and not chain.cron_of(state.start.options):
            return
        carried = chain.unread(state)
        started = chain.successor(state, carried, engine.new_id(), now)
        if started is None:
            return
        assert write.change is not None or write.insert is not None
        row = write.change or write.insert
        assert row is not None
        self.row.next_run_id = row.next_run_id = started.run_id
        self.successor = engine.make(started, None, write)

    def grow(self, size: int, write: Write) -> None:
        """The journal grows by `size` bytes: a checkpoint if they outweigh the last."""
        self.grown = grown = self.grown + size
        if (
            grown <= steps.CHECKPOINT_BYTES
            or grown <= self.checkpoint_bytes
            or self.state.status
        ):
            return
        write.checkpoint = self.engine.seal.checkpoint(self.row.key, self.state)
        self.checkpoint_bytes = len(write.checkpoint.body)
        self.grown = 0

    def _left_children(
        self, commands: tuple[Command, ...], closes: bool
    ) -> list[tuple[StartChild, bool]]:
        """The children that `commands` leave: all open ones, or those asked to stop."""
        calls = self.state.calls
        left: list[tuple[Command | None, bool]]
        if closes:
            left = [(c, False) for c in (*calls.values(), *commands)]
        else:
            left = [
                (calls.get(c.call), True)
                for c in commands
                if isinstance(c, (CancelCall, CancelTask))
            ]
        return [(c, cancel) for c, cancel in left if type(c) is StartChild]

    def refuse(self, event: Event, asked: Asked | None) -> None:
        """The event does not fit: forward, answer, or ignore it."""
        heir = self.successor
        follows = asked is not None and asked.follow
        if heir is not None and (follows or type(event) is SignalReceived):
            present = self.engine.resident(heir.row.key)
            if present is not None:
                present.post(event if asked is None else asked)
            else:
                heir.refuse(event, asked)
        elif asked is not None:
            if type(event) is TaskReported and not self.dropped:
                self.when_durable(asked.reply, outside.refusal(self, event))
            elif self.state.status or self.dropped:
                self.when_durable(asked.reply, self._not_open())
            else:
                self.when_durable(asked.reply, None)
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

    def when_durable(self, reply: "asyncio.Future[Any]", answer: Any) -> None:
        """Answer once everything that the answer was computed from is durable."""
        if not self.in_flight or self.dropped:
            _reply(reply, answer)
            return
        if self.after_commit is None:
            self.after_commit = []
        self.after_commit.append((reply, answer))

    async def durable(self) -> None:
        """Wait until what the run's memory shows now is durable."""
        if self.in_flight:
            reply: asyncio.Future[Any] = self.engine.loop.create_future()
            self.when_durable(reply, None)
            await reply

    # -- activations that take too long --------------------------------------------

    def _pause(self, turn: Turn) -> None:
        """Let others run; go on with the same activation afterwards."""
        monotonic = self.engine.clock.monotonic()
        paused = self.paused
        if paused is None:
            # by the time it goes on, the write that it came with may be committed
            paused = self.paused = Paused(replace(turn, within=None), monotonic)
            if turn.insert:  # the start must not wait for code that never waits
                left = self._record_start(turn)
                paused.turn = Turn((Began(RULES),), turn.shown, left.now)
                self.state.held, self.state.began = None, True
        if monotonic - paused.since > self.state.start.options.task_timeout:
            self._unpause()
            assert self.program is not None
            self._overrun(paused.turn, self.program.where())
        else:
            self.engine.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        paused = self.paused
        if paused is not None and not self.dropped:
            self._activate(paused.turn, resumed=True)

    def _interrupt(self) -> None:
        """Something that cannot wait ends a paused activation: its events are kept."""
        paused = self.paused
        assert paused is not None
        self._unpause()
        self._hold(paused.turn, "interrupted")

    def _unpause(self) -> None:
        paused, self.paused = self.paused, None
        for message in () if paused is None else paused.deferred:
            self.post(message)

    def _overrun(self, turn: Turn, where: str) -> None:
        """Abandon the activation, keep its events, and do it again; put the run aside
        in the end.
        """
        self.overruns += 1
        took = f"longer than {self.state.start.options.task_timeout:g} s, at {where}"
        logger.warning(
            "%s: an activation took %s (%d of %d before it is put aside)",
            self,
            took,
            self.overruns,
            OVERRUNS,
        )
        if turn.insert:
            turn = self._record_start(turn)
        if self.overruns < OVERRUNS:
            self._hold(turn, f"{WAITING}its code took {took}; it is tried again")
            self.engine.clock.call_later(AGAIN, self.begin)
        else:
            self._put_aside(
                turn,
                f"its code does not come to a wait: it took {took}; do long or "
                "blocking work in a @task",
            )

    def _unshow(self, shown: Shown) -> None:
        """What the program was to be shown is kept for later."""
        state = self.state
        state.pending = list(shown) + state.pending
        state.held = ""
        if not state.script:
            state.began = False

    def _put_aside(self, turn: Turn, reason: str) -> None:
        """Hold the run with `reason` and say so; nothing of it is lost."""
        logger.error("%s is put aside: %s", self, reason)
        self._hold(turn, reason)
        self.engine.put_aside(self, reason)

    def _hold(self, turn: Turn, reason: str) -> None:
        """Record events without the activation that they were to cause."""
        self._unshow(turn.shown)
        self.state.held = reason
        kept = tuple(e for e in turn.events if type(e) is not Began)
        self.drop_program()
        self._record(Turn((Held(reason), *kept), (), turn.now, turn.asked))

    def rebuild(self) -> str | None:
        """Make the program anew from what is recorded; why that cannot be, or None."""
        if self.engine.steps:  # it has seen them, and is to see them again
            steps.record(self.engine, self)
        self.drop_program()
        return self.engine.build(self)

    def drop_program(self) -> None:
        """Forget the code's frames; the state stays. Its clean-up runs, in its time."""
        program, self.program = self.program, None
        if program is None:
            return
        if program.finished:  # nothing of the author's is left to be run
            program.close()
            return
        engine, limit = self.engine, self.state.start.options.task_timeout
        with on_stage(engine.on_loop, (self.row.key, CODE)), suppress(Overran):
            engine.watchdog.within(self, limit, program.close)

    @property
    def stuck(self) -> str | None:
        """Where the code waits for what cannot come, if no deadline will end it."""
        if self.program is None or self.state.wake() is not None:
            return None
        return self.program.stuck

    def _check_stuck(self) -> None:
        where = self.stuck
        if where is not None:
            logger.error("%s is stuck: %s", self, where)
            self.engine.stuck(self, where)

    # -- after the commit ----------------------------------------------------------

    def committed(self, write: Write, error: BaseException | None) -> None:
        """The transition is durable, or refused: release its effects, or drop all."""
        self.in_flight -= 1
        engine = self.engine
        if write.tasks is not None:
            write.effects = ((), write.tasks, None)
        events, commands, asked = write.effects
        if self.dropped and not self.in_flight:
            engine.left(self)
        if error is not None:
            engine.refused(self, write, error)
            return
        if engine.refusals:
            engine.refusals.pop(self.row.key, None)
        early: list[Any] = []
        if not self.dropped:
            self.early = early
            try:
                self._release_all(events, commands)
            except Exception as bug:  # the rest of the batch must not wait for ever
                engine.discard(self, bug)
            self.early = None
        if asked is not None:
            asked.settle(self)
        if engine.waiting.followers:
            engine.waiting.transitioned(self.row.key)
        if engine.updates.admitted and not self.dropped:
            engine.updates.go_on(self)
        if self.after_commit and not self.in_flight:
            self._reply_all()
        if early:
            self._settle_early(early)
        else:
            self.rest()
        engine.on_loop[0] = 0

    def rest(self) -> None:
        """If the run only waits now, it may be put away."""
        if not (self.attempts or self.in_flight or self.state.status or self.dropped):
            self.engine.idle(self)

    def _release_all(
        self, events: tuple[Event, ...], commands: tuple[Command, ...]
    ) -> None:
        calls = self.state.calls
        command: Any
        for command in commands:
            if type(command) is RunTask:
                if command.call in calls:
                    outcome = start(self, command)
                    if outcome is not None:
                        self.early.append(outcome)  # type: ignore[union-attr]
            else:
                self._release(type(command), command)
        for event in events:
            if type(event) in _FOLLOWED:
                self._follow(event)

    def _reply_all(self) -> None:
        waiting, self.after_commit = self.after_commit, None
        for reply, answer in waiting or ():
            _reply(reply, answer)

    def _follow(self, event: Any) -> None:
        """What an event itself entails once it is durable."""
        kind = type(event)
        if kind is TaskFailed or (
            kind in (TaskHandedOver, TaskReported) and outside.arms(self, event)
        ):
            self._arm_retry(event.call)
        else:
            self.engine.opened(self)
            state = self.state
            ended = state.closing is not None  # by a tail call: the next life begins
            if state.held == "" and not ended and state._moment(BEGIN) is None:
                self.engine.loop.call_soon(self.begin)
            for due, number in state.moments():
                if number <= 0:  # timers of calls are armed by their commands
                    self.engine.timers.add(due, self.row.key, number)

    def _release(self, kind: type, command: Any) -> None:
        calls, engine = self.state.calls, self.engine
        if kind in engine.released:
            engine.released[kind](self, command)
        if kind is StartTimer:
            if command.call in calls:
                engine.timers.add(command.due, self.row.key, command.call)
        elif kind is CancelCall:
            attempt = self.attempts.pop(command.call, None)
            if attempt is not None:
                attempt.stop_now()
        elif kind is StartChild:
            if command.announce and command.call in calls:
                self._announced(ChildStarted(command.call, command.run_id))
        elif kind is TailCall:
            if not self.state.status:  # ended while the tail call was on its way
                engine.next_generation(self)
        elif kind in _CLOSING:
            self._closed()
        elif kind is CancelTask:
            outside.stop(self, command.call)

    def _announced(self, started: ChildStarted) -> None:
        """The start of a child is durable, and the code waits for that."""
        if self.early is None:
            self.post(started)
        else:
            self.early.append(started)

    def _closed(self) -> None:
        """The run's end is durable: tell everybody whom it concerns, and leave."""
        if self.attempts:
            self.stop_attempts()
        self.drop_program()
        self.engine.run_closed(self)

    def stop_attempts(self) -> None:
        """Nobody waits for what they would say: it does not count now."""
        attempts, self.attempts = self.attempts, {}
        for attempt in attempts.values():
            attempt.stop_now()

    def fail_replies(self, error: BaseException) -> None:
        """Who waits for something to be durable is told `error`."""
        for reply, _ in self.after_commit or ():
            fail_reply(reply, copy_of(error))
        self.after_commit = None

    def renew(self) -> None:
        """Be in the next generation from now on, as a tail call asked for."""
        self.stop_attempts()
        self.drop_program()
        self.state = chain.next_generation(self.state)
        self.grown = self.checkpoint_bytes = 0

    def leave(self) -> tuple[Any, ...]:
        """Leave memory: nothing of it counts now. The messages that it has not read."""
        self.dropped = True
        if self.program is not None:
            self.drop_program()
        if self.attempts:
            self.stop_attempts()
        queue: Any = self._actor_queue
        self.finish()
        unread: tuple[Any, ...] = tuple(queue or ())
        if self.paused is not None:
            left = self.paused.turn.asked
            asked = () if left is None else (left,)
            unread = (*asked, *self.paused.deferred, *unread)
        return unread

    def dispatch(self, command: RunTask) -> None:
        """Start an attempt of an open task, as soon as a slot is free."""
        call, state, engine = command.call, self.state, self.engine
        if engine.stopping or call in self.attempts:
            return
        if engine.suspects.convicts(self, command):
            return
        number = 1 if state.tries is None else state.attempt(call)
        attempt = attempt_of(self, command, number)
        self.attempts[call] = attempt
        options, queue = command.options, self.row.queue
        if options is not None:
            queue = options.queue or queue
            if options.queue_timeout is not None:
                attempt.queued(options.queue_timeout)
        if engine.versions.active:
            queue = engine.versions.place(attempt)
        if not engine.suspects.keeps(attempt, queue):
            engine.workers.admit(attempt, queue)
        if not attempt.over:
            attempt.enlisted = True
            self.system.adopt(attempt, self)

    def _keep_details(self, attempt: TaskActor) -> None:
        """Record the last heartbeat of an attempt that failed, before its failure."""
        if attempt._limits is not None:
            event = attempt._limits.flush()
            if event is not None:
                self.take(event, None)

    def _arm_retry(self, call: int) -> None:
        tries = self.state.tries.get(call) if self.state.tries else None
        if tries is not None and tries.due is not None:
            self.engine.timers.add(tries.due, self.row.key, call)

    def _answer(self, question: Question) -> None:
        """A query: answered from the state as it is, when that is durable.

        A run that has not begun is asked without beginning it.
        """
        begun = self.program is not None
        obstacle = self.engine.obstacle(self)
        if obstacle is not None:
            self.when_durable(question.reply, self._cannot_answer(obstacle))
            return
        program = self.program
        assert program is not None
        answer: Any
        try:
            with on_stage(self.engine.on_loop, (self.row.key, CODE)):
                answer = self.engine.watchdog.within(
                    self,
                    self.state.start.options.task_timeout,
                    partial(
                        program.query,
                        question.name,
                        question.args,
                        question.kwargs,
                        question.headers,
                    ),
                )
        except Overran as over:
            answer = QueryFailed(f"query {question.name!r}: {over}")
            self.rebuild()
        except QueryFailed as failed:
            answer = failed
            if "changed" in failed.message:
                self.rebuild()
        if not begun:
            self.drop_program()
        self.when_durable(question.reply, answer)
        self.rest()

    def _cannot_answer(self, obstacle: str) -> BaseException:
        if obstacle.startswith(WAITING):
            reason = obstacle.removeprefix(WAITING)
            return RPCError(f"{self}: {reason}", RPCStatus.DEADLINE_EXCEEDED)
        return QueryFailed(f"{self} cannot answer: {obstacle}")

    # -- coming back ---------------------------------------------------------------

    def release_open(self, *, begin: bool) -> None:
        """After loading: release again all that is recorded as open.

        `begin` says that its code may go on if it was held.
        """
        state = self.state
        if type(state.closing) is TailCall:
            self.engine.next_generation(self)
            return
        resumed = self.engine.parts.resumed
        for moment, number in state.moments():
            self.engine.timers.add(moment, self.row.key, number)
        for command in list(state.calls.values()):
            if type(command) is RunTask:
                tries = state.tries.get(command.call) if state.tries else None
                due = tries.due if tries else None
                if outside.kept_from_dispatch(tries):
                    outside.stop(self, command.call)
                elif due is None or due <= self.engine.clock.now():
                    self.dispatch(command)
            elif type(command) in _MESSAGES:
                self.engine.relations.send(self, command, None)
            else:
                resume = resumed.get(type(command))
                if resume is not None:
                    resume(self, command)
        # Last: what the code asks for now is not durable yet, and not to be released.
        delayed = not state.began and state._moment(BEGIN) is not None
        if begin and state.held is not None and not delayed:
            self.begin()

    def sent(self, call: int, failure: Any) -> None:
        """A message to another run is durable there, or refused."""
        self.post(MessageSent(call, failure))

    def drive(self, program: Program | None) -> str | None:
        """Be driven by `program`; why it does not fit the history, or None."""
        self.program = program
        if program is None or not self.state.script:
            return None
        reason = self._misfit(program)
        if reason is not None:
            self.drop_program()
        return reason

    def _misfit(self, program: Program) -> str | None:
        """Replay the recorded activations; why they do not fit the code, or None."""
        watchdog, over = self.engine.watchdog, False
        reason: str | None = None
        try:
            try:
                with on_stage(self.engine.on_loop, (self.row.key, CODE)):
                    program.replay(self._watched_script())
            finally:
                over = watchdog.leave()
        except ActivationOverrun:
            watchdog.leave()  # it may have come in the middle of leaving
            over = True
        except NonDeterminismError as error:
            reason = str(error)
        except BaseException as error:
            reason = f"its recorded values cannot be loaded: {shown(contained(error))}"
        if over:
            reason = (
                f"{STALLED}, at {watchdog.place}; do long or blocking work in a @task"
            )
        return reason

    def _watched_script(self) -> Iterator[bytes]:
        """The recorded activations; each has the time of all its tries together."""
        limit = OVERRUNS * self.state.start.options.task_timeout
        for body in self.state.script:
            self.engine.watchdog.enter(self, limit)
            yield body


class _Unrecordable(Exception):
    """Commands hold a name or an option of the author's that no row can have."""


def _encoded(transition: Transition) -> bytes:
    try:
        return records.encode(transition)
    except Exception as error:
        raise _Unrecordable(shown(error)) from error


def _urgent(message: Any) -> bool:
    event = message.event if type(message) is Asked else message
    return type(event) in (TerminateRequested, RunTimedOut)


def _reply(reply: "asyncio.Future[Any]", answer: Any) -> None:
    if reply.done():
        return
    if isinstance(answer, BaseException):
        reply.set_exception(answer)
    else:
        reply.set_result(answer)
