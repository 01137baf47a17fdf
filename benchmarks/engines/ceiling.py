"""The ceiling: what one Python process can do here with durable steps at all.

One asyncio loop, pickle for builtin values (cloudpickle otherwise), SQLite group
commit: nothing else. It does the durable work of the real engine and keeps its order:
the start of a run is durable before its first step runs, one row per step result, the
result of a step is durable before the next step runs, and the last result shares a row
with the closing. There are no mailboxes, retries, status, signals by name, determinism
checks, or passivation; recovery is the simplest memo, by step number.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

import cloudpickle

from benchmarks import probes
from benchmarks.engines.bare_mailbox import BareActors
from benchmarks.engines.base import Actors, Session
from benchmarks.engines.group_commit import GroupCommit, Row, connect

START, STEP, CLOSE, SIGNAL = range(4)

_PLAIN: Final = frozenset({int, float, str, bytes, bool, type(None)})


def dumps(value: object) -> bytes:
    """Serialise: plain pickle for builtin scalars, cloudpickle for the rest."""
    if type(value) in _PLAIN:
        return pickle.dumps(value, 5)
    if type(value) is tuple and all(type(item) in _PLAIN for item in value):
        return pickle.dumps(value, 5)
    return bytes(cloudpickle.dumps(value, 5))


class Run:
    """One run: its memo while recovering, its result that waits for the next row."""

    __slots__ = ("_log", "_memo", "_pending", "_seq", "id", "inbox")

    def __init__(self, log: GroupCommit, run_id: int, memo: dict[int, bytes]) -> None:
        self.id = run_id
        self.inbox: asyncio.Queue[int] | None = None
        self._log = log
        self._memo = memo
        self._seq = 0
        self._pending: Row | None = None

    async def step(self, function: Callable[[int], Awaitable[int]], arg: int) -> int:
        """Run a step after what came before it is durable; or take it from the memo."""
        self._seq = seq = self._seq + 1
        if self._memo and seq in self._memo:
            return int(pickle.loads(self._memo[seq]))
        await self.flush()
        result = await function(arg)
        self._pending = (self.id, seq, STEP, dumps(result))
        return result

    async def gather(self, function: Callable[[int], Awaitable[int]], n: int) -> int:
        """Run n steps in parallel; one row each, the last may share the closing's."""
        await self.flush()
        first = self._seq + 1
        self._seq += n
        left = n

        async def one(index: int) -> int:
            nonlocal left
            result = await function(index)
            left -= 1
            row = (self.id, first + index, STEP, dumps(result))
            if left:
                self._log.append(row)
            else:
                self._pending = row
            return result

        return sum(await asyncio.gather(*(one(index) for index in range(n))))

    async def flush(self) -> None:
        """Make the last result durable."""
        if self._pending is not None:
            row, self._pending = self._pending, None
            await self._log.durable(row)

    async def sleep_until(self, due: float) -> None:
        """Sleep; the waking is recorded as a result is."""
        self._seq = seq = self._seq + 1
        if seq not in self._memo:
            await self.flush()
            await asyncio.sleep(due - time.time())
            self._pending = (self.id, seq, STEP, b"")

    def close(self, result: int) -> asyncio.Future[None]:
        """Record the end, in one row with the last result."""
        pending, self._pending = self._pending, None
        seq, data = (pending[1], pending[3]) if pending else (self._seq + 1, b"")
        return self._log.durable((self.id, seq, CLOSE, data + dumps(result)))


async def _step(number: int) -> int:
    return number


async def _tick(number: int) -> int:
    return probes.tick(number)


async def _gate(number: int) -> int:
    return await probes.gate()


async def _w1(run: Run, arg: int) -> int:
    return await run.step(_step, arg)


async def _w10(run: Run, arg: int) -> int:
    total = 0
    for index in range(10):
        total += await run.step(_step, index)
    return total


async def _f100(run: Run, arg: int) -> int:
    return await run.gather(_step, 100)


async def _sleeper(run: Run, due: float) -> int:
    async def woke(_: int) -> int:
        return probes.woke(due)

    await run.sleep_until(due)
    return await run.step(woke, 0)


async def _gated(run: Run, steps: int) -> int:
    total = 0
    for index in range(steps):
        total += await run.step(_tick, index)
    await run.step(_gate, 0)
    return total + await run.step(_step, 1)


Workflow = Callable[[Run, Any], Coroutine[Any, Any, int]]

_WORKFLOWS: Final[dict[str, Workflow]] = {
    "W1": _w1,
    "W10": _w10,
    "F100": _f100,
    "sleeper": _sleeper,
    "gated": _gated,
}


class CeilingSession:
    """One open journal."""

    def __init__(self, path: Path) -> None:
        self._recovering = _recover(path)
        self._log = GroupCommit(path)
        self._ids = count(max(self._recovering, default=0) + 1)
        self._tasks: set[asyncio.Task[int]] = set()
        self._receivers: dict[int, asyncio.Queue[int]] = {}
        self._received = count()
        for run_id, (name, arg, memo) in self._recovering.items():
            run = Run(self._log, run_id, memo)
            self._spawn(self._drive(run, _WORKFLOWS[name], arg))

    async def run(self, work: str, number: int) -> None:
        """Start a run and wait for its durable result."""
        if work == "C100":
            await self._children(100)
            return
        run = await self._start(work, number)
        await self._drive(run, _WORKFLOWS[work], number)

    async def sleeper(self, number: int, due: float) -> None:
        """Start a run that sleeps until `due`."""
        run = await self._start("sleeper", due)
        self._spawn(self._drive(run, _sleeper, due))

    async def gated(self, number: int, steps: int) -> None:
        """Start a run that comes to the gate after its steps."""
        run = await self._start("gated", steps)
        self._spawn(self._drive(run, _gated, steps))

    async def recovered(self, count: int) -> None:
        """Wait for the runs that were recovered."""
        if len(self._recovering) != count:
            raise RuntimeError(f"{len(self._recovering)} of {count} runs recovered")
        await asyncio.gather(*self._tasks)

    async def receiver(self, number: int) -> None:
        """Start a run that takes signals for ever."""
        await self._start("receiver", number)
        inbox = self._receivers[number] = asyncio.Queue()

        async def receive() -> int:
            total = 0
            while True:
                total += await inbox.get()

        self._spawn(receive())

    async def signal(self, number: int, value: int) -> None:
        """Record a signal, deliver it once it is durable."""
        seq = next(self._received)
        await self._log.durable((number, seq, SIGNAL, dumps(value)))
        self._receivers[number].put_nowait(value)

    async def close(self) -> None:
        """Drop what still runs and close the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._log.close()

    async def _start(self, name: str, arg: object) -> Run:
        run_id = next(self._ids)
        await self._log.durable((run_id, 0, START, dumps((name, arg))))
        return Run(self._log, run_id, {})

    async def _drive(self, run: Run, workflow: Workflow, arg: Any) -> int:
        result = await workflow(run, arg)
        await run.close(result)
        return result

    async def _children(self, n: int) -> None:
        """C100: the children's starts are one batch, their ends are parent's rows."""
        parent = await self._start("C100", n)
        ids = [next(self._ids) for _ in range(n)]
        for child_id in ids[:-1]:
            self._log.append((child_id, 0, START, dumps(("W1", 1))))
        await self._log.durable((ids[-1], 0, START, dumps(("W1", 1))))

        async def child(child_id: int) -> int:
            return await self._drive(Run(self._log, child_id, {}), _w1, 1)

        total, value, left = 0, 0, n
        for ended in asyncio.as_completed([child(child_id) for child_id in ids]):
            value = await ended
            total, left = total + value, left - 1
            if left:
                self._log.append((parent.id, n - left, STEP, dumps(value)))
        await self._log.durable((parent.id, n, CLOSE, dumps((value, total))))

    def _spawn(self, coroutine: Coroutine[Any, Any, int]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _recover(path: Path) -> dict[int, tuple[str, Any, dict[int, bytes]]]:
    """Read the open runs: what was started, and the memo of each."""
    if not path.exists():
        return {}
    runs: dict[int, tuple[str, Any, dict[int, bytes]]] = {}
    connection = connect(path)
    try:
        for run, seq, kind, data in connection.execute("SELECT * FROM journal"):
            if kind == START:
                name, arg = pickle.loads(data)
                runs[run] = (name, arg, {})
            elif kind == STEP:
                runs[run][2][seq] = data
            elif kind == CLOSE:
                del runs[run]
    finally:
        connection.close()
    return runs


class Ceiling:
    """The engine `ceiling`."""

    name: str = "ceiling"
    works: ClassVar[frozenset[str]] = frozenset(
        {"W1", "W10", "F100", "C100", "S1k", "S10k", "R1000", "H10k", "M", "sig"}
    )
    starts_per_s: ClassVar[float] = 4_000
    patience: ClassVar[float] = 1
    warm_s: ClassVar[float] = 0
    most_callers: ClassVar[int] = 1_000_000

    def missing(self) -> str | None:
        """Nothing is: its packages are everact's own."""
        return None

    def versions(self) -> dict[str, str]:
        """SQLite, cloudpickle and pykka (for the bare mailbox)."""
        return {
            "sqlite": sqlite3.sqlite_version,
            "cloudpickle": version("cloudpickle"),
            "pykka": version("pykka"),
        }

    def load(self) -> None:
        """Everything is imported already."""

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Open the journal; what it holds is collected once and then left alone."""
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        session = CeilingSession(directory / "ceiling.db")
        try:
            yield session
        finally:
            await session.close()

    @asynccontextmanager
    async def actors(self) -> AsyncIterator[Actors]:
        """Open the bare mailbox; its actors end with the process."""
        yield BareActors()


def engine(name: str) -> Ceiling:
    """The one engine of this module."""
    return Ceiling()
