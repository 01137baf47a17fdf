"""Reading an SQLite file that is not ours to change: a copy, or another engine's."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from everact.runtime.errors import StoreError, StoreKeyError, StoreTooNew
from everact.runtime.store import catalogue, keyfile
from everact.runtime.store.base import Hits, JournalRow, Search
from everact.runtime.store.sqlite.questions import Questions


class SqliteCopy:
    """Reads what runs have recorded; it takes no lock and writes nothing.

    Its answers are awaited as those of a store are, and each is there at once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(Path(path).absolute())
        self.key = b""
        """What rows are sealed with; once it is open."""
        self._questions = Questions(self.path, catalogue.queries("sqlite"), None)

    def open(self) -> None:
        """Open it to be read; StoreError, StoreTooNew or StoreKeyError if refused."""
        if not Path(self.path).is_file():
            raise StoreError(f"there is no database {self.path}")
        try:
            self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{self.path} cannot be read: {error}") from error
            raise

    def _open(self) -> None:
        connection = sqlite3.connect(
            self._uri(), uri=True, isolation_level=None, timeout=30
        )
        self._questions.connection = connection
        connection.execute("pragma query_only = on")
        self._check_schema(connection)
        key, source = keyfile.read_key(self.path)
        (known,) = self._questions.select("get_meta", "key_id") or (None,)
        if key is None or not keyfile.knows(key, known):
            raise StoreKeyError(
                f"{self.path} was written with another key than {source or 'none'}: "
                f"copy the key file {Path(self.path).name}.key together with the "
                "database, or give the key in EVERACT_KEY"
            )
        self.key = key

    def close(self) -> None:
        """Let go of the file."""
        connection = getattr(self._questions, "connection", None)
        if connection is not None:
            connection.close()

    async def search(self, wanted: Search) -> Hits:
        return self._questions.search(wanted)

    async def history(
        self, key: int, after: tuple[int, int], limit: int
    ) -> list[JournalRow]:
        return self._questions.history(key, after, limit)

    def _uri(self) -> str:
        """Without a log beside it the file needs no index, and none is left behind."""
        mode = "mode=ro" if Path(f"{self.path}-wal").exists() else "mode=ro&immutable=1"
        return f"file:{quote(self.path)}?{mode}"

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("pragma user_version").fetchone()
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
