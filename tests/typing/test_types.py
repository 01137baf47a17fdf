"""The types as users see them: mypy, strict, over a file of expectations.

Pyright reads the same file where it is installed; it is no part of the environment.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXPECTATIONS = HERE / "api.py"


def check(path: Path, cache: Path) -> str:
    """What mypy says of a file, with the settings of the checkout."""
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            f"--config-file={ROOT / 'setup.cfg'}",
            f"--cache-dir={cache}",
            "--no-error-summary",
            "--follow-imports=silent",
            str(path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


@pytest.fixture(scope="module")
def cache() -> Path:
    """A cache between runs; `make` leaves the link through which mypy sees the code."""
    link = ROOT / "build" / "src" / "everact"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../..")
    return ROOT / "build" / "mypy-types"


@pytest.mark.slow
def test_the_public_interface_has_the_expected_types(cache: Path) -> None:
    assert check(EXPECTATIONS, cache) == ""


@pytest.mark.slow
def test_a_wrong_expectation_is_noticed(cache: Path, tmp_path: Path) -> None:
    """The check above can fail: an ignore that is not needed, another type."""
    text = EXPECTATIONS.read_text(encoding="utf-8")
    wrong = re.sub(r"await fetch\(1\)(  # type)", r'await fetch("1")\1', text)
    wrong = wrong.replace('await parse(b"p"), int)', 'await parse(b"p"), str)', 1)
    assert wrong != text
    path = tmp_path / "wrong.py"
    path.write_text(wrong, encoding="utf-8")
    said = check(path, cache)
    assert 'Unused "type: ignore" comment' in said
    assert "Expression is of type" in said


PYRIGHT = shutil.which("pyright") or shutil.which("basedpyright")


@pytest.mark.slow
@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_pyright_has_the_same_opinion(cache: Path, tmp_path: Path) -> None:
    settings = tmp_path / "pyrightconfig.json"
    said = {
        "include": [str(EXPECTATIONS)],
        "extraPaths": [str(ROOT / "build" / "src")],
        "typeCheckingMode": "standard",
        "pythonVersion": "3.11",
    }
    settings.write_text(json.dumps(said), encoding="utf-8")
    command = [str(PYRIGHT), f"--pythonpath={sys.executable}", "-p", str(settings)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.startswith("0 errors"), found.stdout + found.stderr
