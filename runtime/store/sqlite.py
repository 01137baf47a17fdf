"""Runs in one SQLite file: WAL, synchronous=FULL, one writer.

The writer takes whole batches, one transaction each. It is a thread, and under load a
process, which takes nothing from the loop's thread; the thread still does what needs
judgement. A batch that the database
refuses for one write's sake (a broken constraint) is done again write by write, so
that only the guilty one is refused. Any other error leaves the outcome unknown: the
connection is opened anew and the engine reloads what it cannot be sure of.

A second process on the file is kept out by a lock on a file beside it, which the
operating system drops with the process. Should one get in all the same, the batches
of the first are refused: each looks first whether the epoch is still its own. When the
files are no longer those that were opened (see `custody`), or are damaged, the store
is lost: everything is refused from then on, and `watch` tells the engine.
"""

import asyncio
import logging
import os
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import msgspec

from everact.runtime.core.requests import KEPT
from everact.runtime.errors import (
    InvalidFilter,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLost,
    StoreTooNew,
)
from everact.runtime.store import catalogue, keyfile, sqlite_filters
from everact.runtime.store.base import (
    CheckpointRow,
    Groups,
    Hit,
    Hits,
    JournalRow,
    Opened,
    Outcome,
    RunRow,
    Search,
    Statement,
    Stored,
    Write,
)
from everact.runtime.store.custody import (
    WATCH,
    Custody,
    refuse_new_beside_key,
    size_of,
)
from everact.runtime.store.filelock import FileLock
from everact.runtime.store.scratch import MappedFile, Scratch, Volatile
from everact.runtime.store.writer_process import Fate, WriterProcess

logger = logging.getLogger("everact.store")

_OLDEST_SQLITE = (3, 35, 0)

Rows: TypeAlias = list[Any]

_POISONED = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    UnicodeError,
)
"""What one write's own values can cause: it alone is refused."""

_PRAGMAS = [
    "synchronous = full",
    "foreign_keys = off",
    "temp_store = memory",
    "wal_autocheckpoint = 4000",
]
if sys.platform == "darwin":
    _PRAGMAS += ["fullfsync = 1", "checkpoint_fullfsync = 1"]

CROWD = 64
"""Writes in one batch that show a load worth a process of its own."""

_WIDTHS = (128, 32, 8, 4, 2, 1)
"""How many rows one statement takes; few enough to keep them all prepared."""

_RESCUE = object()
"""Tells the writer to save what a lost database held."""

_row_values = msgspec.structs.astuple


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
        self.path = os.fspath(path)
        self._in_memory = self.path == ":memory:"
        self._wait = wait
        self._crowd = crowd
        self._sql = catalogue.queries("sqlite")
        self._wide = {
            (name, width): catalogue.widened(self._sql[name], width)
            for name in ("change_run", "insert_run", "insert_row")
            for width in _WIDTHS
        }
        self._lock: FileLock | None = None
        self._writer: threading.Thread | None = None
        self._process: WriterProcess | None = None
        # A program frozen into one file has itself as its interpreter.
        frozen = not sys.executable or getattr(sys, "frozen", False)
        self._may_spawn = not (self._in_memory or frozen)
        self._waiting: deque[Any] = deque()
        self._busy = False
        self._batches: SimpleQueue[Any] = SimpleQueue()
        self._key = b""
        self._epoch = ""
        self._guard = threading.RLock()
        self._custody: Custody | None = None
        self._looking = threading.Lock()
        self._lost: StoreError | None = None
        self._tell_lost: Callable[[StoreError], object] = lambda _: None
        self._read_guard = _Reading(self, self._guard if self._in_memory else None)

    # -- opening and closing -------------------------------------------------------

    def open(self) -> Opened:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or later is needed"
            )
        if not self._in_memory:
            self.path = str(Path(self.path).absolute())
            parent = Path(self.path).parent
            if not parent.is_dir():
                raise StoreError(f"the folder {parent} of the database is not there")
            self._lock = FileLock(self.path + ".lock", self.path, self._wait)
        try:
            self._check_not_lost(size_of(self.path))
            self._connect()
            self._migrate()
            self._find_key()
            with self._writing:
                self._writing.execute("begin immediate")
                clean = self._meta("clean") != "0"
                epoch = int(self._meta("epoch") or 0) + 1
                self._put_meta("epoch", str(epoch))
                self._put_meta("clean", "0")
            self._epoch = str(epoch)
            last_key: int = self._one("last_key")[0]
        except BaseException as error:
            self._disconnect()
            if isinstance(error, sqlite3.Error):
                raise _store_error(self.path, error) from error
            raise
        if self._lock is not None:
            self._custody = Custody(self.path, self._lock, self._ours)
        self._writer = threading.Thread(
            target=self._write, name="everact-writer", daemon=True
        )
        self._writer.start()
        return Opened(last_key, clean, epoch, self._unsigned())

    def key(self) -> bytes:
        return self._key

    def scratch(self) -> Scratch:
        return Volatile() if self._in_memory else MappedFile(self.path + ".stage")

    def close(self, *, clean: bool) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
        self._may_spawn = False
        if self._writer is not None:
            self._look()
            while self._waiting:
                self._batches.put(self._waiting.popleft())
            self._batches.put(None)
            self._writer.join()
            self._writer = None
            try:
                if self._lost is None:
                    self._finish(clean)
            except sqlite3.Error as error:
                raise _store_error(self.path, error) from error
            finally:
                self._disconnect()

    def _finish(self, clean: bool) -> None:
        if clean:
            self._writing.execute("begin immediate")
            with self._writing:
                self._fence()
                self._put_meta("clean", "1")
        self._writing.execute("pragma wal_checkpoint(truncate)")

    def _check_not_lost(self, written: int) -> None:
        """StoreLost if there is a key already for a database that is new."""
        if self._file is not None and not written:
            key = keyfile.key_file(self._file)
            if key.exists() and not os.environ.get("EVERACT_KEY"):
                raise refuse_new_beside_key(self._file, key)

    def _connect(self) -> None:
        if not self._in_memory:
            # A new one is its owner's; SQLite gives the files beside it the same mode.
            with suppress(OSError):  # it is there, or SQLite will say what is wrong
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        self._open_writing()
        if self._in_memory:
            self._reading = self._writing
        else:
            self._reading = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=30
            )

    def _open_writing(self) -> None:
        self._writing = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=30
        )
        if not self._in_memory:
            self._writing.execute("pragma journal_mode = wal")
        for pragma in _PRAGMAS:
            self._writing.execute(f"pragma {pragma}")

    def _disconnect(self) -> None:
        for connection in ("_reading", "_writing"):
            found = getattr(self, connection, None)
            if found is not None:
                found.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _migrate(self) -> None:
        steps = catalogue.migrations("sqlite")
        (version,) = self._writing.execute("pragma user_version").fetchone()
        self._check_not_lost(version)
        if version > len(steps):
            raise StoreTooNew(
                f"{self.path} has schema {version}, and this version of everact knows "
                f"{len(steps)}: it was written by a newer everact. Upgrade everact; "
                "nothing was changed."
            )
        for step in steps[version:]:
            self._writing.executescript(
                f"begin immediate;\n{step.script}\n"
                f"pragma user_version = {step.number};\ncommit;"
            )

    def _find_key(self) -> None:
        """Read the key, or make one for a new database."""
        key, source = keyfile.read_key(self._file)
        known = self._meta("key_id")
        if known is None:
            if key is None:
                key = keyfile.make_key(self._file)
            with self._writing:
                self._put_meta("key_id", keyfile.key_id(key))
        else:
            key = keyfile.check_key(self.path, key, source, known)
        self._key = key

    @property
    def _file(self) -> str | None:
        return None if self._in_memory else self.path

    def _unsigned(self) -> Statement | None:
        if self._meta("key_id") == keyfile.key_id(self._key):
            return None
        return "put_meta", ("key_id", keyfile.key_id(self._key))

    # -- being lost ----------------------------------------------------------------

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        loop = asyncio.get_running_loop()

        def tell(error: StoreError) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(lost, error)

        self._tell_lost = tell

    def _look(self) -> StoreError | None:
        """Why the store is lost, if it is. Any thread."""
        if self._lost is None and self._custody is not None:
            with self._looking:
                found = self._custody.fault()
                if found is not None:
                    self._lose(found)
        return self._lost

    def _lose(self, error: StoreError) -> None:
        if self._lost is None:
            self._lost = error
            self._batches.put(_RESCUE)
            self._tell_lost(error)

    def _rescue(self) -> None:
        if self._custody is not None and isinstance(self._lost, StoreLost):
            with self._guard:
                self._custody.rescue(self._writing)

    def _ours(self) -> bool:
        return self._meta("epoch") == self._epoch

    def _fence(self) -> None:
        """StoreLost, in a transaction, if another engine has opened the database."""
        if self._custody is None:
            return
        execute = self._writing.execute
        (epoch,) = execute(self._sql["get_meta"], ("epoch",)).fetchone() or ("",)
        if epoch != self._epoch:
            raise self._custody.taken()

    # -- writing -------------------------------------------------------------------

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        self._waiting.append((writes, asyncio.get_running_loop(), done))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """Give the oldest batch to one of the writers; one is under way at a time."""
        batch = self._waiting.popleft()
        writes, _, done = batch
        self._busy = True
        process = self._process
        if process is not None and process.lost:
            if process.useless:
                self._no_process("it ended before it was ready")
            process = self._process = None
        if process is None:
            if self._may_spawn and len(writes) >= self._crowd:
                self._spawn()
        elif process.ready:

            def tell(fate: Fate, why: str) -> None:
                if fate is Fate.COMMITTED:
                    self._answered(done, [])
                elif fate is Fate.ROLLED_BACK:  # the thread finds out for whose sake
                    self._batches.put(batch)
                else:
                    self._process = None
                    self._answered(done, StoreError(f"{self.path}: {why}"))

            fence = (self._sql["fence"], [self._epoch])
            if process.commit([fence, *self._statements(writes)], tell):
                return
        self._batches.put(batch)

    def _answered(self, done: Callable[[Outcome], object], outcome: Outcome) -> None:
        self._busy = False
        lost = self._look()
        if lost is not None:  # it may be durable, and nobody will find it
            outcome = lost
        if self._waiting:
            self._next()
        done(outcome)

    def _spawn(self) -> None:
        """Start the process that commits from now on, once it is ready."""
        assert self._lock is not None
        try:
            self._process = WriterProcess(self.path, _PRAGMAS, self._lock.descriptor)
        except (OSError, NotImplementedError) as error:
            self._no_process(str(error))

    def _no_process(self, why: str) -> None:
        self._may_spawn = False
        logger.warning("%s: no writer process, a thread does: %s", self.path, why)

    def _write(self) -> None:
        while True:
            try:
                batch = self._batches.get(timeout=WATCH)
            except Empty:
                self._look()
                continue
            if batch is None:
                return
            if batch is _RESCUE:
                self._rescue()
                continue
            writes, loop, done = batch
            with self._guard:
                outcome = self._lost or self._commit(writes)
            try:
                loop.call_soon_threadsafe(self._answered, done, outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _commit(self, writes: Sequence[Write]) -> Outcome:
        try:
            try:
                self._transact(writes)
            except _POISONED:
                return self._commit_singly(writes)
        except Exception as error:
            return self._failed(error)
        return []

    def _transact(self, writes: Sequence[Write]) -> None:
        connection = self._writing
        connection.execute("begin immediate")
        try:
            self._fence()
            self._put(writes)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

    def _put(self, writes: Sequence[Write]) -> None:
        execute = self._writing.execute
        for statement, parameters in self._statements(writes):
            execute(statement, parameters)

    def _statements(self, writes: Sequence[Write]) -> list[tuple[str, list[Any]]]:
        """What puts `writes` into the database, in order."""
        inserts, changes = _merged(writes)
        found: list[tuple[str, list[Any]]] = []
        self._wide_statements("change_run", changes, found)
        self._wide_statements("insert_run", inserts, found)
        self._wide_statements(
            "insert_row", [w.row for w in writes if w.row is not None], found
        )
        wakes = dict.fromkeys(w.wake for w in writes if w.wake is not None)
        found += [(self._sql["wake_run"], [key]) for key in wakes]
        for write in writes:
            if write.checkpoint or write.drop_before or write.request:
                found += self._rest(write)
            if write.statements:
                found += [
                    (self._sql[name], list(given)) for name, given in write.statements
                ]
        return found

    def _wide_statements(
        self,
        name: str,
        rows: Sequence[Sequence[Any]],
        found: list[tuple[str, list[Any]]],
    ) -> None:
        """One statement for many rows at a time: one call to SQLite for all of them."""
        start = 0
        for width in _WIDTHS:
            while len(rows) - start >= width:
                given = list(chain.from_iterable(rows[start : start + width]))
                found.append((self._wide[name, width], given))
                start += width

    def _rest(self, write: Write) -> list[tuple[str, list[Any]]]:
        sql, key = self._sql, max(write.subject, 0)
        found: list[tuple[str, list[Any]]] = []
        if write.drop_before is not None:
            old = [key, write.drop_before]
            found.append((sql["drop_generations"], old))
            found.append((sql["drop_old_checkpoint"], old))
        if write.checkpoint is not None:
            found.append((sql["put_checkpoint"], list(write.checkpoint)))
        if write.request is not None:
            remembered = list(write.request.parameters(key))
            found.append((sql["insert_request"], remembered))
        return found

    def _commit_singly(self, writes: Sequence[Write]) -> Outcome:
        """One transaction all the same, so that a full disk refuses the batch whole.

        What belongs together (a write and those within it, and all of the runs that
        they change) is put in, or refused, together.
        """
        connection = self._writing
        refused: dict[int, BaseException] = {}
        connection.execute("begin immediate")
        try:
            self._fence()
            for group in _groups(writes):
                found = self._try(group)
                if found is not None:
                    refused.update((id(write), found) for write in group)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        return [refused.get(id(write)) for write in writes]

    def _try(self, group: Sequence[Write]) -> BaseException | None:
        """Put writes into the open transaction; why they were refused, or None."""
        connection = self._writing
        connection.execute("savepoint one")
        try:
            self._put(group)
        except _POISONED as why:
            connection.execute("rollback to one")
            found = StoreError(f"{self.path}: a transition was refused: {why}")
            found.__cause__ = why
            return found
        finally:
            if connection.in_transaction:
                connection.execute("release one")
        return None

    def _failed(self, error: Exception) -> BaseException:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            full = StoreFull(
                f"the disk of {self.path} is full: make room; work is held until then"
            )
            full.__cause__ = error
            return full
        made = _store_error(self.path, error)
        if isinstance(made, (StoreLost, StoreDamaged)):
            self._lose(made)
        if self._in_memory or self._look():  # closing it would be the end of it
            return made
        try:
            self._writing.close()
            self._open_writing()
        except sqlite3.Error as again:
            made.add_note(f"and it could not be opened again: {again}")
        return made

    # -- reading -------------------------------------------------------------------

    def load(self, key: int) -> Stored | None:
        found = self._one("run_by_key", key)
        if found is None:
            return None
        run = _run(found)
        generation = run.generation
        try:
            saved = self._one("checkpoint", key)
            checkpoint = CheckpointRow(*saved) if saved else None
            if checkpoint is not None and checkpoint.generation != generation:
                checkpoint = None
            after = checkpoint.seq - 1 if checkpoint else -1
            rows = self._all("rows_after", key, generation, after)
        except StoreDamaged as error:
            return Stored(run, None, [], error)
        return Stored(run, checkpoint, [JournalRow(*row) for row in rows])

    def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        if run_id:
            found = self._one("run_by_run_id", workspace, workflow_id, run_id)
        elif first:
            found = self._one("latest_of_chain", workspace, workflow_id, first)
        else:
            found = self._one("latest_run", workspace, workflow_id)
        return _run(found) if found else None

    def due(self, until: float, after: tuple[float, int], limit: int) -> list[Any]:
        return self._all("due", *after, until, limit)

    def select(self, what: str, *args: Any) -> list[Any]:
        return [row[0] for row in self._all(what, *args)]

    def rows(self, what: str, *args: Any) -> Rows:
        return self._all(what, *args)

    def history(self, key: int, after: tuple[int, int], limit: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in self._all("history", key, *after, limit)]

    def runs(self, keys: Sequence[int]) -> list[RunRow]:
        wanted = msgspec.json.encode(keys).decode()
        return [_run(row) for row in self._all("runs_by_keys", wanted)]

    def search(self, wanted: Search) -> Hits:
        queries = sqlite_filters.page(wanted, self._count)
        found: Rows = []
        with self._read_guard:
            for sql, given in queries:
                left = {**given, "limit": wanted.limit - len(found)}
                if left["limit"]:
                    found += self._reading.execute(sql, left).fetchall()
            keys = msgspec.json.encode([key for key, *_ in found]).decode()
            rows = self._reading.execute(self._sql["runs_by_keys"], (keys,)).fetchall()
        runs = {row[0]: row for row in rows}
        return [Hit(_run(runs[key]), tuple(place)) for key, *place in found]

    def count(self, wanted: Search) -> Groups:
        query = sqlite_filters.count(wanted, self._count)
        with self._read_guard:
            found = self._reading.execute(query.sql, query.given).fetchall()
        if len(found) > sqlite_filters.GROUPS:
            at = wanted.filter.group.at if wanted.filter.group else 0
            raise InvalidFilter(
                f"there are more than {sqlite_filters.GROUPS:,} groups", at
            )
        return found

    def _count(self, query: sqlite_filters.Query) -> int:
        with self._read_guard:
            (number,) = self._reading.execute(query.sql, query.given).fetchone()
        return int(number)

    def retire(self, closed_before: float | None, now: float, limit: int) -> int:
        sql = self._sql
        before = -1e18 if closed_before is None else closed_before
        with self._guard, self._read_guard:
            if self._lost is not None:
                return 0
            connection = self._writing
            given = {"before": before, "limit": limit}
            keys = connection.execute(sql["retired"], given).fetchall()
            with connection:
                connection.execute("begin immediate")
                self._fence()
                for name in (
                    "delete_journal",
                    "delete_checkpoint",
                    "delete_blobs",
                    "delete_attributes",
                    "delete_run",
                ):
                    connection.executemany(sql[name], keys)
                old = (now - KEPT, limit)
                requests = connection.execute(sql["delete_requests"], old).rowcount
                old = (before, limit)
                events = connection.execute(sql["delete_events"], old).rowcount
            return max(len(keys), events, requests)

    def _one(self, name: str, *args: Any) -> Any:
        with self._read_guard:
            return self._reading.execute(self._sql[name], args).fetchone()

    def _all(self, name: str, *args: Any) -> Rows:
        with self._read_guard:
            return self._reading.execute(self._sql[name], args).fetchall()

    def _meta(self, name: str) -> str | None:
        found = self._one("get_meta", name)
        return found[0] if found else None

    def _put_meta(self, name: str, value: str) -> None:
        self._writing.execute(self._sql["put_meta"], (name, value))


class _Reading:
    """Around each read: what SQLite says of the file is told as a StoreError.

    A database in memory has one connection, and `alone` keeps its two users apart.
    """

    def __init__(self, store: SqliteStore, alone: Any) -> None:
        self._store = store
        self._alone = alone

    def __enter__(self) -> None:
        if self._alone is not None:
            self._alone.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if self._alone is not None:
            self._alone.release()
        if isinstance(error, sqlite3.Error) and not isinstance(error, _POISONED):
            raise _store_error(self._store.path, error) from error


def _store_error(path: str, error: Exception) -> StoreError:
    """What an error of SQLite means for whoever has the database."""
    if isinstance(error, StoreError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    made = StoreError(f"{path}: {error}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        made = StoreDamaged(
            f"{path} is damaged: {error}. Keep a copy of it, look at `everact doctor "
            f"--thorough --database {path}`, and restore it and its key from a backup"
        )
    made.__cause__ = error
    return made


def _run(found: Sequence[Any]) -> RunRow:
    return RunRow(**dict(zip(RunRow.__struct_fields__, found, strict=True)))


def _groups(writes: Sequence[Write]) -> Iterable[list[Write]]:
    """The writes of a batch by what belongs together, each group in its order."""
    leader: dict[int, int] = {}

    def find(key: int) -> int:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for write in writes:
        if write.within is not None:
            leader[find(write.subject)] = find(write.within.subject)
    groups: dict[int, list[Write]] = {}
    for write in writes:
        groups.setdefault(find(write.subject), []).append(write)
    return groups.values()


def _merged(writes: Sequence[Write]) -> tuple[list[Any], list[Any]]:
    """The rows to insert and the changes to make, a later change of a row winning.

    A change of a row that the same batch inserts becomes part of the insert, so that
    changes can go first: an ID that is given up is free for an insert.
    """
    inserted: dict[int, RunRow] = {}
    changed: dict[int, RunRow] = {}
    for write in writes:
        if write.insert is not None:
            inserted[write.insert.key] = write.insert
        if write.change is not None:
            key = write.change.key
            (inserted if key in inserted else changed)[key] = write.change
    return (
        [_row_values(row) for row in inserted.values()],
        [
            (
                row.key,
                row.status,
                row.wake_at,
                row.aside,
                row.generation,
                row.inbox_seq,
                row.run_name,
                row.closed_at,
                row.next_run_id,
                row.kind,
            )
            for row in changed.values()
        ],
    )
