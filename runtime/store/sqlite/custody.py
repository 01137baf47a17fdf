"""Whether the files of an open database are still the ones that were opened.

An open file stays open when its name is deleted or given to another one: commits
would go on, to where nobody finds them. So the names are looked up before anything is
acknowledged, and once a second when nothing is. What was in a file whose name is gone
can still be read, and is saved beside it.

Nothing here opens a file of the database: closing it again would drop the locks that
SQLite holds on it in this process.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from everact.runtime.errors import StoreError, StoreInUse, StoreLost
from everact.runtime.ownerfile import sync_folder
from everact.runtime.store.filelock import FileLock

logger = logging.getLogger("everact.store")

WATCH = 1.0
"""Seconds between two looks at the files while nothing is committed."""

_BESIDE = ("-wal", "-shm")


class Custody:
    """Keeps an eye on one open database. `ours` asks it whether no other engine has
    opened it since.
    """

    def __init__(self, path: str, lock: FileLock, ours: Callable[[], bool]) -> None:
        self._path = path
        self._names = {name: path + name for name in ("", *_BESIDE)}
        self._lock = lock
        self._ours = ours
        self._size = 0
        self._save: Callable[[sqlite3.Connection], object] | None = None
        self._places = {n: _place(path) for n, path in self._names.items()}

    def fault(self) -> StoreLost | None:
        """Why nothing may be acknowledged any more; None if all is as it should be."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 (see `_place`)
        except OSError:
            return self._gone("was deleted")
        if (found.st_dev, found.st_ino) != self._places[""]:
            return self._gone("was replaced by another file")
        if found.st_size < self._size:
            return self._lost(
                f"was cut from {self._size} to {found.st_size} bytes",
                "restore the file and its key from a backup",
            )
        self._size = found.st_size
        for name in _BESIDE:
            if _place(self._names[name]) != self._places[name]:
                self._save = _take_log
                return self._lost(
                    f"is without its {self._path}{name}, which was deleted or replaced",
                    "start it again: what was acknowledged is copied into the database",
                )
        return None if self._lock.in_place else self._lock_again()

    def taken(self) -> StoreLost:
        """Another engine has opened the database since."""
        return self._lost(
            "was opened by another engine",
            "let one of the two go on; do not delete the lock file of an engine "
            f"({self._lock.path})",
        )

    def rescue(self, connection: sqlite3.Connection) -> None:
        """Save what was acknowledged, as far as it can still be had; logs what it did.

        Blocks for as long as it takes to write the whole database.
        """
        if self._save is None:
            return
        try:
            self._save(connection)
        except (sqlite3.Error, OSError) as error:
            logger.critical("%s: what it held was not saved: %s", self._path, error)

    def _copy(self, connection: sqlite3.Connection) -> None:
        target = _free(self._path + ".rescued")
        connection.execute("vacuum into ?", (target,))
        with Path(target).open("rb") as file:
            os.fsync(file.fileno())
        sync_folder(Path(target).parent)
        for name in _BESIDE:  # a log of ours would be taken for the new file's
            if _place(self._names[name]) == self._places[name]:
                Path(self._names[name]).unlink()
        logger.critical(
            "what %s held is saved as %s: to go on with it, move it to its old name",
            self._path,
            target,
        )

    def _lock_again(self) -> StoreLost | None:
        """The lock file was removed: make it again, if nobody else has done that."""
        try:
            self._lock.retake()
        except StoreInUse:
            return self.taken()
        except StoreError as error:
            return self._lost(f"cannot be kept from others: {error}", "start it again")
        if not self._ours():
            return self.taken()
        logger.warning(
            "the lock file %s was removed while it was needed, and is made again: "
            "find out who does that",
            self._lock.path,
        )
        return None

    def _gone(self, what: str) -> StoreLost:
        self._save = self._copy
        return self._lost(
            f"{what} while it was open",
            f"find out who did it, and put {self._path}.rescued in its place: what it "
            "held is being saved there, and the log tells when that is done",
        )

    def _lost(self, what: str, advice: str) -> StoreLost:
        return StoreLost(
            f"the database {self._path} {what}. Nothing is acknowledged from now on; "
            f"stop this engine, then {advice}"
        )


def refuse_new_beside_key(path: str, key: Path) -> StoreLost:
    """A database that is missing or empty, and a key that says that there was one."""
    return StoreLost(
        f"the database {path} is missing or empty, but its key is there ({key}): what "
        "it held was deleted, or is elsewhere. Restore it from a backup"
        + "".join(
            f", or from {found}, which a running engine has saved"
            for found in _rescued(path)
        )
        + f"; to begin with a new one, move {key} away"
    )


def _take_log(connection: sqlite3.Connection) -> None:
    """Copy the log into the database: it has no name to be found by any more."""
    connection.execute("pragma wal_checkpoint(full)")


def _rescued(path: str) -> list[str]:
    folder, name = Path(path).parent, Path(path).name
    return sorted(map(str, folder.glob(f"{name}.rescued*")))


def _place(path: str) -> tuple[int, int] | None:
    """What a name stands for; None for nothing.

    It is asked after every commit, and a `Path` would cost as much as all the rest.
    """
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free(path: str) -> str:
    """An empty file, its owner's only, of a name that was free."""
    for number in range(1, 1000):
        name = path if number == 1 else f"{path}-{number}"
        with suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return name
    raise FileExistsError(f"{path} and {number} others are there")


def size_of(path: str) -> int:
    """Bytes of a file; 0 if it is not there."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
