"""The suite itself: however it is started it ends, and names what takes too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HANGS = """
import asyncio, threading, pytest

def test_that_waits():
    threading.Event().wait()

async def test_that_sleeps_in_virtual_time():
    while True:
        await asyncio.sleep(1)

@pytest.mark.real_time
async def test_that_waits_for_a_loop():
    await asyncio.get_running_loop().create_future()

@pytest.mark.real_time
async def test_that_swallows_its_limit():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

@pytest.mark.slow
def test_that_has_more_time(request):
    assert request.node.get_closest_marker("timeout").args == (600,)
"""

INTERRUPTED = """
import signal, subprocess, sys

def test_a_child_hears(tmp_path):
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        child = subprocess.Popen(
            [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        child.stdout.readline()
        child.send_signal(number)
        assert child.wait(20) == -number
        child.stdout.close()
"""


def suite(test: Path, *options: str, deaf: bool = False) -> str:
    """What pytest says of a test file under the settings of this suite."""

    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(ROOT / "setup.cfg")),
            *("--rootdir", str(ROOT), "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-q", *options, str(test)),
        ],
        cwd=ROOT,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=ignore if deaf else None,
    )
    return done.stdout


@pytest.mark.real_time
def test_children_hear_signals_that_the_suite_was_started_without(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_deaf.py").write_text(INTERRUPTED)
    assert "1 passed" in suite(tmp_path / "test_deaf.py", deaf=True)


@pytest.mark.real_time
def test_a_test_that_never_ends_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "test_hangs.py").write_text(HANGS)
    limits = ("-o", "timeout=3", "-o", "faulthandler_timeout=12", "-n1")
    said = suite(tmp_path / "test_hangs.py", *limits)
    for name in ("that_waits", "sleeps_in_virtual_time", "waits_for_a_loop"):
        assert f"{name} - Failed: Timeout" in said, said
    assert "that_swallows_its_limit - worker 'gw0' crashed" in said, said
    assert "4 failed, 1 passed" in said


def test_every_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    assert 0 < float(request.config.getini("timeout")) <= 120
    assert request.config.getini("faulthandler_exit_on_timeout")
