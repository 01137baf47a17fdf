"""What the steps of a work tell the harness: times of waking, arrivals at a gate.

Module-level state on purpose: author code of every engine has nothing else in common
with the harness, and a process measures one thing and ends. Where an engine runs author
code in processes of its own, those relay their notes to the measuring process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

lateness: Final[list[float]] = []
"""Seconds between each sleeper's due time and the start of the step behind it."""

arrivals: Final[list[float]] = []
"""When each run came to the gate (perf_counter)."""

ticks: Final[list[float]] = []
"""When each step of the long run started (perf_counter)."""

gate_is_open: bool = True
"""Closed in the process that will be killed, open in the one that recovers."""

on_change: Callable[[], None] = lambda: None
"""Called whenever a probe was touched, possibly from another thread."""

RELAY: Final = "EVERACT_BENCH_PROBES"
"""Names the socket of the measuring process, in processes that relay to it."""

GATE: Final = "EVERACT_BENCH_GATE"
"""`closed` in processes that relay, while the gate is."""

_NOTE: Final = struct.Struct("!Bd")
_LISTS: Final = (lateness, arrivals, ticks)
_relay: socket.socket | None = None


def woke(due: float) -> int:
    """Note that the sleeper that was due at this wall-clock time goes on."""
    _note(0, time.time() - due)
    return 1


def tick(number: int) -> int:
    """Note that a step of the long run started."""
    _note(2, time.perf_counter())
    return number


async def gate() -> int:
    """Note the arrival; return at once if the gate is open, never otherwise."""
    _note(1, time.perf_counter())
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


def listen(path: Path) -> dict[str, str]:
    """Take notes from processes that get the returned environment variables."""
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    receiver.setblocking(False)

    def take() -> None:
        try:
            while True:
                kind, value = _NOTE.unpack(receiver.recv(_NOTE.size))
                _LISTS[kind].append(value)
        except BlockingIOError:
            on_change()

    asyncio.get_running_loop().add_reader(receiver, take)
    return {RELAY: str(path), GATE: "open" if gate_is_open else "closed"}


def relay() -> None:
    """Send all notes of this process to the one that listens."""
    global _relay, gate_is_open
    _relay = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    _relay.connect(os.environ[RELAY])
    gate_is_open = os.environ[GATE] == "open"


def _note(kind: int, value: float) -> None:
    if _relay is not None:
        _relay.send(_NOTE.pack(kind, value))
        return
    _LISTS[kind].append(value)
    on_change()
