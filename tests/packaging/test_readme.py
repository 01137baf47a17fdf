"""What the README's first screen promises."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The first program of the README, as a reader would save it."""
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found
    path = tmp_path / "squares.py"
    path.write_text(found[1])
    return path


def start(program: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, program],
        cwd=program.parent,
        stdout=subprocess.PIPE,
        text=True,
        # Warnings are errors for readers' programs too.
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )


def test_the_first_program_has_at_most_20_lines(program: Path) -> None:
    assert len(program.read_text().splitlines()) <= 20


@pytest.mark.real_time
@pytest.mark.kill
def test_the_first_program_survives_kill_9(program: Path) -> None:
    with start(program) as first:
        assert first.stdout
        before = [first.stdout.readline().strip() for _ in range(3)]
        first.send_signal(signal.SIGKILL)
        before += first.stdout.read().splitlines()
    assert first.returncode == -signal.SIGKILL
    assert before[:3] == ["squaring 0", "squaring 1", "squaring 2"]

    with start(program) as second:
        assert second.stdout
        after = second.stdout.read().splitlines()
    assert second.returncode == 0
    # Each wakes a second after the one before, which is recorded by then; only the
    # last one may have been cut off.
    if after[0] == before[-1]:
        del after[0]
    left = [f"squaring {number}" for number in range(len(before), 6)]
    assert after == [*left, "sum 55"]

    with start(program) as third:
        assert third.stdout
        assert third.stdout.read().splitlines() == ["sum 55"]
    assert third.returncode == 0


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README.read_text())
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []
