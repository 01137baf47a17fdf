"""Virtual time that never waits, counts its turns, and can be dropped half-way."""

import asyncio
from collections.abc import Callable
from typing import Any

from everact.actors import VirtualClock, VirtualLoop


class SimulatedLoop(VirtualLoop):
    """The loop of one life of the engine.

    It stops when nothing is left that could ever happen (`starved`), and after
    `limit` turns (`endless`).
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.turns = 0
        self.limit = limit
        self.starved = False
        self.endless = False
        self.on_turn: Callable[[int], None] | None = None

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > self.limit:
            self.endless = True
            self.stop()
        elif self.on_turn is not None:
            self.on_turn(self.turns)
        super()._run_once()  # type: ignore[misc]

    def jump_to_next_timer(self) -> bool:
        if not super().jump_to_next_timer():
            self.starved = True
            self.stop()
        return True

    def abandon(self) -> None:
        """What the end of the process does: drop every task, whatever it was at."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            try:
                task.get_coro().close()
            except BaseException:
                continue
        self.close()


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

    def enter(self, run: object, limit: float) -> None: ...

    def leave(self) -> bool:
        return False

    def stop(self) -> None: ...
