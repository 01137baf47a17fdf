"""The work M: messages between actors, actors spawned, bytes per idle actor."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, Final

from benchmarks import memory
from benchmarks.engines.base import Actors
from benchmarks.protocol import Metrics

BURST: Final = 1_000
"""Messages that the sending actor sends per message of its own."""


async def measure_messages(actors: Actors, size: int) -> Metrics:
    """`size` asks and idle actors, ten times as many tells."""
    tells = await _tells_per_s(actors, size * 10)
    asks = await _asks_per_s(actors, size)
    return {"tell_per_s": tells, "ask_per_s": asks, **await _idle(actors, size)}


async def _tells_per_s(actors: Actors, count: int) -> float:
    """One actor tells another in bursts; timed until the last was handled."""
    bursts = max(1, count // BURST)
    expected = bursts * BURST
    received = 0
    done = asyncio.get_running_loop().create_future()

    def take(message: Any) -> None:
        nonlocal received
        received += 1
        if received == expected:
            done.set_result(None)

    receiver = actors.spawn(take)

    def send(left: int) -> None:
        for number in range(BURST):
            receiver.tell(number)
        if left > 1:
            sender.tell(left - 1)

    sender = actors.spawn(send)
    begin = time.perf_counter()
    sender.tell(bursts)
    await done
    return expected / (time.perf_counter() - begin)


async def _asks_per_s(actors: Actors, count: int) -> float:
    """A coroutine asks an actor, one question after the other."""
    echo = actors.spawn(lambda message: message)
    begin = time.perf_counter()
    for number in range(count):
        await echo.ask(number)
    return count / (time.perf_counter() - begin)


async def _idle(actors: Actors, count: int) -> Metrics:
    gc.collect()
    before = memory.now()
    begin = time.perf_counter()
    refs = [actors.spawn(_ignore) for _ in range(count)]
    await refs[-1].ask(0)
    elapsed = time.perf_counter() - begin
    gc.collect()
    after = memory.now()
    metrics = {"spawn_per_s": count / elapsed}
    if before is not None and after is not None:
        metrics["bytes_per_actor"] = (after - before) / count
    return metrics


def _ignore(message: Any) -> None:
    return None
