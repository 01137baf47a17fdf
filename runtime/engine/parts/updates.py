"""Updates: messages to a run that have an answer, and who waits for them.

The rule kept here: an update is refused without a trace, or it is an event of its run
that is answered exactly once. One that cannot be put to the run's code yet (a start
delay, no worker, code that does not fit) waits in memory, and not on disk: it was not
acknowledged, and whoever wants an answer repeats it under its ID, which joins it.
An answer is part of its run's state, for whoever asks later.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from everact.runtime.core import chain
from everact.runtime.core.blame import CODE
from everact.runtime.core.failures import Failure
from everact.runtime.core.records import CompleteUpdate, Started, UpdateAccepted
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.host import Acts, Host, Run
from everact.runtime.engine.lending import slot_lent
from everact.runtime.engine.loading import read
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.parts.base import Part
from everact.runtime.engine.parts.versions import Versions
from everact.runtime.engine.stage import on_stage
from everact.runtime.engine.waiting import fail, reply
from everact.runtime.engine.watchdog import Overran
from everact.runtime.errors import ReadOnlyError, RPCError, RuntimeStateError
from everact.runtime.isolation import contained
from everact.runtime.programs.base import Later, Program
from everact.runtime.store.base import Remembered, RunRow
from everact.runtime.values.outcomes import failure_of

MOST_ADMITTED = 1000
"""Updates of one run that may wait until its code can take them."""


class Refused(NamedTuple):
    """The answer to an update that was not let in."""

    run: Run
    failure: Failure


Sent: TypeAlias = "Run | Refused"
"""Who accepted an update, or refused it: what the reply of an `Envelope` is."""


class Updates(Part):
    """The updates of one engine's runs; all methods on its loop."""

    def __init__(self, host: Host, versions: Versions) -> None:
        self._host = host
        self._versions = versions
        self.admitted: dict[int, list[Envelope]] = {}
        self.awaited: dict[int, dict[str, list[asyncio.Future[Any]]]] = {}
        """Who waits for answers: by run and update."""
        self._judging: dict[int, asyncio.Task[None]] = {}
        """By run: whether the first that is admitted is let in is waited for."""

    def after_commit(self) -> Mapping[type, Acts]:
        return {CompleteUpdate: self._answered}

    # -- letting in ----------------------------------------------------------------

    def send(
        self, key: int, event: UpdateAccepted, request: Remembered | None
    ) -> "asyncio.Future[Sent]":
        """Give an update to that very run; the future is done when it is recorded.

        Or refused, or fails with RPCError NOT_FOUND if the run is closed.
        """
        sent: asyncio.Future[Sent] = self._host.loop.create_future()
        run = self._host.resident(key)
        if run is None:
            text = f"run {key} is not open"
            sent.set_exception(RPCError(text, RPCStatus.NOT_FOUND))
        else:
            run.post(Envelope(event, sent, request))
        return sent

    def receive(self, run: Run, envelope: Envelope) -> None:
        """An update comes out of the run's mailbox: refuse it, or record it."""
        event, state = envelope.event, run.state
        assert isinstance(event, UpdateAccepted)
        if not run.dropped and event.update_id in (state.updates or ()):
            run.journal.when_durable(envelope.reply, run)
        elif run.dropped or state.status:
            run.refuse(event, envelope)
        elif (
            run.code.program is None
            or state.held is not None
            or run.row.key in self._judging
        ):
            self._admit(run, envelope)
        elif self._let_in(run, envelope):
            return
        run.rest()

    def _let_in(self, run: Run, envelope: Envelope) -> bool:
        """Put an update to the run's code: it is recorded, or else refused."""
        event: Any = envelope.event
        assert run.code.program is not None
        failure: Failure | Later | None = None
        if envelope.let_in != run.state.seq:
            with on_stage(self._host.on_loop, (run.row.key, CODE)):
                failure = self._verdict(run, run.state.start, run.code.program, event)
        if failure is None:
            run.take(event, envelope)
            return True
        if isinstance(failure, Later):
            self.admitted.setdefault(run.row.key, []).insert(0, envelope)
            judging = self._judge(run, envelope, failure)
            self._judging[run.row.key] = self._host.loop.create_task(judging)
            return False
        if failure.type in (ReadOnlyError.__name__, Overran.__name__):
            run.code.rebuild()
        run.journal.when_durable(envelope.reply, Refused(run, failure))
        return False

    async def _judge(self, run: Run, envelope: Envelope, verdict: Later) -> None:
        """Wait for the verdict on an update; those that come meanwhile stand in line.

        If the run is not then as it was, the update is judged once more.
        """
        key, seen, now = run.row.key, run.state.seq, self._host.loop.time()
        envelope.since = envelope.since or now
        limit = run.state.start.options.task_timeout
        try:
            await verdict.within(envelope.since + limit - now)
            envelope.let_in = seen
        except Exception as error:
            failure = failure_of(error, values=self._host.values)
            run.journal.when_durable(envelope.reply, Refused(run, failure))
            if envelope in self.admitted.get(key, ()):
                self.admitted[key].remove(envelope)
        del self._judging[key]
        here = self._host.resident(key)
        if here is not None:
            self.go_on(here)

    def begins_with(self, started: Started, event: UpdateAccepted) -> Failure | None:
        """Whether a run that is about to start can take `event` before its first step.

        LookupError if that cannot be known yet: the code cannot run now, declares its
        handlers as it runs, or has to wait to know.
        """
        engine = self._host
        definition = engine.registry.workflows.get(started.name)
        begin_at = started.options.begin_at
        if (
            definition is None
            or not definition.takes(event.name)
            or self._versions.active
            or (begin_at is not None and begin_at > engine.clock.now())
            or engine.unfit(started) is not None
        ):
            raise LookupError(event.name)
        program = engine.program(started, 0)
        assert program is not None
        try:
            who = f"run {started.workflow_id!r} of {started.name!r}"
            verdict = self._verdict(who, started, program, event)
            if not isinstance(verdict, Later):
                return verdict
        finally:
            program.close()
        raise LookupError(event.name)

    def _verdict(
        self, run: object, started: Started, program: Program, event: UpdateAccepted
    ) -> Failure | Later | None:
        limit = started.options.task_timeout
        try:
            look = partial(program.validate, event)
            return self._host.watchdog.within(run, limit, look)
        except BaseException as error:
            return failure_of(contained(error), values=self._host.values)

    def _admit(self, run: Run, envelope: Envelope) -> None:
        """Keep an update until the code of its run can take it."""
        line = self.admitted.setdefault(run.row.key, [])
        for place, other in enumerate(line):
            if _id(other) == _id(envelope) and other.reply.done():
                line[place] = envelope  # who asked for it before has given up
                return
        if len(line) >= MOST_ADMITTED:
            text = f"{run} cannot take updates now, and {MOST_ADMITTED} wait for it"
            fail(envelope.reply, RPCError(text, RPCStatus.RESOURCE_EXHAUSTED))
            return
        line.append(envelope)

    def before_begin(self, run: Run) -> None:
        """The run begins: its code gets first what came before, if it declares it.

        Updates that waited come after the signals, which were stored when they came.
        """
        if run.state.began:
            return
        for envelope in tuple(self.admitted.get(run.row.key, ())):
            event: Any = envelope.event
            if run.row.key in self._judging:
                return
            if run.code.program is not None and run.code.program.takes(event.name):
                self.admitted[run.row.key].remove(envelope)
                self._let_in(run, envelope)

    def go_on(self, run: Run) -> None:
        """Something of the run became durable: it may take what waits for it now."""
        if run.row.key in self._judging:
            return
        if run.state.held is None or run.state.status:
            for envelope in self.admitted.pop(run.row.key, ()):
                run.post(envelope)

    def loaded(self, run: Run) -> None:
        """The run was read back: what was on its way to it, or from it, goes on."""
        if self.admitted:
            self.go_on(run)
        if self.awaited:
            self._changed(run.row.key)

    def is_admitted(self, key: int, update_id: str) -> bool:
        """Whether the update waits to be put to the code of its run."""
        return any(
            _id(envelope) == update_id for envelope in self.admitted.get(key, ())
        )

    # -- answers -------------------------------------------------------------------

    async def answer(self, key: int, update_id: str) -> CompleteUpdate:
        """Wait for the durable answer; RPCError NOT_FOUND for an unknown update."""
        while True:
            found = await self.look(key, update_id)
            if found is not None:
                return found
            waiter: asyncio.Future[CompleteUpdate | None] = (
                self._host.loop.create_future()
            )
            waiting = self.awaited.setdefault(key, {})
            waiting.setdefault(update_id, []).append(waiter)
            try:
                found = await slot_lent(self._host, waiter, key)
            finally:
                self._leave(key, update_id, waiter)
            if found is not None:
                return found

    async def look(self, key: int, update_id: str) -> CompleteUpdate | None:
        """The answer as it stands, once that is durable; None while there is none."""
        engine = self._host
        run = await engine.loaded(key)
        if run is None:
            found = await engine.store.reads.load(key, partial(read, engine.seal))
            if found is None:
                raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)
            state = found.state
        else:
            state = run.state
        update = (state.updates or {}).get(update_id)
        if update is None and not state.status and self.is_admitted(key, update_id):
            return None
        answer = _answer(state, update)
        if run is not None and (answer is not None or update is None):
            await run.journal.durable()
        if update is None:
            start = state.start
            raise RPCError(
                f"run {start.workflow_id!r} ({start.run_id}) knows no update "
                f"{update_id!r}",
                RPCStatus.NOT_FOUND,
            )
        return answer

    def _answered(self, run: Run, answer: CompleteUpdate) -> None:
        """An answer is durable."""
        for waiter in self.awaited.get(run.row.key, {}).get(answer.update_id, ()):
            reply(waiter, answer)

    def renewed(self, run: Run) -> None:
        """The run lost its open updates: all look again."""
        self._changed(run.row.key)

    def _changed(self, key: int) -> None:
        """All who wait for an update of the run look again."""
        for waiters in self.awaited.get(key, {}).values():
            for waiter in waiters:
                reply(waiter, None)

    def gone(self, key: int, row: RunRow | None) -> None:
        """What waits for the run must not."""
        for envelope in self.admitted.pop(key, ()):
            envelope.fail(RPCError(f"run {key} is not open", RPCStatus.NOT_FOUND))
        self._changed(key)

    def closed(self, run: Run) -> None:
        """Nobody is to wait for the run any more."""
        if not (self.admitted or self.awaited):
            return
        for envelope in self.admitted.pop(run.row.key, ()):
            run.refuse(envelope.event, envelope)
        updates = run.state.updates or {}
        for update_id, waiters in self.awaited.get(run.row.key, {}).items():
            answer = _answer(run.state, updates.get(update_id))
            for waiter in waiters:
                reply(waiter, answer)

    def close(self) -> None:
        """The engine closes: tell everybody."""
        for judging in self._judging.values():
            judging.cancel()
        waiting = [
            envelope.reply for line in self.admitted.values() for envelope in line
        ]
        for waiters in self.awaited.values():
            for some in waiters.values():
                waiting += some
        for waiter in waiting:
            fail(waiter, RuntimeStateError("the runtime was closed"))

    def _leave(self, key: int, update_id: str, waiter: "asyncio.Future[Any]") -> None:
        """A caller stopped waiting: nothing of it stays behind."""
        waiting = self.awaited[key]
        waiting[update_id].remove(waiter)
        if not waiting[update_id]:
            del waiting[update_id]
        if not waiting:
            del self.awaited[key]


def _id(envelope: Envelope) -> str:
    event: Any = envelope.event
    update_id: str = event.update_id
    return update_id


def _answer(
    state: RunState, update: UpdateAccepted | CompleteUpdate | None
) -> CompleteUpdate | None:
    """What an update was answered with: if its run is over, at least with that."""
    if isinstance(update, UpdateAccepted):
        return chain.abandoned(state, update) if state.status else None
    return update
