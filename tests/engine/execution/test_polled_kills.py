"""A polled executor whose engine and workers are killed: nothing is lost or charged."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.engine.execution.dummy import RUNS
from tests.features.support import ROOT

KILLS = 12


@contextmanager
def process(folder: Path, what: str, name: str = "") -> Iterator[subprocess.Popen[str]]:
    """An engine or a worker; killed with SIGKILL at the end."""
    command = [sys.executable, "-m", "tests.engine.execution.dummy", what, str(folder)]
    child = subprocess.Popen(
        [*command, name] if name else command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.mark.real_time
@pytest.mark.feature("RC-01")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_polled_executor_survives_kills_of_both_sides(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with ExitStack() as workers, ExitStack() as engines:
        engine = engines.enter_context(process(tmp_path, "engine"))
        names = [f"worker-{n}" for n in range(2)]
        here = {
            name: workers.enter_context(process(tmp_path, "worker", name))
            for name in names
        }
        for kill in range(KILLS):
            name = names[kill % 2]
            stdout = here[name].stdout
            assert stdout is not None
            for _ in range(chance.randint(1, 3)):
                assert stdout.readline(), "a worker came to its end by itself"
            if engine.poll() is not None:
                break
            if chance.random() < 0.5:
                engine.kill()
                engine.wait()
                assert engine.stdout is not None
                if engine.stdout.read():
                    break  # all was done just before
                engine = engines.enter_context(process(tmp_path, "engine"))
            else:
                here[name].kill()
                here[name].wait()
                here[name] = workers.enter_context(process(tmp_path, "worker", name))
        else:
            assert engine.stdout is not None
            assert json.loads(engine.stdout.readline()) == [
                2 * number + 1 for number in range(RUNS)
            ]
    effects = (tmp_path / "effects").read_text().splitlines()
    assert {line.partition(" ")[0] for line in effects} == {"double", "increase"}
    assert len(set(effects)) == 2 * RUNS
