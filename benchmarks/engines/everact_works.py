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


patients: int = 0
"""Runs of `patient` that came to their wait in this process."""


@task
async def waits() -> int:
    global patients
    patients += 1
    return 0


@workflow
async def patient(steps: int) -> int:
    total: int = 0
    for index in range(steps):
        total += await step(index)
    await waits()
    total += await receive("go")
    return total


@workflow
async def gathered(tasks: int) -> int:
    return sum(await asyncio.gather(*(step(index) for index in range(tasks))))


@task
async def give(value: bytes) -> bytes:
    return value


@workflow
async def echoed(value: bytes) -> bytes:
    return await give(value)


@workflow
async def reader() -> int:
    total: int = 0
    for _ in range(await receive("go")):
        total += await receive("value")
    return total


CLOSED: Final[dict[str, Any]] = {
    "W1": w1,
    "W1id": w1,
    "W10": w10,
    "F100": f100,
    "C100": c100,
    "http": w1,
}
