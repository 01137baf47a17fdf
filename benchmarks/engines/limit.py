"""The limit: what the real requirements cost, with nothing else around them.

Where the ceiling is a sketch of its own, this stands on the project's parts and writes
what the project writes: the same SQLite store and group commit, the run's index row
with its indexes, a version 7 UUID, records of events and commands, an authentication
code on every row, and the author's code on the deterministic loop. The order is kept:
a start is durable before its first step runs, a result before the next step.

What is stripped off is everything that a run that goes well does not need: actors and
mailboxes, the folded state, retries, limits, slots and queues, statuses to look at,
checks of arguments and options, a watchdog, notes of what executes, checkpoints,
recovery. Only starts, tasks that complete in their first step, and ends are known;
anything else ends the measurement with an error.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import sqlite3
from asyncio.events import _set_running_loop
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from benchmarks.engines import packages
from benchmarks.engines.base import Actors, Session
from everact.actors.clock import SystemClock
from everact.runtime.core.records import (
    RULES,
    Began,
    Command,
    Complete,
    Event,
    RunTask,
    Started,
    StartOptions,
    TaskCompleted,
    Transition,
    encode,
)
from everact.runtime.core.statuses import RunStatus
from everact.runtime.definitions.context import current_attempt
from everact.runtime.definitions.registry import default_registry
from everact.runtime.engine import garbage
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.engine.execution.loop import TaskStarter
from everact.runtime.engine.identifiers import make_ids
from everact.runtime.engine.seal import Seal
from everact.runtime.programs import ordered
from everact.runtime.programs.loop import SLICE, OrderedTask
from everact.runtime.programs.workflow_loop import WorkflowLoop
from everact.runtime.store.base import RunRow, Write
from everact.runtime.store.sqlite.store import SqliteStore
from everact.runtime.values.payloads import PickleConverter

EARLY: Final = 64
"""Steps of a batch after which the writer is given what there is."""

_BEGAN: Final = Began(RULES)
_OPTIONS: Final = StartOptions(identity="limit")


class Attempt:
    """What a task finds as its attempt."""

    __slots__ = ("command", "run")

    def __init__(self, run: Run, command: RunTask) -> None:
        self.run = run
        self.command = command


class Run:
    """One open run."""

    __slots__ = ("loop", "reply", "root", "row", "seq")

    def __init__(
        self, row: RunRow, loop: WorkflowLoop, reply: asyncio.Future[bytes]
    ) -> None:
        self.row = row
        self.loop = loop
        self.reply = reply
        self.seq = 0
        self.root: OrderedTask


async def _contained(
    attempt: Attempt, function: Callable[..., Coroutine[Any, Any, Any]], args: Any
) -> Any:
    current_attempt.set(attempt)  # type: ignore[arg-type]
    return await function(*args)


class LimitSession:
    """One open store, and the runs on it."""

    def __init__(self, path: Path) -> None:
        ordered.install()
        self._works = importlib.import_module("benchmarks.engines.everact_works")
        self._outer = asyncio.get_running_loop()
        self._store = SqliteStore(path)
        opened = self._store.open()
        self._last_key = opened.last_key
        self._epoch = opened.epoch
        self._seal = Seal(self._store.key()).row
        clock = SystemClock()
        self._now = clock.now
        self._commits = GroupCommit(self._store, clock, self._release, self._lost)
        self._new_id = make_ids(clock.now, random.Random())
        self._values = PickleConverter()
        self._start_task = TaskStarter(self._outer)
        self._tasks = default_registry().tasks

    async def run(self, work: str, number: int) -> None:
        """Start a run and wait for its durable result."""
        run_id = self._new_id()
        workflow_id = f"run-{number}" if work == "W1id" else run_id
        run = self._start(self._works.CLOSED[work], number, run_id, workflow_id)
        self._values.decode(await run.reply)

    async def close(self) -> None:
        """Commit what waits, and close the store."""
        await self._commits.idle()
        self._store.close(clean=True)

    def _start(self, workflow: Any, arg: int, run_id: str, workflow_id: str) -> Run:
        definition, values, now = workflow.definition, self._values, self._now()
        name = definition.name
        payload = values.encode(arg, "an argument")
        started = Started(
            name,
            workflow_id,
            run_id,
            run_id,
            run_id,
            (payload,),
            options=_OPTIONS,
        )
        self._last_key = key = self._last_key + 1
        row = RunRow(
            key=key,
            workspace="default",
            workflow_id=workflow_id,
            run_id=run_id,
            first_run_id=run_id,
            root_run_id=run_id,
            parent_key=None,
            name=name,
            queue="default",
            identity="limit",
            started_at=now,
            epoch=self._epoch,
        )
        loop = WorkflowLoop(started, 0, values)  # type: ignore[abstract]
        run = Run(row, loop, self._outer.create_future())
        loop.now = now
        _set_running_loop(loop)
        try:
            args = tuple(map(values.decode, started.args))
            code = definition.function(*args)
            run.root = loop.create_task(code, name=name, context=Context())
            loop.turn(SLICE)
        finally:
            _set_running_loop(self._outer)
        self._record(run, now, (started, _BEGAN), row)
        return run

    def _record(
        self, run: Run, now: float, events: tuple[Event, ...], insert: RunRow | None
    ) -> None:
        """Write what happened and what the code asks for now, as one row."""
        loop, row = run.loop, run.row
        commands, loop.commands = loop.commands, []
        change = None
        if run.root.done():
            result = run.root.result()
            commands.append(Complete(self._values.encode(result, "the result")))
            # The row as it was inserted is on disk by now, so it may be changed.
            row.status = RunStatus.COMPLETED.value
            row.closed_at = now
            row.wake_at = None
            change = row if insert is None else None
        asked: tuple[Command, ...] = tuple(commands)
        body = encode(Transition(now, events, asked))
        sealed = self._seal(row.key, row.run_id, 0, run.seq, body)
        run.seq += 1
        self._commits.add(
            Write(
                sealed,
                self._done,
                insert=insert,
                change=change,
                effects=(run, asked),
            )
        )

    def _release(self, writes: list[Write]) -> None:
        """A batch is durable: run the tasks that it asks for, tell results."""
        outcomes: list[tuple[Run, TaskCompleted]] = []
        values, start, tasks = self._values, self._start_task, self._tasks
        for write in writes:
            run: Run
            run, asked = write.effects
            for command in asked:
                if type(command) is RunTask:
                    task = tasks[command.name]
                    args = tuple(map(values.decode, command.args))
                    attempt = Attempt(run, command)
                    ended = start(_contained(attempt, task.function, args))
                    result = values.encode(ended.result(), "the result")
                    outcomes.append((run, TaskCompleted(command.call, result)))
                elif type(command) is Complete:
                    run.loop._tasks.clear()  # which hold the loop
                    run.reply.set_result(command.result)
                else:
                    raise NotImplementedError(f"limit knows no {command}")
        outer, set_loop = self._outer, _set_running_loop
        left = EARLY
        for run, event in outcomes:
            now, loop = self._now(), run.loop
            loop.now = now
            set_loop(loop)
            try:
                future: Any = loop.calls.pop(event.call)
                future.set_result(values.decode(event.result))
                loop.turn(SLICE)
            finally:
                set_loop(outer)
            self._record(run, now, (event,), None)
            left -= 1
            if not left:
                left = EARLY
                self._commits.hurry()

    def _lost(self, writes: list[Write], error: BaseException) -> None:
        for write in writes:
            run: Run = write.effects[0]
            if not run.reply.done():
                run.reply.set_exception(error)

    def _done(self, write: Write, error: BaseException | None) -> None:
        """A write of a batch in which one was refused."""
        if error is None:
            self._release([write])
        else:
            self._lost([write], error)


class Limit:
    """The engine `limit`."""

    name: str = "limit"
    works: ClassVar[frozenset[str]] = frozenset({"W1", "W1id", "W10", "F100"})
    starts_per_s: ClassVar[float] = 4_000
    patience: ClassVar[float] = 1
    warm_s: ClassVar[float] = 0
    most_callers: ClassVar[int] = 1_000_000

    def missing(self) -> str | None:
        """Nothing is: its packages are everact's own."""
        return None

    def versions(self) -> dict[str, str]:
        """SQLite, and everact, whose parts it is made of."""
        return {
            "sqlite": sqlite3.sqlite_version,
            "everact": packages.installed("everact") or "from the checkout",
        }

    def load(self) -> None:
        """Import the works."""
        importlib.import_module("benchmarks.engines.everact_works")

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Open the store; the collector is eased as the real engine eases it."""
        garbage.ease()
        session = LimitSession(directory / "limit.db")
        try:
            yield cast(Session, session)  # of its works only
        finally:
            await session.close()
            garbage.restore()

    @asynccontextmanager
    async def actors(self) -> AsyncIterator[Actors]:
        """It has none."""
        raise NotImplementedError("limit does not measure M")
        yield


def engine(name: str) -> Limit:
    """The one engine of this module."""
    return Limit()
