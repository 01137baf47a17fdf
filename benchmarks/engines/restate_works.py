"""The works as Restate handlers.

Wrapped by call rather than by decorator syntax, because without the SDK installed its
decorators are untyped to a checker.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import restate

from benchmarks import probes

service = restate.Service("bench")
gated = restate.Workflow("gated")


async def _step(number: int) -> int:
    return number


async def _tick(number: int) -> int:
    return probes.tick(number)


async def _woke(due: float) -> int:
    return probes.woke(due)


async def _w1(context: Any, number: int) -> int:
    return int(await context.run_typed("step", _step, number=number))


async def _w10(context: Any, number: int) -> int:
    total = 0
    for index in range(10):
        total += await context.run_typed("step", _step, number=index)
    return total


async def _f100(context: Any, number: int) -> int:
    steps = [context.run_typed("step", _step, number=index) for index in range(100)]
    return sum([await done for done in await restate.gather(*steps)])


w1 = service.handler("W1")(_w1)
w10 = service.handler("W10")(_w10)
f100 = service.handler("F100")(_f100)


async def _c100(context: Any, number: int) -> int:
    children = [context.service_call(w1, arg=index) for index in range(100)]
    return sum([await done for done in await restate.gather(*children)])


async def _sleeper(context: Any, due: float) -> int:
    now = await context.time()
    await context.sleep(timedelta(seconds=max(0.0, due - now)))
    return int(await context.run_typed("woke", _woke, due=due))


async def _run_gated(context: Any, steps: int) -> int:
    total = 0
    for index in range(steps):
        total += await context.run_typed("tick", _tick, number=index)
    await context.run_typed("gate", probes.gate)
    return total + int(await context.run_typed("step", _step, number=1))


c100 = service.handler("C100")(_c100)
sleeper = service.handler("sleeper")(_sleeper)
run_gated = gated.main()(_run_gated)

SERVICES = (service, gated)
