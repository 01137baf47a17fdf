"""The common case of a start, a step and an end is what the slow path makes of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, execute_child, receive, task, workflow
from everact.runtime.core import records
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.actor import RunActor
from everact.runtime.errors import StoreError
from everact.runtime.store.base import Write

REGISTRY = Registry()


@task(registry=REGISTRY)
async def number(given: int) -> int:
    return given


@task(registry=REGISTRY)
async def takes_time(given: int) -> int:
    await asyncio.sleep(1)
    return given


@task(registry=REGISTRY)
async def fails() -> None:
    raise ValueError("it fails")


@workflow(registry=REGISTRY)
async def nothing() -> int:
    return 1


@workflow(registry=REGISTRY)
async def one(given: int) -> int:
    return await number(given)


@workflow(registry=REGISTRY)
async def several(count: int) -> int:
    return sum(await asyncio.gather(*(number(n) for n in range(count))))


@workflow(registry=REGISTRY)
async def leaves_a_task() -> int:
    left = asyncio.get_running_loop().create_task(_to(takes_time(1)))
    assert not left.done()
    return await number(2)


async def _to(call: Any) -> Any:
    return await call


@workflow(registry=REGISTRY)
async def sleeps() -> int:
    found = await number(1)
    await asyncio.sleep(5)
    return found + await takes_time(2)


@workflow(registry=REGISTRY)
async def parent(count: int) -> int:
    children = (execute_child(one, n) for n in range(count))
    return sum(await asyncio.gather(*children))


@workflow(registry=REGISTRY)
async def parent_of_failing() -> str:
    try:
        await execute_child(failing)
    except Exception as error:
        return type(error).__name__
    return "nothing"


@workflow(registry=REGISTRY)
async def failing() -> None:
    await fails()


@workflow(registry=REGISTRY)
async def receiver() -> int:
    return int(await receive("go")) + await number(1)


WORKS: list[tuple[Any, tuple[Any, ...]]] = [
    (nothing, ()),
    (one, (3,)),
    (several, (5,)),
    (leaves_a_task, ()),
    (sleeps, ()),
    (parent, (3,)),
    (parent_of_failing, ()),
    (failing, ()),
    (receiver, ()),
]


def opened(path: Path) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, registry=REGISTRY, clock=VirtualClock(loop))


async def written(path: Path, given: tuple[Any, tuple[Any, ...]]) -> list[str]:
    """All rows that a run and its children leave, without IDs and moments."""
    work, args = given
    async with opened(path) as runtime:
        handle = await runtime.start(work, args=args, id="it")
        if work is receiver:
            await handle.signal("go", 1)
        await asyncio.wait([asyncio.ensure_future(handle.result())])
        await asyncio.sleep(30)
        assert runtime.engine.runs == {}
        assert runtime.engine.steps == []
        assert runtime.engine.relations.ends_due == {}
        store, found = runtime.engine.store, []
        for key in range(1, 10):
            stored = store.load(key)
            if stored is not None:
                found.append(repr(stored.run))
                rows = await store.reads.history(key, (-1, -1), 100)
                found += [
                    repr((row.generation, row.seq, records.decode(row.body)))
                    for row in rows
                ]
    return [_alike(line) for line in found]


def _alike(line: str) -> str:
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", line)
    line = re.sub(r"\d{9,}\.\d+", "<moment>", line)
    return re.sub(r"identity='[^']*'", "", line)


@pytest.mark.parametrize("given", WORKS, ids=lambda given: given[0].__name__)
async def test_the_common_case_writes_what_the_slow_path_writes(
    tmp_path: Path, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = await written(tmp_path / "common.db", given)
    monkeypatch.setattr(steps, "taken", lambda *_: False)
    monkeypatch.setattr(steps, "_fold", lambda *_: False)
    slow = await written(tmp_path / "slow.db", given)
    assert common == slow
    assert len(common) > 1


async def test_a_run_has_a_place_among_the_actors_while_something_of_it_waits(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "a.db") as runtime:
        engine = runtime.engine
        registry = engine.system.registry
        assert await runtime.execute(one, 3) == 3
        assert registry.get_by_class(RunActor) == []
        handle = await runtime.start(sleeps)
        await asyncio.sleep(1)
        assert len(registry.get_by_class(RunActor)) == 1
        await asyncio.sleep(4.5)
        (run,) = [view for view in engine.system.observe() if view.about == handle.id]
        assert [child.about for child in run.children] == ["takes_time"]
        assert await handle.result() == 3
        assert registry.get_by_class(RunActor) == []


async def test_a_start_whose_commit_is_lost_tells_who_executes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "a.db") as runtime:
        store = runtime.engine.store
        commit = store.commit

        def lost(writes: list[Write], done: Any) -> None:
            monkeypatch.setattr(store, "commit", commit)
            runtime.engine.loop.call_soon(done, StoreError("nobody knows"))

        monkeypatch.setattr(store, "commit", lost)
        with pytest.raises(StoreError, match="nobody knows"):
            await runtime.execute(one, 3)
        assert runtime.engine.runs == {}
        assert await runtime.execute(one, 4) == 4
