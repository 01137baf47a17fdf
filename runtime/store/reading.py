"""Reading an SQLite file that is not ours to change: a copy, or another engine's."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from everact.runtime.errors import StoreError, StoreKeyError, StoreTooNew
from everact.runtime.store import catalogue, keyfile
from everact.runtime.store.base import Opened
from everact.runtime.store.sqlite import SqliteStore


class SqliteReader(SqliteStore):
    """The reading half of the store; it takes no lock and writes nothing."""

    def open(self) -> Opened:
        self.path = str(Path(self.path).absolute())
        if not Path(self.path).is_file():
            raise StoreError(f"there is no database {self.path}")
        try:
            self._reading = sqlite3.connect(
                self._uri(), uri=True, isolation_level=None, timeout=30
            )
            self._reading.execute("pragma query_only = on")
            self._check_schema()
            key, source = keyfile.read_key(self.path)
            known = self._meta("key_id")
        except sqlite3.Error as error:
            self._disconnect()
            raise StoreError(f"{self.path} cannot be read: {error}") from error
        except BaseException:
            self._disconnect()
            raise
        if key is None or not keyfile.knows(key, known):
            self._disconnect()
            raise StoreKeyError(
                f"{self.path} was written with another key than {source or 'none'}: "
                f"copy the key file {Path(self.path).name}.key together with the "
                "database, or give the key in EVERACT_KEY"
            )
        self._key = key
        return Opened(self._one("last_key")[0], self._meta("clean") != "0", 0)

    def close(self, *, clean: bool) -> None:
        self._disconnect()

    def _uri(self) -> str:
        """Without a log beside it the file needs no index, and none is left behind."""
        mode = "mode=ro" if Path(f"{self.path}-wal").exists() else "mode=ro&immutable=1"
        return f"file:{quote(self.path)}?{mode}"

    def _check_schema(self) -> None:
        (version,) = self._reading.execute("pragma user_version").fetchone()
        known = len(catalogue.migrations("sqlite"))
        if version > known:
            raise StoreTooNew(
                f"{self.path} has schema {version}, and this version of everact knows "
                f"{known}: read it with the everact that wrote it"
            )
        if version < known:
            raise StoreError(
                f"{self.path} has schema {version}, and this version of everact reads "
                f"{known}: open a copy of it in a Runtime once, which migrates it"
            )
