"""Which names are public, and that each has its place in the reference."""

from __future__ import annotations

import ast
import builtins
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from everact.runtime.public import MODULES

PACKAGES = ("everact.actors", *MODULES)
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "write_reference.py"

KNOWN: dict[str, set[str]] = {}
"""The names of each module. A name is added here on purpose, and never taken away."""
for _line in Path(__file__).with_name("public_names.txt").read_text().splitlines():
    _module, _, _name = _line.rpartition(".")
    KNOWN.setdefault(_module, set()).add(_name)


@pytest.mark.parametrize("module", PACKAGES)
def test_a_module_has_the_public_names_that_it_is_known_for(module: str) -> None:
    found = importlib.import_module(module)
    assert set(found.__all__) == KNOWN[module]
    assert len(found.__all__) == len(KNOWN[module])
    for name in found.__all__:
        assert hasattr(found, name)


def test_the_list_knows_no_other_modules() -> None:
    assert set(PACKAGES) == set(KNOWN)


def test_what_one_needs_every_day_is_short_and_hides_no_builtin() -> None:
    daily = KNOWN["everact.runtime"]
    assert len(daily) <= 45
    assert not daily & set(dir(builtins))


def test_a_name_has_one_home() -> None:
    """But errors that are met every day: they are with their family as well."""
    others = [
        name
        for module, names in KNOWN.items()
        for name in names
        if module in MODULES and module != "everact.runtime.errors"
    ]
    assert [name for name, count in Counter(others).items() if count > 1] == []


@pytest.mark.parametrize("module", sorted({*PACKAGES} - {"everact.runtime.errors"}))
def test_it_only_re_exports(module: str) -> None:
    source = importlib.import_module(module).__file__
    assert source is not None
    body = ast.parse(Path(source).read_bytes()).body
    assert ast.get_docstring(ast.Module(body, [])) is not None
    *imports, names = body[1:]
    assert {type(node) for node in imports} == {ast.ImportFrom}
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"


def test_the_pages_of_the_reference_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
