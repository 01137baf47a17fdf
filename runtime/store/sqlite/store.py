"""The store on one SQLite file: what it consists of.

`database` opens the file and is its connections, `writing` commits, `questions` is what
is read on one connection, and `reading` reads off the loop.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from everact.runtime.core.requests import KEPT
from everact.runtime.errors import StoreError
from everact.runtime.store.base import Opened, Outcome, RunRow, Stored, Write
from everact.runtime.store.scratch import MappedFile, Scratch, Volatile
from everact.runtime.store.sqlite.database import Database
from everact.runtime.store.sqlite.reading import SqliteReads
from everact.runtime.store.sqlite.telling import told
from everact.runtime.store.sqlite.writing import CROWD, Writer

_OF_RUNS = (
    "delete_journal",
    "delete_checkpoint",
    "delete_blobs",
    "delete_attributes",
    "delete_run",
)


class SqliteStore:
    """The store on one SQLite file, or in memory for ``":memory:"``.

    `wait` is how many seconds to wait for another process to let go of the file. A
    batch of `crowd` writes starts the process that commits from then on.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wait: float = 0.0,
        crowd: int = CROWD,
    ) -> None:
        self.database = Database(path, wait)
        self.writer = Writer(self.database, crowd)
        self.reads = SqliteReads(self.database)
        self._questions = self.database.questions

    @property
    def path(self) -> str:
        """The file; absolute once it is open."""
        return self.database.path

    def open(self) -> Opened:
        opened = self.database.open()
        self.writer.begin()
        return opened

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        self.database.watch(lost)

    def key(self) -> bytes:
        return self.database.key

    def scratch(self) -> Scratch:
        if self.database.in_memory:
            return Volatile()
        return MappedFile(self.path + ".stage")

    def close(self, *, clean: bool) -> None:
        begun = self.writer.begun
        self.writer.end()
        self.reads.close()
        if begun:
            try:
                self.database.finish(clean)
            finally:
                self.database.disconnect()

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        self.writer.commit(writes, done)

    async def retire(self, closed_before: float | None, now: float, limit: int) -> int:
        try:
            return await self.reads.run(self._retire, closed_before, now, limit)
        except sqlite3.Error as error:
            raise told(self.path, error) from error

    def _retire(self, closed_before: float | None, now: float, limit: int) -> int:
        database, sql = self.database, self.database.sql
        before = -1e18 if closed_before is None else closed_before
        with database.guard:
            connection = database.writing
            if database.lost is not None:
                return 0
            given = {"before": before, "limit": limit}
            keys = connection.execute(sql["retired"], given).fetchall()
            with connection:
                connection.execute("begin immediate")
                database.fence()
                for name in _OF_RUNS:
                    connection.executemany(sql[name], keys)
                old = (now - KEPT, limit)
                requests = connection.execute(sql["delete_requests"], old).rowcount
                old = (before, limit)
                events = connection.execute(sql["delete_events"], old).rowcount
            return max(len(keys), events, requests)

    # -- asked in the middle of a transition -------------------------------------------

    def load(self, key: int) -> Stored | None:
        return self._questions.load(key)

    def recover(self, keys: Sequence[int], *, closed: bool = False) -> list[Stored]:
        return self._questions.recover(keys, closed=closed)

    def ending(self, key: int) -> Stored | None:
        return self._questions.ending(key)

    def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        return self._questions.find(workspace, workflow_id, run_id, first)

    def select(self, what: str, *args: Any) -> list[Any]:
        return self._questions.select(what, *args)

    def rows(self, what: str, *args: Any) -> list[Any]:
        return self._questions.rows(what, *args)
