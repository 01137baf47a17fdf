"""Keeping a second process off the database: a lock that dies with its process."""

import fcntl
import os
import time
import weakref

from everact.runtime.errors import StoreInUse

_POLL = 0.05


class FileLock:
    """An exclusive lock on `path`, held until `release` or the end of the process.

    Raises StoreInUse naming `guarded` and the holder if it is still taken after
    `wait` seconds.
    """

    def __init__(self, path: str, guarded: str, wait: float = 0.0) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
                holder = os.read(self._descriptor, 100).decode(errors="replace").strip()
                os.close(self._descriptor)
                raise StoreInUse(
                    f"{guarded} is open in another process"
                    + (f" (process {holder})" if holder else "")
                    + ": stop that one first, or open with wait_for_lock"
                ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        _taken.add(self)

    def release(self) -> None:
        """Let go; the file stays, so that nobody can lock another one of its name."""
        _taken.discard(self)
        os.close(self._descriptor)


_taken: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _forked() -> None:
    """A forked child is another process: it must not hold the lock after its parent."""
    for lock in list(_taken):
        lock.release()


os.register_at_fork(after_in_child=_forked)
