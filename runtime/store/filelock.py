"""Keeping a second process off the database: a lock that dies with its process."""

import fcntl
import os
import stat
import time
import weakref
from pathlib import Path

from everact.runtime.errors import StoreError, StoreInUse

_POLL = 0.01

ORPHANED = 10.0
"""Seconds that the last commit of an engine that has died may take."""


class FileLock:
    """An exclusive lock on `path`, held until `release` or the end of the process.

    Raises StoreInUse naming `guarded` and the holder if it is still taken after
    `wait` seconds. A holder that has died leaves the lock to its writer process for
    as long as its last commit takes; that is waited for. StoreError if there is
    something else of that name: it is left as it is.
    """

    def __init__(self, path: str, guarded: str, wait: float = 0.0) -> None:
        self.path = path
        self.descriptor = _open(path)
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

    @property
    def in_place(self) -> bool:
        """Whether the file that is locked is the one that others would lock."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        held = os.fstat(self.descriptor)
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    def retake(self) -> None:
        """Lock the file anew that others would lock now, made again if it is gone.

        StoreInUse if one of them has it.
        """
        descriptor = _open(self.path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StoreInUse(f"{self.path} is locked by another process") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        os.dup2(descriptor, self.descriptor, inheritable=False)  # the lock is both's
        os.close(descriptor)

    def release(self) -> None:
        """Let go; the file stays, so that nobody can lock another one of its name."""
        _taken.discard(self)
        os.close(self.descriptor)


def _open(path: str) -> int:
    """A lock file, made if there is none. Only what is one is written to later."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        linked = Path(path).is_symlink()
        why = "it is a symbolic link" if linked else str(error)
        raise _no_lock(path, why) from error
    found, content = os.fstat(descriptor), b""
    if not stat.S_ISREG(found.st_mode):
        why = "it is not a regular file"
    elif found.st_nlink > 1:
        why = "it has another name too"
    elif found.st_uid not in (os.geteuid(), 0):
        why = "it belongs to another user"
    else:
        content = os.pread(descriptor, 100, 0).strip()
        if not content or content.isdigit():
            return descriptor
        why = "it holds something else"
    os.close(descriptor)
    raise _no_lock(path, why)


def _no_lock(path: str, why: str) -> StoreError:
    return StoreError(
        f"{path} cannot be the lock file: {why}. Look who put it there, and move it "
        "away; a new one is made"
    )


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
