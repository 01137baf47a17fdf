"""A kind of program is a definition and what drives it; the engine asks no more.

Counters (`counters.py`) save what they are. Here they live on a real database, through
kills and recovery, with no line of the engine that knows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, RunStatus, Runtime, task, workflow
from everact.runtime.errors import UpdateFailed
from everact.runtime.testing import histories
from tests.features.killing import Program
from tests.programs import counters
from tests.programs.counters import CounterDefinition, CounterProgram

REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(total: int) -> int:
    return total


COUNTERS = CounterDefinition("count", "double", REGISTRY)


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with counters.known():
        yield


def runtime(path: Path | str, registry: Registry = REGISTRY, **options: Any) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, registry=registry, clock=VirtualClock(loop), **options)


async def test_a_counter_takes_signals_updates_and_queries() -> None:
    async with runtime(":memory:") as made:
        handle = await made.start("count", 1, id="c")
        await handle.signal("add", 2)
        assert await handle.update("add", 3) == 6
        assert await handle.query("total") == 6
        with pytest.raises(UpdateFailed, match="count down"):
            await handle.update("add", -1)
        await handle.signal("work")
        await handle.signal("stop")
        assert await handle.result() == 12


async def test_what_was_saved_is_loaded_and_nothing_before_it_is_shown_again(
    tmp_path: Path,
) -> None:
    for number in range(3):
        async with runtime(tmp_path / "db") as made:
            handle: Any = await made.start("count", id="c", on_conflict="attach")
            for _ in range(10):
                await handle.signal("add", 1)
            run = next(iter(made.engine.runs.values()))
            assert len(made.engine.script(run)) == 1, "it has grown with the messages"
            assert run.state.begun
            assert await handle.query("total") == 10 * (number + 1)
    async with runtime(tmp_path / "db") as made:
        before = CounterProgram.loads
        await made.handle("c").signal("stop")
        assert await made.handle("c").result() == 30
        assert await made.handle("c").query("total") == 30, "closed, and asked"
        assert CounterProgram.loads == before + 2


async def test_one_that_was_put_away_comes_back_as_it_was_saved() -> None:
    async with runtime(":memory:", idle_runs=1) as made:
        for number in range(20):
            await made.start("count", number, id=f"c{number}")
        before = CounterProgram.loads
        for number in range(20):
            await made.handle(f"c{number}").signal("add", 100)
        assert CounterProgram.loads > before + 15
        for number in range(20):
            found = await made.handle(f"c{number}").query("total")
            assert found == 100 + number


KILLED = """
    import asyncio
    from everact.runtime import Registry, Runtime, task
    from tests.programs import counters

    registry = Registry()

    @task(registry=registry)
    async def ten(total: int) -> int:
        return 10

    counters.CounterDefinition("count", "ten", registry)

    async def main():
        async with Runtime("everact.db", registry=registry) as runtime:
            handle = await runtime.start("count", id="c", on_conflict="attach")
            done = await handle.query("total") // 11
            for number in range(done, 60):
                await handle.signal("work", request_id=f"work {number}")
                await handle.signal("add", 1, request_id=f"add {number}")
                while await handle.query("total") < 11 * (number + 1):
                    await asyncio.sleep(0)
                print("step", flush=True)
            await handle.signal("stop")
            print(await handle.result(), flush=True)

    with counters.known():
        asyncio.run(main())
"""


@pytest.mark.slow
def test_a_counter_survives_kills_and_no_message_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
    program = Program(tmp_path, KILLED)
    for _ in range(5):
        program.kill_at("step", times=7)
    assert program.run()[-1] == "660"


# -- recorded, and never guessed -------------------------------------------------


@workflow(registry=REGISTRY)
async def plain(total: int) -> int:
    return await double(total)


async def kinds_of(made: Runtime, path: Path, name: str) -> tuple[str, str]:
    """What the first row of the run and its index row say."""
    await made.start(name, 1, id=name)
    row = made.engine.store.find("default", name)
    assert row is not None
    first = next(h for h in histories(path) if h.workflow_id == name)
    return first.state.start.kind, row.kind


async def test_a_run_records_its_kind_in_its_start_and_its_row(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with runtime(path) as made:
        assert await kinds_of(made, path, "plain") == ("coroutine", "coroutine")
        assert await kinds_of(made, path, "double") == ("task", "task")
        assert await kinds_of(made, path, "count") == ("counter", "counter")


async def test_what_is_started_before_its_code_is_known_records_it_when_it_begins(
    tmp_path: Path,
) -> None:
    registry = Registry()
    async with runtime(tmp_path / "db", registry) as made:
        handle = await made.start("late", 5, id="late")
        row = made.engine.store.find("default", "late")
        assert row is not None and row.kind == ""
        (line,) = [one async for one in made.search("kind IS NULL")]
        assert line.workflow_id == "late" and line.kind is None
        CounterDefinition("late", "double", registry)
        await handle.signal("add", 2)
        row = made.engine.store.find("default", "late")
        assert row is not None and row.kind == "counter"
        (line,) = [one async for one in made.search("Kind = 'counter'")]
        assert line.kind == "counter"
    (found,) = histories(tmp_path / "db")
    assert found.state.start.kind == "counter"
    async with runtime(tmp_path / "db", registry) as made:
        assert await made.handle("late").query("total") == 7


async def test_a_run_waits_for_code_of_its_kind_whatever_has_its_name_now(
    tmp_path: Path,
) -> None:
    first, second = Registry(), Registry()
    CounterDefinition("name", "double", first)
    async with runtime(tmp_path / "db", first) as made:
        await made.start("name", 5, id="n")

    @workflow(registry=second, name="name")
    async def other(total: int) -> str:
        raise AssertionError("it is of another kind")

    async with runtime(tmp_path / "db", second) as made:
        view = await made.handle("n").describe()
        assert view.status is RunStatus.RUNNING
        assert "no counter named 'name' is registered" in (view.aside or "")
    async with runtime(tmp_path / "db", first) as made:
        assert await made.handle("n").query("total") == 5


async def test_a_run_of_a_task_stays_one_when_a_workflow_takes_its_name(
    tmp_path: Path,
) -> None:
    first, both = Registry(), Registry()

    async def wait(number: int) -> int:
        await asyncio.sleep(3600)
        return number

    task(registry=first, name="wait")(wait)
    task(registry=both, name="wait")(wait)

    @workflow(registry=both, name="wait")
    async def other(number: int) -> int:
        return -1

    async with runtime(tmp_path / "db", first) as made:
        await made.start("wait", 7, id="w")
    async with runtime(tmp_path / "db", both) as made:
        assert await made.handle("w").result() == 7
