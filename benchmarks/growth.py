"""What a thing costs as something else grows: `python -m benchmarks --growth`.

Each term (open runs, closed runs, …) is built at sizes ten times apart, each in a
process of its own, and the same things are done there. Shown is the cost at the first
size, and how many times that it is at the others: 1 is what is hoped for. Two measures:

- bytecodes, what the loop's thread executes (see `benchmarks.bytecodes`): exact;
- CPU, the processor time of the process, its threads included, as the shortest of
  `BATCHES` batches: a ratio within one run, good to a fifth or so.

SQLite's work does not show in bytecodes, so both are needed. Where the thing itself is
as large as the size (a gather, a history) the cost is that of one part of it.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import memory
from benchmarks.bytecodes import counting
from benchmarks.protocol import Job, Metrics, Reporter

NAME: Final = "growth"
"""Stands where a job names its engine."""

BATCHES: Final = 15
STARTERS: Final = 50
"""Callers that build up a size; fewer than what starts the writer's own process."""

SAME: Final = 1.5
"""Up to this ratio a cost counts as constant: what CPU is good to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """What grows, at which sizes, and what is costed there."""

    name: str
    sizes: tuple[int, ...]
    measure: Callable[[Path, int], Awaitable[Metrics]]


class Costs:
    """Collects the costs of one point."""

    def __init__(self) -> None:
        self.metrics: Metrics = {}

    async def of(
        self,
        what: str,
        act: Callable[[], Awaitable[object]],
        *,
        times: int,
        parts: int = 1,
    ) -> None:
        """Cost one `act` of `parts` parts: counted `times` times, then timed."""
        await act()
        with counting() as count:
            for _ in range(times):
                await act()
            total = count.total
        self.bytecodes(what, total / times / parts)
        best = min([await self._batch(act, times) for _ in range(BATCHES)])
        self.cpu(what, best / times / parts)

    async def once(
        self, what: str, act: Callable[[], Awaitable[object]], parts: int = 1
    ) -> None:
        """Cost what cannot be repeated: only timed."""
        gc.collect()
        begin = time.process_time()
        await act()
        self.cpu(what, (time.process_time() - begin) / parts)

    def bytecodes(self, what: str, value: float) -> None:
        self.metrics[f"{what}/bytecodes"] = value

    def cpu(self, what: str, seconds: float) -> None:
        self.metrics[f"{what}/CPU µs"] = seconds * 1e6

    async def _batch(self, act: Callable[[], Awaitable[object]], times: int) -> float:
        begin = time.process_time()
        for _ in range(times):
            await act()
        return time.process_time() - begin


async def measure(job: Job, reporter: Reporter) -> Metrics:
    """Measure one point; `job.work` is the term, `job.size` the size."""
    return await TERMS[job.work].measure(job.path, job.size)


@asynccontextmanager
async def _opened(directory: Path) -> AsyncIterator[Any]:
    from everact.runtime import Runtime

    async with Runtime(str(directory / "everact.db")) as runtime:
        yield runtime


def _works() -> Any:
    from benchmarks.engines import everact_works

    return everact_works


async def _many(call: Callable[[int], Awaitable[object]], count: int) -> None:
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(caller() for _ in range(STARTERS)))


def _a_run(runtime: Any) -> Callable[[], Awaitable[object]]:
    return lambda: runtime.execute(_works().w1, 1)


async def _opening(costs: Costs, directory: Path) -> None:
    """The database is closed: how long opening it takes, the shortest of some."""
    took = []
    for _ in range(BATCHES):
        gc.collect()
        begin = time.process_time()
        async with _opened(directory):
            took.append(time.process_time() - begin)
    costs.cpu("opening the file", min(took))


async def _open_runs(directory: Path, size: int) -> Metrics:
    costs, works = Costs(), _works()
    async with _opened(directory) as runtime:
        before = _settled()
        await _many(lambda n: runtime.start(works.receiver, id=f"r-{n}"), size)
        costs.metrics["a waiting run/bytes"] = (_settled() - before) / size
        await costs.of("a run of W1", _a_run(runtime), times=20)
        numbers = itertools.count()

        async def signal() -> None:
            number = next(numbers) % size
            await runtime.handle(f"r-{number}").signal("value", number)

        await costs.of("a signal", signal, times=40)
    await _opening(costs, directory)
    return costs.metrics


async def _closed_runs(directory: Path, size: int) -> Metrics:
    costs = Costs()
    await _fill(directory / "everact.db", size)
    async with _opened(directory) as runtime:
        await costs.of("a run of W1", _a_run(runtime), times=20)

        async def page() -> None:
            async for _ in runtime.list(limit=100, page_size=100):
                pass

        await costs.of("a page of 100 runs", page, times=2)
    await _opening(costs, directory)
    return costs.metrics


async def _fill(path: Path, size: int) -> None:
    """Rows of runs that ended, as they are on disk."""
    from everact.runtime.core.statuses import RunStatus
    from everact.runtime.store.base import JournalRow, RunRow, Write
    from everact.runtime.store.sqlite.store import SqliteStore

    store = SqliteStore(path)
    store.open()
    loop = asyncio.get_running_loop()
    now = time.time() - 3_600
    for begin in range(1, size + 1, 5_000):
        writes = []
        for key in range(begin, min(begin + 5_000, size + 1)):
            row = RunRow(
                key=key,
                workspace="default",
                workflow_id=f"closed-{key}",
                run_id=f"run-{key}",
                first_run_id=f"run-{key}",
                root_run_id=f"run-{key}",
                parent_key=None,
                name="w1",
                queue="default",
                status=RunStatus.COMPLETED.value,
                wake_at=None,
                started_at=now,
                closed_at=now,
            )
            journal = JournalRow(key, 0, 0, bytes(16), bytes(100))
            writes.append(Write(journal, lambda *_: None, insert=row))
        answer: asyncio.Future[Any] = loop.create_future()
        store.commit(writes, answer.set_result)
        if await answer:
            raise RuntimeError(f"the store refused rows: {answer.result()}")
    store.close(clean=True)


async def _history(directory: Path, size: int) -> Metrics:
    """Runs that wait with `size` steps behind them, made four at a time."""
    costs, works = Costs(), _works()
    count = max(4, 20_000 // size // 4 * 4)
    async with _opened(directory) as runtime:

        async def four(name: str) -> float:
            wanted = works.patients + 4
            begin = time.process_time()
            for number in range(4):
                await runtime.start(works.patient, size, id=f"{name}-{number}")
            while works.patients < wanted:
                await asyncio.sleep(0.02)
            return time.process_time() - begin

        await four("warm")
        before = _settled()
        took = [await four(f"p-{group}") for group in range(count // 4)]
        costs.metrics["a waiting run/bytes"] = (_settled() - before) / count
        with counting() as counted:
            await four("counted")
            total = counted.total
        costs.bytecodes("a step", total / size / 4)
        costs.cpu("a step", min(took) / size / 4)
    # Opened again, the runs are on disk: a message wakes them.
    async with _opened(directory) as runtime:
        took = []
        for number in range(min(count, 40)):
            group, one = divmod(number, 4)
            handle = runtime.handle(f"p-{group}-{one}")
            begin = time.process_time()
            await handle.signal("go", 1)
            await handle.result()
            took.append(time.process_time() - begin)
        costs.cpu("waking a run", min(took))
        costs.cpu("waking a run, of a step", min(took) / size)
        handle = runtime.handle("counted-0")
        with counting() as counted:
            await handle.signal("go", 1)
            await handle.result()
            total = counted.total
        costs.bytecodes("waking a run", total)
        costs.bytecodes("waking a run, of a step", total / size)
    return costs.metrics


async def _gather(directory: Path, size: int) -> Metrics:
    costs, works = Costs(), _works()
    async with _opened(directory) as runtime:
        await costs.of(
            "a task of the gather",
            lambda: runtime.execute(works.gathered, size),
            times=max(1, 200 // size),
            parts=size,
        )
    return costs.metrics


async def _payload(directory: Path, size: int) -> Metrics:
    costs, works = Costs(), _works()
    value = os.urandom(size)
    async with _opened(directory) as runtime:

        async def run() -> None:
            await runtime.execute(works.echoed, value)

        await costs.of("a run with a step", run, times=5)
        run_cpu = costs.metrics.pop("a run with a step/CPU µs")
        costs.metrics["a KB of it/CPU µs"] = run_cpu / (size / 1_000)
        before, times = memory.written(), 20
        for _ in range(times):
            await run()
        after = memory.written()
        if before is not None and after is not None:
            share = (after - before) / times / size
            costs.metrics["a byte of it/bytes written"] = share
    return costs.metrics


async def _schedules(directory: Path, size: int) -> Metrics:
    from everact.runtime.schedules import (
        IntervalSpec,
        Schedule,
        ScheduleSpec,
        StartWorkflow,
    )

    costs, works = Costs(), _works()
    daily = ScheduleSpec(intervals=[IntervalSpec("1d")])
    numbers = itertools.count(size)
    async with _opened(directory) as runtime:

        async def make(number: int) -> None:
            action = StartWorkflow(works.w1, 1, id=f"s-{number}")
            await runtime.schedules.create(f"s-{number}", Schedule(action, daily))

        await _many(make, size)
        await costs.of("a run of W1", _a_run(runtime), times=20)
        await costs.of("one more schedule", lambda: make(next(numbers)), times=20)
    await _opening(costs, directory)
    return costs.metrics


async def _queued(directory: Path, size: int) -> Metrics:
    costs, works = Costs(), _works()
    async with _opened(directory) as runtime:
        handle = await runtime.start(works.reader, id="reader")
        sent = itertools.count(1)

        async def signal(_: int = 0) -> None:
            next(sent)
            await handle.signal("value", 1)

        await _many(signal, size)
        await costs.of("one more signal", signal, times=40)
        queued = next(sent) - 1

        async def read() -> None:
            await handle.signal("go", queued)
            await handle.result()

        await costs.once("reading one", read, parts=queued)
    return costs.metrics


def _settled() -> int:
    gc.collect()
    return memory.now() or 0


TERMS: Final[dict[str, Term]] = {
    term.name: term
    for term in (
        Term(name="open-runs", sizes=(100, 1_000, 10_000), measure=_open_runs),
        Term(name="closed-runs", sizes=(1_000, 10_000, 100_000), measure=_closed_runs),
        Term(name="history", sizes=(100, 1_000, 10_000), measure=_history),
        Term(name="gather", sizes=(100, 1_000, 10_000), measure=_gather),
        Term(name="payload", sizes=(10_000, 100_000, 1_000_000), measure=_payload),
        Term(name="schedules", sizes=(100, 1_000, 10_000), measure=_schedules),
        Term(name="queued-signals", sizes=(100, 1_000, 10_000), measure=_queued),
    )
}


def job_of(term: str, size: int, directory: str) -> Job:
    """The job of one point, for `benchmarks.measure`."""
    return Job(
        work=term,
        engine=NAME,
        concurrency=1,
        seconds=0,
        size=size,
        steps=0,
        directory=directory,
    )
