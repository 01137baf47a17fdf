"""The awaited reads: small ones at once, all others on threads of their own.

What is one look along an index is answered on the loop's thread, because going to
another would cost more. Lists, counts, histories and large journals are read on
threads, each with a connection of its own, so that the loop turns meanwhile.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from everact.runtime.errors import StoreError
from everact.runtime.store.base import (
    Groups,
    Hits,
    JournalRow,
    RunRow,
    Search,
    Stored,
)
from everact.runtime.store.sqlite.database import Database
from everact.runtime.store.sqlite.questions import Large, Questions

T = TypeVar("T")

THREADS = 2
"""So that a history need not wait for a count of all runs."""

AT_ONCE = frozenset(
    {"declared_attributes", "event", "last_event", "next_due", "next_schedule"}
    | {"request", "schedule", "version_sets"}
)
"""Named queries that look up one thing, or few."""


class SqliteReads:
    """`Reads` of one database, from its opening until `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mine = threading.local()
        self._made: list[sqlite3.Connection] = []
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    async def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        return self._database.questions.find(workspace, workflow_id, run_id, first)

    async def load(self, key: int, make: Callable[[Stored], T]) -> T | None:
        try:
            found = self._database.questions.load(key, small=True)
        except Large:

            def made(questions: Questions) -> T | None:
                stored = questions.load(key)
                return None if stored is None else make(stored)

            return await self._elsewhere(made)
        return None if found is None else make(found)

    async def recover(
        self,
        keys: Sequence[int],
        make: Callable[[Stored], T],
        *,
        closed: bool = False,
    ) -> list[T]:
        try:
            ask = self._database.questions.recover
            found = ask(keys, closed=closed, small=True)
        except Large:

            def made(questions: Questions) -> list[T]:
                return [make(one) for one in questions.recover(keys, closed=closed)]

            return await self._elsewhere(made)
        return [make(one) for one in found]

    async def ending(self, key: int) -> Stored | None:
        return self._database.questions.ending(key)

    async def rows(self, what: str, *args: Any) -> list[Any]:
        if what in AT_ONCE:
            return self._database.questions.rows(what, *args)
        return await self._elsewhere(Questions.rows, what, *args)

    async def history(
        self, key: int, after: tuple[int, int], limit: int
    ) -> list[JournalRow]:
        return await self._elsewhere(Questions.history, key, after, limit)

    async def runs(self, keys: Sequence[int]) -> list[RunRow]:
        return await self._elsewhere(Questions.runs, keys)

    async def search(self, wanted: Search) -> Hits:
        return await self._elsewhere(Questions.search, wanted)

    async def count(self, wanted: Search) -> Groups:
        return await self._elsewhere(Questions.count, wanted)

    def run(self, work: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Have work done on one of the threads."""
        if self._closed:
            raise self._is_closed()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "everact-reader")
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, self._unless_closed, work, *args)

    def _unless_closed(self, work: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise self._is_closed()
        return work(*args)

    def _is_closed(self) -> StoreError:
        return StoreError(f"{self._database.path} is closed")

    def close(self) -> None:
        """Break off what is being read, and close the connections."""
        self._closed = True  # what stands in line is not begun
        for connection in self._made:
            connection.interrupt()
        if self._threads is not None:
            self._threads.shutdown()
        for connection in self._made:
            connection.close()

    async def _elsewhere(self, ask: Callable[..., T], *args: Any) -> T:
        return await self.run(lambda: ask(self._questions(), *args))

    def _questions(self) -> Questions:
        """Those of this thread."""
        database = self._database
        if database.in_memory:
            return database.questions
        found: Questions | None = getattr(self._mine, "questions", None)
        if found is None:
            found = Questions(database.path, database.sql, None)
            found.connection = database.connect()
            self._made.append(found.connection)
            self._mine.questions = found
        return found
