"""A run's code: how events are shown to it, and what becomes of code that is too slow.

An activation shows events to the program until that waits. One that wants another slice
is paused, so that others have their turn; one that takes too long is abandoned, and its
events are kept; in the end the run is put aside.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from everact.runtime.core.blame import CODE
from everact.runtime.core.records import RULES, Began, Command, Held, Transition
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.interrupting import ActivationOverrun
from everact.runtime.engine.messages import Question
from everact.runtime.engine.reasons import STALLED, WAITING
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.host import OwnRun
from everact.runtime.engine.run.recording import Unrecordable
from everact.runtime.engine.run.turn import Turn
from everact.runtime.engine.stage import on_stage
from everact.runtime.engine.watchdog import OVERRUNS, Overran
from everact.runtime.errors import NonDeterminismError, QueryFailed, RPCError
from everact.runtime.isolation import contained, is_a, is_interrupt, shown
from everact.runtime.programs.base import Program
from everact.runtime.programs.kinds import bring_back

logger = logging.getLogger("everact.engine")

BEGAN = Began(RULES)

AGAIN = 0.05
"""Seconds until code that took too long is run again: others have their turn first."""


class Paused(msgspec.Struct, eq=False):
    """An activation that was interrupted to give others a turn."""

    turn: Turn
    since: float
    deferred: list[Any] = []


class Activation:
    """The code of one run, while it is in memory."""

    __slots__ = ("__dict__", "_run", "program")

    # Most code comes to its waits in time: then an instance has neither.
    paused: Paused | None = None
    overruns = 0
    _script: list[Transition] | None = None

    def __init__(self, run: OwnRun) -> None:
        self._run = run
        self.program: Program | None = None

    def began(self) -> Began:
        """The event by which the code begins; it says the kind if the start did not."""
        run, program = self._run, self.program
        if run.state.start.kind or program is None:
            return BEGAN
        run.row.kind = program.definition.kind
        return Began(RULES, run.row.kind)

    def activate(self, turn: Turn, *, resumed: bool = False) -> None:
        """Show events to the code, and record what it answers."""
        run, program = self._run, self.program
        engine = run.engine
        watchdog, on_loop = engine.watchdog, engine.on_loop
        assert program is not None
        before = on_loop[0], on_loop[1]
        on_loop[0], on_loop[1] = run.row.key, CODE
        watchdog.serial += 1  # what `enter` does
        watchdog.limit = run.state.start.options.task_timeout
        watchdog.run = run
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
        self._run.engine.watchdog.leave()  # it may have come in the middle of leaving
        if is_a(error, ActivationOverrun):
            self.activated(turn, None, True)
        elif is_interrupt(error):
            self._run.engine.discard(self._run, None)
            raise error
        else:
            self._put_back(turn, f"its values cannot be loaded: {shown(error)}")

    def activated(self, turn: Turn, commands: list[Command] | None, over: bool) -> None:
        """An activation ended with commands, wants another slice, or is over time."""
        if commands is None and not over:
            self._pause(turn)
            return
        if self.paused is not None:
            self._unpause()
        if over:
            self._overrun(turn, self._run.engine.watchdog.place)
            return
        assert commands is not None
        run = self._run
        try:
            if steps.taken(run, turn, commands):
                steps.record(run.engine)
            else:
                run.journal.record(turn, tuple(commands))
        except Unrecordable as error:
            self._put_back(turn, f"what it asks for cannot be recorded: {error}")
            return
        if not commands and not run.state.calls and not run.state.status:
            self._check_stuck()

    def _put_back(self, turn: Turn, reason: str) -> None:
        """Hold a run whose turn cannot be recorded; its start must be all the same."""
        if turn.insert:
            turn = self._record_start(turn)
        self._put_aside(turn, reason)

    def _record_start(self, turn: Turn) -> Turn:
        """Record a start that must not wait for its code; the turn that is left."""
        run = self._run
        run.state.keep(turn.shown)
        run.journal.record(replace(turn, events=turn.events[:1], shown=()))
        return Turn((), run.state.take_kept(), turn.now)

    def _check_stuck(self) -> None:
        where = self.stuck
        if where is not None:
            logger.error("%s is stuck: %s", self._run, where)
            self._run.engine.stuck(self._run, where)

    @property
    def stuck(self) -> str | None:
        """Where the code waits for what cannot come, if no deadline will end it."""
        where = None if self.program is None else self.program.stuck
        return None if where is None or self._run.state.wake() is not None else where

    def _pause(self, turn: Turn) -> None:
        """Let others run; go on with the same activation afterwards."""
        monotonic = self._run.engine.clock.monotonic()
        paused = self.paused
        if paused is None:
            # by the time it goes on, the write that it came with may be committed
            paused = self.paused = Paused(replace(turn, within=None), monotonic)
            if turn.insert:  # the start must not wait for code that never waits
                left = self._record_start(turn)
                paused.turn = Turn((self.began(),), turn.shown, left.now)
                self._run.state.goes_on()
        if monotonic - paused.since > self._run.state.start.options.task_timeout:
            self._unpause()
            assert self.program is not None
            self._overrun(paused.turn, self.program.where())
        else:
            self._run.engine.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        paused = self.paused
        if paused is not None and not self._run.dropped:
            self.activate(paused.turn, resumed=True)

    def interrupt(self) -> None:
        """Something that cannot wait ends a paused activation: its events are kept."""
        paused = self.paused
        assert paused is not None
        self._unpause()
        self._hold(paused.turn, "interrupted")

    def _unpause(self) -> None:
        paused, self.paused = self.paused, None
        for message in () if paused is None else paused.deferred:
            self._run.post(message)

    def _overrun(self, turn: Turn, where: str) -> None:
        """Abandon the activation, keep its events, and do it again; put the run aside
        in the end.
        """
        self.overruns += 1
        limit = self._run.state.start.options.task_timeout
        took = f"longer than {limit:g} s, at {where}"
        logger.warning(
            "%s: an activation took %s (%d of %d before it is put aside)",
            self._run,
            took,
            self.overruns,
            OVERRUNS,
        )
        if turn.insert:
            turn = self._record_start(turn)
        if self.overruns < OVERRUNS:
            self._hold(turn, f"{WAITING}its code took {took}; it is tried again")
            self._run.engine.clock.call_later(AGAIN, self._run.begin)
        else:
            self._put_aside(
                turn,
                f"its code does not come to a wait: it took {took}; do long or "
                "blocking work in a @task",
            )

    def _put_aside(self, turn: Turn, reason: str) -> None:
        """Hold the run with `reason` and say so; nothing of it is lost."""
        logger.error("%s is put aside: %s", self._run, reason)
        self._hold(turn, reason)
        self._run.engine.put_aside(self._run, reason)

    def _hold(self, turn: Turn, reason: str) -> None:
        """Record events without the activation that they were to cause."""
        self._run.state.keep(turn.shown, reason)
        kept = tuple(e for e in turn.events if type(e) is not Began)
        self.drop()
        self._run.journal.record(
            Turn((Held(reason), *kept), (), turn.now, turn.envelope)
        )

    def restore(self, script: list[Transition] | None) -> None:
        """The run is being read back: what its code was shown is at hand until None."""
        self._script = script

    def drive(self, program: Program | None) -> str | None:
        """Be driven by `program`; why it does not fit the history, or None."""
        self.program = program
        script, self._script = self._script, None
        if program is None or not self._run.state.begun:
            return None
        reason = self._misfit(program, script)
        if reason is not None:
            self.drop()
        return reason

    def _misfit(self, program: Program, script: list[Transition] | None) -> str | None:
        """Bring the program back; why what is recorded does not fit it, or None."""
        watchdog, over = self._run.engine.watchdog, False
        reason: str | None = None
        try:
            try:
                with on_stage(self._run.engine.on_loop, (self._run.row.key, CODE)):
                    if script is None:
                        script = self._run.engine.script(self._run)
                    bring_back(program, self._run.state, self._watched(script))
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

    def _watched(self, script: list[Transition]) -> Iterator[Transition]:
        """The recorded activations; each has the time of all its tries together."""
        watchdog = self._run.engine.watchdog
        watchdog.enter(self._run, OVERRUNS * self._run.state.start.options.task_timeout)
        for row in script:
            watchdog.serial += 1
            yield row

    def rebuild(self) -> str | None:
        """Make the program anew from what is recorded; why that cannot be, or None."""
        run = self._run
        if run.engine.steps:  # it has seen them, and is to see them again
            steps.record(run.engine, run)
        self.drop()
        return run.engine.build(run)

    def drop(self) -> None:
        """Forget the code's frames; the state stays. Its clean-up runs, in its time."""
        program, self.program = self.program, None
        if program is None:
            return
        if program.finished:  # nothing of the author's is left to be run
            program.close()
            return
        run = self._run
        engine, limit = run.engine, run.state.start.options.task_timeout
        with on_stage(engine.on_loop, (run.row.key, CODE)), suppress(Overran):
            engine.watchdog.within(run, limit, program.close)

    def answer(self, question: Question) -> None:
        """A query: answered from the state as it is, when that is durable.

        A run that has not begun is asked without beginning it.
        """
        run, begun = self._run, self.program is not None
        obstacle = run.engine.obstacle(run)
        if obstacle is not None:
            run.journal.when_durable(question.reply, self._cannot_answer(obstacle))
            return
        program = self.program
        assert program is not None
        answer: Any
        try:
            with on_stage(run.engine.on_loop, (run.row.key, CODE)):
                answer = run.engine.watchdog.within(
                    run,
                    run.state.start.options.task_timeout,
                    partial(program.query, question.query),
                )
        except Overran as over:
            answer = QueryFailed(f"query {question.query.name!r}: {over}")
            self.rebuild()
        except QueryFailed as failed:
            answer = failed
            if "changed" in failed.message:
                self.rebuild()
        if not begun:
            self.drop()
        run.journal.when_durable(question.reply, answer)
        run.rest()

    def _cannot_answer(self, obstacle: str) -> BaseException:
        if obstacle.startswith(WAITING):
            reason = obstacle.removeprefix(WAITING)
            return RPCError(f"{self._run}: {reason}", RPCStatus.DEADLINE_EXCEEDED)
        return QueryFailed(f"{self._run} cannot answer: {obstacle}")

    def leave(self) -> tuple[Any, ...]:
        """The run leaves memory; what was deferred by a paused activation."""
        if self.program is not None:
            self.drop()
        paused = self.paused
        if paused is None:
            return ()
        self.paused = None
        left = paused.turn.envelope
        envelope = () if left is None else (left,)
        return (*envelope, *paused.deferred)

    def untie(self) -> None:
        """The run is gone, and nothing of it is under way."""
        self._run = None  # type: ignore[assignment]
