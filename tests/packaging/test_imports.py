"""Nothing imports the bare folders: that would load a second copy of every class."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("actors", "runtime", "tests", "benchmarks", "examples", "scripts")
BARE = ("actors", "runtime")


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def test_every_import_of_our_own_begins_with_everact() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules()
        for line, name in imported(ast.parse(path.read_bytes()))
        if name.startswith(".") or name.partition(".")[0] in BARE
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["everact.actors", "everact.runtime"])
def test_importing_a_package_loads_no_second_copy(package: str) -> None:
    script = (
        f"import sys, {package}\n"
        "twins = [n for n in sys.modules if n.split('.')[0] in ('actors', 'runtime')]\n"
        "assert twins == [], twins"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_the_actors_load_nothing_of_the_runtime() -> None:
    script = (
        "import sys, everact.actors\n"
        "above = [n for n in sys.modules if n.startswith('everact.runtime')]\n"
        "assert above == [], above"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
