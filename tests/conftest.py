"""What every test gets: an importable checkout, ordinary signals, a time limit, and
virtual time for async tests. How the tests share the cores is here as well.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent

# Seconds, where the default of setup.cfg is too short.
LIMITS = {"slow": 600, "long": 1_500}

# These files take turns on one core: real processes killed at random moments, and a
# browser. They begin first, since together they take longest.
TAKE_TURNS = ("tests/kills/", "tests/dashboard/")

# The tests of these files take minutes together and share nothing.
ALONE = ("tests/simulation/", "tests/control/test_openapi.py")


def _link_checkout() -> None:
    """Make a bare checkout importable as ``everact``, here and in child processes."""
    folder = tempfile.TemporaryDirectory(prefix="everact-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "everact").symlink_to(CHECKOUT)
    sys.path.insert(0, folder.name)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder.name, inherited]))


def _restore_signals() -> None:
    """Undo what the starter ignores or blocks: children of tests would inherit it.

    A shell ignores SIGINT in its background jobs and `nohup` SIGHUP; a test that sends
    such a signal to its child would wait for ever.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            plain = signal.default_int_handler if number == signal.SIGINT else None
            signal.signal(number, plain or signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


_restore_signals()
if importlib.util.find_spec("everact") is None:
    _link_checkout()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its time limit; when cores are shared, what is slow goes first."""
    for item in items:
        seconds = [
            LIMITS[mark.name] for mark in item.iter_markers() if mark.name in LIMITS
        ]
        if seconds and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(max(seconds)))
    if "PYTEST_XDIST_WORKER" in os.environ:
        long = {
            _turn(item.nodeid)
            for item in items
            if item.nodeid.startswith(TAKE_TURNS + ALONE)
            or item.get_closest_marker("slow")
        }
        items.sort(key=lambda item: _turn(item.nodeid) not in long)


def _turn(nodeid: str) -> str:
    """Tests of one turn run on one core, in their order: those of a file, as a rule."""
    if nodeid.startswith(TAKE_TURNS):
        return "in turn"
    return nodeid if nodeid.startswith(ALONE) else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How `pytest -n` shares out the tests: whole turns, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class Turns(LoadScopeScheduling):  # type: ignore[misc]  # has no types
        def _split_scope(self, nodeid: str) -> str:
            return _turn(nodeid)

        def remove_node(self, node: Any) -> Any:
            """What brought its process down is not begun again, but the rest is."""
            for turn in self.assigned_work[node].values():
                for nodeid, ended in turn.items():
                    if not ended:
                        turn[nodeid] = True
                        super().remove_node(node)
                        return nodeid
            return super().remove_node(node)

    config.option.loadscopereorder = False
    return Turns(config, log)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Async tests and fixtures run in virtual time, unless marked ``real_time``."""
    from everact.actors import VirtualLoop

    if item.get_closest_marker("real_time") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}
