"""Real commands against an engine that a command serves in another process.

Most run in this process, by the same entry point. Where the promise is about processes
(signals, what is served or executed, exit codes of the interpreter) they are processes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest import mock

import pytest

from everact.runtime.cli.main import main

HERE = Path(__file__).parent
WORKS = str(HERE / "works.py")
SECONDS = 60


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its answer, which must be JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """Its error, which must be JSON."""
        return json.loads(self.err)["error"]


class Shell:
    """Runs commands in a folder, each a process, nothing of this user."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EVERACT_")}
        private = {
            "EVERACT_SETTINGS": str(folder / "settings"),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "80",
        }
        self.variables = kept | private | variables

    def within(self, **variables: str) -> Self:
        """The same with more variables."""
        made = type(self)(self.folder)
        made.variables = self.variables | variables
        return made

    def begin(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "everact.runtime", *arguments],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *arguments: str, given: str = "") -> Done:
        """Run a command to its end."""
        with self.begin(*arguments) as command:
            try:
                out, err = command.communicate(given, timeout=SECONDS)
            except BaseException:
                command.kill()
                raise
        assert "Traceback" not in err, err
        return Done(command.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed; its answer as JSON."""
        done = self(*arguments, "--json")
        assert (done.code, done.err) == (0, ""), done.err
        return done.data

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[Mapping[str, Any]]:
        """`serve` until the end of the block; what it said when it was ready."""
        quiet = ("--log-level", "error")  # what fails in a test is meant to
        with self.begin("serve", *arguments, *quiet, "--json") as command:
            assert command.stdout is not None
            try:
                line = command.stdout.readline()
                assert line, command.communicate()[1]
                yield json.loads(line)
            finally:
                command.send_signal(signal.SIGINT)
                out, err = command.communicate(timeout=SECONDS)
        assert (command.returncode, out, err) == (0, "", "")


class Quick(Shell):
    """Runs commands in this process, where what counts is what they do, not how.

    What is begun is a process of its own all the same.
    """

    def __call__(self, *arguments: str, given: str = "") -> Done:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.variables, clear=True),
            mock.patch("sys.stdin", io.StringIO(given)),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main(arguments)
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out.getvalue(), err.getvalue())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder, where no engine is known."""
    return Quick(tmp_path)


@pytest.fixture
def processes(tmp_path: Path) -> Shell:
    """The same, and every command is a process."""
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell that knows an engine which serves works.py."""
    folder = tmp_path_factory.mktemp("served")
    shell = Quick(folder)
    with shell.serving(WORKS, "--address", "127.0.0.1:0") as ready:
        yield shell.within(EVERACT_ADDRESS=ready["address"])
