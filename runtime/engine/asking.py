"""Requests to runs: deliver messages, answer queries, wait for results."""

import asyncio
import math
from functools import partial
from typing import Any

from everact.runtime.core.blame import CODE
from everact.runtime.core.records import TerminateRequested, UpdateAccepted
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine.failing import Failing
from everact.runtime.engine.held import HeldRuns
from everact.runtime.engine.host import Run
from everact.runtime.engine.lending import slot_lent
from everact.runtime.engine.loading import closing_of, read
from everact.runtime.engine.messages import Envelope, Question
from everact.runtime.engine.reasons import WAITING
from everact.runtime.engine.run.host import RunHost
from everact.runtime.engine.stage import on_stage
from everact.runtime.engine.suspects import Suspects
from everact.runtime.engine.waiting import Closed, fail
from everact.runtime.engine.watchdog import OVERRUNS, Overran
from everact.runtime.errors import QueryFailed, RPCError, RunPutAside
from everact.runtime.programs.base import Query
from everact.runtime.programs.kinds import bring_back
from everact.runtime.store.base import Remembered


class Asking:
    """Requests to the runs of one engine; all methods on its loop."""

    def __init__(
        self, host: RunHost, suspects: Suspects, held: HeldRuns, failing: Failing
    ) -> None:
        self._host = host
        self._suspects = suspects
        self._held = held
        self._failing = failing

    async def deliver(
        self,
        key: int,
        event: Any,
        request: Remembered | None = None,
        *,
        follow: bool = False,
    ) -> Any:
        """Give an event to a run; returns when it is durable.

        With `follow` it is for whatever run of the chain is open. RPCError with
        status NOT_FOUND if the run is closed or unknown. What became of an update is
        the answer.
        """
        self._host.check_open()
        run = await self._host.loaded(key)
        if run is not None:
            return await self.hand(run, event, request, follow=follow)
        reply = self._host.loop.create_future()
        if key in self._held.reasons and type(event) is TerminateRequested:
            self._failing.close_unreadable(key, event, reply)
        else:
            raise RPCError(f"run {key} is not open", RPCStatus.NOT_FOUND)
        return await reply

    def hand(
        self,
        run: Run,
        event: Any,
        request: Remembered | None = None,
        *,
        follow: bool = False,
    ) -> "asyncio.Future[Any]":
        """Give an event to a run in memory; the future is done when it is durable.

        It is taken at once if nothing is before it, and in its turn otherwise. The
        future's error is as `deliver` has it.
        """
        host = self._host
        reply = host.loop.create_future()
        envelope = Envelope(event, reply, request, follow)
        if run.has_mail:
            run.post(envelope)
            return reply
        try:
            if type(event) is UpdateAccepted:
                host.updates.receive(run, envelope)
            else:
                run.take(event, envelope)
        except Exception as bug:
            self._drop(run, reply, bug)
        return reply

    async def ask(self, key: int, query: Query) -> Any:
        """Put a query to an open run in memory or not; see `Program.query`."""
        await self._suspects.ready(key)
        run = await self._host.loaded(key)
        if run is None:
            return await self._ask_closed(key, query)
        reply: asyncio.Future[Any] = self._host.loop.create_future()
        question = Question(query, reply)
        if run.has_mail:
            run.post(question)
        else:
            try:
                run.code.answer(question)
            except Exception as bug:
                self._drop(run, reply, bug)
        return await reply

    def _drop(self, run: Run, reply: "asyncio.Future[Any]", bug: Exception) -> None:
        """A bug of ours: the run is read back, as after one in its turn; tell of it."""
        self._host.discard(run, bug)
        fail(reply, bug)

    async def _ask_closed(self, key: int, query: Query) -> Any:
        host = self._host
        found = await host.store.reads.recover(
            [key], partial(read, host.seal), closed=True
        )
        if not found:
            raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)
        ((row, loaded),) = found
        if isinstance(loaded, Exception):
            raise loaded
        state = loaded.state
        code = host.code(row, state)
        if isinstance(code, str):
            raise RPCError(code.removeprefix(WAITING), RPCStatus.DEADLINE_EXCEEDED)
        program = host.program(state.start, state.generation, code)
        assert program is not None

        def look() -> Any:
            try:
                bring_back(program, state, loaded.script)
                return program.query(query)
            finally:
                program.close()

        who = f"run {row.workflow_id!r} ({row.run_id})"
        limit = OVERRUNS * state.start.options.task_timeout
        try:
            with on_stage(host.on_loop, (key, CODE)):
                return host.watchdog.within(who, limit, look)
        except Overran as over:
            raise QueryFailed(f"query {query.name!r}: {over}") from over

    async def wait_closed(self, key: int, wait: float = math.inf) -> Closed | None:
        """Wait for the durable end of a run, None if that takes over `wait` seconds.

        RunPutAside if its code cannot run.
        """
        host = self._host
        run = host.runs.get(key)
        if run is not None:
            row = run.row
        else:
            stored = host.store.ending(key)
            if stored is None:
                raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)
            row = stored.run
            if row.status:
                command = closing_of(host.seal, stored)
                return Closed(key, RunStatus(row.status), command, row.next_run_id)
            if stored.unreadable is not None:
                raise stored.unreadable
        reason = self._held.reason(key)
        if reason is not None:
            raise RunPutAside(row.workflow_id, row.run_id, reason)
        if run is not None and not run.state.calls and run.code.stuck:
            await run.journal.durable()  # only then may it be said that it is stuck
            return await self.wait_closed(key, wait)
        return await slot_lent(host, host.waiting.result(key, wait), key)
