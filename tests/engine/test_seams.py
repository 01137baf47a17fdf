"""Where the parts of the engine meet: what one does to the runs of another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    OverlapPolicy,
    Registry,
    RunStatus,
    Runtime,
    Schedule,
    SchedulePolicy,
    StartWorkflow,
    Worker,
    retry,
    wait_condition,
    workflow,
)
from tests.features.support import turns

REGISTRY = Registry()


@workflow(registry=REGISTRY)
class Inbox:
    def __init__(self) -> None:
        self.found: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await wait_condition(lambda: bool(self.found))
        return self.found

    @workflow.signal
    def put(self, text: str) -> None:
        self.found.append(text)

    @workflow.update
    def add(self, text: str) -> str:
        self.found.append(text)
        return text


def opened(folder: Path, *queues: str) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    workers = tuple(Worker(queue) for queue in queues) or None
    clock = VirtualClock(loop)
    return Runtime(folder / "a.db", registry=REGISTRY, clock=clock, workers=workers)


@pytest.mark.parametrize("chain", ["retry", "cron_schedule"])
async def test_a_signal_that_no_code_has_seen_goes_to_the_run_that_follows(
    tmp_path: Path, chain: str
) -> None:
    again: dict[str, Any] = {
        "retry": retry(attempts=3, first="20s"),
        "cron_schedule": "* * * * *",
    }
    async with opened(tmp_path, "default") as runtime:
        handle = await runtime.start(
            Inbox,
            id="a",
            queue="served later",
            run_timeout="5s",
            **{chain: again[chain]},
        )
        if chain == "cron_schedule":
            await asyncio.sleep(60 - runtime.engine.now() % 60)
        await handle.signal("put", "kept")
        await asyncio.sleep(6)
        runtime.engine.add_worker(Worker("served later"))
        await asyncio.sleep(60)
        ended = [run.status.name async for run in runtime.list()]
    assert sorted(ended)[:1] == ["COMPLETED"]
    assert ended.count("TIMED_OUT") == 1


async def test_a_schedule_ends_its_own_run_and_not_the_one_in_its_place(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        await runtime.schedules.create(
            "s",
            Schedule(
                StartWorkflow(Inbox, id="x"),
                policy=SchedulePolicy(overlap=OverlapPolicy.TERMINATE_OTHER),
            ),
            trigger_immediately=True,
        )
        handle = runtime.schedules.handle("s")
        (taken,) = (await handle.describe()).running_actions
        mine, _ = await asyncio.gather(
            runtime.start(
                Inbox, id=taken.workflow_id, on_conflict="terminate_existing"
            ),
            handle.trigger(),
        )
        await turns()
        assert (await mine.describe()).status is RunStatus.RUNNING
