"""A program in a child process that is killed with SIGKILL and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 120.0
"""Seconds after which a child that hangs is killed, so that the test fails."""


class Program:
    """A script in `folder`, which is also its working directory.

    Nothing here sleeps: a test waits for a line of the child's output.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        self.script = folder / "program.py"
        self.script.write_text(textwrap.dedent(source))

    def kill_at(self, line: str, *args: str, times: int = 1) -> list[str]:
        """Run until `line` was printed `times` times, then SIGKILL; all that was read.

        More may have been printed before the signal arrived: it is read as well.
        """
        with self._running(args) as child:
            assert child.stdout is not None
            lines: list[str] = []
            while lines.count(line) < times:
                text = child.stdout.readline()
                assert text, f"ended without {line!r} ({times} times): {lines}"
                lines.append(text.rstrip("\n"))
            child.send_signal(signal.SIGKILL)
            *whole, _cut_off = child.stdout.read().split("\n")
            lines += whole
            assert child.wait() == -signal.SIGKILL
        return lines

    def run(self, *args: str) -> list[str]:
        """Run to the end; all that was printed."""
        with self._running(args) as child:
            assert child.stdout is not None
            lines = child.stdout.read().splitlines()
            assert child.wait() == 0, lines
        return lines

    @contextmanager
    def running(self, line: str, *args: str) -> Iterator[subprocess.Popen[str]]:
        """The child, once it has printed `line`; killed at the end."""
        with self._running(args) as child:
            assert child.stdout is not None
            while True:
                text = child.stdout.readline()
                assert text, f"ended without {line!r}"
                if text.rstrip("\n") == line:
                    break
            yield child

    @contextmanager
    def _running(self, args: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            [sys.executable, "-u", "-W", "error", str(self.script), *args],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
        overdue = threading.Timer(LONGEST, child.kill)
        overdue.start()
        try:
            with child:
                try:
                    yield child
                finally:
                    child.kill()
        finally:
            overdue.cancel()
