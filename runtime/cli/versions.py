"""Versions of everact, Python, SQLite and packages, for `version` and `doctor`."""

import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from everact.runtime.cli.findings import Finding, ok, problem
from everact.runtime.operations.engines import everact_version

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 35)

ABSENT: Final = "not installed"
PACKAGES: Final = ("aiohttp", "click", "cloudpickle", "msgspec", "pykka", "rich")


def versions() -> dict[str, str]:
    """By name: everact, Python, SQLite, the system, and the packages it rests on."""
    return {
        "everact": everact_version(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()}",
    } | {name: _installed(name) for name in PACKAGES}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT


def check_versions() -> Iterator[Finding]:
    """Python, SQLite, and the packages that everact needs."""
    python = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        yield problem("python", f"Python {python}", "use Python 3.11 or later")
    else:
        yield ok("python", f"Python {python}")
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield problem(
            "sqlite",
            f"SQLite {sqlite3.sqlite_version} is too old",
            "use a Python that was built with SQLite 3.35 or later",
        )
    else:
        yield ok("sqlite", f"SQLite {sqlite3.sqlite_version}")
    missing = [name for name in _needed() if _installed(name) == ABSENT]
    if missing:
        yield problem(
            "packages",
            f"not installed: {', '.join(missing)}",
            f"pip install {' '.join(missing)}",
        )
    else:
        yield ok("packages", "all that everact needs is installed")


def _needed() -> list[str]:
    try:
        lines = requires("everact") or []
    except PackageNotFoundError:
        return []
    plain = (line for line in lines if "extra ==" not in line)
    return [line.split(";")[0].split(">")[0].split("=")[0].strip() for line in plain]
