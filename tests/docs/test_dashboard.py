"""The page on the dashboard: its program runs, its pictures are there and small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "dashboard.md").read_text("utf-8")


@pytest.mark.real_time
def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        told = running.stdout.readline()
        running.kill()
    assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/\n", told)


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", PAGE)
    assert len(pictures) == 3
    for name in pictures:
        assert 10_000 < (DOCS / name).stat().st_size < 150_000
