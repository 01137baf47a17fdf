"""Which runs are in memory: how they are loaded, put away, and leave.

Runs are looked up by key. One that only waits may be put away: its row says when it
must be in memory again, so leaving writes nothing and coming back is a load and a
replay.
"""

import asyncio
from functools import partial
from typing import Any

from everact.runtime.core.records import (
    ChildClosed,
    TaskCompleted,
    TaskFailed,
    Transition,
)
from everact.runtime.core.statuses import RunStatus
from everact.runtime.engine import logs
from everact.runtime.engine.alarm import Alarm
from everact.runtime.engine.execution.attempt import Outcome
from everact.runtime.engine.host import Run
from everact.runtime.engine.loading import Read, load_state, read
from everact.runtime.engine.messages import Envelope, Question
from everact.runtime.engine.resting import Resting
from everact.runtime.engine.run.actor import RunActor
from everact.runtime.engine.run.host import RunHost
from everact.runtime.engine.waiting import Closed, fail, reply
from everact.runtime.errors import RuntimeStateError
from everact.runtime.store.base import Stored

HORIZON = 5.0
"""Seconds before its moment that a run that was put away is loaded."""

LOAD_BATCH = 200
"""Runs loaded in one turn of the loop."""

_OUTCOMES = frozenset({Outcome, TaskCompleted, TaskFailed})


class Residency:
    """The runs of one engine that are in memory; all methods on its loop."""

    def __init__(self, host: RunHost, idle_runs: int, idle_bytes: int) -> None:
        self._host = host
        self.runs: dict[int, RunActor] = {}
        self.by_id: dict[tuple[str, str], RunActor] = {}
        """The same by workspace and workflow ID; of several that came last."""
        self.draining: set[int] = set()
        """Runs that were dropped, and whose last transitions are not durable yet."""
        self.resting = Resting(idle_runs, idle_bytes, self._steps)
        self._asking: set[asyncio.Task[None]] = set()
        self._reading: dict[int, asyncio.Future[None]] = {}
        """Runs that are being read, and what is done when they are in memory."""
        trouble = "runs that are due could not be loaded; trying again"
        self.loader = Alarm(host, self._load_soon, trouble, HORIZON)
        self._on_idle: asyncio.Future[None] | None = None

    # -- coming in -------------------------------------------------------------------

    async def loaded(self, key: int) -> RunActor | None:
        """The run in memory, as it is durable; None if it is closed or unknown.

        A journal that is not small is read, and folded, off the loop.
        """
        if key in self.draining:
            await self._host.commits.idle()
        if key not in self.runs and key not in self.draining:
            reading = self._reading.get(key)
            if reading is None:
                await self._bring([key])
            else:  # who asked first is answered first
                await asyncio.wait((reading,))
            self._host.check_open()
        return self.resident(key)

    def resident(self, key: int, *, begin: bool = True) -> RunActor | None:
        """The run, loaded at once if it is not in memory; None if it is closed or
        unknown.

        For whoever cannot wait. One that was held goes on when it is loaded, if it
        can, unless told otherwise.
        """
        run = self.runs.get(key)
        if run is not None:
            self.resting.touch(key)
            return run
        if key in self.draining:
            return None  # what it did last is not durable yet
        for stored in self._host.store.recover([key]):
            return self._admit(read(self._host.seal, stored), begin=begin)
        return None

    async def _bring(self, keys: list[int]) -> None:
        """Read runs off the loop and admit them, so many at a time as the store gives.

        One that comes in by another way meanwhile is left: what was read may be old.
        """
        host, reading = self._host, self._host.loop.create_future()
        self._reading.update(dict.fromkeys(keys, reading))
        left, make = keys, partial(read, host.seal)
        try:
            while left and (found := await host.store.reads.recover(left, make)):
                for one in found:
                    fits = self._reading.get(one.row.key) is reading
                    if fits and one.row.key not in self.draining and not host.stopping:
                        self._admit(one)
                left = left[left.index(found[-1].row.key) + 1 :]
        finally:
            for key in keys:
                if self._reading.get(key) is reading:
                    del self._reading[key]
            reading.set_result(None)

    def _admit(self, found: Read, *, begin: bool = True) -> RunActor | None:
        """Be in memory from now on: replay the code, and go on with what is open."""
        host, row, loaded = self._host, found.row, found.loaded
        self._reading.pop(row.key, None)
        if isinstance(loaded, Exception):
            host.quarantine(row, loaded)
            return None
        run = host.system.launch(RunActor, host, row, loaded.state)
        run.journal.restore(loaded)
        run.code.restore(loaded.script)
        self.runs[row.key] = run
        self.by_id[row.workspace, row.workflow_id] = run
        reason = host.build(run) if run.state.held is None else None
        if reason is None or not host.hold_loaded(run, reason):
            run.work.release_open(begin=begin and reason is None)
        run.code.restore(None)
        for notify in host.parts.loaded:
            notify(run)
        if not run.work.attempts:
            self.idle(run)
        return run

    def present(self, workspace: str, workflow_id: str) -> RunActor | None:
        """The open run of an ID, if it is in memory: its start may not be durable.

        None says nothing: the database knows.
        """
        run = self.by_id.get((workspace, workflow_id))
        return None if run is None or run.state.status else run

    def latest(self, workspace: str, workflow_id: str) -> RunActor | None:
        """The latest run of an ID, if it is in memory, even if it has just ended.

        None says nothing: the database knows.
        """
        return self.by_id.get((workspace, workflow_id))

    async def load_due(self, until: float | None = None) -> None:
        """Load every run due by `until`, earliest first, in bounded batches.

        Those that are due later are loaded before their moments.
        """
        host = self._host
        if until is None:
            until = host.clock.now() + HORIZON
        after = (-1.0, 0)
        while not host.stopping:
            found = await host.store.reads.rows("due", *after, until, LOAD_BATCH)
            absent = [key for _, key in found if self._is_absent(key)]
            await self._bring(absent)
            if len(found) < LOAD_BATCH:
                break
            after = (found[-1][0], found[-1][1])
            await asyncio.sleep(0)
        for (later,) in await host.store.reads.rows("next_due", until):
            self.loader.at(later - HORIZON)

    def _is_absent(self, key: int) -> bool:
        """Whether the run is neither in memory nor on its way there, or out of it."""
        return not (key in self.runs or key in self._reading or key in self.draining)

    def script(self, run: Run) -> list[Transition]:
        """What the code of a run was shown, read again: durable, or on its way there.

        A live run does not keep it.
        """
        host, key, generation = self._host, run.row.key, run.state.generation
        rows = [
            row
            for stored in host.store.recover([key], closed=True)
            for row in stored.rows
            if row.generation == generation
        ]
        for row in host.commits.rows_of(key):
            if row.generation == generation and row.seq >= len(rows):
                rows.append(row)
        return load_state(host.seal, Stored(run.row, None, rows)).script

    async def _load_soon(self) -> None:
        await self.load_due(self._host.clock.now() + 2 * HORIZON)

    # -- leaving -----------------------------------------------------------------------

    def idle(self, run: Run) -> None:
        """The run only waits: it may be put away when memory is short."""
        if self._on_idle is not None:
            reply(self._on_idle, None)
        if self.resting.add(run.row.key, run.journal.size):
            for key in self.resting.leaving():
                self._put_away(key)

    def _steps(self, key: int) -> int:
        run = self.runs.get(key)
        return 0 if run is None else run.state.activations

    def _put_away(self, key: int) -> None:
        run = self.runs.get(key)
        if run is None or run.journal.in_flight or run.work.attempts or run.has_mail:
            return
        moment = run.state.wake()
        if moment is not None and moment <= self._host.clock.now() + HORIZON:
            return
        self.forget(run)
        self._host.loop.call_soon(run.untie)
        if moment is not None:
            self.loader.at(moment - HORIZON)

    def forget(self, run: Run) -> None:
        """Take the run out of memory; nothing is written.

        What it has not read is given to whom it concerns now.
        """
        for notify in self._host.parts.forget:
            notify(run)
        unread, row = run.leave(), run.row
        self.runs.pop(row.key, None)
        self.resting.discard(row.key)
        place = row.workspace, row.workflow_id
        if self.by_id.get(place) is run:  # else its successor has it
            del self.by_id[place]
        for message in unread:
            self._host.loop.call_soon(self._hand_on, run, message)

    def _hand_on(self, run: Run, message: Any) -> None:
        """A message that `run` had not read when it left memory: whose is it now?"""
        if type(message) is Question:
            if self._host.stopping:
                closed = RuntimeStateError("the runtime was closed")
                fail(message.reply, self._host.lost or closed)
                return
            asking = self._host.loop.create_task(self._ask_again(run, message))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            return
        if type(message) in _OUTCOMES:
            return  # what is still open is done again, and only that counts
        heir = None if self._host.stopping else self.resident(run.row.key)
        event, envelope = message, None
        if type(message) is Envelope:
            event, envelope = message.event, message
        if heir is not None:
            heir.post(message)
        else:
            run.refuse(event, envelope)

    async def _ask_again(self, run: Run, question: Question) -> None:
        """Answer a query from the run as it is read back, or as it ended."""
        try:
            reply(question.reply, await self._host.ask(run.row.key, question.query))
        except Exception as error:
            fail(question.reply, error)

    def closed(self, run: Run) -> tuple[Run, ChildClosed] | None:
        """The end of a run is durable: tell whom it concerns, and let it leave.

        The parent that is to be told, and of what; None if there is none.
        """
        host, key, state, row = self._host, run.row.key, run.state, run.row
        host.not_held(key)
        if self._on_idle is not None:
            reply(self._on_idle, None)
        if state.status is not RunStatus.COMPLETED or host.debugs:
            logs.run_ended(run)
        host.waiting.closed(Closed(key, state.status, state.closing, row.next_run_id))
        for notify in host.parts.closed:
            notify(run)
        told = host.relations.child_closed(run)
        self.forget(run)
        return told

    # -- the end of the engine ---------------------------------------------------------

    async def let_finish(self, grace: float) -> None:
        """Wait for attempts; those that are left then are cut off, not lost."""
        clock, loop = self._host.clock, self._host.loop
        deadline = clock.monotonic() + grace
        over = loop.create_future()
        handle = clock.call_later(grace, reply, over, None)
        try:
            while any(run.attempts for run in self.runs.values()):
                if clock.monotonic() >= deadline or over.done():
                    break
                self._on_idle = loop.create_future()
                await asyncio.wait(
                    (over, self._on_idle), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            handle.cancel()
            self._on_idle = None
        for run in self.runs.values():
            run.work.stop()
        await asyncio.sleep(0)

    def close(self, error: BaseException) -> None:
        """Forget all runs; who waits for an answer of one is told `error`."""
        for run in list(self.runs.values()):
            run.journal.fail_replies(error)
            self.forget(run)
