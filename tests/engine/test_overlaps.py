"""What reaches a run while a transition of it is on its way to the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ApplicationError,
    Registry,
    RunStatus,
    Runtime,
    WorkflowFailure,
    continue_as_new,
    execute_child,
    receive,
    sleep,
    task,
    workflow,
)
from everact.runtime.errors import RPCError
from everact.runtime.functions import Reset

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def second() -> int:
    await sleep("1h")
    return 2


@workflow(registry=REGISTRY)
async def first() -> int:
    await receive("go")
    raise Reset(second)


@task(registry=REGISTRY)
async def fails_unstorably() -> None:
    raise ApplicationError("no", threading.Lock())


@task(registry=REGISTRY)
async def step() -> int:
    return 1


@workflow(registry=REGISTRY)
async def one_step() -> int:
    return await step()


@workflow(registry=REGISTRY)
async def meets_it() -> None:
    await fails_unstorably()


@workflow(registry=REGISTRY)
async def forever(rounds: int) -> None:
    """It is hardly ever open: nearly all the time its successor is being stored."""
    await step()
    continue_as_new(rounds + 1)


@workflow(registry=REGISTRY)
async def parent_of_forever() -> None:
    await execute_child(forever, 0, id="child")


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as made:
        yield made


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_run_is_ended_while_its_tail_call_is_committed(
    runtime: Runtime, how: str
) -> None:
    handle = await runtime.start(first)
    end = handle.cancel if how == "cancel" else handle.terminate
    await asyncio.gather(handle.signal("go"), end())
    with pytest.raises(WorkflowFailure):
        await handle.result()
    ended = {"cancel": RunStatus.CANCELLED, "terminate": RunStatus.TERMINATED}
    assert (await handle.describe()).status is ended[how]
    assert await runtime.execute(second) == 2


@pytest.mark.feature("ID-08")
@pytest.mark.parametrize("order", [1, -1])
async def test_a_signal_while_its_run_is_replaced_reaches_one_of_the_two(
    runtime: Runtime, order: int
) -> None:
    await runtime.start(first, id="x")
    replacing = runtime.start(first, id="x", on_conflict="terminate_existing")
    both: list[Any] = [replacing, runtime.handle("x").signal("go")][::order]
    new = (await asyncio.gather(*both))[::order][0]
    assert new.result_run_id == (await runtime.handle("x").describe()).run_id
    if order == 1:
        assert await new.result() == 2


async def test_an_error_with_a_detail_that_cannot_be_stored_fails_its_run_alone(
    runtime: Runtime,
) -> None:
    with pytest.raises(WorkflowFailure, match="no"):
        await runtime.execute(meets_it)


async def test_a_defect_in_what_one_commit_releases_leaves_the_batch_alone(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours in one run's effects: it is read back, the others go on."""
    first_time = [True]
    ask = runtime.engine.admission.ask

    def broken(task: Any, *, held: bool) -> None:
        if first_time:
            first_time.clear()
            raise AssertionError("a defect")
        ask(task, held=held)

    monkeypatch.setattr(runtime.engine.admission, "ask", broken)
    handles = await asyncio.gather(*(runtime.start(one_step) for _ in range(3)))
    assert [await handle.result() for handle in handles] == [1, 1, 1]


@pytest.mark.parametrize("delay", range(12))
@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_chain_is_ended_by_its_id_at_any_moment(
    runtime: Runtime, how: str, delay: int
) -> None:
    handle = await runtime.start(forever, 0, id="f")
    for _ in range(delay):
        await asyncio.sleep(0)
    addressed = runtime.handle("f")
    await (addressed.cancel() if how == "cancel" else addressed.terminate())
    with pytest.raises(WorkflowFailure):
        await handle.result()


@pytest.mark.parametrize("delay", range(0, 24, 2))
async def test_the_end_of_a_parent_ends_a_child_that_continues(
    runtime: Runtime, delay: int
) -> None:
    handle = await runtime.start(parent_of_forever)
    for _ in range(delay):
        await asyncio.sleep(0)
    await handle.terminate()
    with pytest.raises((WorkflowFailure, RPCError)):
        await runtime.handle("child").result()


@workflow(registry=REGISTRY)
class Busy:
    def __init__(self) -> None:
        self.rounds = 0

    @workflow.run
    async def run(self) -> int:
        await receive("end")
        return self.rounds

    @workflow.signal
    async def work(self, rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)
        self.rounds += rounds


async def test_a_signal_of_a_paused_activation_outlives_its_run_in_memory(
    runtime: Runtime,
) -> None:
    """The activation had to give others a turn, and then the run was dropped."""
    handle = await runtime.start(Busy, id="busy")
    sending = asyncio.ensure_future(handle.signal("work", 30_000))
    (run,) = runtime.engine.runs.values()
    while run.code.paused is None:
        await asyncio.sleep(0)
    runtime.engine.discard(run, None)
    await asyncio.wait_for(sending, timeout=60)
    await handle.signal("end")
    assert await handle.result() == 30_000


async def test_a_history_that_is_followed_has_its_end_whenever_that_is_committed(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last row comes between a look at the rows and one at the status."""
    handle = await runtime.start(second)
    await handle.terminate()
    reads = runtime.engine.store.reads
    history, looks = reads.history, []

    async def late(key: int, after: tuple[int, int], limit: int) -> Any:
        looks.append(after)
        return [] if len(looks) == 2 else await history(key, after, limit)

    monkeypatch.setattr(reads, "history", late)
    kinds = [item.kind async for item in handle.follow_history(page_size=1)]
    assert (kinds[0], kinds[-1]) == ("Started", "Fail")
