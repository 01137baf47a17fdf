"""Rows RC: one actor a run, effects after durability, exactly one result a step."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunStatus,
    Runtime,
    Worker,
    WorkflowFailure,
    execute_child,
    gather,
    receive,
    sleep,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.core.records import (
    ChildClosed,
    ChildStarted,
    RunTask,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    decode,
)
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.actor import RunActor
from everact.runtime.errors import RunPutAside
from everact.runtime.functions import task_identifier
from tests.features.support import (
    EPOCH,
    Life,
    Stage,
    items,
    killed,
    kinds,
    note,
    notes,
    open_runtime,
    played,
    turns,
)

registry = Registry()


@task(registry=registry)
async def give(value: Any) -> Any:
    return value


# -- RC-01 ---------------------------------------------------------------------------


@workflow(registry=registry)
class Ledger:
    """Two kinds of messages: one handler awaits half-way, the other does not."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.inside = 0

    @workflow.run
    async def run(self, expected: int) -> list[str]:
        await wait_condition(lambda: len(self.log) == expected)
        return self.log

    @workflow.signal
    def atomic(self, name: str) -> None:
        assert self.inside == 0
        self.inside += 1
        self.log.append(f"{name} begins")
        for _ in range(1000):
            pass
        self.log.append(f"{name} ends")
        self.inside -= 1

    @workflow.signal
    async def yielding(self, name: str) -> None:
        self.log.append(f"{name} begins")
        await give(name)
        self.log.append(f"{name} ends")


@pytest.mark.feature("RC-01")
async def test_handlers_that_do_not_await_never_interleave(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(Ledger.run, 40)
        names = [f"m{n}" for n in range(20)]
        await asyncio.gather(*(handle.signal(Ledger.atomic, n) for n in names))
        log = await handle.result()
        assert log[::2] == [f"{name} begins" for name in names]
        assert log[1::2] == [f"{name} ends" for name in names]


@pytest.mark.feature("RC-01")
async def test_messages_are_taken_in_order_of_arrival_and_await_lets_others_in(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(Ledger.run, 6)
        await asyncio.gather(
            handle.signal(Ledger.yielding, "a"),
            handle.signal(Ledger.atomic, "b"),
            handle.signal(Ledger.yielding, "c"),
        )
        log = await handle.result()
        begun = [line for line in log if line.endswith("begins")]
        assert begun == ["a begins", "b begins", "c begins"]
        assert log.index("b ends") < log.index("a ends")


@pytest.mark.feature("RC-01")
async def test_an_open_run_is_one_actor_in_one_process(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        await runtime.start(Ledger.run, 2, id="one")
        await asyncio.gather(
            *(
                runtime.start(Ledger.run, 2, id="one", on_conflict="attach")
                for _ in "ab"
            )
        )
        actors = [
            actor
            for actor in runtime.engine.runs.values()
            if actor.state.start.workflow_id == "one"
        ]
        assert len(actors) == 1
        copied = Runtime(tmp_path / "a.db", registry=registry)
        with pytest.raises(Exception, match="open in another process"):
            await copied.__aenter__()


# -- RC-02: durable before any effect --------------------------------------------------


def journal(database: Path) -> list[Any]:
    """What the file itself holds now, read by a stranger."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute("select body from journal").fetchall()
    finally:
        connection.close()
    records = []
    for (body,) in rows:
        transition = decode(body)
        records += [*transition.events, *transition.commands]
    return records


found_in_time: list[bool] = []


@task(registry=registry)
async def look_for_itself(database: str, call: int) -> int:
    asked = [
        record.call for record in journal(Path(database)) if isinstance(record, RunTask)
    ]
    found_in_time.append(call in asked)
    return call


@workflow(registry=registry)
async def looking_around(database: str) -> int:
    total = 0
    for call in range(1, 6):
        total += await look_for_itself(database, call)
    both = [look_for_itself(database, call) for call in (6, 7)]
    return total + sum(await gather(*both))


@pytest.mark.feature("RC-02")
async def test_a_task_starts_only_when_the_file_says_so(tmp_path: Path) -> None:
    found_in_time.clear()
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        assert await runtime.execute(looking_around, str(database)) == 28
        assert found_in_time == [True] * 7


@pytest.mark.feature("RC-02")
async def test_what_was_acknowledged_is_in_the_file(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(Ledger.run, 2)
        assert "Started" in {type(r).__name__ for r in journal(database)}
        await handle.signal(Ledger.yielding, "a")
        assert "SignalReceived" in {type(r).__name__ for r in journal(database)}
        await handle.result()
        assert "Complete" in {type(r).__name__ for r in journal(database)}
        await handle.describe()
        cancelled = await runtime.start(Ledger.run, 2)
        await cancelled.cancel()
        assert "CancelRequested" in {type(r).__name__ for r in journal(database)}


@workflow(registry=registry)
async def counting(folder: str, steps: int) -> int:
    """A scripted run: every step adds a line to the effects and to the result."""
    total = 0
    for number in range(steps):
        total += await count(folder, number)
        await sleep(0.1)
    return total


@task(registry=registry)
async def count(folder: str, number: int) -> int:
    note(folder, f"{task_identifier()}")
    return number


async def count_until_killed(stage: Stage) -> None:
    """Every life lets a little more than a second pass, then waits to die."""
    async with stage.runtime(registry) as runtime:
        folder = str(stage.folder)
        await runtime.start(counting, args=(folder, 40), id="run", on_conflict="attach")
        await asyncio.sleep(1.05)
        await stage.die()


async def count_to_the_end(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        handle = runtime.handle("run")
        stage.say("result", await handle.result())
        stage.say("recorded", len(await items(handle, "TaskCompleted")))


@pytest.mark.kill
@pytest.mark.feature("RC-02", "RC-03")
def test_result_and_counters_are_right_after_kill_upon_kill(tmp_path: Path) -> None:
    for life in range(3):
        killed(count_until_killed, tmp_path, at=EPOCH + 1.1 * life)
    said = played(count_to_the_end, tmp_path, at=EPOCH + 10)
    assert said == {"result": sum(range(40)), "recorded": 40}
    assert sorted(Counter(notes(tmp_path)).values()) == [1] * 40


# -- RC-03: each recorded result once --------------------------------------------------


@workflow(registry=registry)
async def a_bit_of_everything(name: str) -> Any:
    steps = [await give(f"{name}{n}") for n in range(3)]
    steps += await gather(*(give(n) for n in range(4)))
    await sleep(1)
    steps.append(await execute_child(smaller, name))
    await sleep(1)
    steps.append(await receive("word"))
    return steps


@workflow(registry=registry)
async def smaller(name: str) -> str:
    await sleep(0.5)
    given: str = await give(f"child of {name}")
    return given


REPEATED = (TaskCompleted, TaskFailed, TimerFired, ChildStarted, ChildClosed)


@pytest.mark.feature("RC-03")
async def test_duplicate_deliveries_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = RunActor.take
    repeated: Counter[str] = Counter()

    def take_again_and_again(self: RunActor, event: Any, *rest: Any) -> None:
        take(self, event, *rest)
        if isinstance(event, REPEATED):
            repeated[type(event).__name__] += 1
            take(self, event, None)
            self.engine.loop.call_soon(take, self, event, None)
            self.engine.loop.call_later(3, take, self, event, None)

    step = steps.take

    def step_again_and_again(run: RunActor, event: Any, *rest: Any) -> None:
        kind = type(event).__name__
        before = repeated[kind]
        step(run, event, *rest)
        # Unless it took the slow path:
        if isinstance(event, REPEATED) and repeated[kind] == before:
            repeated[kind] += 1
            take(run, event, None)
            run.engine.loop.call_soon(take, run, event, None)
            run.engine.loop.call_later(3, take, run, event, None)

    monkeypatch.setattr(RunActor, "take", take_again_and_again)
    monkeypatch.setattr(steps, "take", step_again_and_again)
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(a_bit_of_everything, "x")
        await handle.signal("word", "go")
        assert await handle.result() == [
            *("x0", "x1", "x2"),
            *range(4),
            "child of x",
            "go",
        ]
        await asyncio.sleep(10)
        calls = [item.data["call"] for item in await items(handle, "TaskCompleted")]
        assert len(calls) == len(set(calls)) == 7
        found = await kinds(handle)
        assert found["TimerFired"] == found["StartTimer"] == 2
        assert found["ChildClosed"] == 1
    assert repeated["TaskCompleted"] == 8
    assert repeated["TimerFired"] >= 3
    assert repeated["ChildClosed"] == 1


# -- RC-06: what cannot be loaded ------------------------------------------------------


@dataclass
class Parcel:
    weight: int


@task(registry=registry)
async def weigh(parcel: Parcel) -> int:
    return parcel.weight


@workflow(registry=registry)
async def deliver(parcel: Parcel) -> int:
    await sleep(10)
    return await weigh(parcel)


@workflow(registry=registry)
async def deliver_later() -> int:
    parcel = await pack(7)
    await sleep(10)
    return await weigh(parcel)


@task(registry=registry)
async def pack(weight: int) -> Any:
    return Parcel(weight)


@workflow(registry=registry)
async def nothing_special() -> str:
    await sleep(10)
    return "done"


@pytest.mark.feature("RC-06")
@pytest.mark.parametrize("where", ["argument", "result"])
async def test_a_run_whose_class_is_gone_waits_and_others_go_on(
    tmp_path: Path,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        if where == "argument":
            await runtime.start(deliver, Parcel(7), id="parcel")
        else:
            await runtime.start(deliver_later, id="parcel")
        await runtime.start(nothing_special, id="other")
        await asyncio.sleep(1)

    with monkeypatch.context() as patched:
        patched.delattr(sys.modules[__name__], "Parcel")
        async with open_runtime(database, registry) as runtime:
            assert await runtime.handle("other").result() == "done"
            handle = runtime.handle("parcel")
            view = await handle.describe()
            assert view.status is RunStatus.RUNNING
            assert "Parcel" in (view.aside or "")
            with pytest.raises(RunPutAside, match="Parcel"):
                await handle.result()
            await handle.signal("still", "recorded")
            # the class is back, and a fitting worker appears
            patched.undo()
            runtime.add_worker(Worker())
            assert await handle.result() == 7
            assert (await kinds(handle))["SignalReceived"] == 1
    assert "'parcel'" in caplog.text


@pytest.mark.feature("RC-06")
async def test_a_run_that_was_put_aside_goes_on_when_the_engine_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        await runtime.start(deliver, Parcel(7), id="parcel")
        await asyncio.sleep(1)
    with monkeypatch.context() as patched:
        patched.delattr(sys.modules[__name__], "Parcel")
        async with open_runtime(database, registry) as runtime:
            await asyncio.sleep(100)
            assert (await runtime.handle("parcel").describe()).aside
    async with open_runtime(database, registry) as runtime:
        assert await runtime.handle("parcel").result() == 7


@workflow(registry=registry)
async def long_enough_for_a_checkpoint() -> int:
    total = 0
    for _ in range(60):
        total += len(await give("x" * 1000))
    await sleep(10)
    return total + int(await give(1))


@pytest.mark.feature("RC-06")
async def test_a_checkpoint_that_cannot_be_read_stops_its_own_run_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        for id in ("spoiled", "whole"):
            await runtime.start(long_enough_for_a_checkpoint, id=id)
        await asyncio.sleep(1)
    connection = sqlite3.connect(database)
    [(whole,)] = connection.execute("select body from checkpoints where run_key = 1")
    spoil = "update checkpoints set body = ? where run_key = 1"
    with connection:
        connection.execute(spoil, (whole[:100] + b"?" + whole[101:],))
    async with open_runtime(database, registry) as runtime:
        assert await runtime.handle("whole").result() == 60_001
        spoiled = runtime.handle("spoiled")
        assert (await spoiled.describe()).aside
        with pytest.raises(RunPutAside):
            await spoiled.result()
    with connection:
        connection.execute(spoil, (whole,))
    connection.close()
    async with open_runtime(database, registry) as runtime:
        assert await runtime.handle("spoiled").result() == 60_001
    assert "'spoiled'" in caplog.text


# -- RC-07: clean shutdown ------------------------------------------------------------


@task(registry=registry)
async def work(folder: str, seconds: float) -> int:
    note(folder, f"begin {task_identifier()}")
    await asyncio.sleep(seconds)
    note(folder, f"end {task_identifier()}")
    return 1


@workflow(registry=registry)
async def steady(folder: str, offset: float) -> int:
    await sleep(offset)
    return sum([await work(folder, 0.5) for _ in range(10)])


@pytest.mark.feature("RC-07")
async def test_closing_under_load_lets_tasks_finish_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    folder, count = str(tmp_path), 20
    for life in range(5):
        database = tmp_path / "a.db"
        async with open_runtime(database, registry, grace=5) as runtime:
            if not life:
                for n in range(count):
                    await runtime.start(steady, args=(folder, n / 40), id=f"run-{n}")
            await asyncio.sleep(1.2)
            begun = len(notes(tmp_path))
        # what had begun has ended, and nothing else has begun
        seen = Counter(line.split()[0] for line in notes(tmp_path))
        assert seen["begin"] == seen["end"]
        assert len(notes(tmp_path)) <= begun + count
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        for n in range(count):
            assert await runtime.handle(f"run-{n}").result() == 10
    assert set(Counter(notes(tmp_path)).values()) == {1}
    assert len(notes(tmp_path)) == count * 10 * 2


@pytest.mark.feature("RC-07")
async def test_a_task_that_outlives_the_grace_is_cut_off_and_done_again(
    tmp_path: Path,
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry, grace=2) as runtime:
        await runtime.start(one_long_task, str(tmp_path), id="long")
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() == 3
    async with open_runtime(database, registry) as runtime:
        assert await runtime.handle("long").result() == 1
    assert [line.split()[0] for line in notes(tmp_path)] == ["begin", "begin", "end"]


@workflow(registry=registry)
async def one_long_task(folder: str) -> int:
    return await work(folder, 50)


@pytest.mark.feature("RC-07")
async def test_a_closed_runtime_takes_no_work_and_tells_who_waits(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(nothing_special)
        waiting = asyncio.create_task(handle.result())
        await turns(5)
        await runtime.close()
        with pytest.raises(Exception, match="runtime was closed"):
            await waiting
        with pytest.raises(Exception, match="closed"):
            await runtime.start(nothing_special)


async def work_until_interrupted(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        folder = str(stage.folder)
        for n in range(20):
            await runtime.start(steady, args=(folder, n / 40), id=f"run-{n}")
        await asyncio.sleep(2)
        stage.say("busy")
        await asyncio.get_running_loop().create_future()


async def finish_the_work(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        results = [await runtime.handle(f"run-{n}").result() for n in range(20)]
        stage.say("results", results)


@pytest.mark.feature("RC-07")
def test_control_c_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with Life(work_until_interrupted, tmp_path) as life:
        life.until("busy")
        life.interrupt()
        assert life.end() != 0
    seen = Counter(line.split()[0] for line in notes(tmp_path))
    assert seen["begin"] == seen["end"]
    said = played(finish_the_work, tmp_path, at=EPOCH + 100)
    assert said["results"] == [10] * 20
    assert set(Counter(notes(tmp_path)).values()) == {1}


# -- RC-08: many open runs ------------------------------------------------------------

# The whole number of the row takes twenty seconds: on request.
SLEEPING = 100_000 if os.environ.get("EVERACT_LONG") else 15_000
IN_MEMORY = 2_000
HELD = 150  # megabytes
MEGABYTE = 1024 * (1 if sys.platform != "darwin" else 1024)


@workflow(registry=registry)
async def hibernate(number: int) -> int:
    await sleep("3d")
    return number


def peak_memory() -> float:
    """Megabytes that this process has used at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


async def fall_asleep(stage: Stage) -> None:
    most, before = 0, peak_memory()
    async with stage.runtime(registry, idle_runs=IN_MEMORY) as runtime:
        for begin in range(0, SLEEPING, 1000):
            await asyncio.gather(
                *(
                    runtime.start(hibernate, number, id=f"run-{number}")
                    for number in range(begin, begin + 1000)
                )
            )
            await turns()
            most = max(most, len(runtime.engine.runs))
        stage.say("runs in memory", most)
        stage.say("memory", peak_memory() - before)
        await stage.die()


async def start_up(stage: Stage) -> None:
    before, began = peak_memory(), time.perf_counter()
    async with stage.runtime(registry, idle_runs=IN_MEMORY) as runtime:
        stage.say("seconds to start", time.perf_counter() - began)
        stage.say("loaded", len(runtime.engine.runs))
        stage.say("open", runtime.engine.store.select("count_open")[0])
        stage.say("memory", peak_memory() - before)
        await asyncio.sleep(3600)
        stage.say("loaded after an hour", len(runtime.engine.runs))
        await runtime.handle("run-7").cancel()
        try:
            await runtime.handle("run-7").result()
        except WorkflowFailure as failure:
            stage.say("cancelled", str(failure.cause))
        stage.say("loaded after a message", len(runtime.engine.runs))


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.feature("RC-08")
def test_sleeping_runs_are_put_away_and_start_up_does_not_load_them(
    tmp_path: Path,
) -> None:
    said = killed(fall_asleep, tmp_path)
    assert said["runs in memory"] <= IN_MEMORY + 2 * 1000
    assert said["memory"] < HELD  # however many sleep
    said = played(start_up, tmp_path, at=EPOCH + 3600)
    assert said["open"] == SLEEPING
    assert said["loaded"] == said["loaded after an hour"] == 0
    assert said["memory"] < 50
    assert said["seconds to start"] < 5
    assert said["cancelled"] == "the run was cancelled"
    assert said["loaded after a message"] == 0
