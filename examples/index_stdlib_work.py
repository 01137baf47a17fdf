"""The workflow of `make demo`: index Python files, a task each, a child run a package.

Nothing here knows that the process will be killed. That is the point.
"""

import ast
import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from everact.runtime import task, workflow

PAUSE = 1.0
"""Seconds that each package sleeps, durably, between counting and adding up."""

NOT_OURS = {"site-packages", "dist-packages", "test", "tests", "idle_test"}


@dataclass(frozen=True, slots=True)
class Count:
    """What was found in one file or many; `problems` names what was not parsed."""

    files: int = 0
    functions: int = 0
    classes: int = 0
    lines: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """Files to index together; relative paths, so that they are short to record."""

    name: str
    root: str
    files: tuple[str, ...]
    log: str


@task(timeout="60s")
def count_file(root: str, file: str, log: str) -> Count:
    """Count functions, classes and lines. A file that cannot be parsed is counted too.

    Runs on a thread, as it is not async. First it leaves a line in `log`, so that
    whoever watches from outside can tell how often each file was really counted.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{file}\n".encode())  # one write: whole or not at all
    finally:
        os.close(descriptor)
    try:
        source = Path(root, file).read_bytes()
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError, RecursionError, OSError) as error:
        problem = f"{file}: {type(error).__name__}: {error}"
        return Count(files=1, problems=(problem,))
    nodes = [type(node) for node in ast.walk(tree)]
    return Count(
        files=1,
        functions=nodes.count(ast.FunctionDef) + nodes.count(ast.AsyncFunctionDef),
        classes=nodes.count(ast.ClassDef),
        lines=len(source.splitlines()),
    )


@workflow
async def index_package(package: Package) -> Count:
    """Every file of one package: all at once, then a durable sleep, then the sum."""
    counts = await asyncio.gather(
        *(count_file(package.root, file, package.log) for file in package.files)
    )
    await asyncio.sleep(PAUSE)
    return add(counts)


@workflow
async def index(packages: list[Package]) -> dict[str, Count]:
    """A child run for each package: in a workflow, calling a workflow starts one."""
    counts = await asyncio.gather(*map(index_package, packages))
    names = [package.name for package in packages]
    return dict(zip(names, counts, strict=True))


def add(counts: Iterable[Count]) -> Count:
    """The sum."""
    counts = list(counts)
    return Count(
        files=sum(count.files for count in counts),
        functions=sum(count.functions for count in counts),
        classes=sum(count.classes for count in counts),
        lines=sum(count.lines for count in counts),
        problems=tuple(p for count in counts for p in count.problems),
    )


def find_packages(root: Path, log: Path, limit: int | None = None) -> list[Package]:
    """The Python files below `root`, by top-level package; at most `limit` files."""
    files = sorted(find_files(root))[:limit]
    groups: dict[str, list[str]] = {}
    for file in files:
        group, _, inside = file.partition("/")
        groups.setdefault(group if inside else "(modules)", []).append(file)
    return [
        Package(name, str(root), tuple(members), str(log))
        for name, members in sorted(groups.items())
    ]


def find_files(root: Path) -> Iterator[str]:
    """Paths, relative to `root`, of what the language itself ships."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        for name in names:
            if name.endswith(".py"):
                yield Path(folder, name).relative_to(root).as_posix()
