"""What SQLite's errors mean for whoever has the database."""

import sqlite3

from everact.runtime.errors import StoreDamaged, StoreError, StoreFull

POISONED = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    UnicodeError,
)
"""What one write's own values can cause: it alone is refused."""


def told(path: str, error: Exception) -> StoreError:
    """The error of the store for one of SQLite's, which is its cause."""
    if isinstance(error, StoreError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    made = StoreError(f"{path}: {error}")
    if code == sqlite3.SQLITE_FULL:
        made = StoreFull(
            f"the disk of {path} is full: make room; work is held until then"
        )
    elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        made = StoreDamaged(
            f"{path} is damaged: {error}. Keep a copy of it, look at `everact doctor "
            f"--thorough --database {path}`, and restore it and its key from a backup"
        )
    made.__cause__ = error
    return made
