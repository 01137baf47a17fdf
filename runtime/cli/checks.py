"""What `everact doctor` looks at. Nothing is changed by looking.

Each check gives findings: what is so, how bad that is, and what to do about it.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from everact.runtime.cli.findings import Finding, ok, problem, warning
from everact.runtime.door.tokens import TokenFile
from everact.runtime.errors import EveractError
from everact.runtime.store import catalogue, keyfile
from everact.runtime.store.sqlite import custody

ROOM: Final = 256 * 1024 * 1024
"""Bytes of free disk below which a warning is due."""
SKEW: Final = 60.0
"""Seconds that a clock may be off before anybody minds."""


def check_database(database: str, *, thorough: bool = False) -> Iterator[Finding]:
    """The file of a database, and what is beside it."""
    path = Path(database).absolute()
    folder = path.parent
    if not folder.is_dir():
        yield problem(
            "folder",
            f"the folder {folder} is not there",
            "make it, or give another --database",
        )
        return
    yield from _folder(folder)
    key = keyfile.key_file(str(path))
    if key.exists() and not (path.exists() and path.stat().st_size):
        refusal = custody.refuse_new_beside_key(str(path), key)
        advice = (
            "put the database back from a backup, or the rescued copy if it is named"
        )
        yield problem("database", str(refusal), advice)
        return
    if not path.exists():
        yield warning(
            "database",
            f"{path} is not there yet",
            "`everact serve` makes it; give --database if it is elsewhere",
        )
        return
    yield from _lock(path)
    yield from _owner(path)
    try:
        connection = sqlite3.connect(_uri(path), uri=True, timeout=5)
        with contextlib.closing(connection):
            connection.execute("pragma query_only = on")
            yield from _inside(path, connection, thorough)
    except sqlite3.Error as error:
        yield problem(
            "database",
            f"{path} cannot be read: {error}",
            "check that it is the right file and that you may read it and its folder; "
            "if it is damaged, restore the file and its key from a backup",
        )


def _uri(path: Path) -> str:
    """How to open the file and leave nothing beside it, if that can be had.

    A log that nobody has taken in yet must be read, and then SQLite needs its index.
    """
    log = Path(f"{path}-wal")
    quiet = not log.exists() or not log.stat().st_size
    mode = "mode=ro&immutable=1" if quiet else "mode=ro"
    return f"file:{quote(str(path))}?{mode}"


def _folder(folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "folder",
            f"{folder} cannot be written to",
            "give it to the user that serves the database",
        )
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        yield warning(
            "disk",
            f"{free // 1024**2} MiB are free in {folder}",
            "make room: a full disk holds all work until there is some",
        )
    else:
        yield ok("disk", f"{free // 1024**2:,} MiB are free")
    kind = _file_system(folder)
    if kind in _REMOTE:
        yield problem(
            "durability",
            f"{folder} is on a network file system ({kind})",
            "move the database to a local disk: locks and syncs cannot be relied on",
        )
    elif kind in _VOLATILE:
        yield warning(
            "durability",
            f"{folder} is in memory ({kind})",
            "move the database to a disk, or lose it when the machine stops",
        )


_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})
_VOLATILE: Final = frozenset({"tmpfs", "ramfs"})


def _file_system(folder: Path) -> str:
    """The kind of the file system of a folder, where Linux tells it; else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return ""
    found = "", ""
    for line in mounts:
        _, place, kind, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        if folder.resolve().is_relative_to(place) and len(place) >= len(found[0]):
            found = place, kind
    return found[1]


def _lock(path: Path) -> Iterator[Finding]:
    try:
        with Path(f"{path}.lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                holder = file.read(100).strip()
                yield ok("lock", f"in use by process {holder or 'unknown'}")
                return
    except OSError:
        pass
    yield ok("lock", "no process has it open")


def _owner(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode
    if not path.parent.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return  # nobody else gets as far as the file
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(
            "database",
            f"others may write to {path} (mode {stat.S_IMODE(mode):04o})",
            f"chmod 600 {path}",
        )
    elif mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warning(
            "database",
            f"others may read {path}, arguments and results included",
            f"chmod 600 {path}, or close its folder to others: chmod 700 {path.parent}",
        )


def _inside(
    path: Path, connection: sqlite3.Connection, thorough: bool
) -> Iterator[Finding]:
    def one(statement: str) -> tuple[object, ...]:
        found: tuple[object, ...] = connection.execute(statement).fetchone()
        return found

    (schema,) = one("pragma user_version")
    known = len(catalogue.migrations("sqlite"))
    assert isinstance(schema, int)
    tables = one("select count(*) from sqlite_master where name in ('runs', 'journal')")
    if tables != (2,):
        yield problem(
            "schema",
            f"{path} is a database, but not one of everact",
            "give the right --database",
        )
        return
    if schema > known:
        yield problem(
            "schema",
            f"schema {schema} is newer than this everact, which knows {known}",
            "upgrade everact; do not write to the file with this version",
        )
        return
    if schema < known:
        yield warning(
            "schema",
            f"schema {schema} is older than {known}",
            "back it up; it is migrated when it is opened next",
        )
    else:
        yield ok("schema", f"schema {schema}")
    yield _journal_mode(path)
    if thorough:
        yield _integrity(one)
    yield from _key(path, one)
    yield from _clock(one)
    yield from _aside(one)


One = Callable[[str], tuple[object, ...]]


def _journal_mode(path: Path) -> Finding:
    """From the file's header: a connection that changes nothing cannot tell."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[18:20] == b"\x02\x02":
        return ok("journal", "write-ahead log; every commit is synced")
    return warning(
        "journal",
        "the file is not in the mode of the write-ahead log",
        "opening it with everact sets that again; find out who else opens the file",
    )


def _integrity(one: One) -> Finding:
    (found,) = one("pragma integrity_check(1)")
    if found == "ok":
        return ok("integrity", "the file is sound")
    return problem(
        "integrity",
        f"the file is damaged: {found}",
        "stop the engine, keep a copy, restore the file and its key from a backup",
    )


def _key(path: Path, one: One) -> Iterator[Finding]:
    expected = one("select (select value from meta where name = 'key_id')")[0]
    try:
        key, source = keyfile.read_key(str(path))
    except EveractError as error:
        yield problem("key", str(error), "let only its owner read it, or restore it")
        return
    if key is None:
        yield problem(
            "key",
            f"{source} is not there and EVERACT_KEY is not set",
            "restore the key from a backup: without it the database cannot be opened",
        )
    elif not keyfile.knows(key, str(expected)):
        yield problem(
            "key",
            f"{source} holds another key ({keyfile.key_id(key)}) than the database's "
            f"({expected})",
            "restore the key that belongs to the database",
        )
    else:
        yield ok("key", f"{source} fits")


def _clock(one: One) -> Iterator[Finding]:
    (last,) = one("select max(max(started_at), max(coalesce(closed_at, 0))) from runs")
    now = time.time()
    if isinstance(last, (int, float)) and last > now + SKEW:
        when = datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")
        yield problem(
            "clock",
            f"the last entry is from {when}, {last - now:.0f} s ahead of this clock",
            "set the clock (NTP): timers are late until it has caught up",
        )
    else:
        yield ok("clock", "not behind the last entries")


def _aside(one: One) -> Iterator[Finding]:
    (number,) = one("select count(*) from runs where status = 0 and aside <> ''")
    if number:
        yield warning(
            "runs",
            f"{number} runs are put aside",
            "`everact describe ID` says why; they go on when fitting code is served",
        )


def check_tokens(database: str) -> Iterator[Finding]:
    """The file of tokens beside a database."""
    tokens = TokenFile.for_database(database)
    try:
        found = tokens.list()
    except (EveractError, OSError) as error:
        yield problem("tokens", str(error), "until then no token counts")
        return
    counting = sum(item.counts(time.time()) for item in found)
    if not found:
        yield ok("tokens", "none: the endpoint serves this machine without asking")
    elif not counting:
        yield warning(
            "tokens",
            "none counts any more, and the endpoint asks for one",
            "everact token create NAME",
        )
    else:
        yield ok("tokens", f"{counting} of {len(found)} count")
