"""Workflow code that blocks the loop is interrupted, whatever it does about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from everact.runtime import Registry, RunPutAside, Runtime, workflow
from everact.runtime.engine.watchdog import Watchdog

REGISTRY = Registry()
ENOUGH = 10.0
"""Seconds after which the blocking code gives up by itself, and the test fails."""


UNSTOPPED: list[str] = []


def block(until: float) -> None:
    while time.monotonic() < until:
        pass


@workflow(registry=REGISTRY)
async def swallower() -> str:
    until = time.monotonic() + ENOUGH
    try:
        block(until)
    except BaseException:
        block(until)
        UNSTOPPED.append("it gave up by itself")
    return ""


@pytest.mark.real_time
async def test_code_that_swallows_an_interruption_is_interrupted_again(
    tmp_path: Path,
) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(swallower, task_timeout=0.05)
        with pytest.raises(RunPutAside, match="does not come to a wait"):
            await handle.result()
    assert UNSTOPPED == []


def test_an_interruption_that_comes_too_late_is_none() -> None:
    watchdog = Watchdog()
    try:
        watchdog.enter("a run", 100.0)
        assert not watchdog.leave()
        watchdog._interrupt("a run", watchdog._serial, 1.0)
        watchdog.enter("another run", 100.0)
        block(time.monotonic() + 0.01)
        assert not watchdog.leave()
    finally:
        watchdog.stop()
