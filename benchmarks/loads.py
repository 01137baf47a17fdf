"""How each kind of work is driven, on whatever engine: the same code for all.

Runs inside a measuring process. Every function returns the metrics of one sample.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from benchmarks import memory, probes
from benchmarks.engines.base import Engine, Served, Session
from benchmarks.messages import measure_messages
from benchmarks.protocol import Job, Metrics, Reporter
from benchmarks.stats import milliseconds, percentile
from benchmarks.works import WORKS

STARTERS: Final = 64
"""Callers that start the runs of a work whose starts are not what is measured."""

WAKES_PER_S: Final = 1_000
"""How densely the due times of sleepers lie."""

FAR: Final = 3_600.0
"""Seconds until the due time of the sleepers of S100k that nobody waits for."""

RESTART: Final = 5.0
"""Seconds that a restart may take before the first sleeper is due."""

DUE_SHARE: Final = 20
"""One in so many of the sleepers of S100k is due soon."""


async def measure(engine: Engine, job: Job, reporter: Reporter) -> Metrics:
    """Measure one job; a job whose process will be killed ends inside its load."""
    kind = WORKS[job.work].kind
    if kind == "messages":
        async with engine.actors() as actors:
            return await measure_messages(actors, job.size)
    if kind == "http":
        async with cast(Served, engine).endpoint(job.path) as session:
            return await _load(engine, session, job, reporter)
    probes.gate_is_open = job.stage != "prepare"
    begin = time.perf_counter()
    async with engine.open(job.path) as session:
        opened = time.perf_counter() - begin
        match kind, job.stage:
            case (("load" | "burst"), _):
                return await _load(engine, session, job, reporter)
            case "signals", _:
                return await _signals(engine, session, job, reporter)
            case "sleep", "whole":
                return await _sleepers(engine, session, job, reporter)
            case "sleep", "prepare":
                return await _far_sleepers(engine, session, job, reporter)
            case "sleep", "recover":
                return await _sleepers_again(job, opened)
            case (("restart" | "history"), "prepare"):
                return await _up_to_the_gate(session, job, reporter)
            case (("restart" | "history"), "recover"):
                return await _beyond_the_gate(session, job, begin)
    raise ValueError(f"{job.work} cannot be measured in stage {job.stage!r}")


@dataclass(frozen=True, slots=True)
class _Calls:
    """What a closed loop saw: completions per second, and the latencies."""

    per_s: float
    latencies: list[float]

    def metrics(self) -> Metrics:
        """Latencies; the longest one too, so that a stall is not hidden."""
        return {
            **milliseconds(self.latencies),
            "max_ms": max(self.latencies) * 1000,
            "rss_mb": _mb(memory.peak()),
        }


async def _closed_loop(
    call: Callable[[int], Awaitable[None]], job: Job, warming: float, reporter: Reporter
) -> _Calls:
    """Let all callers call again and again, after a time to warm up.

    Throughput is what was completed within the time that is measured. A caller that
    is in a call when time is up finishes it: its latency counts, its completion not.
    """
    warming = max(warming, job.seconds / 5)
    warm = time.perf_counter() + warming
    end = warm + job.seconds
    latencies: list[float] = []
    cold: list[float] = []
    number = completed = 0

    async def caller() -> None:
        nonlocal number, completed
        begin = time.perf_counter()
        while begin < end:
            number += 1
            await call(number)
            now = time.perf_counter()
            (latencies if begin >= warm else cold).append(now - begin)
            completed += warm <= now < end
            begin = now
            reporter.progress(1 - max(0.0, end - now) / (warming + job.seconds))

    await asyncio.gather(*(caller() for _ in range(job.concurrency)))
    # An engine that completes nothing in time is measured over all it took.
    elapsed = time.perf_counter() - warm
    per_s = completed / job.seconds if completed else number / elapsed
    return _Calls(per_s, latencies or cold)


async def _load(
    engine: Engine, session: Session, job: Job, reporter: Reporter
) -> Metrics:
    async def call(number: int) -> None:
        await session.run(job.work, number)

    calls = await _closed_loop(call, job, engine.warm_s, reporter)
    return {
        "runs_per_s": calls.per_s,
        "steps_per_s": calls.per_s * job.steps,
        **calls.metrics(),
    }


async def _signals(
    engine: Engine, session: Session, job: Job, reporter: Reporter
) -> Metrics:
    await _each(session.receiver, job.size, reporter)

    async def call(number: int) -> None:
        await session.signal(number % job.size, number)

    calls = await _closed_loop(call, job, engine.warm_s, reporter)
    return {"signals_per_s": calls.per_s, **calls.metrics()}


async def _sleepers(
    engine: Engine, session: Session, job: Job, reporter: Reporter
) -> Metrics:
    """Start all, then watch them wake, evenly spread over a time after that."""
    base = time.time() + 2 + job.size / engine.starts_per_s

    async def start(number: int) -> None:
        await session.sleeper(number, base + number / WAKES_PER_S)

    before = _settled()
    begin = time.perf_counter()
    await _each(start, job.size, reporter)
    starting = time.perf_counter() - begin
    after = _settled()
    if time.time() > base:
        raise RuntimeError(_overrun(engine, job, starting))
    await probes.reached(probes.lateness, job.size)
    metrics = {
        "starts_per_s": job.size / starting,
        **milliseconds(probes.lateness, "late_"),
        "rss_mb": _mb(memory.peak()),
    }
    if before is not None and after is not None:
        metrics["bytes_per_run"] = (after - before) / job.size
    return metrics


async def _far_sleepers(
    engine: Engine, session: Session, job: Job, reporter: Reporter
) -> Metrics:
    """Start all, most of them due far away, then wait to be killed."""
    base = time.time() + 2 * RESTART + job.size / engine.starts_per_s

    async def start(number: int) -> None:
        order, rest = divmod(number, DUE_SHARE)
        due = base + (FAR + number if rest else order / WAKES_PER_S)
        await session.sleeper(number, due)

    begin = time.perf_counter()
    await _each(start, job.size, reporter)
    starting = time.perf_counter() - begin
    if time.time() > base - RESTART:
        raise RuntimeError(_overrun(engine, job, starting))
    filling = _mb(memory.peak())
    metrics = {
        "starts_per_s": job.size / starting,
        "filling_rss_mb": filling,
        "rss_mb": filling,
    }
    return await _be_killed(metrics, reporter)


async def _sleepers_again(job: Job, opened: float) -> Metrics:
    resting = memory.now()
    await probes.reached(probes.lateness, -(-job.size // DUE_SHARE))
    metrics = {
        "startup_ms": opened * 1000,
        **milliseconds(probes.lateness, "late_"),
        "rss_mb": _mb(memory.peak()),
    }
    if resting is not None:
        metrics["resting_rss_mb"] = _mb(resting)
    return metrics


async def _up_to_the_gate(session: Session, job: Job, reporter: Reporter) -> Metrics:
    begin = time.perf_counter()

    async def start(number: int) -> None:
        await session.gated(number, job.steps)

    await _each(start, job.size, reporter)
    await probes.reached(probes.arrivals, job.size)
    elapsed = time.perf_counter() - begin
    metrics = {"steps_per_s": job.size * job.steps / elapsed}
    if WORKS[job.work].kind == "history":
        metrics |= {"total_s": elapsed, **_cost_of_steps(probes.ticks)}
    return await _be_killed(metrics, reporter)


async def _beyond_the_gate(session: Session, job: Job, begin: float) -> Metrics:
    await session.recovered(job.size)
    elapsed = time.perf_counter() - begin
    return {
        "recovery_s": elapsed,
        "recovered_per_s": job.size / elapsed,
        "steps_repeated": float(len(probes.ticks)),
        "rss_mb": _mb(memory.peak()),
    }


def _cost_of_steps(ticks: list[float]) -> Metrics:
    """Median time of a step near number 100, near the end, and their ratio."""
    width = max(1, min(500, len(ticks) // 4))
    first = min(100, len(ticks) // 4)
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    early = percentile(gaps[first : first + width], 50)
    late = percentile(gaps[-width:], 50)
    return {
        "early_step_ms": early * 1000,
        "late_step_ms": late * 1000,
        "cost_ratio": late / early,
    }


async def _each(
    call: Callable[[int], Awaitable[None]], count: int, reporter: Reporter
) -> None:
    """Call with every number below count, by a bounded number of callers."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await call(number)
            reporter.progress(number / count)

    await asyncio.gather(*(caller() for _ in range(min(STARTERS, count))))


async def _be_killed(metrics: Metrics, reporter: Reporter) -> Metrics:
    reporter.partial(metrics)
    await asyncio.get_running_loop().create_future()
    return metrics


def _overrun(engine: Engine, job: Job, starting: float) -> str:
    return (
        f"{job.size} starts took {starting:.1f} s, longer than was allowed for: "
        f"lower starts_per_s of {engine.name}"
    )


def _settled() -> int | None:
    gc.collect()
    return memory.now()


def _mb(size: int) -> float:
    return size / 1e6
