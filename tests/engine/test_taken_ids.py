"""A start asks nothing of the database first: its ID is free, or it is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    execute_child,
    receive,
    run_info,
    signal_run,
    sleep,
    workflow,
)
from everact.runtime.errors import (
    ChildFailure,
    WorkflowAlreadyStarted,
)
from everact.runtime.operations.batches import StartTogether, start_together
from everact.runtime.operations.starting import StartRun
from everact.runtime.store.sqlite.questions import Questions
from tests.features.support import open_runtime

pytestmark = pytest.mark.feature("ID-01")

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def waiting() -> str:
    return str(await receive("go"))


@workflow(registry=REGISTRY)
async def quick(number: int) -> int:
    return number


@workflow(registry=REGISTRY)
async def telling() -> str:
    await signal_run("told", "told", "news")
    return "told"


@workflow(registry=REGISTRY)
async def listening() -> list[str]:
    return [str(await receive("told")), str(await receive("go"))]


@workflow(registry=REGISTRY)
async def names_twice_what_begins_with_its_own_id() -> str:
    name = f"{run_info().run_id}-child"
    first = asyncio.get_running_loop().create_task(_to(execute_child(waiting, id=name)))
    await sleep(1)
    try:
        await execute_child(waiting, id=name)
    except ChildFailure as failure:
        await signal_run(name, "go", "on")
        return f"{await first}, {failure.cause}"
    return "two"


async def _to(call: Any) -> Any:
    return await call


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the database was asked for a run by its ID."""
    find, times = Questions.find, 0

    def counted(*args: Any) -> Any:
        nonlocal times
        times += 1
        return find(*args)

    monkeypatch.setattr(Questions, "find", counted)
    return lambda: times


async def test_a_start_with_an_id_asks_nothing(
    tmp_path: Path, finds: Callable[[], int]
) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        begun = [await runtime.start(quick, n, id="same") for n in range(3)]
        await asyncio.gather(*(runtime.start(waiting, id=f"w{n}") for n in range(9)))
        assert finds() == 0
        results = [await handle.result() for handle in begun]
        assert results == [0, 1, 2]


async def test_an_id_that_only_the_database_knows_is_refused_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its run was put away, and the other starts of the commit are made."""
    async with open_runtime(tmp_path / "a.db", REGISTRY, idle_runs=1) as runtime:
        first = await runtime.start(waiting, id="first")
        await runtime.start(waiting, id="second")
        await asyncio.sleep(1)
        assert not runtime.engine.present("default", "first")
        one, refused, other = await asyncio.gather(
            runtime.execute(quick, 1, id="one"),
            runtime.start(quick, 2, id="first"),
            runtime.execute(quick, 3, id="other"),
            return_exceptions=True,
        )
        assert (one, other) == (1, 3)
        assert isinstance(refused, WorkflowAlreadyStarted)
        assert refused.run_id == first.result_run_id
        assert refused.workflow_type == "waiting"
        await first.signal("go", "on")
        assert await first.result() == "on"
        assert await runtime.execute(quick, 4, id="first") == 4
    errors = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
    assert errors == []  # nothing is wrong: somebody has the ID


async def test_of_starts_in_one_turn_one_has_the_id(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        made = await asyncio.gather(
            *(runtime.start(waiting, id="same") for _ in range(5)),
            return_exceptions=True,
        )
        refused = [one for one in made if isinstance(one, WorkflowAlreadyStarted)]
        assert len(refused) == 4


async def test_starts_by_a_policy_that_looks_wait_for_each_other(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY, idle_runs=1) as runtime:
        made = await asyncio.gather(
            *(
                runtime.start(waiting, id="same", on_conflict="use_existing")
                for _ in range(5)
            )
        )
        assert len({(await handle.describe()).run_id for handle in made}) == 1


async def test_whom_a_refused_start_writes_to_is_not_refused_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is what others asked of that run in the same commit."""
    async with open_runtime(tmp_path / "a.db", REGISTRY, idle_runs=1) as runtime:
        await runtime.start(waiting, id="first")
        told = await runtime.start(listening, id="told")
        await asyncio.sleep(1)
        for number in range(4):
            await runtime.start(waiting, id=f"other-{number}")
            await asyncio.sleep(1)
            assert not runtime.engine.present("default", "first")
            refused, asked = await asyncio.gather(
                runtime.start(telling, id="first"),
                told.signal("else"),
                return_exceptions=True,
            )
            assert isinstance(refused, WorkflowAlreadyStarted)
            assert asked is None
        assert await runtime.execute(telling, id="free") == "told"
        await told.signal("go", "on")
        assert await told.result() == ["news", "on"]
    errors = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
    assert errors == []


async def test_an_id_that_is_given_up_meanwhile_is_taken_and_messages_are_sent(
    tmp_path: Path,
) -> None:
    """The start was made when it looked taken, and its messages waited."""
    async with open_runtime(tmp_path / "a.db", REGISTRY, idle_runs=1) as runtime:
        first = await runtime.start(waiting, id="first")
        told = await runtime.start(listening, id="told")
        await asyncio.sleep(1)
        assert not runtime.engine.present("default", "first")
        ended, made = await asyncio.gather(
            first.terminate(), runtime.execute(telling, id="first")
        )
        assert (ended, made) == (None, "told")
        await told.signal("go", "on")
        assert await told.result() == ["news", "on"]


async def test_a_child_may_have_an_id_that_begins_as_those_that_are_made(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        found = await runtime.execute(names_twice_what_begins_with_its_own_id)
        assert found.startswith("on, ")
        assert "is taken by an open run" in found


def _two_starts() -> StartTogether:
    return StartTogether(
        starts=(
            StartRun(workflow="waiting", request_id="one"),
            StartRun(
                workflow="waiting",
                workflow_id="kept",
                on_conflict="use_existing",
                request_id="two",
            ),
        )
    )


async def test_a_repeated_start_of_several_that_had_to_wait_is_done_once(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        engine = runtime.engine
        async with engine.ids.of(("default", "kept")):
            both = asyncio.gather(
                *(start_together(engine, _two_starts()) for _ in range(2))
            )
            await asyncio.sleep(1)
        first, second = await both
        assert [one.run_id for one in first] == [one.run_id for one in second]
        assert len([run async for run in runtime.list()]) == 2
