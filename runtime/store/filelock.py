"""Keeping a second process off the database: a lock that dies with its process."""

import fcntl
import os
import time
import weakref

from everact.runtime.errors import StoreInUse

_POLL = 0.01

ORPHANED = 10.0
"""Seconds that the last commit of an engine that has died may take."""


class FileLock:
    """An exclusive lock on `path`, held until `release` or the end of the process.

    Raises StoreInUse naming `guarded` and the holder if it is still taken after
    `wait` seconds. A holder that has died leaves the lock to its writer process for
    as long as its last commit takes; that is waited for.
    """

    def __init__(self, path: str, guarded: str, wait: float = 0.0) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        orphaned = time.monotonic() + ORPHANED
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                holder = os.pread(self.descriptor, 100, 0).decode(errors="replace")
                now = time.monotonic()
                if now < deadline or (now < orphaned and _has_died(holder)):
                    time.sleep(_POLL)
                    continue
                os.close(self.descriptor)
                raise StoreInUse(
                    f"{guarded} is open in another process"
                    + (f" (process {holder})" if holder else "")
                    + ": stop that one first, or open with wait_for_lock"
                ) from None
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, str(os.getpid()).encode())
        _taken.add(self)

    def release(self) -> None:
        """Let go; the file stays, so that nobody can lock another one of its name."""
        _taken.discard(self)
        os.close(self.descriptor)


def _has_died(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


_taken: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _forked() -> None:
    """A forked child is another process: it must not hold the lock after its parent."""
    for lock in list(_taken):
        lock.release()


os.register_at_fork(after_in_child=_forked)
