"""One life of an engine in a crash test: a loop of its own, killed in the middle."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from everact.actors import VirtualLoop
from everact.runtime.embedded import Runtime
from everact.runtime.engine.engine import Engine


class LifeLoop(VirtualLoop):
    """The loop of one life of the engine.

    It stops when nothing is left that could ever happen, and after `limit` turns
    (`endless`).
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.turns = 0
        self.limit = limit
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
            self.stop()
        return True

    def abandon(self) -> None:
        """What the end of the process does: drop every task, whatever it was at.

        Blocks that clean up cannot be kept from running; what they await is not done,
        and the tasks that they make are dropped as well.
        """
        dropped: set[asyncio.Task[Any]] = set()
        while tasks := asyncio.all_tasks(self) - dropped:
            dropped |= tasks
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                with suppress(BaseException):
                    coroutine.close()
        self.close()


class LifeRuntime(Runtime):
    """A runtime whose engine is known from its first moment on, while it opens."""

    life: Engine | None = None
    _forgets = False

    def _make_engine(self) -> Engine:
        self.life = super()._make_engine()
        return self.life

    def die(self) -> None:
        """Let go of what is outside the loop, as the end of the process does."""
        engine = self.life
        if engine is None:
            return
        if self._leave is not None:
            self._leave()
        for run in engine.runs.values():
            run.code.drop()
        while engine._undo:  # if it died while it closed, that may be done
            engine._undo.pop()()
        for part, end in (("watchdog", "stop"), ("threads", "close")):
            if hasattr(engine, part):  # it may have died while it was opened
                getattr(getattr(engine, part), end)()
