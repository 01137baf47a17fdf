"""The clock of an engine under test, moved from outside over real sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import Registry, Runtime, sleep, workflow
from everact.runtime.control.serving import Control
from everact.runtime.engine.controlled import ControlledLoop

REGISTRY = Registry()
DAY = 86400.0


@workflow(registry=REGISTRY)
async def patient(days: float) -> str:
    await sleep(days * DAY)
    return f"{days:g} days"


async def host(path: str) -> None:
    """An engine with a test clock; says where it is, and goes when its input ends."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ControlledLoop)
    clock = VirtualClock(loop)
    async with (
        Runtime(path, registry=REGISTRY, clock=clock) as runtime,
        Control(runtime, "127.0.0.1:0") as control,
    ):
        print(control.address, flush=True)
        ended = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
        loop.remove_reader(sys.stdin.fileno())
        loop.unlock()


def ask(address: str, path: str, **body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://{address}/api/v1/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, json.loads(answer.read())


@pytest.mark.feature("TS-01")
def test_thirty_days_are_over_when_the_clock_is_advanced_by_them(
    tmp_path: Path,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.control.test_clock", tmp_path / "everact.db"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        address = process.stdout.readline().strip()
        began = ask(address, "clock/now")[1]
        assert began["locked"]
        for days in (10, 30, 40):
            ask(
                address,
                "runs/start",
                workflow="patient",
                workflow_id=f"{days}",
                args=[days],
            )
        daily: dict[str, Any] = {"action": {"workflow": "patient", "args": [0]}}
        daily["spec"] = {"intervals": [{"every": 86400}]}
        ask(address, "schedules/create", id="daily", schedule=daily)
        assert ask(address, "clock/now")[1] == began
        _, then = ask(address, "clock/advance", seconds=30 * DAY)
        assert then["now"] == pytest.approx(began["now"] + 30 * DAY)
        _, schedule = ask(address, "schedules/describe", id="daily")
        assert schedule["actions_taken"] == 30
        _, listed = ask(address, "runs/search")
        assert {
            run["workflow_id"]: run["status"]
            for run in listed["runs"]
            if not run["workflow_id"].startswith("daily")
        } == {
            "10": "COMPLETED",
            "30": "COMPLETED",
            "40": "RUNNING",
        }
        _, closed = ask(address, "runs/result", run={"workflow_id": "30"})
        assert closed["result"] == "30 days"
        ask(address, "clock/advance", seconds=10 * DAY)
        _, closed = ask(address, "runs/result", run={"workflow_id": "40"})
        assert closed["result"] == "40 days"
        process.stdin.close()
        assert process.wait(30) == 0


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=ControlledLoop) as runner:
        runner.run(host(sys.argv[1]))
