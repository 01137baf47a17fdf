"""What every test gets: an importable checkout, and virtual time for async tests."""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def _link_checkout() -> None:
    """Make a bare checkout importable as ``everact``, here and in child processes."""
    folder = tempfile.TemporaryDirectory(prefix="everact-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "everact").symlink_to(CHECKOUT)
    sys.path.insert(0, folder.name)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder.name, inherited]))


if importlib.util.find_spec("everact") is None:
    _link_checkout()


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Async tests and fixtures run in virtual time, unless marked ``real_time``."""
    from everact.actors import VirtualLoop

    if item.get_closest_marker("real_time") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}
