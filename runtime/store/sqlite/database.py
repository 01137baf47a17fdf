"""One SQLite file, or memory: opening and migrating it, its connections, its loss.

A second process on the file is kept out by a lock on a file beside it, which the
operating system drops with the process. Should one get in all the same, the batches
of the first are refused: each looks first whether the epoch is still its own. When the
files are no longer those that were opened (see `custody`), or are damaged, the database
is lost: everything is refused from then on, and `watch` tells the engine.
"""

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from everact.runtime.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLost,
    StoreTooNew,
)
from everact.runtime.store import catalogue, keyfile
from everact.runtime.store.base import Opened, Statement
from everact.runtime.store.filelock import FileLock
from everact.runtime.store.sqlite.custody import (
    Custody,
    refuse_new_beside_key,
    size_of,
)
from everact.runtime.store.sqlite.questions import Questions
from everact.runtime.store.sqlite.telling import told

OLDEST_SQLITE = (3, 35, 0)

PRAGMAS = [
    "synchronous = full",
    "foreign_keys = off",
    "temp_store = memory",
    "wal_autocheckpoint = 4000",
]
if sys.platform == "darwin":
    PRAGMAS += ["fullfsync = 1", "checkpoint_fullfsync = 1"]


class Database:
    """The database `path`, or one in memory for ``":memory:"``.

    `guard` is held by whoever uses `writing`. Of a database in memory there is but one
    connection, for which everybody holds it. `wait` is how many seconds to wait for
    another process to let go of the file.
    """

    def __init__(self, path: str | os.PathLike[str], wait: float = 0.0) -> None:
        self.path = os.fspath(path)
        self.in_memory = self.path == ":memory:"
        self.sql = catalogue.queries("sqlite")
        self.guard = threading.RLock()
        self.lock: FileLock | None = None
        self.key = b""
        self.epoch = ""
        self.lost: StoreError | None = None
        self.on_loss: Callable[[], object] = lambda: None
        """Called once when it is lost, on any thread."""
        alone = self.guard if self.in_memory else None
        self.questions = Questions(self.path, self.sql, alone)
        """What is asked on the thread of the loop."""
        self.writing: sqlite3.Connection
        self._wait = wait
        self._custody: Custody | None = None
        self._looking = threading.Lock()
        self._tell_lost: Callable[[StoreError], object] = lambda _: None

    # -- opening and closing -------------------------------------------------------

    def open(self) -> Opened:
        """Open, migrate, and be the only engine on it; see `Store.open`."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or later is needed"
            )
        if not self.in_memory:
            self.path = self.questions.path = str(Path(self.path).absolute())
            parent = Path(self.path).parent
            if not parent.is_dir():
                raise StoreError(f"the folder {parent} of the database is not there")
            self.lock = FileLock(self.path + ".lock", self.path, self._wait)
        try:
            opened = self._opened()
        except BaseException as error:
            self.disconnect()
            if isinstance(error, sqlite3.Error):
                raise told(self.path, error) from error
            raise
        if self.lock is not None:
            self._custody = Custody(self.path, self.lock, self._ours)
        return opened

    def _opened(self) -> Opened:
        self._check_not_lost(size_of(self.path))
        if not self.in_memory:
            # A new one is its owner's; SQLite gives the files beside it the same mode.
            with suppress(OSError):  # it is there, or SQLite will say what is wrong
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        writing = self.connect_writing()
        self.questions.connection = writing if self.in_memory else self.connect()
        self._migrate(writing)
        self._find_key()
        with writing:
            writing.execute("begin immediate")
            clean = self.meta("clean") != "0"
            epoch = int(self.meta("epoch") or 0) + 1
            self.put_meta("epoch", str(epoch))
            self.put_meta("clean", "0")
        self.epoch = str(epoch)
        (last_key,) = self.questions.select("last_key")
        return Opened(last_key, clean, epoch, self._unsigned())

    def connect(self) -> sqlite3.Connection:
        """Another connection to the file, for one thread at a time."""
        return sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=30
        )

    def connect_writing(self) -> sqlite3.Connection:
        """Make the connection that writes, anew if there was one."""
        made = self.writing = self.connect()
        if not self.in_memory:
            made.execute("pragma journal_mode = wal")
        for pragma in PRAGMAS:
            made.execute(f"pragma {pragma}")
        return made

    def finish(self, clean: bool) -> None:
        """Write the last that is to be written; `clean` as in `Store.close`."""
        if self.lost is not None:
            return
        try:
            if clean:
                self.writing.execute("begin immediate")
                with self.writing:
                    self.fence()
                    self.put_meta("clean", "1")
            self.writing.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            raise told(self.path, error) from error

    def disconnect(self) -> None:
        """Close its connections and let go of the file."""
        self.questions.closed = True
        for holder, name in ((self.questions, "connection"), (self, "writing")):
            connection = getattr(holder, name, None)
            if connection is not None:
                connection.close()
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def _migrate(self, writing: sqlite3.Connection) -> None:
        steps = catalogue.migrations("sqlite")
        (version,) = writing.execute("pragma user_version").fetchone()
        self._check_not_lost(version)
        if version > len(steps):
            raise StoreTooNew(
                f"{self.path} has schema {version}, and this version of everact knows "
                f"{len(steps)}: it was written by a newer everact. Upgrade everact; "
                "nothing was changed."
            )
        for step in steps[version:]:
            writing.executescript(
                f"begin immediate;\n{step.script}\n"
                f"pragma user_version = {step.number};\ncommit;"
            )

    def _check_not_lost(self, written: int) -> None:
        """StoreLost if there is a key already for a database that is new."""
        if self._file is not None and not written:
            key = keyfile.key_file(self._file)
            if key.exists() and not os.environ.get("EVERACT_KEY"):
                raise refuse_new_beside_key(self._file, key)

    def _find_key(self) -> None:
        """Read the key, or make one for a new database."""
        key, source = keyfile.read_key(self._file)
        known = self.meta("key_id")
        if known is None:
            if key is None:
                key = keyfile.make_key(self._file)
            self.put_meta("key_id", keyfile.key_id(key))
        else:
            key = keyfile.check_key(self.path, key, source, known)
        self.key = key

    @property
    def _file(self) -> str | None:
        return None if self.in_memory else self.path

    def _unsigned(self) -> Statement | None:
        if self.meta("key_id") == keyfile.key_id(self.key):
            return None
        return "put_meta", ("key_id", keyfile.key_id(self.key))

    # -- what it knows of itself -----------------------------------------------------

    def meta(self, name: str) -> str | None:
        """What is noted in it under a name."""
        found = self.questions.select("get_meta", name)
        return found[0] if found else None

    def put_meta(self, name: str, value: str) -> None:
        """Note something in it."""
        self.writing.execute(self.sql["put_meta"], (name, value))

    def _ours(self) -> bool:
        return self.meta("epoch") == self.epoch

    def fence(self) -> None:
        """StoreLost, in a transaction, if another engine has opened the database."""
        if self._custody is None:
            return
        execute = self.writing.execute
        (epoch,) = execute(self.sql["get_meta"], ("epoch",)).fetchone() or ("",)
        if epoch != self.epoch:
            raise self._custody.taken()

    # -- being lost ------------------------------------------------------------------

    def watch(self, lost: Callable[[StoreError], object]) -> None:
        """See `Store.watch`."""
        loop = asyncio.get_running_loop()

        def tell(error: StoreError) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(lost, error)

        self._tell_lost = tell

    def look(self) -> StoreError | None:
        """Why the database is lost, if it is. Any thread."""
        if self.lost is None and self._custody is not None:
            with self._looking:
                found = self._custody.fault()
                if found is not None:
                    self._lose(found)
        return self.lost

    def failed(self, error: Exception) -> StoreError:
        """What an error of a commit means. The connection is made anew if it can be."""
        made = told(self.path, error)
        if isinstance(made, StoreFull):  # nothing is wrong with the connection
            return made
        if isinstance(made, StoreLost | StoreDamaged):
            self._lose(made)
        if self.in_memory or self.look():  # closing it would be the end of it
            return made
        try:
            self.writing.close()
            self.connect_writing()
        except sqlite3.Error as again:
            made.add_note(f"and it could not be opened again: {again}")
        return made

    def _lose(self, error: StoreError) -> None:
        if self.lost is None:
            self.lost = error
            self.on_loss()
            self._tell_lost(error)

    def rescue(self) -> None:
        """Save what a lost database held; not on the thread of the loop."""
        if self._custody is not None and isinstance(self.lost, StoreLost):
            with self.guard:
                self._custody.rescue(self.writing)
