"""`make demo`: what it counts, and that a killed worker repeats nothing recorded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.index_stdlib_work import Count, count_file, find_files, find_packages

ROOT = Path(__file__).parents[2]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.index_stdlib", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.kill
@pytest.mark.real_time
def test_a_killed_worker_goes_on_and_repeats_no_recorded_task() -> None:
    done = demo("--files", "120")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed with SIGKILL" in done.stdout
    line = re.search(
        r"120 files: (\d+) tasks ran before the kill and (\d+) after it; "
        r"(\d+) were recorded at the kill, 0 recorded tasks were repeated "
        r"\((\d+) cut off",
        done.stdout,
    )
    assert line, done.stdout
    before, after, recorded, again = map(int, line.groups())
    assert before >= 60
    assert before + after == 120 + again
    assert recorded + after == 120


@pytest.mark.real_time
def test_without_a_kill_every_task_runs_once() -> None:
    done = demo("--files", "5", "--no-kill")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 files: 5 tasks ran, no kill; 0 tasks were repeated" in done.stdout


def test_a_database_that_exists_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mine.db"
    database.write_text("precious")
    done = demo("--database", str(database))
    assert done.returncode == 2
    assert "wants a new database" in done.stderr
    assert database.read_text() == "precious"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "lib"
    for file, source in {
        "one.py": "def f():\n    async def g(): ...\n\nclass C: ...\n",
        "broken.py": "def (:\n",
        "null.py": "x = 1\0",
        "pack/__init__.py": "",
        "pack/deep/two.py": "class D: ...\n",
        "pack/test/test_two.py": "",
        "tests/test_one.py": "",
        "site-packages/other.py": "",
        "notes.txt": "",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(source)
    return root


def test_only_the_languages_own_files_are_found(library: Path) -> None:
    assert sorted(find_files(library)) == [
        "broken.py",
        "null.py",
        "one.py",
        "pack/__init__.py",
        "pack/deep/two.py",
    ]


def test_files_are_grouped_by_top_level_package(library: Path) -> None:
    packages = find_packages(library, library / "log", limit=4)
    assert {package.name: package.files for package in packages} == {
        "(modules)": ("broken.py", "null.py", "one.py"),
        "pack": ("pack/__init__.py",),
    }


def test_a_file_that_cannot_be_parsed_is_an_outcome(
    library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def count(file: str) -> Count:
        counted: Count = count_file.function(str(library), file, str(log))
        return counted

    assert count("one.py") == Count(files=1, functions=2, classes=1, lines=4)
    for file, problem in {
        "broken.py": "SyntaxError",
        "null.py": "null bytes",  # SyntaxError or ValueError, by version
        "gone.py": "FileNotFoundError",
    }.items():
        found = count(file)
        assert found.files == 1
        assert problem in found.problems[0]
    assert log.read_text().split() == ["one.py", "broken.py", "null.py", "gone.py"]
