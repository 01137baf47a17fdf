"""Acknowledged means synced: power cuts, which a SIGKILL does not show.

A SIGKILL keeps what was written and not synced; a power cut does not. A real program
runs with a recording of its writes and syncs, and what a disk could hold at any moment
of it is rebuilt and opened: every start, signal and result that was acknowledged by
then must be there. `EVERACT_LONG=1` looks at twenty times as many moments,
`EVERACT_SEED` chooses others.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import EveractError, Runtime
from tests.features.support import ROOT, open_runtime
from tests.power.images import Disk, Event, Kind, Loss, recorded
from tests.power.program import REGISTRY

IMAGES = 100 * (20 if os.environ.get("EVERACT_LONG") else 1)
"""Of each of the two recordings, and half as many of those in which a sync fails."""
SEED = os.environ.get("EVERACT_SEED", "power")
RUNS = 48

COMPILER = shutil.which("cc")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or COMPILER is None,
        reason="POWER LOSS IS NOT TESTED HERE: that needs Linux and a C compiler, cc",
    ),
]

WRITERS = {"thread": 3_000, "process": 60_000}
"""And how much each run holds: the process copies its log back after four megabytes."""
FAILURES = {"log": ("-wal", "12"), "database": (".db", "4")}
"""A file, and which of its syncs fails."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    assert COMPILER is not None
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(built)]
    subprocess.run([*command, str(source), "-ldl"], check=True)
    return built


def play(shim: Path, folder: Path, writer: str, **failing: str) -> list[Event]:
    """Run the program to its end; what it did to its files."""
    place, journal = folder / "disk", folder / "journal"
    place.mkdir()
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    subprocess.run(
        [
            *(sys.executable, "-m", "tests.power.program"),
            *(str(place), writer, str(RUNS), str(WRITERS[writer])),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "LD_PRELOAD": str(shim),
            "POWER_FOLDER": str(place),
            "POWER_JOURNAL": str(journal),
            **failing,
        },
        check=True,
        timeout=120,
    )
    return recorded(journal)


async def problems(image: Path, said: list[list[Any]]) -> list[str]:
    """What was said and is not so in a database that was found after a power cut."""
    found = []
    async with open_runtime(image, REGISTRY, workers=[]) as runtime:
        for word, number, *rest in said:
            try:
                async with asyncio.timeout(3600):  # virtual: a lost end never comes
                    wrong = await _wrong(runtime, word, number, rest)
            except (EveractError, TimeoutError) as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                found.append(f"{word} {number}: {wrong}")
    return found


async def _wrong(runtime: Runtime, word: str, number: int, rest: list[Any]) -> str:
    handle: Any = runtime.handle(f"run-{number}")
    if word == "done":
        result = await handle.result()
        return "" if [result] == rest else f"{result}, and {rest} was said"
    kinds = [item.kind for item in await handle.history()]
    wanted = {"started": "Started", "signalled": "SignalReceived"}[word]
    return "" if wanted in kinds else f"no {wanted} in {kinds}"


def moments(events: list[Event], chance: random.Random) -> set[int]:
    """Where the power is cut: half of them just after something was said."""
    said = [n for n, event in enumerate(events, 1) if event.kind is Kind.SAID]
    after = chance.choices(said, k=IMAGES // 2)
    return {*after, *(chance.randint(1, len(events)) for _ in range(IMAGES))}


async def look(
    events: list[Event],
    folder: Path,
    images: int,
    chance: random.Random,
    report: Counter[str],
) -> list[str]:
    """Cut the power at so many moments; everything that was wrong."""
    cuts = sorted(chance.sample(sorted(moments(events, chance)), k=images))
    disk, at, wrong = Disk(), 0, []
    for moment in cuts:
        for event in events[at:moment]:
            disk.happens(event)
        at = moment
        loss = chance.choice(list(Loss))
        image = folder / f"image-{moment}"
        image.mkdir()
        for name, content in disk.cut(loss, chance).items():
            if not name.endswith(("-shm", ".lock", "said")):
                (image / name).write_bytes(content)
                (image / name).chmod(0o600)
        try:
            found = await problems(image / "everact.db", disk.said)
        except EveractError as error:
            found = [f"not opened: {error!r}"]
        wrong += [f"cut at {moment}, {loss.value}: {text}" for text in found]
        report["images"] += 1
        report["acknowledged"] += len(disk.said)
        report[loss.value] += 1
        shutil.rmtree(image)
    return wrong


@pytest.mark.feature("ST-21", "RC-02")
@pytest.mark.parametrize("writer", WRITERS)
async def test_whatever_was_acknowledged_is_there_after_a_power_cut(
    shim: Path,
    tmp_path: Path,
    writer: str,
    record_property: Callable[[str, object], None],
) -> None:
    events = play(shim, tmp_path, writer)
    chance, report = random.Random(f"{SEED} {writer}"), Counter[str]()
    wrong = await look(events, tmp_path, IMAGES, chance, report)
    print(writer, dict(report))
    record_property("power", dict(report))
    assert not wrong, "\n".join(wrong[:20])
    assert report["images"] == IMAGES
    assert report["acknowledged"] > 10 * IMAGES
    assert min(report[loss.value] for loss in Loss) > IMAGES // 10
    names = {event.name for event in events if event.kind is Kind.SYNCED}
    assert {".", "everact.db", "everact.db-wal"} <= names  # it was copied back as well


@pytest.mark.feature("ST-21", "RC-02")
@pytest.mark.parametrize("file", FAILURES)
@pytest.mark.parametrize("writer", WRITERS)
async def test_a_sync_that_fails_once_and_its_pages_lose_nothing_acknowledged(
    shim: Path, tmp_path: Path, writer: str, file: str
) -> None:
    name, number = FAILURES[file]
    failing = {"POWER_FAIL_NAME": name, "POWER_FAIL_AT": number}
    events = play(shim, tmp_path, writer, **failing)
    assert Kind.FAILED in {event.kind for event in events}
    chance, report = random.Random(f"{SEED} {writer} {file}"), Counter[str]()
    wrong = await look(events, tmp_path, IMAGES // 2, chance, report)
    assert not wrong, "\n".join(wrong[:20])
    assert report["images"] == IMAGES // 2
