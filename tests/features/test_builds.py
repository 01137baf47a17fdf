"""Rows WV: which worker gets a run's code and tasks, with builds in one runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunHandle,
    RunStatus,
    Runtime,
    Worker,
    execute_child,
    receive,
    task,
    workflow,
)
from everact.runtime.converters import DataConverter
from everact.runtime.definitions.control import continue_as_new
from everact.runtime.engine.engine import Engine
from everact.runtime.errors import QueryFailed
from everact.runtime.filters.parsing import parse
from everact.runtime.store.base import Search
from everact.runtime.versions import AddCompatible, AddNewDefault, MergeSets, PromoteSet
from tests.features.support import crash_image, open_runtime, turns

EMPTY = Registry()


def build(name: str) -> Registry:
    """The code of one build: workflows and tasks that say which build they are of."""
    made = Registry()

    @task(name="work", registry=made)
    async def work() -> str:
        return name

    @task(name="grind", registry=made)
    def grind() -> str:
        return name

    @task(name="elsewhere", registry=made, queue="other")
    async def elsewhere() -> str:
        return name

    @workflow(name="steps", registry=made)
    class Steps:
        """Does a task and answers queries, a step for each signal."""

        def __init__(self) -> None:
            self.done: list[str] = []

        @workflow.run
        async def run(self) -> list[str]:
            while True:
                what = await receive("step")
                if what == "end":
                    return self.done
                if what == "again":
                    continue_as_new()
                if what == "child":
                    self.done += await execute_child("once")
                    continue
                called = {"work": work, "grind": grind, "elsewhere": elsewhere}[what]
                self.done.append(f"{name}:{await called()}")

        @workflow.query
        def code(self) -> str:
            return name

    @workflow(name="once", registry=made)
    async def once() -> list[str]:
        return [f"{name}:{await work()}"]

    return made


V1, V11, V2, PLAIN = build("1.0"), build("1.1"), build("2.0"), build("plain")
CODE = {"1.0": V1, "1.1": V11, "2.0": V2, "": PLAIN}


def worker(
    build_id: str, queues: Sequence[str] = ("default",), **options: Any
) -> Worker:
    return Worker(queues, build_id=build_id, registry=CODE[build_id], **options)


def opened(path: Path, *build_ids: str, **options: Any) -> Runtime:
    workers = [worker(build_id) for build_id in build_ids]
    return open_runtime(path, EMPTY, workers=workers, **options)


async def stepped(handle: RunHandle[Any], *steps: str) -> None:
    for step in steps:
        await handle.signal("step", step)
    await turns()
    await asyncio.sleep(1)


async def ended(handle: RunHandle[Any]) -> list[str]:
    await handle.signal("step", "end")
    found: list[str] = await handle.result()
    return found


async def waits(handle: RunHandle[Any], why: str) -> None:
    await asyncio.sleep(1)
    view = await handle.describe()
    assert view.status is RunStatus.RUNNING
    assert why in (view.aside or ""), view.aside


@pytest.mark.feature("WV-01", "WV-02", "WV-04")
async def test_new_runs_go_to_the_new_build_and_old_runs_stay(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        old = await runtime.start("steps", id="old")
        await stepped(old, "work")
        await runtime.versions.update("default", AddNewDefault("2.0"))
        new = await runtime.start("steps", id="new")
        await stepped(new, "work", "grind")
        await stepped(old, "grind")
        assert (await old.describe()).build_id == "1.0"
        assert (await new.describe()).build_id == "2.0"
        assert await old.query("code") == "1.0"
        assert await ended(old) == ["1.0:1.0", "1.0:1.0"]
        assert await ended(new) == ["2.0:2.0", "2.0:2.0"]
        assert await old.query("code") == "1.0"  # also of a closed run


@pytest.mark.feature("WV-01")
async def test_a_queue_without_sets_ignores_build_ids(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        handle = await runtime.start("steps", id="any")
        await stepped(handle, "work")
        assert (await handle.describe()).build_id is None
        assert await ended(handle) == ["1.0:1.0"]


@pytest.mark.feature("WV-01")
async def test_workers_without_a_build_id_get_only_unversioned_runs(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "") as runtime:
        old = await runtime.start("steps", id="old")
        await stepped(old, "work")
        await runtime.versions.update("default", AddNewDefault("1.0"))
        new = await runtime.start("steps", id="new")
        await waits(new, "build ID '1.0'")
        runtime.add_worker(worker("1.0"))
        await stepped(new, "work")
        await stepped(old, "work")
        assert await ended(old) == ["plain:plain"] * 2
        assert await ended(new) == ["1.0:1.0"]
        assert (await old.describe()).build_id is None


@pytest.mark.feature("WV-01")
async def test_an_unversioned_run_waits_if_only_versioned_workers_are_there(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0") as runtime:
        handle = await runtime.start("steps", id="old")
        await stepped(handle)
        await runtime.versions.update("default", AddNewDefault("1.0"))
        await handle.signal("step", "work")
        await waits(handle, "no build ID")
        runtime.add_worker(worker(""))
        assert await ended(handle) == ["plain:plain"]


@pytest.mark.feature("WV-02", "WV-05")
async def test_an_open_run_continues_on_a_compatible_build(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0", "1.1") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        handle = await runtime.start("steps", id="open")
        await stepped(handle, "work")
        await runtime.versions.update("default", AddCompatible("1.1", "1.0"))
        await stepped(handle, "work", "grind")
        assert await handle.query("code") == "1.1"
        # Replayed by the new code, so what was done says it too.
        assert await ended(handle) == ["1.1:1.0", "1.1:1.1", "1.1:1.1"]


@pytest.mark.feature("WV-02")
async def test_a_binding_survives_a_crash(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        at_once = await runtime.start("steps", id="at once")
        later = await runtime.start("steps", id="later", start_delay=5)
        await asyncio.sleep(6)
        await stepped(at_once, "work")
        await runtime.versions.update("default", AddNewDefault("2.0"))
        image = crash_image(tmp_path / "a.db", "crashed")
    async with opened(image, "2.0") as runtime:
        for name in ("at once", "later"):
            await waits(runtime.handle(name), "build ID '1.0'")
        runtime.add_worker(worker("1.0"))
        assert await ended(runtime.handle("at once")) == ["1.0:1.0"]
        later = runtime.handle("later")
        await stepped(later, "work")
        assert await ended(later) == ["1.0:1.0"]


@pytest.mark.feature("WV-02")
async def test_a_run_is_bound_when_it_begins_not_when_it_is_started(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        handle = await runtime.start("steps", id="later", start_delay=60)
        await runtime.versions.update("default", AddNewDefault("2.0"))
        await asyncio.sleep(61)
        await stepped(handle, "work")
        assert await ended(handle) == ["2.0:2.0"]


@pytest.mark.feature("WV-06")
async def test_after_a_roll_back_new_runs_go_to_the_set_before(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        await runtime.versions.update("default", AddNewDefault("2.0"))
        assert await runtime.execute("once") == ["2.0:2.0"]
        await runtime.versions.update("default", PromoteSet("1.0"))
        assert await runtime.execute("once") == ["1.0:1.0"]


@pytest.mark.feature("WV-07")
async def test_runs_of_merged_sets_move_to_any_worker_of_both(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        one = await runtime.start("steps", id="one")
        await stepped(one)
        await runtime.versions.update("default", AddNewDefault("2.0"))
        two = await runtime.start("steps", id="two")
        await stepped(two)
        await runtime.versions.update("default", MergeSets("2.0", "1.0"))
        await stepped(one, "work")
        await stepped(two, "work")
        assert await one.query("code") == await two.query("code") == "2.0"
    async with opened(tmp_path / "a.db", "1.0") as runtime:  # the default is away
        for name in ("one", "two"):
            assert await ended(runtime.handle(name)) == ["1.0:2.0"]


@pytest.mark.feature("WV-02")
async def test_a_fallback_gives_way_to_the_default_when_that_comes(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        await runtime.versions.update("default", AddCompatible("1.1", "1.0"))
        handle = await runtime.start("steps", id="one")
        await stepped(handle, "work")
        assert await handle.query("code") == "1.0"
        runtime.add_worker(worker("1.1"))
        await stepped(handle, "work")
        assert await ended(handle) == ["1.1:1.0", "1.1:1.1"]


@pytest.mark.feature("WV-02")
async def test_a_task_in_line_goes_to_the_worker_that_its_run_may_use(
    tmp_path: Path,
) -> None:
    busy = worker("1.0", slots=1)
    async with open_runtime(tmp_path / "a.db", EMPTY, workers=[busy]) as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        busy.busy = 1  # somebody has its slot
        handle = await runtime.start("steps", id="one")
        await stepped(handle, "work")
        (pending,) = (await handle.describe()).pending_tasks
        assert pending.state == "queued"
        runtime.add_worker(worker("2.0"))
        await asyncio.sleep(5)
        assert (await handle.describe()).pending_tasks
        runtime.add_worker(worker("1.1"))
        await runtime.versions.update("default", AddCompatible("1.1", "1.0"))
        assert await ended(handle) == ["1.1:1.1"]
        busy.busy = 0


@pytest.mark.feature("WV-02", "WV-04")
async def test_children_and_successors_stay_with_the_build_of_their_run(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        handle = await runtime.start("steps", id="one")
        await stepped(handle)
        await runtime.versions.update("default", AddNewDefault("2.0"))
        await stepped(handle, "child", "again")
        successor = runtime.handle("one")
        await stepped(successor, "child", "work")
        assert (await successor.describe()).build_id == "1.0"
        assert await ended(successor) == ["1.0:1.0", "1.0:1.0"]


@pytest.mark.feature("WV-04")
async def test_a_run_that_replaces_another_of_its_id_is_bound_anew(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0") as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        await stepped(await runtime.start("steps", id="one"), "work")
        await runtime.versions.update("default", AddNewDefault("2.0"))
        anew = await runtime.start("steps", id="one", on_conflict="terminate_existing")
        await stepped(anew, "work")
        assert await ended(anew) == ["2.0:2.0"]
        assert (await anew.describe()).build_id == "2.0"


@pytest.mark.feature("VS-07", "WV-02")
async def test_runs_are_found_by_the_build_that_they_are_bound_to(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db", "1.0", "2.0", "") as runtime:
        await runtime.execute("once", id="unbound")
        await runtime.versions.update("default", AddNewDefault("1.0"))
        one = await runtime.start("steps", id="one")
        await stepped(one, "child")
        await runtime.versions.update("default", AddNewDefault("2.0"))
        await runtime.execute("once", id="two")

        async def found(build_id: str) -> set[str]:
            wanted = Search("default", parse(f"BuildIds = '{build_id}'"), {})
            hits = await runtime.engine.store.reads.search(wanted)
            return {hit.run.workflow_id for hit in hits}

        (child,) = await found("1.0") - {"one"}
        assert child.startswith(str(one.result_run_id))
        assert await found("2.0") == {"two"}


@pytest.mark.feature("WV-02")
async def test_a_task_on_another_queue_goes_by_the_sets_of_that(tmp_path: Path) -> None:
    workers = [worker("1.0"), worker("1.1", ["other"]), worker("2.0", ["other"])]
    async with open_runtime(tmp_path / "a.db", EMPTY, workers=workers) as runtime:
        await runtime.versions.update("default", AddNewDefault("1.0"))
        await runtime.versions.update("other", AddNewDefault("2.0"))
        handle = await runtime.start("steps", id="one")
        await stepped(handle, "elsewhere")
        await runtime.versions.update("other", AddNewDefault("1.0"))
        await runtime.versions.update("other", AddCompatible("1.1", "1.0"))
        await stepped(handle, "elsewhere")
        assert await ended(handle) == ["1.0:2.0", "1.0:1.1"]


@pytest.mark.feature("WV-02")
async def test_code_that_does_not_fit_puts_the_run_aside_until_it_does(
    tmp_path: Path,
) -> None:
    other = Registry()

    @workflow(name="steps", registry=other)
    async def steps() -> list[str]:
        await asyncio.sleep(1)
        return ["other"]

    async with opened(tmp_path / "a.db", "1.0") as runtime:
        runtime.add_worker(Worker(build_id="1.1", registry=other))
        await runtime.versions.update("default", AddNewDefault("1.0"))
        handle = await runtime.start("steps", id="one")
        await stepped(handle, "work")
        await runtime.versions.update("default", AddCompatible("1.1", "1.0"))
        await waits(handle, "does not fit")
        with pytest.raises(QueryFailed):
            await handle.query("code")
        await runtime.versions.update("default", AddCompatible("1.2", "1.0"))
        runtime.add_worker(Worker(build_id="1.2", registry=V11))
        assert await ended(handle) == ["1.1:1.0"]


@pytest.mark.feature("WV-01")
async def test_without_sets_and_registries_of_workers_nothing_is_asked(
    tmp_path: Path,
) -> None:
    workers = [Worker(build_id="1.0"), Worker()]
    async with open_runtime(tmp_path / "a.db", V1, workers=workers) as runtime:
        engine: Engine = runtime.engine
        assert await runtime.execute("once") == ["1.0:1.0"]
        assert not engine.versions.active
        assert engine.admission.free("default") is workers[0]


@dataclass
class Range:
    """What a query of a worker's own code is asked with."""

    least: int
    most: int


@pytest.mark.feature("MS-04")
async def test_a_query_of_code_that_only_a_worker_has_is_asked_in_its_types(
    tmp_path: Path,
) -> None:
    """With a converter that needs the hints to know a type again."""
    made = Registry()

    @workflow(name="counting", registry=made)
    class Counting:
        @workflow.run
        async def run(self) -> None:
            await receive("end")

        @workflow.query
        def width(self, range_: Range) -> int:
            assert type(range_) is Range
            return range_.most - range_.least

    async with open_runtime(
        tmp_path / "a.db",
        EMPTY,
        workers=[Worker(registry=made)],
        data_converter=DataConverter.json,
    ) as runtime:
        handle = await runtime.start("counting", id="c")
        assert await handle.query("width", Range(3, 10)) == 7
