"""Time that skips: the running loop, made one that does not wait.

A test framework makes its loop before any fixture runs, so the loop that is there is
changed in place. Afterwards it runs in real time again, ahead of the machine's clock
by what was skipped: its time never goes back, and timers keep their distance.

What is really under way holds time back: threads, executors, commits. So does an
attempt of an async task that waits for a socket or a pipe, which is told from one that
sleeps by what it awaits.
"""

import asyncio
import math
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from everact.actors import VirtualLoop
from everact.actors.clock import Selected
from everact.runtime.engine.controlled import ControlledLoop
from everact.runtime.errors import RuntimeStateError

Attempts = Callable[[], Iterator["asyncio.Task[Any]"]]
"""The attempts of async tasks that are under way."""

_OWN = 1
"""Files that every loop waits for: the one by which threads wake it."""


class SkippingLoop(ControlledLoop):
    """A controlled loop that skips time while somebody wants it to; see `begin`."""

    _ahead: float
    _real: bool
    _wanted: list[Attempts]

    @classmethod
    def begin(cls, attempts: Attempts) -> "SkippingLoop":
        """The running loop, whose time skips from now on, until `end` is called.

        RuntimeStateError if it is not a loop of asyncio's own.
        """
        loop: Any = asyncio.get_running_loop()
        kind = type(loop)
        if kind in (asyncio.SelectorEventLoop, VirtualLoop):
            now = loop.time()
            loop.__class__ = cls
            loop._selector.__class__ = _SkippingSelector
            loop._selector.loop = loop
            loop._real = kind is not VirtualLoop
            loop._ahead, loop._wanted = 0.0, []
            if loop._real:
                loop._holds, loop._holds_lock = 0, threading.Lock()
            loop._virtual_time = now
            loop.horizon, loop.advancing = math.inf, asyncio.Lock()
            loop._reached = None
        elif not isinstance(loop, cls):
            raise RuntimeStateError(
                f"time cannot be skipped on a {kind.__module__}.{kind.__qualname__}: "
                "run the test on a loop of asyncio's own, as asyncio.run makes it"
            )
        if not loop.skipping:
            loop._virtual_time = loop.time()
        loop._wanted.append(attempts)
        skipping: SkippingLoop = loop
        return skipping

    def end(self, attempts: Attempts) -> None:
        """Undo one `begin`; after the last one time is real again."""
        now = self.time()
        self._wanted.remove(attempts)
        if not self.skipping:
            self._ahead = now - time.monotonic()
            self.unlock()

    @property
    def skipping(self) -> bool:
        """Whether time is virtual now."""
        return bool(self._wanted) or not self._real

    def time(self) -> float:
        if self.skipping:
            return self._virtual_time
        return time.monotonic() + self._ahead

    @property
    def is_held(self) -> bool:
        return super().is_held or self._waits_for_files()

    def _waits_for_files(self) -> bool:
        """Whether an attempt awaits what a file brings, as far as can be seen.

        It can if the loop waits for files at all, and it awaits nothing that a timer
        brings: a socket that lies idle does not keep another task's sleep from ending.
        """
        selector = self._selector  # type: ignore[attr-defined]
        if len(selector.get_map()) <= _OWN:
            return False
        attempts = [task for wanted in self._wanted for task in wanted()]
        if not attempts:
            return False
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        timed = {id(a) for timer in scheduled for a in timer._args or ()}
        return any(id(_awaited_by(task)) not in timed for task in attempts)


class _SkippingSelector(selectors.DefaultSelector):
    """Lets time jump or waits, as the loop has it at the moment."""

    loop: SkippingLoop

    def select(self, timeout: float | None = None) -> Selected:
        if not self.loop.skipping:
            return super().select(timeout)
        return self.loop.select_virtually(super().select, timeout)


def _awaited_by(task: "asyncio.Task[Any]") -> Any:
    """What a task waits for in the end, through the tasks that it waits for."""
    found: Any = task
    while isinstance(found, asyncio.Task):
        found = found._fut_waiter  # type: ignore[attr-defined]
    return found
