"""What author code did, seen by the test: noted from any thread, awaited by name.

Tests wait for a note instead of for time. The stage is emptied before each test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Stage:
    """Notes in order, and those who wait for one."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.relay: Callable[[Any], None] | None = None
        """Where notes go as well, in a process that has no test."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None

    def open(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Empty the stage; those who wait do so on `loop`."""
        self.notes = []
        self._loop = loop
        self._changed = None if loop is None else asyncio.Event()

    def note(self, what: Any) -> None:
        """Note something; from any thread, also from workflow code."""
        self.notes.append(what)
        if self.relay is not None:
            self.relay(what)
        if self._loop is not None and not self._loop.is_closed():
            assert self._changed is not None
            self._loop.call_soon_threadsafe(self._changed.set)

    async def noted(self, what: Any, times: int = 1) -> None:
        """Wait until `what` was noted that often."""
        assert self._changed is not None
        while self.notes.count(what) < times:
            self._changed.clear()
            await self._changed.wait()


stage = Stage()
note = stage.note
noted = stage.noted
