"""Bytecodes that the loop's thread executes for one run, step, child or signal.

A clock says something else every minute; this number is the same on every machine for
one version of Python, as long as the same load is driven in the same order. So the load
is a fixed one: `CALLERS` callers that call again and again, and so in step with each
other, each a fixed number of times. They are fewer than what starts the writer's own
process, so each batch holds one row of every caller.

Counted is the thread that runs the loop, the callers of the load included. What other
threads and processes execute is not.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from benchmarks import probes
from benchmarks.engines.base import Engine, Session
from benchmarks.protocol import Job, Metrics, Reporter
from benchmarks.works import WORKS

if TYPE_CHECKING:
    from types import FrameType

CALLERS: Final = 50

UNITS: Final = {
    "W1": "run",
    "W1id": "run",
    "W10": "step",
    "C100": "child",
    "sig": "signal",
    "R1000": "run opened",
    "http": "run, server",
}
"""The works that are counted, and what one of each is."""

SIZES: Final = {
    "W1": 8,
    "W1id": 8,
    "W10": 3,
    "C100": 3,
    "sig": 12,
    "R1000": 100,
    "http": 60,
}
"""How many calls each caller makes; for R1000 and http, how many runs there are."""

_PARTS: Final = {"W10": 10, "C100": 100}
"""Units in one call of a work, where it is not one."""


class Count:
    """How many bytecodes were executed while it was counted."""

    def __init__(self) -> None:
        self.total = 0


@contextmanager
def counting() -> Iterator[Count]:
    """Count what this thread executes meanwhile, in frames that exist already too."""
    count = Count()

    def local(frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            count.total += 1
        return local

    def entered(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return local

    outer = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        outer.append(frame)
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        frame.f_trace = local
        frame = frame.f_back
    # A collection would run weak references' callbacks at a moment of its own.
    gc.collect()
    gc.disable()
    sys.settrace(entered)
    try:
        yield count
    finally:
        sys.settrace(None)
        gc.enable()
        for frame in outer:
            frame.f_trace = None


def job_of(work: str, engine: str, directory: str) -> Job:
    """The job that counts a work, for `benchmarks.measure`."""
    return Job(
        work=work,
        engine=engine,
        concurrency=CALLERS,
        seconds=0,
        size=SIZES[work],
        steps=WORKS[work].steps,
        directory=directory,
        counted=True,
    )


async def measure(engine: Engine, job: Job, reporter: Reporter) -> Metrics:
    """Count one work, in a measuring process.

    `bytecodes` of a unit; for R1000, of opening a run, beside what it took `live`.
    """
    if job.work == "http":
        return await _http(job)
    probes.gate_is_open = job.stage != "prepare"
    if job.stage == "recover":
        with counting() as count:
            async with engine.open(job.path) as session:
                await session.recovered(job.size)
                total = count.total
        return {"bytecodes": total / job.size}
    async with engine.open(job.path) as session:
        if job.stage == "prepare":
            return await _until_killed(session, job, reporter)
        if job.work == "sig":
            return await _signals(session, job)
        return await _calls(session, job)


async def _calls(session: Session, job: Job) -> Metrics:
    async def call(number: int) -> None:
        await session.run(job.work, number)

    burst = WORKS[job.work].kind == "burst"
    callers = 1 if burst else CALLERS
    count = await _rounds(call, job.size, callers)
    calls = job.size * callers * _PARTS.get(job.work, 1)
    return {"bytecodes": count / calls}


async def _signals(session: Session, job: Job) -> Metrics:
    for number in range(CALLERS):
        await session.receiver(number)

    async def call(number: int) -> None:
        await session.signal(number % CALLERS, number)

    count = await _rounds(call, job.size, CALLERS)
    return {"bytecodes": count / (job.size * CALLERS)}


async def _rounds(
    call: Callable[[int], Awaitable[None]], rounds: int, callers: int
) -> int:
    """Count so many calls of each caller, after two that warm up."""
    numbers = itertools.count(1)

    async def caller(calls: int) -> None:
        for _ in range(calls):
            await call(next(numbers))

    async def all_call(calls: int) -> None:
        await asyncio.gather(*(caller(calls) for _ in range(callers)))

    await all_call(2)
    with counting() as count:
        await all_call(rounds)
    return count.total


async def _until_killed(session: Session, job: Job, reporter: Reporter) -> Metrics:
    """R1000 up to the gate, counted as it lives; then be killed."""
    with counting() as count:
        for begin in range(0, job.size, CALLERS):
            numbers = range(begin, min(begin + CALLERS, job.size))
            await asyncio.gather(*(session.gated(n, job.steps) for n in numbers))
            await probes.reached(probes.arrivals, numbers.stop)
        total = count.total
    reporter.partial({"live": total / job.size})
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody wakes it")


async def _http(job: Job) -> Metrics:
    """The server's share: the engine and its endpoint here, the client on a thread."""
    from benchmarks.engines.everact_engine import EveractSession
    from benchmarks.engines.everact_remote import serving
    from everact.runtime import Client

    works = sys.modules["benchmarks.engines.everact_works"]
    loop = asyncio.get_running_loop()
    warm, ended = asyncio.Event(), asyncio.Event()
    go = threading.Event()

    async def drive(address: str) -> None:
        async with await Client.connect(address) as client:
            session = EveractSession(client, works)
            for number in range(10):
                await session.run("http", number)
            loop.call_soon_threadsafe(warm.set)
            await asyncio.to_thread(go.wait)
            for number in range(job.size):
                await session.run("http", number)
            loop.call_soon_threadsafe(ended.set)

    async with serving(job.path) as address:
        thread = threading.Thread(target=lambda: asyncio.run(drive(address)))
        thread.start()
        await warm.wait()
        with counting() as count:
            go.set()
            await ended.wait()
        await asyncio.to_thread(thread.join)
    return {"bytecodes": count.total / job.size}
