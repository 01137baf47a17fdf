"""The virtual environments of this checkout: built aside, stamped, linked when whole.

usage: environment.py ROOT LEVEL [--unlinked]

Prints the path of a Python in which everact (editable) and the extras of LEVEL are
installed. Levels: `base` (run it), `bench` (and plot), `dev` (and check and test);
each holds the ones before it. `test` is for other interpreters.

An environment is built under build/environments in a folder whose name holds a hash of
all that decides its content: setup.cfg, pyproject.toml, the level, the interpreter and
the place (an environment cannot be moved). The stamp is written last, so a failed or
killed installation is never used; a stamped one is used without any network. `.venv` is
a link to the last one, so that it is never seen half-built. A lock makes parallel calls
take turns; it goes with its process.

Runs on the bare interpreter that scripts/find_python.sh found: standard library only.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

EXTRAS = {"base": "", "bench": "[bench]", "dev": "[dev]", "test": "[test]"}
CHAIN = ("base", "bench", "dev")
STAMP = "complete"

# (checkout, folder of the environment, extras as pip spells them) -> success
Install = Callable[[Path, Path, str], bool]


def main() -> int:
    """Print the Python of a whole environment; 1 and a message if there is none."""
    parser = argparse.ArgumentParser(description="Build or find an environment.")
    parser.add_argument("root", type=Path)
    parser.add_argument("level", choices=EXTRAS)
    parser.add_argument("--unlinked", action="store_true", help="leave .venv alone")
    options = parser.parse_args()
    root = options.root.resolve()
    ready = ensure(root, options.level, linked=not options.unlinked)
    if ready is None:
        return 1
    print(python_of(ready))
    return 0


def ensure(
    root: Path, level: str, *, linked: bool = True, install: Install | None = None
) -> Path | None:
    """A whole environment of the level, old or new; None if it cannot be built.

    `install` fills a folder and says whether it succeeded: venv and pip by default.
    """
    with lock(root):
        link_sources(root)
        ready = find(root, level) or build(root, level, install or install_with_pip)
        if ready is not None and linked:
            link(root, ready)
        return ready


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """One builder at a time; a killed one leaves no lock behind."""
    folder = root / "build" / "environments"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def link_sources(root: Path) -> None:
    """Make build/src/everact, through which checkers see the namespace package."""
    source = root / "build" / "src" / "everact"
    source.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(source):
        source.symlink_to("../..", target_is_directory=True)


def find(root: Path, level: str) -> Path | None:
    """The fullest stamped environment that holds the level."""
    fitting = CHAIN[CHAIN.index(level) :] if level in CHAIN else (level,)
    for name in reversed(fitting):
        folder = place(root, name)
        if (folder / STAMP).exists() and python_of(folder).exists():
            return folder
    return None


def place(root: Path, level: str) -> Path:
    """Where the environment of this level belongs; a change of its input moves it."""
    key = hashlib.sha256()
    for part in (
        (root / "setup.cfg").read_bytes(),
        (root / "pyproject.toml").read_bytes(),
        EXTRAS[level].encode(),
        sys.version.encode(),
        # Not sys.executable: a link to this interpreter is this interpreter.
        os.path.realpath(sys.base_prefix).encode(),
        os.fsencode(root),
    ):
        key.update(hashlib.sha256(part).digest())
    name = f"{prefix(level)}{key.hexdigest()[:12]}"
    return root / "build" / "environments" / name


def prefix(level: str) -> str:
    """How the names begin of all environments of this level and Python version."""
    return f"{level}-py{sys.version_info[0]}.{sys.version_info[1]}-"


def python_of(environment: Path) -> Path:
    """The interpreter inside an environment."""
    return environment / "bin" / "python"


def build(root: Path, level: str, install: Install) -> Path | None:
    """Build and stamp the environment; None, with the reason printed, if it failed."""
    folder = place(root, level)
    if folder.exists():  # a killed installation
        shutil.rmtree(folder)
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"building an environment ({level}, Python {version}); this happens once")
    if not install(root, folder, EXTRAS[level]):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    (folder / STAMP).touch()
    for old in folder.parent.glob(f"{prefix(level)}*"):
        if old != folder:
            shutil.rmtree(old)
    return folder


def install_with_pip(root: Path, folder: Path, extras: str) -> bool:
    """Make a virtual environment and install the checkout into it, editable."""
    if not run([sys.executable, "-E", "-s", "-m", "venv", str(folder)], root):
        say("the virtual environment could not be made; Python's message is above.")
        return False
    pip = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--disable-pip-version-check", "--editable", f".{extras}"]
    if not run(pip, root):
        say("the dependencies could not be installed; pip's message is above.")
        say("The first build needs a package index. Behind a proxy or a mirror, set")
        say("HTTPS_PROXY or PIP_INDEX_URL. Nothing half-installed is kept: run again.")
        return False
    return True


def run(command: list[str], root: Path) -> bool:
    """Run a command in the checkout, its output on stderr; whether it succeeded."""
    # Settings that would send the packages elsewhere than into the environment.
    elsewhere = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME")
    surroundings = {k: v for k, v in os.environ.items() if k not in elsewhere}
    done = subprocess.run(
        command,
        cwd=root,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        check=False,
    )
    return done.returncode == 0


def link(root: Path, environment: Path) -> None:
    """Point `.venv` at the environment, in one step."""
    target = os.path.relpath(environment, root)
    public, fresh = root / ".venv", root / ".venv.new"
    if public.is_symlink() and str(public.readlink()) == target:
        return
    if public.is_dir() and not public.is_symlink():
        say("replacing .venv: it was not built by make")
        shutil.rmtree(public)
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target, target_is_directory=True)
    fresh.replace(public)


def say(message: str) -> None:
    """Tell the person; stdout belongs to the answer."""
    print(f"everact: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
