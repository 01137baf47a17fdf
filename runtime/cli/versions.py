"""Which versions are at work here."""

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from everact.runtime.operations.engines import everact_version

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
        return "not installed"
