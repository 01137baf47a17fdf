"""The page and the picture show the code as it is."""

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
