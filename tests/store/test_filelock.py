"""The lock of a database is its process's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
