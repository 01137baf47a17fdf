"""The works as DBOS workflows. Importing it registers them, before any launch.

Wrapped by call rather than by decorator syntax, because without DBOS installed its
decorators are untyped to a checker.
"""

from __future__ import annotations

import asyncio
import time

from dbos import DBOS

from benchmarks import probes

TOPIC = "signal"


async def _step(number: int) -> int:
    return number


async def _tick(number: int) -> int:
    return probes.tick(number)


async def _woke(due: float) -> int:
    return probes.woke(due)


async def _gate() -> int:
    return await probes.gate()


step = DBOS.step(name="step")(_step)
tick = DBOS.step(name="tick")(_tick)
woke = DBOS.step(name="woke")(_woke)
gate = DBOS.step(name="gate")(_gate)


async def _w1(number: int) -> int:
    return int(await step(number))


async def _w10(number: int) -> int:
    total = 0
    for index in range(10):
        total += await step(index)
    return total


async def _f100(number: int) -> int:
    return sum(await asyncio.gather(*(step(index) for index in range(100))))


w1 = DBOS.workflow(name="w1")(_w1)
w10 = DBOS.workflow(name="w10")(_w10)
f100 = DBOS.workflow(name="f100")(_f100)


async def _c100(number: int) -> int:
    handles = [await DBOS.start_workflow_async(w1, index) for index in range(100)]
    return sum(await asyncio.gather(*(handle.get_result() for handle in handles)))


async def _sleeper(due: float) -> int:
    # The time is read without a step: the sleep itself records when it ends.
    await DBOS.sleep_async(max(0.0, due - time.time()))
    return int(await woke(due))


async def _gated(steps: int) -> int:
    total = 0
    for index in range(steps):
        total += await tick(index)
    await gate()
    return total + int(await step(1))


async def _receiver() -> int:
    total = 0
    while True:
        total += await DBOS.recv_async(TOPIC, timeout_seconds=3_600) or 0


c100 = DBOS.workflow(name="c100")(_c100)
sleeper = DBOS.workflow(name="sleeper")(_sleeper)
gated = DBOS.workflow(name="gated")(_gated)
receiver = DBOS.workflow(name="receiver")(_receiver)

CLOSED = {"W1": w1, "W10": w10, "F100": f100, "C100": c100}
