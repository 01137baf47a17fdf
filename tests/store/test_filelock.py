"""The lock of a database is its process's own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from everact.runtime.errors import StoreError
from everact.runtime.store.filelock import FileLock

FORKS = """
import os, sys, time
from everact.runtime.store.filelock import FileLock

lock = FileLock(sys.argv[1], "the file")
reading, writing = os.pipe()
told, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(writing)
    os.write(tell, b".")
    os.read(reading, 1)  # until the parent is done
    os._exit(0)
os.read(told, 1)
lock.release()
FileLock(sys.argv[1], "the file").release()
os.close(writing)
os.waitpid(child, 0)
"""


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "lock")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def other_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def other_content(path: Path, victim: Path) -> None:
    path.write_bytes(victim.read_bytes())


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def test_a_link_is_not_followed_even_to_a_file_that_could_be_a_lock(
    tmp_path: Path,
) -> None:
    victim, path = tmp_path / "another.lock", tmp_path / "db.lock"
    for content in ("", "12345"):
        victim.write_text(content)
        path.symlink_to(victim)
        with pytest.raises(StoreError, match="it is a symbolic link"):
            FileLock(str(path), "the file")
        assert victim.read_text() == content
        path.unlink()


@pytest.mark.parametrize("make", [link, other_name, other_content, pipe])
def test_what_is_no_lock_file_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    victim, path = tmp_path / "victim", tmp_path / "db.lock"
    victim.write_text("precious")
    make(path, victim)
    with pytest.raises(StoreError, match=r"db\.lock cannot be the lock.*move it away"):
        FileLock(str(path), "the file")
    assert victim.read_text() == "precious"
    assert stat.S_ISFIFO(path.stat().st_mode) or path.read_text() == "precious"
