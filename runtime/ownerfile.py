"""Files that hold secrets: written whole, for their owner only, or not read at all."""

import os
import stat
import tempfile
from pathlib import Path

from everact.runtime.errors import SecretFileError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> bytes | None:
    """The content of a file that only its owner can open; None if there is none.

    SecretFileError if others may read or write it, or if it is another user's. What is
    checked is what is read: the open file, not its name.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretFileError(f"{path} is not a regular file")
        if found.st_uid not in (os.geteuid(), 0):
            raise SecretFileError(
                f"{path} belongs to another user: it must be yours, and yours only"
            )
        if found.st_mode & _OTHERS:
            raise SecretFileError(
                f"{path} holds secrets, and others than its owner can open it (mode "
                f"{stat.S_IMODE(found.st_mode):04o}): run `chmod 600 {path}`, and "
                "revoke or replace what they may have read"
            )
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Replace the file as a whole, readable by its owner only; durable on return.

    A reader sees the old content or the new one, also after a crash.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp makes it for the owner only
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
