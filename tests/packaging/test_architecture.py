"""The page and the picture show the code as it is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "draw_architecture.py"
PAGE = ROOT / "docs" / "architecture.md"


def test_the_picture_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_that_the_page_sends_a_reader_to_exists() -> None:
    missing = []
    for row in re.findall(r"^\|.*\| (`.*`) \|$", PAGE.read_text(), re.MULTILINE):
        folder = ROOT
        for name in re.findall(r"`([^`]+)`", row):
            path = ROOT / name
            if not path.exists():  # a neighbour of the one before
                path = folder / name
            if not path.exists():
                missing.append(name)
            folder = path.parent
    assert missing == []


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
