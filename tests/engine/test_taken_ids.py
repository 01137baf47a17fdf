"""A start asks nothing of the database first: its ID is free, or it is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Registry, receive, workflow
from everact.runtime.errors import WorkflowAlreadyStarted
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
