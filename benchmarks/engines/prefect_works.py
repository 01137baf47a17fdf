"""The works as Prefect flows. Import it only where Prefect's settings are in place.

Wrapped by call rather than by decorator syntax, because without Prefect installed its
decorators are untyped to a checker.
"""

from __future__ import annotations

import asyncio

import prefect


async def _step(number: int) -> int:
    return number


step = prefect.task(persist_result=True)(_step)


async def _w1(number: int) -> int:
    return int(await step(number))


async def _w10(number: int) -> int:
    total = 0
    for index in range(10):
        total += await step(index)
    return total


async def _f100(number: int) -> int:
    return sum(await asyncio.gather(*(step(index) for index in range(100))))


CLOSED = {
    "W1": prefect.flow(name="w1", persist_result=True)(_w1),
    "W10": prefect.flow(name="w10", persist_result=True)(_w10),
    "F100": prefect.flow(name="f100", persist_result=True)(_f100),
}
