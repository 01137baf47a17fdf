"""The works as everact workflows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks import probes
from everact.runtime import execute_child, now, receive, task, workflow


@task
async def step(number: int) -> int:
    return number


@task
async def tick(number: int) -> int:
    return probes.tick(number)


@task
async def woke(due: float) -> int:
    return probes.woke(due)


@task
async def gate() -> int:
    return await probes.gate()


@workflow
async def w1(number: int) -> int:
    return await step(number)


@workflow
async def w10(number: int) -> int:
    total = 0
    for index in range(10):
        total += await step(index)
    return total


@workflow
async def f100(number: int) -> int:
    return sum(await asyncio.gather(*(step(index) for index in range(100))))


@workflow
async def c100(number: int) -> int:
    children = (execute_child(w1, index) for index in range(100))
    return sum(await asyncio.gather(*children))


@workflow
async def sleeper(due: float) -> int:
    left = datetime.fromtimestamp(due, UTC) - now()
    await asyncio.sleep(max(0.0, left.total_seconds()))
    return await woke(due)


@workflow
async def gated(steps: int) -> int:
    total = 0
    for index in range(steps):
        total += await tick(index)
    await gate()
    return total + await step(1)


@workflow
async def receiver() -> int:
    total = 0
    while True:
        total += await receive("value")


CLOSED: Final[dict[str, Any]] = {
    "W1": w1,
    "W1id": w1,
    "W10": w10,
    "F100": f100,
    "C100": c100,
    "http": w1,
}
