"""A task that ends its process is blamed alone, and nobody is for kills from outside.

`EVERACT_SEED` names the seed of the quick kills of an earlier run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kills.blame import INNOCENT, TASKS
from tests.kills.chaos import ROOT

KILLS = 120

pytestmark = [pytest.mark.kill, pytest.mark.slow, pytest.mark.real_time]


def play(folder: Path, *arguments: str) -> list[Any]:
    """What the last life found, then how many ended before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills.blame", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.feature("RC-01", "RC-03")
@pytest.mark.parametrize("killer", TASKS)
def test_a_task_that_kills_its_process_fails_alone_and_is_told_why(
    tmp_path: Path, killer: str
) -> None:
    *_, found, ends = play(tmp_path, killer)
    guilty = found.pop("guilty")
    assert found == {f"innocent {number}": number for number in range(INNOCENT)}
    assert guilty.startswith("AttemptLost: the process ended 3 times while an attempt")
    assert "nothing else was" in guilty
    assert ends <= 8


@pytest.mark.feature("RC-01", "RC-06")
def test_workflow_code_that_kills_its_process_is_put_aside_after_the_second_time(
    tmp_path: Path,
) -> None:
    *_, found, ends = play(tmp_path, "kills_itself")
    guilty = found.pop("guilty")
    assert found == {f"innocent {number}": number for number in range(INNOCENT)}
    assert guilty.startswith("aside: the process ended 2 times in a row while the code")
    assert ends == 2


@pytest.mark.feature("RC-02", "RC-03")
def test_quick_kills_under_load_fail_no_run(tmp_path: Path) -> None:
    seed = os.environ.get("EVERACT_SEED", f"{random.getrandbits(32):x}")
    found = play(tmp_path, str(KILLS), seed)[-1]
    innocent = {f"innocent {number}": number for number in range(INNOCENT)}
    busy = {f"busy {number}": number for number in range(INNOCENT)}
    assert found == innocent | busy, f"seed {seed}"
