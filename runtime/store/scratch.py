"""Memory that survives the process, for what must be known of it after a SIGKILL.

A small file beside the database, mapped shared: what was written to the mapping stays
in the kernel's page cache however the process ended. Nothing is ever synced, so after
a power failure it may say anything; whoever reads it must be content with that.
"""

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

CHUNK = 64 * 1024
"""Bytes of a chunk, which is mapped as one."""


class Scratch(Protocol):
    """What the last life left, and chunks to write to in this one."""

    def read(self) -> bytes:
        """What the last life left, all chunks in a row; empty if nothing."""

    def begin(self, first: bytes) -> memoryview:
        """Replace everything at once by a chunk that begins with `first`; the chunk."""

    def extend(self) -> memoryview:
        """Another chunk, of zeros. OSError if there is no room for it."""

    def remove(self) -> None:
        """Leave nothing. What was handed out can still be written to."""


class MappedFile:
    """A scratch in the file `path`, readable by its owner only.

    OSError if that cannot be. All room is taken when it is handed out: a write to a
    mapped page that a full disk has no room for would end the process.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._file = -1
        self._size = 0

    def read(self) -> bytes:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            file = os.open(self._path, flags)
        except FileNotFoundError:
            return b""
        with os.fdopen(file, "rb") as opened:
            return opened.read()

    def begin(self, first: bytes) -> memoryview:
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        self._close()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(fresh, flags, 0o600)
        self._size = 0
        try:
            chunk = self._map(first)
            fresh.replace(self._path)
        except BaseException:
            self._close()
            with suppress(OSError):
                fresh.unlink()
            raise
        return chunk

    def extend(self) -> memoryview:
        return self._map(b"")

    def remove(self) -> None:
        self._close()
        self._path.unlink(missing_ok=True)

    def _map(self, first: bytes) -> memoryview:
        """Take room for a chunk at the end of the file, and map it."""
        content = first.ljust(CHUNK, b"\0")
        if os.pwrite(self._file, content, self._size) != CHUNK:
            raise OSError("no room for a chunk")
        chunk = mmap.mmap(self._file, CHUNK, offset=self._size)
        self._size += CHUNK
        return memoryview(chunk)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Volatile:
    """A scratch for what does not outlive the process, or for a test that plays it."""

    def __init__(self, left: bytes = b"") -> None:
        self.left = left
        self._chunks: list[bytearray] = []

    def read(self) -> bytes:
        return self.left

    def begin(self, first: bytes) -> memoryview:
        self.left, self._chunks = b"", []
        return self._new(first)

    def extend(self) -> memoryview:
        return self._new(b"")

    def remove(self) -> None:
        self.left, self._chunks = b"", []

    def content(self) -> bytes:
        """What a process would leave that ended now."""
        return b"".join(self._chunks) or self.left

    def _new(self, first: bytes) -> memoryview:
        chunk = bytearray(first.ljust(CHUNK, b"\0"))
        self._chunks.append(chunk)
        return memoryview(chunk)
