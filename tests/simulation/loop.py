"""What stands in a simulation for the parts of the engine that know real time."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from everact.actors import VirtualClock

T = TypeVar("T")


class SimulatedClock(VirtualClock):
    """A clock that runs on while commits are under way: they take virtual time."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


class SimulatedThreads:
    """Threads of tasks whose functions block: run on the loop, a few turns later."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def run(self, function: Callable[[], Any], done: Callable[..., None]) -> None:
        self._loop.call_soon(self._loop.call_soon, self._run, function, done)

    def _run(self, function: Callable[[], Any], done: Callable[..., None]) -> None:
        try:
            value = function()
        except BaseException as error:
            done(None, error)
        else:
            done(value, None)

    def close(self) -> None: ...


class SimulatedWatchdog:
    """Watches real time, of which a simulation knows nothing: sees no overrun."""

    serial = 0
    limit = 0.0
    run: object = None
    armed = False
    place = ""

    def __init__(self, *_: object) -> None: ...

    def enter(self, run: object, limit: float) -> None: ...

    def within(self, run: object, limit: float, look: Callable[[], T]) -> T:
        return look()

    def leave(self) -> bool:
        return False

    def stop(self) -> None: ...
