"""Rows WT: durable sleeps, waits on state, volumes of sleepers."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from everact.runtime import (
    Registry,
    RunHandle,
    Runtime,
    Worker,
    now,
    sleep,
    task,
    wait_condition,
    workflow,
)
from tests.features.support import (
    EPOCH,
    Stage,
    crash_image,
    items,
    killed,
    kinds,
    open_runtime,
    played,
    turns,
)

registry = Registry()


@task(registry=registry)
async def double(number: int) -> int:
    return 2 * number


@workflow(registry=registry)
async def nap(duration: float) -> tuple[float, float]:
    """When it woke, in seconds since the epoch of tests, and how long it slept."""
    slept = await sleep(duration)
    return now().timestamp() - EPOCH, slept.total_seconds()


@workflow(registry=registry)
async def compute(number: int) -> int:
    return await double(number)


# -- WT-01 ---------------------------------------------------------------------------


async def asleep_for_two_seconds(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(nap, 4, id="nap")
        await asyncio.sleep(2)
        await stage.die()


async def waking_up(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        stage.say("woke", await runtime.handle("nap").result())
        stage.say("until", stage.elapsed())


@pytest.mark.kill
@pytest.mark.feature("WT-01")
def test_after_a_kill_only_the_rest_of_a_sleep_is_waited(tmp_path: Path) -> None:
    killed(asleep_for_two_seconds, tmp_path)
    said = played(waking_up, tmp_path, at=EPOCH + 3)
    assert said["woke"] == [4, 4]
    assert said["until"] == 4


@pytest.mark.kill
@pytest.mark.feature("WT-01")
def test_a_sleep_that_ended_while_the_engine_was_down_ends_at_once(
    tmp_path: Path,
) -> None:
    killed(asleep_for_two_seconds, tmp_path)
    said = played(waking_up, tmp_path, at=EPOCH + 60)
    assert said["woke"] == [60, 60]
    assert said["until"] == 60


@pytest.mark.feature("WT-01")
async def test_a_sleep_holds_no_slot(tmp_path: Path) -> None:
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as runtime:
        sleepers = [await runtime.start(nap, 4) for _ in range(3)]
        await asyncio.sleep(1)
        assert await runtime.execute(compute, 21) == 42
        for sleeper in sleepers:
            assert await sleeper.result() == (4, 4)


@pytest.mark.feature("WT-01")
@pytest.mark.parametrize("duration", [timedelta(seconds=90), "1m30s", 90, 90.0])
async def test_a_sleep_takes_a_timedelta_a_text_or_seconds(
    tmp_path: Path, duration: timedelta | str | float
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(nap, duration) == (90, 90)


@workflow(registry=registry)
async def empty_sleep() -> tuple[list[str], float]:
    order = []

    async def other() -> None:
        order.append("other")

    running = asyncio.create_task(other())
    slept = await sleep(0)
    order.append("slept")
    await running
    return order, slept.total_seconds()


@pytest.mark.feature("WT-01")
async def test_a_sleep_of_zero_ends_at_the_next_turn(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(empty_sleep)
        assert await handle.result() == (["other", "slept"], 0)
        assert (await kinds(handle))["StartTimer"] == 0


@workflow(registry=registry)
async def refuse(duration: float | str) -> str:
    try:
        await sleep(duration)
    except ValueError as error:
        return str(error)
    return "slept"


@pytest.mark.feature("WT-01")
@pytest.mark.parametrize("duration", [-1, -0.5, timedelta(seconds=-1), "90", "-5s"])
async def test_a_negative_or_malformed_sleep_is_refused(
    tmp_path: Path, duration: float | str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert "sleep" in await runtime.execute(refuse, duration)


# -- WT-09 ---------------------------------------------------------------------------


@workflow(registry=registry)
class Door:
    def __init__(self) -> None:
        self.open = False
        self.pushes = 0

    @workflow.run
    async def run(self, timeout: float | None = None) -> str:
        try:
            await wait_condition(lambda: self.open, timeout=timeout)
        except TimeoutError:
            return "timed out"
        return f"opened after {self.pushes}"

    @workflow.signal
    def push(self) -> None:
        self.pushes += 1
        self.open = self.pushes == 2


@pytest.mark.feature("WT-09")
async def test_a_wait_returns_when_a_signal_makes_the_predicate_hold(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(Door.run, 10)
        await handle.signal(Door.push)
        await asyncio.sleep(3)
        await handle.signal(Door.push)
        assert await handle.result() == "opened after 2"
        assert asyncio.get_running_loop().time() == 3


@pytest.mark.feature("WT-09")
async def test_without_the_signal_the_timeout_of_a_wait_fires(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(Door.run, 10)
        await handle.signal(Door.push)
        assert await handle.result() == "timed out"
        assert asyncio.get_running_loop().time() == 10


@workflow(registry=registry)
async def wait_for_a_step() -> list[str]:
    seen: list[str] = []

    async def watch() -> None:
        await wait_condition(lambda: len(results) == 2)
        seen.append(f"watched {results}")

    results: list[int] = []
    watcher = asyncio.create_task(watch())
    results.append(await double(1))
    results.append(await double(2))
    await watcher
    return seen


@pytest.mark.feature("WT-09")
async def test_a_wait_is_looked_at_after_each_step(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(wait_for_a_step) == ["watched [2, 4]"]


@pytest.mark.feature("WT-09")
async def test_a_wait_on_state_survives_a_crash(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(Door.run, 60, id="door")
        await handle.signal(Door.push)
        copy = crash_image(database, "crashed")
    async with open_runtime(copy, registry) as runtime:
        handle = runtime.handle("door")
        await handle.signal(Door.push)
        assert await handle.result() == "opened after 2"


# -- WT-10 ---------------------------------------------------------------------------

SLEEPERS = 10_000
PROMPT = 0.02  # seconds for a run that is overdue, on a busy machine


WAKING = SLEEPERS if os.environ.get("EVERACT_LONG") else SLEEPERS // 10
APART = 0.005  # seconds


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.feature("WT-10")
async def test_with_ten_thousand_real_sleepers_each_wakes_within_a_quarter_second(
    tmp_path: Path,
) -> None:
    """On a real clock. A machine that others keep busy may try again."""
    tries: list[float] = []
    while not tries or (tries[-1] > 0.25 and len(tries) < 4):
        tries.append(await latest_of(tmp_path / f"{len(tries)}.db"))
    assert tries[-1] <= 0.25, tries


async def latest_of(database: Path) -> float:
    """How late the latest of those that woke was; not one may be early."""
    idle_runs = SLEEPERS // 10  # the others are put away
    async with Runtime(database, registry=registry, idle_runs=idle_runs) as runtime:

        async def sleep_until(moments: list[float]) -> list[RunHandle[float]]:
            return await asyncio.gather(*(runtime.start(awake_at, m) for m in moments))

        for _ in range(0, SLEEPERS - WAKING, 1000):
            await sleep_until([time.time() + 3600] * 1000)
        first = time.time() + WAKING * 0.003  # all of them are started by then
        moments = [first + APART * n for n in range(WAKING)]
        handles = await sleep_until(moments)
        assert time.time() < first, "this machine was too slow to start them in time"
        assert len(runtime.engine.runs) < SLEEPERS // 2
        woke = [await handle.result() for handle in handles]
    late = [at - due for at, due in zip(woke, moments, strict=True)]
    assert min(late) >= 0
    return max(late)


@workflow(registry=registry)
async def awake_at(moment: float) -> float:
    await sleep(max(0.0, moment - now().timestamp()))
    return time.time()  # the real clock, not the workflow's


@pytest.mark.slow
@pytest.mark.feature("WT-10")
async def test_ten_thousand_sleepers_wake_in_order_of_virtual_time(
    tmp_path: Path,
) -> None:
    # Only a tenth fits into memory: most are put away and must be brought back.
    async with open_runtime(
        tmp_path / "a.db", registry, idle_runs=SLEEPERS // 10
    ) as runtime:
        loop = asyncio.get_running_loop()
        durations = [20 + n * 60 / SLEEPERS for n in range(SLEEPERS)]
        handles = await asyncio.gather(*(runtime.start(nap, d) for d in durations))
        assert loop.time() == 0
        await turns()
        assert len(runtime.engine.runs) <= SLEEPERS // 5
        lateness = []
        for handle, duration in zip(handles, durations, strict=True):
            _, slept = await handle.result()
            lateness.append(slept - duration)
        assert min(lateness) >= -1e-6
        assert max(lateness) <= 0.25


@workflow(registry=registry)
async def nap_and_tell(duration: float, place: int) -> int:
    await sleep(duration)
    woken.append(place)
    return place


woken: list[int] = []


@pytest.mark.feature("WT-10")
async def test_timers_due_while_the_engine_was_down_fire_earliest_first(
    tmp_path: Path,
) -> None:
    database = tmp_path / "a.db"
    count = 1000
    async with open_runtime(database, registry) as runtime:
        # started in an order that is not the order of waking
        places = [(n * 617) % count for n in range(count)]
        await asyncio.gather(
            *(runtime.start(nap_and_tell, args=(10 + p, p)) for p in places)
        )
    woken.clear()
    restarted = EPOCH + 10 + count + 100
    began = time.perf_counter()
    async with open_runtime(database, registry, at=restarted) as runtime:
        handles = [
            runtime.handle(line.workflow_id)
            async for line in runtime.list(workflow=nap_and_tell)
        ]
        results = [await handle.result() for handle in handles]
        # no timer was waited for, and a real clock says so too
        assert asyncio.get_running_loop().time() == 0
        assert time.perf_counter() - began < count * PROMPT
        assert woken == sorted(woken) == sorted(results)
        timers = [len(await items(handle, "TimerFired")) for handle in handles]
        assert timers == [1] * count
