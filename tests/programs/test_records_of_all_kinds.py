"""What a history must tell, whatever kind of program is rebuilt from it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    execute_child,
    retry,
    run_info,
    sleep,
    start_child,
    task,
    workflow,
)
from everact.runtime.core import chain, records
from everact.runtime.core.failures import FailureKind, TimeoutKind
from everact.runtime.core.records import (
    ChildClosed,
    Fail,
    RunTimedOut,
    TaskFailed,
    TerminateRequested,
)
from everact.runtime.errors import ChildFailure, WorkflowFailure
from everact.runtime.testing import history, replay
from everact.runtime.workflows import upsert_memo

REGISTRY = Registry()


def runtime(path: Path | str = ":memory:", **options: Any) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, registry=REGISTRY, clock=VirtualClock(loop), **options)


async def recorded(handle: Any, kind: type) -> list[Any]:
    """The events and commands of a kind in the history of a run."""
    rows = [records.decode(r) for one in await history(handle) for r in one.rows]
    return [r for row in rows for r in (*row.events, *row.commands) if type(r) is kind]


@workflow(registry=REGISTRY)
async def idle() -> None:
    await sleep(86400)


async def test_an_end_that_no_code_made_is_in_the_history_with_its_cause() -> None:
    async with runtime() as made:
        ended = await made.start(idle, id="ended")
        await ended.terminate(reason="enough")
        late = await made.start(idle, id="late", run_timeout=5)
        for handle in (ended, late):
            with pytest.raises(WorkflowFailure):
                await handle.result()
        (why,) = await recorded(ended, TerminateRequested)
        (how,) = await recorded(ended, Fail)
        assert why.reason == "enough"
        assert how.failure.kind is FailureKind.TERMINATED
        assert await recorded(late, RunTimedOut) == [RunTimedOut(TimeoutKind.RUN)]
        (how,) = await recorded(late, Fail)
        assert how.failure.kind is FailureKind.TIMED_OUT


@task(registry=REGISTRY, retry=retry(first=2.0, growth=1.0, attempts=3))
async def failing() -> None:
    await asyncio.sleep(1)
    raise ValueError


@workflow(registry=REGISTRY)
async def caller() -> str:
    try:
        await failing()
    except ValueError:
        return "failed"
    return ""


async def test_a_failed_attempt_says_its_number_and_when_it_began() -> None:
    async with runtime() as made:
        handle = await made.start(caller, id="c")
        assert await handle.result() == "failed"
        found = await recorded(handle, TaskFailed)
        assert [event.attempt for event in found] == [1, 2, 3]
        first = found[0].started
        assert [event.started - first for event in found] == pytest.approx([0, 3, 6])


@workflow(registry=REGISTRY)
async def unlucky() -> None:
    raise ValueError("of its own")


@workflow(registry=REGISTRY)
async def parent(id: str, on_reuse: str) -> str:
    try:
        await execute_child(unlucky, id=id, on_reuse=on_reuse)
    except ChildFailure as failure:
        return str(failure)
    return ""


@pytest.mark.feature("CH-01")
async def test_a_child_that_could_not_start_is_told_apart_from_one_that_failed() -> (
    None
):
    async with runtime() as made:
        await made.start(idle, id="taken")
        refused = await made.start(parent, args=["taken", "allow"], id="a")
        failed = await made.start(parent, args=["free", "allow"], id="b")
        assert "taken" in await refused.result()
        assert "of its own" in await failed.result()
        for handle, told in ((refused, True), (failed, False)):
            (event,) = await recorded(handle, ChildClosed)
            assert event.refused is told


@workflow(registry=REGISTRY)
async def quick() -> int:
    return 1


@workflow(registry=REGISTRY)
async def reusing(policy: str) -> int:
    child = await start_child(quick, id="mine", on_reuse=policy)
    return await child


@pytest.mark.feature("ID-03", "ID-04")
async def test_a_child_keeps_to_its_reuse_policy() -> None:
    async with runtime() as made:
        assert await made.execute(reusing, "reject") == 1, "nobody had it"
        assert await made.execute(reusing, "allow") == 1
        for policy in ("reject", "allow_failed_only"):
            with pytest.raises(WorkflowFailure, match=f"on_reuse='{policy}'"):
                await made.execute(reusing, policy)
        with pytest.raises(WorkflowFailure):
            await made.execute(unlucky, id="mine")
        assert await made.execute(reusing, "allow_failed_only") == 1
        with pytest.raises(WorkflowFailure, match="on_reuse must be one of"):
            await made.execute(reusing, "terminate_if_running")


@workflow(registry=REGISTRY)
async def again() -> str:
    if run_info().attempt < 3:
        raise ValueError
    return run_info().run_id


async def test_the_run_id_of_a_successor_follows_from_that_of_the_run_before() -> None:
    async with runtime() as made:
        handle = await made.start(again, id="a", retry=retry(first=1.0, attempts=3))
        first = handle.result_run_id
        assert first is not None
        last = chain.next_run_id(chain.next_run_id(first, 0), 0)
        assert await handle.result() == last


@workflow(registry=REGISTRY)
async def noting(number: int) -> dict[str, Any]:
    upsert_memo({"number": number, "draft": None})
    await sleep(60)
    if number < 2:
        raise ValueError(number)
    return run_info().memo


@pytest.mark.feature("VS-05")
async def test_a_memo_can_change_and_goes_on_with_the_chain(tmp_path: Path) -> None:
    async with runtime(tmp_path / "db") as made:
        memo = {"draft": True, "kept": [1]}
        options: Any = {"memo": memo, "retry": retry(first=1.0, attempts=2)}
        handle = await made.start(noting, 1, id="n", **options)
        assert (await handle.describe()).memo == {"number": 1, "kept": [1]}
    async with runtime(tmp_path / "db") as made:
        view = await made.handle("n").describe()
        assert view.memo == {"number": 1, "kept": [1]}
        replay(await history(made.handle("n")), registry=REGISTRY)
        with pytest.raises(WorkflowFailure):
            await made.handle("n").result()
        assert (await made.handle("n").describe()).memo["number"] == 1
