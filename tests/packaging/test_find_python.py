"""The interpreter finder, run for real with made-up interpreters on its own PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FINDER = Path(__file__).parents[2] / "scripts" / "find_python.sh"


class Machine:
    """A PATH with the ordinary tools and whatever interpreters a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path: list[Path] = []
        self.home = self.folder("home of somebody")
        self.tools = self.folder("tools")
        for tool in ("cut", "sed", "tail"):
            found = shutil.which(tool)
            assert found
            (self.tools / tool).symlink_to(found)

    def folder(self, name: str) -> Path:
        made = self.root / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def install(self, folder: str, name: str, script: str) -> Path:
        """A command that is this shell script; its folder goes to the end of PATH."""
        place = self.folder(folder)
        if place not in self.path:
            self.path.append(place)
        command = place / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        return command

    def python(self, folder: str, name: str, pretend: str = "") -> Path:
        """The running interpreter under that name; `pretend` runs before the probe."""
        lies = self.folder(folder) / f"{name} lies.py"
        lies.write_text(pretend)
        # The finder calls: python -E -s -c PROBE
        both = f'"$(/bin/cat "{lies}")\n$4"'
        return self.install(folder, name, f'exec "{sys.executable}" -E -s -c {both}')

    def find(self, *options: str, python: str = "") -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, [*self.path, self.tools]))
        return subprocess.run(
            ["/bin/sh", FINDER, *options],
            env={"PATH": path, "HOME": str(self.home), "PYTHON": python},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "with a space")


def version(numbers: str) -> str:
    """Code that makes an interpreter report another version."""
    return (
        "import sys, collections\n"
        "V = collections.namedtuple('V', 'major minor micro releaselevel serial')\n"
        f"sys.version_info = V({numbers}, 0, 'final', 0)"
    )


def without(module: str) -> str:
    """Code that makes an interpreter miss a module."""
    return f"import sys\nsys.modules[{module!r}] = None"


def test_the_newest_name_on_path_wins(machine: Machine) -> None:
    machine.python("old", "python3.11")
    newest = machine.python("new", "python3.13")
    found = machine.find()
    assert (found.returncode, found.stdout) == (0, f"{newest}\n")


def test_a_broken_shim_does_not_hide_the_interpreter_behind_it(
    machine: Machine,
) -> None:
    machine.install("shims", "python3.13", "echo 'pyenv: not installed' >&2; exit 127")
    behind = machine.python("real", "python3.13")
    found = machine.find()
    assert (found.returncode, found.stdout) == (0, f"{behind}\n")
    assert found.stderr == ""


def test_python_from_the_environment_comes_first(machine: Machine) -> None:
    machine.python("new", "python3.13")
    wanted = machine.python("mine", "snake")
    found = machine.find(python=str(wanted))
    assert (found.returncode, found.stdout) == (0, f"{wanted}\n")


def test_python_from_the_environment_that_does_not_fit_is_named(
    machine: Machine,
) -> None:
    other = machine.python("new", "python3.13")
    old = machine.python("mine", "snake", version("3, 10"))
    found = machine.find(python=str(old))
    assert (found.returncode, found.stdout) == (0, f"{other}\n")
    assert f"{old}: is Python 3.10, not 3.11 to 3.13" in found.stderr


def test_nothing_fitting_lists_every_candidate_with_its_reason(
    machine: Machine,
) -> None:
    shim = machine.install("shims", "python3.13", "echo 'no such version' >&2; exit 1")
    silent = machine.install("shims", "python3.12", "exit 127")
    no_venv = machine.python("a", "python3.12", without("venv"))
    no_pip = machine.python("a", "python3.11", without("ensurepip"))
    no_sqlite = machine.python("b", "python3.11", without("sqlite3"))
    old_sqlite = machine.python(
        "c", "python3.11", "import sqlite3\nsqlite3.sqlite_version_info = (3, 34, 1)"
    )
    future = machine.python("a", "python3", version("3, 14"))
    found = machine.find()
    assert found.returncode == 1
    assert found.stdout == ""
    for line in (
        f"{shim}: no such version",
        f"{silent}: could not be run",
        f"{no_venv}: has no module venv",
        f"{no_pip}: has no module ensurepip",
        f"{no_sqlite}: has no module sqlite3",
        f"{old_sqlite}: has SQLite ",
        f"{future}: is Python 3.14, not 3.11 to 3.13",
        "apt install python3 python3-venv",
        "make PYTHON=",
    ):
        assert line in found.stderr


def test_an_empty_machine_is_told_what_to_install(machine: Machine) -> None:
    found = machine.find()
    assert found.returncode == 1
    assert "no candidate on PATH" in found.stderr
    assert "brew install" in found.stderr


def test_each_gives_one_interpreter_of_each_version(machine: Machine) -> None:
    first = machine.python("a", "python3.13", version("3, 13"))
    machine.python("b", "python3.13", version("3, 13"))
    machine.install("a", "python3.12", "exit 127")
    eleven = machine.python("a", "python3.11", version("3, 11"))
    # A version manager may keep interpreters that its shims do not offer.
    kept = ".pyenv/versions/3.12.4/bin"
    twelve = machine.python(f"home of somebody/{kept}", "python3.12", version("3, 12"))
    machine.path.remove(machine.home / kept)
    found = machine.find("--each")
    assert found.returncode == 0
    assert found.stdout.splitlines() == [str(first), str(eleven), str(twelve)]


def test_an_unknown_option_is_refused(machine: Machine) -> None:
    assert machine.find("--all").returncode == 2
