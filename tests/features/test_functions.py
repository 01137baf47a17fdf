"""Rows DF-04 to DF-06: functions that block, that are called, that are started."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from everact.runtime import (
    Call,
    Registry,
    RunStatus,
    Runtime,
    RuntimeThread,
    Worker,
    receive,
    sleep,
    task,
    workflow,
)
from everact.runtime.functions import Arguments
from tests.features.support import (
    EPOCH,
    Stage,
    items,
    killed,
    note,
    notes,
    open_runtime,
    played,
)

registry = Registry()

# -- DF-04 ---------------------------------------------------------------------------

blocking = threading.Event()
released = threading.Event()


@registry.function
def blocks() -> str:
    blocking.set()
    released.wait()
    return threading.current_thread().name


@registry.function
async def quick(number: int) -> int:
    return number + 1


@workflow(registry=registry)
async def call_blocking() -> str:
    return await blocks()


@workflow(registry=registry)
async def busy_meanwhile() -> int:
    number = await quick(await receive("number"))
    await sleep(0.001)
    return await quick(number)


@pytest.mark.real_time
@pytest.mark.feature("DF-04")
async def test_runs_timers_and_requests_go_on_while_a_function_blocks(
    tmp_path: Path,
) -> None:
    blocking.clear()
    released.clear()
    async with Runtime(tmp_path / "a.db", registry=registry) as runtime:
        blocked = await runtime.start(call_blocking)
        await asyncio.to_thread(blocking.wait)
        other = await runtime.start(busy_meanwhile)
        await other.signal("number", 40)
        assert await other.result() == 42
        assert (await blocked.describe()).status is RunStatus.RUNNING
        released.set()
        assert (await blocked.result()) != threading.current_thread().name


@pytest.mark.real_time
@pytest.mark.feature("DF-04")
async def test_many_functions_block_at_once(tmp_path: Path) -> None:
    meeting = threading.Barrier(40)

    @task(registry=registry)
    def meet() -> int:
        return meeting.wait()  # returns only when all forty are there

    @workflow(registry=registry)
    async def meeting_of_forty() -> list[int]:
        return sorted(await asyncio.gather(*(meet() for _ in range(40))))

    wide = [Worker(threads=40)]
    async with Runtime(tmp_path / "a.db", registry=registry, workers=wide) as runtime:
        assert await runtime.execute(meeting_of_forty) == list(range(40))


# -- DF-05 ---------------------------------------------------------------------------


@registry.function
async def charge(folder: str, amount: int) -> str:
    note(folder, f"charged {amount}")
    return f"receipt for {amount}"


@registry.function
async def ship(folder: str, receipt: str) -> str:
    note(folder, f"shipping with {receipt}")
    await asyncio.sleep(10)
    return f"shipped with {receipt}"


@workflow(registry=registry)
async def order(folder: str) -> str:
    receipt = await charge(folder, 7)
    await sleep(10)
    return await ship(folder, receipt)


async def between_two_calls(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(order, str(stage.folder), id="order")
        await asyncio.sleep(5)
        await stage.die()


async def in_the_second_call(stage: Stage) -> None:
    async with stage.runtime(registry):
        await asyncio.sleep(10)
        await stage.die()


async def to_the_end(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        handle = runtime.handle("order")
        stage.say("result", await handle.result())
        stage.say("recorded", len(await items(handle, "TaskCompleted")))


@pytest.mark.kill
@pytest.mark.feature("DF-05", "RC-03")
def test_a_recorded_call_is_not_repeated_after_kills(tmp_path: Path) -> None:
    killed(between_two_calls, tmp_path)
    killed(in_the_second_call, tmp_path, at=EPOCH + 6)
    said = played(to_the_end, tmp_path, at=EPOCH + 17)
    assert said == {"result": "shipped with receipt for 7", "recorded": 2}
    assert notes(tmp_path) == ["charged 7", *["shipping with receipt for 7"] * 2]


@pytest.mark.feature("DF-05")
async def test_outside_of_a_run_a_call_is_sent_and_awaited(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await charge(str(tmp_path), 3) == "receipt for 3"
        [line] = [line async for line in runtime.list()]
        assert line.workflow == "charge"
        assert line.status is RunStatus.COMPLETED
        assert notes(tmp_path) == ["charged 3"]


@pytest.mark.feature("DF-05")
async def test_outside_of_any_runtime_a_call_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="running Runtime"):
        await quick(1)


@pytest.mark.real_time
@pytest.mark.feature("DF-05")
def test_blocking_callers_have_a_form_of_their_own(tmp_path: Path) -> None:
    with RuntimeThread(tmp_path / "a.db", registry=registry):
        assert quick.blocking(41) == 42


@pytest.mark.feature("DF-05")
async def test_the_blocking_form_is_refused_on_a_loop(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry):
        with pytest.raises(RuntimeError, match="await"):
            quick.blocking(41)


# -- DF-06 ---------------------------------------------------------------------------


@registry.function
async def slow_sum(first: int, *, second: int) -> int:
    ends.append("begun")
    await asyncio.sleep(10)
    ends.append("ended")
    return first + second


ends: list[str] = []


@pytest.mark.feature("DF-06")
async def test_an_identifier_comes_back_before_the_function_finishes(
    tmp_path: Path,
) -> None:
    ends.clear()
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        identifier = await slow_sum.dispatch(1, second=2)
        assert isinstance(identifier, str)
        assert "ended" not in ends
        handle = runtime.handle(identifier)
        assert (await handle.describe()).status is RunStatus.RUNNING
        assert await handle.result() == 3
        assert asyncio.get_running_loop().time() == 10


@pytest.mark.feature("DF-06")
async def test_a_built_call_and_a_direct_call_give_the_same(tmp_path: Path) -> None:
    built = slow_sum.build_call(1, second=2)
    assert built == Call("slow_sum", Arguments((1,), {"second": 2}))
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert len([line async for line in runtime.list()]) == 0
        identifier = await runtime.dispatch(built)
        assert await runtime.handle(identifier).result() == 3
        assert await slow_sum(1, second=2) == 3


@pytest.mark.feature("DF-06")
def test_a_call_whose_arguments_misfit_is_not_built() -> None:
    with pytest.raises(TypeError, match="slow_sum"):
        _ = slow_sum.build_call(1, 2)  # type: ignore[call-arg]


async def dispatched(stage: Stage) -> None:
    async with stage.runtime(registry):
        stage.say("identifier", await slow_sum.dispatch(20, second=22))
        await stage.die()


async def fetched(stage: Stage) -> None:
    identifier = (stage.folder / "identifier").read_text()
    async with stage.runtime(registry) as runtime:
        stage.say("result", await runtime.handle(identifier).result())


@pytest.mark.kill
@pytest.mark.feature("DF-06")
def test_an_identifier_is_good_after_a_kill(tmp_path: Path) -> None:
    said = killed(dispatched, tmp_path)
    (tmp_path / "identifier").write_text(said["identifier"])
    assert played(fetched, tmp_path, at=EPOCH + 60)["result"] == 42
