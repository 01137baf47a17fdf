"""The page on testing: its files are a folder of tests that pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from everact.runtime import testing

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "testing.md").read_text("utf-8")
INI = "[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n"
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))


def test_every_program_of_the_page_is_a_file() -> None:
    assert len(FILES) == PAGE.count("```python") == 5


@pytest.mark.real_time
def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(INI)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


@pytest.mark.parametrize("name", testing.__all__)
def test_every_public_name_is_on_the_page(name: str) -> None:
    if name not in ("CrashReport", "Difference", "Moment"):
        assert re.search(rf"\b{name}\b", PAGE)


def test_links_of_the_page_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^):#]+)\)", PAGE):
        assert (DOCS / link).exists()
