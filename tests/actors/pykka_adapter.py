"""Presents our actors to pykka's own test-suite as one of its runtimes.

The suite says what it needs of a runtime in ``tests/conftest.py`` of the source
distribution: a fixture ``runtime`` with five attributes. The text below is appended to
that file in a copy, and replaces the fixture. Nothing else of the suite is changed.

``Actor.start()`` is called from the suite's thread, where no event loop runs: it spawns
on the background system, whose loop is on another thread.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

from everact.actors import Actor, ActorFuture

RUNTIME: dict[str, Any] = {
    "name": "everact",
    "actor_class": Actor,
    "event_class": threading.Event,
    "future_class": ActorFuture,
    "sleep_func": time.sleep,
}

FIXTURE = """

import pykka_adapter


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime(**pykka_adapter.RUNTIME)
"""

#: Tests of the suite that are not promises of ours, by node ID, with the reason.
EXCEPTIONS = {
    "tests/test_logging.py::test_base_exception_is_logged": (
        "a BaseException stops the one actor that raised it, not all actors of the "
        "process, so there is no log record that says so"
    ),
}


def copy_with_our_runtime(sdist: Path, target: Path) -> None:
    """Copy the suite of an unpacked source distribution and change its runtime."""
    shutil.copytree(sdist / "tests", target / "tests")
    with (target / "tests" / "conftest.py").open("a") as conftest:
        conftest.write(FIXTURE)
