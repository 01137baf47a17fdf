"""What the steps of a work tell the harness: times of waking, arrivals at a gate.

Module-level state on purpose: author code of every engine runs in the measuring
process and has nothing else in common. A process measures one thing and ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

lateness: Final[list[float]] = []
"""Seconds between each sleeper's due time and the start of the step behind it."""

arrivals: Final[list[float]] = []
"""When each run came to the gate (perf_counter)."""

ticks: Final[list[float]] = []
"""When each step of the long run started (perf_counter)."""

gate_is_open: bool = True
"""Closed in the process that will be killed, open in the one that recovers."""

on_change: Callable[[], None] = lambda: None  # noqa: E731
"""Called whenever a probe was touched, possibly from another thread."""


def woke(due: float) -> int:
    """Note that the sleeper that was due at this wall-clock time goes on."""
    lateness.append(time.time() - due)
    on_change()
    return 1


def tick(number: int) -> int:
    """Note that a step of the long run started."""
    ticks.append(time.perf_counter())
    return number


async def gate() -> int:
    """Note the arrival; return at once if the gate is open, never otherwise."""
    arrivals.append(time.perf_counter())
    on_change()
    if not gate_is_open:
        await asyncio.get_running_loop().create_future()
    return 1


async def reached(values: list[float], count: int) -> None:
    """Wait until a probe holds so many values."""
    global on_change
    loop = asyncio.get_running_loop()
    full = asyncio.Event()

    def look() -> None:
        if len(values) >= count:
            loop.call_soon_threadsafe(full.set)

    on_change = look
    look()
    await full.wait()
