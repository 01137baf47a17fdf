"""Messages to runs in memory: given to them directly, and in their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    continue_as_new,
    receive,
    task,
    workflow,
)
from everact.runtime.core.records import SignalReceived
from everact.runtime.engine import asking
from everact.runtime.engine.run.activation import Activation
from everact.runtime.errors import RPCError
from everact.runtime.statuses import RPCStatus
from everact.runtime.store.sqlite.questions import Questions

REGISTRY = Registry()
HERE: list[Runtime] = []


@workflow(registry=REGISTRY)
class Box:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @workflow.run
    async def run(self, upto: int) -> list[Any]:
        while len(self.seen) < upto:
            self.seen.append(await receive("item"))
        return self.seen

    @workflow.update
    def put(self, item: Any) -> int:
        self.seen.append(item)
        return len(self.seen)

    @workflow.query
    def count(self) -> int:
        return len(self.seen)


@workflow(registry=REGISTRY)
async def taking(upto: int, first: int = 0) -> list[Any]:
    return [first, *[await receive("item") for _ in range(upto)]]


@task(registry=REGISTRY)
async def tells(workflow_id: str, item: Any) -> str:
    """Sends before it has waited for anything: in the middle of a release."""
    await HERE[0].handle(workflow_id).signal("item", item)
    return "told"


@workflow(registry=REGISTRY)
async def telling(workflow_id: str) -> list[Any]:
    told = await tells(workflow_id, "from a task")
    return [told, await receive("item")] if workflow_id == "itself" else [told]


@workflow(registry=REGISTRY)
async def relaying() -> list[Any]:
    await receive("item")
    continue_as_new(1, 7, workflow=taking)


def made(path: Path, **options: Any) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    return Runtime(path / "e.db", registry=REGISTRY, clock=clock, **options)


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with made(tmp_path) as runtime:
        HERE[:] = [runtime]
        yield runtime


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the database was asked for a run by its ID since."""
    find, times = Questions.find, 0

    def counted(*args: Any) -> Any:
        nonlocal times
        times += 1
        return find(*args)

    monkeypatch.setattr(Questions, "find", counted)
    return lambda: times


async def test_nothing_is_asked_of_the_database(
    engine: Runtime, asked: Callable[[], int]
) -> None:
    await engine.start(Box.run, 5, id="box")
    begun = asked()
    box = engine.handle("box")
    for number in range(3):
        await box.signal("item", number)
    assert await box.query(Box.count) == 3
    assert await box.update(Box.put, "updated") == 4
    assert asked() == begun
    await box.signal("item", 4)
    assert await box.result() == [0, 1, 2, "updated", 4]
    assert asked() > begun  # it is closed now, and only the database knows it
    with pytest.raises(RPCError) as refused:
        await box.signal("item", 5)
    assert refused.value.status is RPCStatus.NOT_FOUND


@pytest.mark.parametrize("kept", [1, 100])
async def test_runs_of_an_earlier_life_and_those_that_were_put_away_are_found(
    tmp_path: Path, kept: int
) -> None:
    async with made(tmp_path, idle_runs=kept) as first:
        for name in "abc":
            await first.start(taking, 2, id=name)
    async with made(tmp_path, idle_runs=kept) as second:
        for name in "abcabc":
            await second.handle(name).signal("item", name)
        for name in "abc":
            assert await second.handle(name).result() == [0, name, name]


async def test_those_of_one_turn_keep_their_order(engine: Runtime) -> None:
    run = await engine.start(taking, 100, id="many")
    await asyncio.gather(*(run.signal("item", n) for n in range(50)))
    alternately = (
        run.signal("item", n)
        if n % 3
        else run.signal("item", n, request_id=f"request {n}")
        for n in range(50, 100)
    )
    for sending in alternately:
        await sending
    assert await run.result() == [0, *range(100)]


async def test_one_is_taken_after_what_waits_in_line(engine: Runtime) -> None:
    run = await engine.start(taking, 3, id="x")
    present = engine.engine.present("default", "x")
    assert present is not None
    for item in (1, 2):
        present.post(SignalReceived("item", (engine.values.encode(item, ""),)))
    await run.signal("item", 3)
    assert await run.result() == [0, 1, 2, 3]


@pytest.mark.parametrize("to", ["itself", "other"])
async def test_one_of_a_task_that_is_being_released_is_taken_in_its_turn(
    engine: Runtime, to: str
) -> None:
    other = await engine.start(taking, 1, id="other")
    found = await engine.execute(telling, to, id="itself")
    assert found == (["told", "from a task"] if to == "itself" else ["told"])
    if to == "other":
        assert await other.result() == [0, "from a task"]


async def test_the_run_that_follows_gets_what_is_sent_by_the_id(
    engine: Runtime,
) -> None:
    run = await engine.start(relaying, id="chain")
    await asyncio.gather(run.signal("item", "on"), run.signal("item", "late"))
    assert await run.result() == [7, "late"]


async def test_a_run_that_took_the_place_of_another_gets_what_is_sent_by_the_id(
    engine: Runtime,
) -> None:
    await engine.start(taking, 1, id="x")
    other = await engine.start(taking, 1, id="x", on_conflict="terminate_existing")
    await engine.handle("x").signal("item", "new")
    assert await other.result() == [0, "new"]
    again = await engine.start(taking, 1, id="x")
    pinned = engine.handle("x", run_id=other.result_run_id)
    with pytest.raises(RPCError) as refused:  # not to the one that is open
        await pinned.signal("item", "old")
    assert refused.value.status is RPCStatus.NOT_FOUND
    await engine.handle("x").signal("item", "newest")
    assert await again.result() == [0, "newest"]


async def test_an_error_of_ours_is_told_to_the_sender_and_the_run_goes_on(
    engine: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(taking, 2, id="x")

    def fails(*_: Any) -> None:
        monkeypatch.undo()
        raise LookupError("a bug")

    monkeypatch.setattr(asking, "take_alone", fails)
    before = engine.engine.present("default", "x")
    with pytest.raises(LookupError, match="a bug"):
        await run.signal("item", 1)
    await run.signal("item", 2)
    assert engine.engine.present("default", "x") not in (None, before)  # read back

    def cannot(*_: Any) -> None:
        monkeypatch.undo()
        raise LookupError("another bug")

    monkeypatch.setattr(Activation, "answer", cannot)
    with pytest.raises(LookupError, match="another bug"):
        await run.query("anything")
    await run.signal("item", 3)
    assert await run.result() == [0, 2, 3]
