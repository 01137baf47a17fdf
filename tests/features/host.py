"""The process where a remote site's engine lives: one engine after the other.

The process lasts for many tests, an engine with its loop and its time for one `up`.
Time there moves only when the test's loop, which has nothing left to do, says how far
it may: to the next timer of the two, whoever has it.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Runtime, Worker
from everact.runtime.control.serving import Control
from everact.runtime.door import door
from tests.features.stage import stage


class Opening(NamedTuple):
    """An engine that is wanted: whose code, which file, which workers, what time."""

    module: str
    path: Path
    workers: list[Worker] | None
    now: float


class HostLoop(VirtualLoop):
    """A loop whose time jumps when it is asked to; it tells what came of that."""

    connection: Connection
    free = False

    def __init__(self) -> None:
        super().__init__()
        self._until: float | None = None
        self._moved = False
        self._settling = False

    def settle(self) -> None:
        """Do what is left to do, and tell when there is nothing more."""
        self._settling = True

    def step(self, until: float) -> None:
        """Jump to the next timer, if that is not later than `until`; do what is due."""
        self._until, self._moved = until, False

    def jump_to_next_timer(self) -> bool:
        if self.free:
            return super().jump_to_next_timer()
        if self._settling:
            self._settling = False
            self.connection.send(("settled",))
        if self._until is None:
            return False
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not self._moved and scheduled and scheduled[0].when() <= self._until:
            self._moved = True
            return super().jump_to_next_timer()
        if not self._moved and self._until < math.inf:
            self._virtual_time = max(self._virtual_time, self._until)
        self._until = None
        self.connection.send(("stepped", self.time(), self._moved))
        return False


def main(connection: Connection) -> None:
    """Serve engines until the other side hangs up."""
    # The time of those who wait is not the engine's.
    door._within = _for_as_long_as_it_takes  # type: ignore[assignment]
    sending = threading.Lock()

    def relay(what: Any) -> None:
        with sending:
            connection.send(("noted", what))

    stage.relay = relay
    HostLoop.connection = connection
    while True:
        try:
            opening = connection.recv()
        except EOFError:
            return
        with asyncio.Runner(loop_factory=HostLoop) as runner:
            runner.run(_live(connection, opening))


async def _for_as_long_as_it_takes(_: float, answer: Any) -> Any:
    return await answer


async def _live(connection: Connection, opening: Opening) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HostLoop)
    clock = VirtualClock(loop, epoch=opening.now)
    closing = asyncio.Event()

    def hear() -> None:
        what, *given = connection.recv()
        match what:
            case "settle":
                loop.settle()
            case "step":
                loop.step(*given)
            case "jump":
                clock.jump(*given)
            case "close":
                loop.free = True
                closing.set()

    module = importlib.import_module(opening.module)
    async with (
        Runtime(
            opening.path,
            workers=opening.workers,
            registry=module.REGISTRY,
            clock=clock,
            **getattr(module, "ENGINE", {}),
        ) as runtime,
        Control(runtime, "127.0.0.1:0") as control,
    ):
        connection.send(("opened", control.address))
        loop.add_reader(connection.fileno(), hear)
        await closing.wait()
    loop.remove_reader(connection.fileno())
    connection.send(("closed", loop.time()))
