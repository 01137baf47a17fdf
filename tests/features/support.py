"""What the tests of feature rows share: runtimes on virtual time, and ways to crash.

A crash comes in two kinds. `crash_image` copies the files of an open database as a
power cut would leave them, so that one test can have several lives on one loop. A
`Life` is a real child process that plays a scene and is killed with SIGKILL; its time
is virtual, and the next life may begin at whatever moment the test wants.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, RunHandle, Runtime
from everact.runtime.runs import HistoryItem

EPOCH = 1_700_000_000.0
"""What the clock shows when the first life begins."""

ROOT = Path(__file__).resolve().parents[2]


def virtual_clock(at: float | None = None) -> VirtualClock:
    """The clock of the running virtual loop; it shows `at` now, if given."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    if at is None:
        return VirtualClock(loop, epoch=EPOCH)
    return VirtualClock(loop, epoch=at - loop.time())


def open_runtime(
    database: Path, registry: Registry, *, at: float | None = None, **options: Any
) -> Runtime:
    """A runtime on virtual time, to be entered."""
    clock = virtual_clock(at)
    return Runtime(database, registry=registry, clock=clock, **options)


def crash_image(database: Path, name: str) -> Path:
    """The database as it would be found if the power were cut now."""
    folder = database.parent / name
    folder.mkdir()
    for suffix in ("", "-wal", ".key"):
        source = Path(f"{database}{suffix}")
        if source.exists():
            shutil.copyfile(source, folder / (database.name + suffix))
    (folder / f"{database.name}.key").chmod(0o600)
    return folder / database.name


async def turns(number: int = 50) -> None:
    """Let the loop go on for a while without letting time pass."""
    for _ in range(number):
        await asyncio.sleep(0)


async def kinds(handle: RunHandle[Any]) -> Counter[str]:
    """How often each kind of record is in the run's history."""
    return Counter(item.kind for item in await handle.history())


async def items(handle: RunHandle[Any], kind: str) -> list[HistoryItem]:
    """The records of one kind in the run's history."""
    return [item for item in await handle.history() if item.kind == kind]


def note(folder: str | Path, text: str) -> None:
    """Append a line to the effects of a scene: what a task does to the world."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(Path(folder) / "effects", flags)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def notes(folder: Path) -> list[str]:
    """The effects so far, in order."""
    path = folder / "effects"
    return path.read_text().splitlines() if path.exists() else []


class Stage:
    """What a scene finds in the process where it is played."""

    def __init__(self, folder: Path, at: float) -> None:
        self.folder = folder
        self.at = at
        self.clock = virtual_clock(at)

    def runtime(self, registry: Registry, **options: Any) -> Runtime:
        """The runtime of this life, on the same file as in every life."""
        database = self.folder / "everact.db"
        return Runtime(database, registry=registry, clock=self.clock, **options)

    def elapsed(self) -> float:
        """Seconds since `EPOCH`."""
        return self.clock.now() - EPOCH

    def say(self, kind: str, value: Any = None) -> None:
        """Tell the test something."""
        print(json.dumps([kind, value]), flush=True)

    async def die(self) -> None:
        """Stop the clock and wait for the SIGKILL."""
        self.clock.hold()
        self.say("kill me")
        await asyncio.get_running_loop().create_future()


Scene = Callable[[Stage], Awaitable[None]]


class Life:
    """A child process that plays a scene, a function of the test's own module."""

    def __init__(self, scene: Scene, folder: Path, *, at: float = EPOCH) -> None:
        place = [scene.__module__, scene.__name__]
        self.said: dict[str, Any] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.features.life", *place, folder, str(at)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def until(self, kind: str) -> Any:
        """Wait until the scene says `kind`; returns what it says."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said, value = json.loads(line)
            self.said[said] = value
            if said == kind:
                return value
        ended = self._process.wait()
        raise AssertionError(f"the life ended with {ended} before it said {kind!r}")

    def interrupt(self) -> None:
        """Press control-C."""
        self._process.send_signal(2)

    def end(self) -> int:
        """Wait for the process to end by itself."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said, value = json.loads(line)
            self.said[said] = value
        return self._process.wait()


def killed(scene: Scene, folder: Path, *, at: float = EPOCH) -> dict[str, Any]:
    """Play a scene until it waits to die, and kill it; returns what it said."""
    with Life(scene, folder, at=at) as life:
        life.until("kill me")
    assert life._process.returncode == -9
    return life.said


def played(scene: Scene, folder: Path, *, at: float = EPOCH) -> dict[str, Any]:
    """Play a scene to its end; returns what it said."""
    with Life(scene, folder, at=at) as life:
        assert life.end() == 0
    return life.said
