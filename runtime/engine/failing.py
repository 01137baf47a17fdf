"""Failed commits, refused or in doubt: the runs concerned are dropped and read back.

What is in memory may rest on what the database never took. So a run of which anything
was refused, or is in doubt, is dropped and read back, and everybody who waits is told
what was found. A run that is refused again and again is left alone for a while.
"""

import asyncio
import logging
from typing import Any

from msgspec.structs import replace

from everact.runtime import isolation
from everact.runtime.core import failures, records
from everact.runtime.core.records import Started, TerminateRequested
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine.held import HeldRuns
from everact.runtime.engine.host import Run
from everact.runtime.engine.loading import closing_of
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.run.host import RunHost
from everact.runtime.engine.run.turn import Turn
from everact.runtime.engine.waiting import Closed, copy_of, fail, reply
from everact.runtime.errors import (
    RPCError,
    StoreError,
    StoreLost,
    WorkflowAlreadyStarted,
)
from everact.runtime.store.base import IdTaken, RunRow, Write

logger = logging.getLogger("everact.engine")

REFUSALS = 3
"""Refused transitions in a row after which a run is left alone for a while."""

REFUSED_RETRY = 60.0
"""Seconds until a run that was refused so often is tried again."""


class Failing:
    """Drops runs and reads them back; all methods on the engine's loop."""

    def __init__(self, host: RunHost, held: HeldRuns) -> None:
        self._host = host
        self._held = held
        self.refusals: dict[int, int] = {}
        """How many transitions of a run were refused in a row."""

    # -- a run whose memory is wrong -------------------------------------------------

    def discard(self, run: Run, error: BaseException | None) -> None:
        """Drop a run whose memory is not to be trusted, and load it again."""
        if error is not None:
            text = "%s is loaded again after an error"
            isolation.log(logger, logging.ERROR, error, text, run)
        self._let_go(run)
        if run.journal.in_flight:
            self._host.draining.add(run.row.key)
        else:
            self._host.loop.call_soon(self._reload, run.row.key)

    def drained(self, run: Run) -> None:
        """All that a discarded run did is durable, or refused: it can be read back."""
        if run.row.key in self._host.draining:
            self._host.draining.discard(run.row.key)
            self._host.loop.call_soon(self._reload, run.row.key)

    def _let_go(self, run: Run) -> None:
        """Forget a run that will be read back."""
        parent = run.state.start.parent
        if parent is not None:
            self._host.relations.end_taken(parent.key, parent.call)
        self._host.forget(run)

    def _reload(self, key: int) -> None:
        if not self._host.stopping and self._host.resident(key) is None:
            self.refusals.pop(key, None)
            self._reload_or_tell(key, StoreError("the start of the run was refused"))

    # -- refused ---------------------------------------------------------------------

    def refused(self, run: Run, write: Write, error: BaseException) -> None:
        """One transition was refused: its run is dropped, and loaded if it exists."""
        envelope: Envelope | None = write.effects[1].envelope
        asked_for = envelope is not None and type(envelope.event) is Started
        taken = asked_for and isinstance(error, IdTaken)
        if envelope is not None:
            envelope.fail(_in_the_way(error) if taken else error)
        if run.dropped:
            return
        if not taken:  # that the ID was free had not been looked up
            logger.error("%s: a transition was refused: %s", run, error)
        run.journal.fail_replies(error)
        if asked_for:
            self.discard(run, None)
        else:
            self._try_again(run, error)

    def _try_again(self, run: Run, why: BaseException) -> None:
        """Load a refused run again: what it does next may be refused again."""
        key = run.row.key
        times = self.refusals[key] = self.refusals.get(key, 0) + 1
        if times < REFUSALS:
            self.discard(run, None)
            return
        reason = f"its next transition is refused by the database: {why}"
        logger.error("%s is put aside for %g s: %s", run, REFUSED_RETRY, reason)
        self._let_go(run)
        self._held.put(run, reason)
        self._host.clock.call_later(REFUSED_RETRY, self._after_refusal, key)

    def _after_refusal(self, key: int) -> None:
        if not self._host.stopping and key in self._held.reasons:
            self._held.forget(key)
            self._host.resident(key)

    # -- in doubt --------------------------------------------------------------------

    def lost(self, writes: list[Write], error: BaseException) -> None:
        """Nobody knows what became of a commit: forget all that rests on it."""
        if not isinstance(error, StoreLost):  # of which nothing can be read back
            logger.error(
                "a commit failed, %d transitions are read back: %s", len(writes), error
            )
        host = self._host
        fail_writes(writes, error)
        runs: dict[int, Run] = {}
        for write in writes:
            if write.row is None:
                continue
            key = write.row.run_key
            run = host.runs.get(key)
            if run is not None:
                runs[key] = run
            elif key in host.draining:  # nothing more will be told of it
                host.draining.discard(key)
                host.loop.call_soon(self._reload_or_tell, key, error)
        for key, run in runs.items():
            run.journal.fail_replies(error)
            self._let_go(run)
            host.loop.call_soon(self._reload_or_tell, key, error)

    def _reload_or_tell(self, key: int, error: BaseException) -> None:
        if self._host.stopping:
            return
        if self._host.resident(key) is None:
            stored = self._host.store.ending(key)
            if stored is not None and stored.run.status:
                row, command = stored.run, closing_of(self._host.seal, stored)
                status = RunStatus(row.status)
                self._ended(row, Closed(key, status, command, row.next_run_id))
            elif stored is None:
                self._host.waiting.failed(key, copy_of(error))
                self._host.parts.gone(key, None)

    def _ended(self, row: RunRow, closed: Closed) -> None:
        """A run was found closed, and was not in memory when it ended."""
        self._host.relations.tell_parent(row)
        self._host.waiting.closed(closed)
        self._host.parts.gone(row.key, row)

    # -- unreadable ------------------------------------------------------------------

    def close_unreadable(
        self,
        key: int,
        event: TerminateRequested,
        answer: "asyncio.Future[Any] | None",
        within: Write | None = None,
    ) -> None:
        """Terminate a run whose journal cannot be read: the one thing left to do."""
        host = self._host
        stored = host.store.ending(key)
        if stored is None or stored.run.status:
            raise RPCError(f"run {key} is not open", RPCStatus.NOT_FOUND)
        if stored.unreadable is not None:
            raise stored.unreadable
        last = stored.rows[-1] if stored.rows else stored.checkpoint
        generation, seq = (last.generation, last.seq + 1) if last else (0, 0)
        now = host.clock.now()
        command = records.Fail(failures.terminated(event.reason, event.details))
        body = records.encode(records.Transition(now, (event,), (command,)))
        row = replace(stored.run, status=int(RunStatus.TERMINATED), closed_at=now)
        row.wake_at, row.aside = None, ""

        def done(_: Write, error: BaseException | None) -> None:
            if error is not None:
                if answer is not None:
                    fail(answer, error)
                return
            self._held.forget(key)
            self._ended(row, Closed(key, RunStatus.TERMINATED, command, ""))
            if answer is not None:
                reply(answer, None)

        sealed = host.seal.row(key, row.run_id, generation, seq, body)
        write = Write(sealed, done, change=row, within=within)
        write.statements, write.wake = (("close_waits", (key,)),), row.parent_key
        told = None if answer is None else Envelope(event, answer)  # if it is lost
        write.effects = (None, Turn((event,), (), now, told), (command,))
        host.commits.add(write)


def fail_writes(writes: list[Write], error: BaseException) -> None:
    """Tell all who asked for `writes` that they are not stored."""
    for write in writes:
        if write.row is None:
            write.done(write, copy_of(error))
            continue
        envelope = write.effects[1].envelope
        if envelope is not None:
            envelope.fail(copy_of(error))


def _in_the_way(error: Any) -> WorkflowAlreadyStarted:
    holder = error.holder
    return WorkflowAlreadyStarted(holder.workflow_id, holder.name, holder.run_id)
