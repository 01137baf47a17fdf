"""What a process was doing when it died: one byte in a file that outlives it.

The byte is in a shared mapping, so the kernel keeps the last value that the process
wrote, however it ended.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from everact.runtime.store.base import Write
from everact.runtime.store.sqlite.store import SqliteStore


class Phase(IntEnum):
    """Where a life stands. `STARTING` is before the database is touched."""

    STARTING = 0
    RECOVERY = 1
    COMMIT = 2
    IDLE = 3


class Marks:
    """The byte, for the process that sets it and for the one that looks."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._in_flight = 0
        self._recovering = False

    @property
    def phase(self) -> Phase:
        return Phase(self._page[0])

    def forget(self) -> None:
        """Nobody lives: the next one has not begun."""
        self._page[0] = Phase.STARTING

    def recover(self) -> None:
        """The database is being opened."""
        self._recovering = True
        self._mark()

    def recovered(self) -> None:
        """All that was open goes on."""
        self._recovering = False
        self._mark()

    def commit(self, change: int) -> None:
        """One more, or one less, commit is on its way to the disk."""
        self._in_flight += change
        self._mark()

    def _mark(self) -> None:
        if self._recovering:
            self._page[0] = Phase.RECOVERY
        else:
            self._page[0] = Phase.COMMIT if self._in_flight else Phase.IDLE


class MarkedStore(SqliteStore):
    """A store that marks when commits are under way."""

    def __init__(self, path: Path, marks: Marks, *, crowd: int) -> None:
        super().__init__(path, crowd=crowd)
        self._marks = marks

    def commit(self, writes: Sequence[Write], done: Callable[..., object]) -> None:
        def marked(outcome: Any) -> None:
            self._marks.commit(-1)
            done(outcome)

        self._marks.commit(+1)
        super().commit(writes, marked)
