"""The page, the picture and the list of modules show the code as it is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "draw_architecture.py"
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_picture_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_says_first_what_a_reader_looks_for() -> None:
    """In one line, which the list of modules has."""
    for folder in ("runtime", "actors"):
        for file in (ROOT / folder).rglob("*.py"):
            said = ast.get_docstring(ast.parse(file.read_bytes())) or ""
            first = said.partition("\n")[0]
            assert re.search(r"[.:?]$", first), f"{file}: {first}"


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:runtime|actors|tests|scripts|docs)/[^`\s]*)`", TEXT)
    assert len(named) > 100
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_file_that_the_page_sends_a_reader_to_exists() -> None:
    missing = []
    for row in re.findall(r"^\|.*\| (`.*`) \|$", TEXT, re.MULTILINE):
        folder = ROOT
        for name in re.findall(r"`([^`]+)`", row):
            path = ROOT / name
            if not path.exists():  # a neighbour of the one before
                path = folder / name
            if not path.exists():
                missing.append(name)
            folder = path.parent
    assert missing == []


CHANGES = re.findall(
    r"^\| ([^|]+) \| \+?(\d+)(?: folder)? \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE
)


CALLED = {"`SetDetails`": "details", "retention": "retention|retire"}
"""What an example is called in code, where it is not called that."""


def test_the_page_says_how_far_a_change_of_each_kind_goes() -> None:
    assert {what for what, _, _, _ in CHANGES} >= {
        "verb of a client",
        "option of a task",
        "part beside the journal",
        "field of a run's row",
        "kind of event or command",
        "front",
        "page of the dashboard",
    }


@pytest.mark.parametrize(("what", "count", "example", "where"), CHANGES)
def test_a_change_goes_no_farther_than_the_page_says(
    what: str, count: str, example: str, where: str
) -> None:
    files = re.findall(r"`([^`]+)`", where)
    assert len(files) <= int(count), what
    word = CALLED.get(example, example.strip("`").split()[-1])
    for place in [ROOT / name for name in files]:
        found = list(place.rglob("*.*")) if place.is_dir() else [place]
        texts = [file.read_text("utf-8") for file in found if file.suffix != ".pyc"]
        assert any(re.search(word, text, re.IGNORECASE) for text in texts), (
            f"{place} has nothing of {example}"
        )


@pytest.mark.parametrize(
    ("what", "token"),
    [
        ("verb of a client", "TerminateRun"),
        ("option of a task", "queue_timeout"),
        ("kind of event or command", "SetDetails"),
    ],
)
def test_no_other_file_has_to_do_with_the_example(what: str, token: str) -> None:
    (where,) = (place for kind, _, _, place in CHANGES if kind == what)
    named = re.findall(r"`([^`]+)`", where)
    concerned = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "runtime").rglob("*.*")
        if file.suffix in (".py", ".sql") and token in file.read_text("utf-8")
    }
    assert concerned
    assert concerned <= {*named}


def test_every_room_has_its_tests() -> None:
    rooms = [
        f.name for f in (ROOT / "runtime").iterdir() if (f / "__init__.py").exists()
    ]
    assert len(rooms) > 10
    assert [room for room in rooms if not (ROOT / "tests" / room).is_dir()] == []


def test_nobody_but_a_run_and_what_it_consists_of_changes_it() -> None:
    files = [
        file
        for file in (ROOT / "runtime").rglob("*.py")
        if "run" not in file.relative_to(ROOT).parts
    ]
    assert len(files) > 100
    found = [
        f"{file.name}:{line} {target}"
        for file in files
        for line, target in _assigned(file)
        if re.match(r"(\w+\.)*(run|state)\.", target)
    ]
    assert [one for one in found if not one.startswith("state.py:")] == []


def _assigned(file: Path) -> list[tuple[int, str]]:
    """The attributes that a module assigns."""
    return [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
