"""A process that commits batches, so that the loop's thread works on meanwhile.

A thread would share the interpreter's lock with the loop; a process shares nothing.
The rule kept here: one batch is under way at a time, and what became of it is told
exactly once, as one of three things: committed, rolled back, or unknown.
"""

import asyncio
import marshal
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from everact.runtime.store.sqlite import child

LARGEST = 1 << 20
"""Bytes of a batch that is sent; a larger one would hold up the loop."""

ENDING = 10.0
"""Seconds that the process may take to end once it is told to."""

Statements: TypeAlias = list[tuple[str, list[Any]]]


class Fate(Enum):
    """What became of a batch."""

    COMMITTED = child.COMMITTED
    ROLLED_BACK = child.ROLLED_BACK
    UNKNOWN = child.UNKNOWN


class WriterProcess:
    """One process on the database `path`, fed from the running loop.

    It inherits `lock`, the descriptor that keeps other engines off the file: after a
    crash of this process it is let go only when the last commit is over.
    """

    def __init__(self, path: str, pragmas: Sequence[str], lock: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        self._unsent = memoryview(b"")
        self._received = b""
        self._tell: Callable[[Fate, str], object] | None = None
        self.ready = False
        self.lost = False
        self.useless = True
        """It has never been ready: another one would not be either."""
        with theirs:
            program = [sys.executable, "-I", "-S", str(Path(child.__file__))]
            self._process = subprocess.Popen(
                [*program, path, *pragmas],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,  # a control-C is for the parent
            )
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        _running.add(self)

    def commit(
        self, statements: Statements, tell: Callable[[Fate, str], object]
    ) -> bool:
        """Send a batch; `tell` is called on the loop. False if it must go elsewhere:
        nothing was sent then.
        """
        try:
            body = marshal.dumps(statements)
        except ValueError:  # a type that only a database driver can judge
            return False
        if self.lost or len(body) > LARGEST:
            return False
        self._tell = tell
        self._unsent = memoryview(len(body).to_bytes(4, "big") + body)
        self._send()
        return True

    def close(self) -> None:
        """End the process; a batch under way is finished first. Blocks for that."""
        if not self.lost:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            if self._unsent:
                self._socket.setblocking(True)
                with suppress(OSError):  # it has died: nothing can be told any more
                    self._socket.sendall(self._unsent)
        self.lost, self.ready = True, False
        _running.discard(self)
        self._socket.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._gone(str(error))
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        self._send()

    def _readable(self) -> None:
        try:
            received = self._socket.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._gone(str(error))
            return
        if not received:
            self._gone("the writer process ended")
            return
        self._received += received
        if len(self._received) < 5:
            return
        size = int.from_bytes(self._received[1:5], "big")
        if len(self._received) < 5 + size:
            return
        answer, self._received = self._received, b""
        if answer[:1] == child.READY:
            self.ready, self.useless = True, False
            return
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(Fate(answer[:1]), answer[5:].decode(errors="replace"))

    def _gone(self, why: str) -> None:
        """The process has ended by itself: what it was doing is unknown."""
        if self.lost:
            return
        tell, self._tell = self._tell, None
        self._unsent = memoryview(b"")
        self._process.kill()
        self.close()
        if tell is not None:
            tell(Fate.UNKNOWN, why)


_running: "weakref.WeakSet[WriterProcess]" = weakref.WeakSet()


def _forked() -> None:
    """A forked child must not keep the writer of its parent alive."""
    for writer in list(_running):
        writer.lost = True
        writer._socket.close()


os.register_at_fork(after_in_child=_forked)
