"""The other end of `writer_process`: commits batches in a process of its own.

A program, not a module of the package: it is started by its path, imports nothing but
the standard library, and ends when its parent's end of the socket is closed, after the
batch that it is in. It takes a marshalled list of (statement, parameters), runs it in
one transaction and answers with one byte and a text: committed, or rolled back with
nothing done (the parent tries again, with more care), or unknown. A signal to end is
for the parent, which still has commits to make.

The log is copied back into the database (a checkpoint) on a thread, so that commits
need not wait for it. Only a log that outgrows that for want of a pause is copied
between two commits: then most of it has been copied already.
"""

import marshal
import signal
import socket
import sqlite3
import sys
import threading

COPY_EVERY = 4 << 20
"""Bytes of batches after which the write-ahead log is copied back."""
LONGEST_LOG = 16_384
"""Pages of it at which commits wait for that."""

READY, COMMITTED, ROLLED_BACK, UNKNOWN = b"a", b"c", b"r", b"u"


def main(path: str, *pragmas: str) -> None:
    """Serve the socket that is standard input until it is closed."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service's processes all get them
    parent = socket.socket(fileno=0)
    connection = _connect(path, pragmas)
    log = _Log(path, pragmas)
    _answer(parent, READY)
    while True:
        size = int.from_bytes(_receive(parent, 4), "big")
        kind, why = _commit(connection, marshal.loads(_receive(parent, size)))
        _answer(parent, kind, why)
        if kind == UNKNOWN:
            return
        log.grown(connection, size)


def _connect(path: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=30, check_same_thread=False
    )
    for pragma in (*pragmas, "wal_autocheckpoint = 0"):
        connection.execute(f"pragma {pragma}")
    return connection


class _Log:
    """The write-ahead log, and the thread that copies it back."""

    def __init__(self, path: str, pragmas: tuple[str, ...]) -> None:
        self._connection = _connect(path, pragmas)
        self._grown = 0
        self._pages = 0
        self._long = threading.Event()
        threading.Thread(target=self._copy_back, daemon=True).start()

    def grown(self, connection: sqlite3.Connection, size: int) -> None:
        """A batch of `size` bytes was committed on `connection`."""
        self._grown += size
        if self._grown < COPY_EVERY:
            return
        self._grown = 0
        if self._pages > LONGEST_LOG:
            self._pages = _checkpoint(connection)
        else:
            self._long.set()

    def _copy_back(self) -> None:
        while True:
            self._long.wait()
            self._long.clear()
            self._pages = _checkpoint(self._connection)


def _checkpoint(connection: sqlite3.Connection) -> int:
    """Copy back what can be copied; pages that were in the log before."""
    try:
        found = connection.execute("pragma wal_checkpoint(passive)").fetchone()
    except sqlite3.Error:  # it is tried again when the log is longer
        return 0
    return int(found[1])


def _commit(
    connection: sqlite3.Connection, statements: list[tuple[str, list[object]]]
) -> tuple[bytes, str]:
    ends = False
    try:
        connection.execute("begin immediate")
        for statement, parameters in statements:
            connection.execute(statement, parameters)
        ends = True
        connection.execute("commit")
    except Exception as error:
        # A full disk is found out by writing, before anything is committed.
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if ends and not full:
            return UNKNOWN, str(error)
        try:
            if connection.in_transaction:
                connection.execute("rollback")
        except sqlite3.Error as again:
            return UNKNOWN, f"{error}; {again}"
        return ROLLED_BACK, str(error)
    return COMMITTED, ""


def _receive(parent: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    view = memoryview(found)
    while view:
        try:
            count = parent.recv_into(view)
        except ConnectionError:
            count = 0
        if not count:  # the parent has closed, or died
            sys.exit(0)
        view = view[count:]
    return found


def _answer(parent: socket.socket, kind: bytes, why: str = "") -> None:
    text = why.encode(errors="replace")[:10_000]
    try:
        parent.sendall(kind + len(text).to_bytes(4, "big") + text)
    except OSError:  # nobody waits for it
        sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
