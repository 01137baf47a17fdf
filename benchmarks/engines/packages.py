"""What a peer's adapter asks of the installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

INSTALL = "pip install -r benchmarks/requirements-peers.txt"


def absent(*distributions: str) -> str | None:
    """Say which of the distributions is not installed, or None if all are."""
    for distribution in distributions:
        if installed(distribution) is None:
            return f"package {distribution} is not installed ({INSTALL})"
    return None


def installed(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def versions(*distributions: str) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {name: installed(name) for name in distributions}
    return {name: number for name, number in found.items() if number is not None}
