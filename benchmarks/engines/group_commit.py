"""Durable rows on one SQLite file from asyncio, as fast as one writer thread can.

The loop collects the rows of a tick and hands them over whole; the thread writes one
transaction (WAL, synchronous=FULL) and acknowledges it with one call into the loop.
Rows are durable in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from pathlib import Path
from typing import Final, NamedTuple

Row = tuple[int, int, int, bytes]
"""run, seq, kind, data."""

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS journal(run INT, seq INT, kind INT, data)"
_INSERT: Final = "INSERT INTO journal VALUES(?,?,?,?)"


class _Batch(NamedTuple):
    rows: list[Row]
    waiters: list[asyncio.Future[None]]


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal: WAL, and every commit reaches the disk before it returns."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=16
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute(_SCHEMA)
    return connection


def write(connection: sqlite3.Connection, rows: list[Row]) -> None:
    """Write the rows in one transaction; durable when it returns."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, rows)
    connection.execute("COMMIT")


class GroupCommit:
    """The journal's one writer. A failed write ends the process: it is a sketch."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connect(path)
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._open: _Batch | None = None
        self._thread = threading.Thread(target=self._write_all, name="writer")
        self._thread.start()

    def append(self, row: Row) -> None:
        """Add a row to this tick's batch; whatever is appended later follows it."""
        batch = self._open
        if batch is None:
            batch = self._open = _Batch([], [])
            self._loop.call_soon(self._seal)
        batch.rows.append(row)

    def durable(self, row: Row) -> asyncio.Future[None]:
        """Add a row; the future is done once it is durable."""
        batch = self._open
        if batch is None:
            batch = self._open = _Batch([], [])
            self._loop.call_soon(self._seal)
        future = self._loop.create_future()
        batch.rows.append(row)
        batch.waiters.append(future)
        return future

    async def close(self) -> None:
        """Write what is left, then end the thread."""
        self._seal()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _seal(self) -> None:
        batch, self._open = self._open, None
        if batch is not None:
            self._queue.put(batch)

    def _write_all(self) -> None:
        take = self._queue.get
        ending = False
        while not ending:
            batch = take()
            if batch is None:
                return
            while not self._queue.empty():
                more = take()
                if more is None:
                    ending = True
                    break
                batch.rows.extend(more.rows)
                batch.waiters.extend(more.waiters)
            write(self._connection, batch.rows)
            self._loop.call_soon_threadsafe(_acknowledge, batch.waiters)


def _acknowledge(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
