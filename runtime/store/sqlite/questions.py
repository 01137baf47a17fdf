"""What is read of the database, on one connection: each answer at once."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import msgspec

from everact.runtime.errors import InvalidFilter, StoreDamaged, StoreError
from everact.runtime.store.base import (
    CheckpointRow,
    Groups,
    Hit,
    Hits,
    JournalRow,
    RunRow,
    Search,
    Stored,
)
from everact.runtime.store.sqlite import filters
from everact.runtime.store.sqlite.telling import POISONED, told

Rows: TypeAlias = list[Any]
Take: TypeAlias = Callable[[sqlite3.Cursor], Rows]

FEW_ROWS, FEW_BYTES = 256, 1 << 18
"""A journal that is no longer and no larger is a small one."""


RECOVERED_BYTES = 1 << 20
"""Bytes of journals after which no further one is read in the same go."""


_tuple = tuple.__new__


class Large(Exception):
    """What is asked for is more than what is read at once."""


def _all(cursor: sqlite3.Cursor) -> Rows:
    return cursor.fetchall()


def _few(cursor: sqlite3.Cursor) -> Rows:
    """The rows of a journal if they are few, and few bytes; Large."""
    found: Rows = []
    size = 0
    while rows := cursor.fetchmany(16):
        found += rows
        size += sum(len(body) for *_, body in rows)
        if len(found) > FEW_ROWS or size > FEW_BYTES:
            raise Large
    return found


def _whole(cursor: sqlite3.Cursor) -> Rows:
    """The rows of whole journals until they are enough; last the key that was left."""
    found: Rows = []
    size = 0
    for row in cursor:
        if size > RECOVERED_BYTES and row[0] != found[-1][0]:
            found.append(row[:1])
            break
        found.append(row)
        size += len(row[4])
    return found


class Questions:
    """Reads on one connection; of one thread at a time.

    A database in memory has one connection: `alone` is the lock that keeps its users
    apart.
    """

    def __init__(self, path: str, sql: Mapping[str, str], alone: Any) -> None:
        self.connection: sqlite3.Connection
        self.path = path
        self.closed = False
        self._sql = sql
        self._alone = alone

    def load(self, key: int, *, small: bool = False) -> Stored | None:
        """See `Lookups.load`; Large, if it has to be `small` and is not."""
        found = self.rows("run_by_key", key)
        if not found:
            return None
        run = run_of(found[0])
        try:
            saved = self.rows("checkpoint", key)
            checkpoint = CheckpointRow(*saved[0]) if saved else None
            if checkpoint is not None and checkpoint.generation != run.generation:
                checkpoint = None
            after = checkpoint.seq - 1 if checkpoint else -1
            journal = self._journal(key, run.generation, after, small=small)
        except StoreDamaged as error:
            return Stored(run, None, [], error)
        return Stored(run, checkpoint, journal)

    def recover(
        self, keys: Sequence[int], *, closed: bool = False, small: bool = False
    ) -> list[Stored]:
        """See `Lookups.recover`; Large, if it has to be `small` and is not."""
        runs = [run for run in self.runs(keys) if closed or not run.status]
        if not runs:
            return []
        wanted = msgspec.json.encode([run.key for run in runs]).decode()
        try:
            saved = self.rows("checkpoints", wanted)
            sql, take = self._sql["journals"], _few if small else _whole
            journal = self._asked(sql, (wanted,), take)
        except StoreDamaged as error:
            if len(runs) == 1:
                return [Stored(runs[0], None, [], error)]
            alone = (self.recover([run.key], closed=closed) for run in runs)
            return [stored for found in alone for stored in found]
        return _stored(runs, saved, journal)

    def ending(self, key: int) -> Stored | None:
        """See `Lookups.ending`."""
        found = self.rows("run_by_key", key)
        if not found:
            return None
        run = run_of(found[0])
        try:
            last = self.rows("last_row", key, run.generation)
        except StoreDamaged as error:
            return Stored(run, None, [], error)
        return Stored(run, None, [JournalRow(*row) for row in last])

    def _journal(
        self, key: int, generation: int, after: int, *, small: bool
    ) -> list[JournalRow]:
        sql, given = self._sql["rows_after"], (key, generation, after)
        found = self._asked(sql, given, _few if small else _all)
        return [JournalRow(*row) for row in found]

    def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        """See `Lookups.find`."""
        if run_id:
            found = self.rows("run_by_run_id", workspace, workflow_id, run_id)
        elif first:
            found = self.rows("latest_of_chain", workspace, workflow_id, first)
        else:
            found = self.rows("latest_run", workspace, workflow_id)
        return run_of(found[0]) if found else None

    def select(self, what: str, *args: Any) -> list[Any]:
        """The first column of a named query."""
        return [row[0] for row in self.rows(what, *args)]

    def rows(self, what: str, *args: Any) -> Rows:
        """The rows of a named query."""
        return self._asked(self._sql[what], args)

    def history(self, key: int, after: tuple[int, int], limit: int) -> list[JournalRow]:
        """See `Reads.history`."""
        return [JournalRow(*row) for row in self.rows("history", key, *after, limit)]

    def runs(self, keys: Sequence[int]) -> list[RunRow]:
        """See `Reads.runs`."""
        wanted = msgspec.json.encode(keys).decode()
        return [run_of(row) for row in self.rows("runs_by_keys", wanted)]

    def search(self, wanted: Search) -> Hits:
        """See `Reads.search`."""
        with self._one_moment():
            return self._search(wanted)

    def _search(self, wanted: Search) -> Hits:
        found: Rows = []
        for query in filters.page(wanted, self.number):
            left = wanted.limit - len(found)
            if left:
                found += self._asked(query.sql, {**query.given, "limit": left})
        runs = {run.key: run for run in self.runs([key for key, *_ in found])}
        return [Hit(runs[key], tuple(place)) for key, *place in found]

    def count(self, wanted: Search) -> Groups:
        """See `Reads.count`."""
        query = filters.count(wanted, self.number)
        found = self._asked(query.sql, query.given)
        if len(found) > filters.GROUPS:
            at = wanted.filter.group.at if wanted.filter.group else 0
            raise InvalidFilter(f"there are more than {filters.GROUPS:,} groups", at)
        return found

    def number(self, query: filters.Query) -> int:
        """The answer to a query of one number."""
        return int(self._asked(query.sql, query.given)[0][0])

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """All that is read within is as it was at one moment."""
        with self._alone or nullcontext():
            if self._alone is not None:  # who writes waits
                yield
                return
            self.connection.execute("begin")
            try:
                yield
            finally:
                self.connection.execute("rollback")

    def _asked(self, sql: str, given: Any, take: Take = _all) -> Rows:
        """What SQLite says of the file is told as a StoreError."""
        try:
            if self._alone is None:
                return take(self.connection.execute(sql, given))
            with self._alone:
                return take(self.connection.execute(sql, given))
        except sqlite3.Error as error:
            if self.closed:
                raise StoreError(f"{self.path} is closed") from error
            if isinstance(error, POISONED):
                raise
            raise told(self.path, error) from error


def run_of(found: Sequence[Any]) -> RunRow:
    """A run's row as it is stored."""
    return RunRow(**dict(zip(RunRow.__struct_fields__, found, strict=True)))


def _stored(runs: list[RunRow], saved: Rows, journal: Rows) -> list[Stored]:
    """Runs as they are brought back, but for those that were left."""
    left = journal.pop()[0] if journal and len(journal[-1]) == 1 else None
    checkpoints = {row[0]: CheckpointRow(*row) for row in saved}
    rows: dict[int, list[JournalRow]] = {run.key: [] for run in runs}
    for row in journal:
        rows[row[0]].append(_tuple(JournalRow, row))
    found = []
    for run in runs:
        if run.key == left:
            break
        checkpoint = checkpoints.get(run.key)
        if checkpoint is not None and checkpoint.generation != run.generation:
            checkpoint = None
        found.append(Stored(run, checkpoint, rows[run.key]))
    return found
