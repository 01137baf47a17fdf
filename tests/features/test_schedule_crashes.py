"""A time leads to one run, whatever kills the engine when.

The simulator crashes the same code at every commit (`tests/simulation`); here real
processes are killed.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.features.killing import Program

PROGRAM = """
    import asyncio, sys
    from everact.runtime import Runtime, task, workflow
    from everact.runtime.errors import ScheduleAlreadyRunning
    from everact.runtime.schedules import (
        IntervalSpec,
        OverlapPolicy,
        Schedule,
        SchedulePolicy,
        ScheduleSpec,
        StartWorkflow,
    )

    @task
    async def told(name: str) -> None:
        print("acted", flush=True)

    @workflow
    async def acting() -> None:
        await told("now")

    async def main() -> None:
        schedule = Schedule(
            StartWorkflow(acting, id="act"),
            ScheduleSpec(intervals=[IntervalSpec("1s")]),
            SchedulePolicy(overlap=OverlapPolicy.ALLOW_ALL),
        )
        async with Runtime("everact.db") as runtime:
            handle = runtime.schedules.handle("s")
            if sys.argv[1] == "create":
                await runtime.schedules.create("s", schedule)
            if sys.argv[1] != "look":
                await asyncio.sleep(3600)
            await handle.pause()
            print((await handle.describe()).actions_taken)
            async for run in runtime.list():
                print(run.workflow_id)

    asyncio.run(main())
"""


def check(program: Program, lives: int, actions: int) -> None:
    """Kill so many lives after so many actions each: no second twice, none missing."""
    program.kill_at("acted", "create", times=actions)
    for _ in range(lives - 1):
        program.kill_at("acted", "go on", times=actions)
    taken, *ids = [line for line in program.run("look") if line != "acted"]
    # What was printed may have been lost with its life, and be printed again.
    assert int(taken) == len(ids) == len(set(ids)) >= lives
    times = sorted(datetime.fromisoformat(id.removeprefix("act-")) for id in ids)
    assert {later - time for time, later in pairwise(times)} == {timedelta(seconds=1)}


@pytest.mark.kill
@pytest.mark.real_time
@pytest.mark.feature("SC-24")
def test_killed_again_and_again_no_second_is_missing_and_none_is_taken_twice(
    tmp_path: Path,
) -> None:
    check(Program(tmp_path, PROGRAM), lives=3, actions=2)


@pytest.mark.kill
@pytest.mark.long
@pytest.mark.real_time
@pytest.mark.feature("SC-24")
@pytest.mark.skipif(not os.environ.get("EVERACT_LONG"), reason="EVERACT_LONG=1 asks")
def test_a_minute_of_it(tmp_path: Path) -> None:
    check(Program(tmp_path, PROGRAM), lives=10, actions=4)
