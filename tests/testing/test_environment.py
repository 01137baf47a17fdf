"""Time that skips, and fakes: on any loop, under any test framework."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import unittest
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from everact.runtime import (
    ChildFailure,
    Registry,
    RunStatus,
    WorkflowFailure,
    context,
    execute_child,
    sleep,
    task,
    testing,
    wait_condition,
    workflow,
)
from everact.runtime.errors import NonDeterminismError, RuntimeStateError, TaskTimeout
from everact.runtime.schedules import (
    IntervalSpec,
    Schedule,
    ScheduleSpec,
    StartWorkflow,
)
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.json_payloads import JsonConverter

REGISTRY = Registry()


@task(registry=REGISTRY, retries=2)
async def charge(order: int) -> str:
    raise AssertionError("tests do not charge anybody")


@task(registry=REGISTRY)
def pack(order: int) -> str:
    return f"box {order}"


@workflow(registry=REGISTRY)
async def subscription(order: int) -> str:
    await sleep(timedelta(days=30))
    return await charge(order)


@workflow(registry=REGISTRY)
class Approval:
    def __init__(self) -> None:
        self.approved = False

    @workflow.run
    async def run(self) -> str:
        try:
            await wait_condition(lambda: self.approved, timeout="3d")
        except TimeoutError:
            return "nobody decided"
        return "approved"

    @workflow.signal
    def approve(self) -> None:
        self.approved = True


@workflow(registry=REGISTRY)
async def cleaning() -> None:
    await sleep(60)


def env(**options: object) -> testing.Environment:
    return testing.Environment(registry=REGISTRY, **options)  # type: ignore[arg-type]


# -- time ------------------------------------------------------------------------------


@pytest.mark.feature("TS-01")
def test_a_workflow_that_sleeps_for_thirty_days_ends_at_once() -> None:
    async def main() -> None:
        async with env(fakes={charge: AsyncMock(return_value="paid")}) as made:
            began = made.now
            assert await made.runtime.execute(subscription, 7) == "paid"
            assert made.now - began == timedelta(days=30)

    asyncio.run(main())


@pytest.mark.feature("TS-01")
async def test_time_that_is_locked_moves_only_when_it_is_advanced() -> None:
    async with env() as made:
        made.lock()
        began = made.now
        handle = await made.runtime.start(Approval.run)
        await made.advance("2d")
        assert made.now - began == timedelta(days=2)
        assert (await handle.describe()).status is RunStatus.RUNNING
        await handle.signal(Approval.approve)
        assert await handle.result() == "approved"
        assert made.now - began == timedelta(days=2)


@pytest.mark.feature("TS-01")
async def test_what_is_due_is_done_in_order_before_advancing_returns() -> None:
    done: list[int] = []

    async def paying(order: int) -> str:
        done.append(order)
        return "paid"

    async with env(fakes={charge: paying}) as made:
        made.lock()
        for order in (1, 2, 3):
            await made.runtime.start(subscription, order)
            await made.advance("1d")
        await made.advance("28d")
        assert done == [1, 2]
        await made.advance("1d")
        assert done == [1, 2, 3]


@pytest.mark.feature("TS-01")
async def test_schedules_are_due_when_time_is_advanced() -> None:
    async with env() as made:
        made.lock()
        spec = ScheduleSpec(intervals=[IntervalSpec(timedelta(hours=6))])
        schedule = Schedule(StartWorkflow(cleaning), spec)
        await made.runtime.schedules.create("cleaning", schedule)
        await made.advance("25h")
        counted = await made.runtime.count(status=RunStatus.COMPLETED)
        assert counted.count == 4


async def test_advancing_leaves_time_skipping_that_was() -> None:
    async with env() as made:
        handle = await made.runtime.start(Approval.run)
        await made.advance("1h")
        assert (await handle.describe()).status is RunStatus.RUNNING
        assert await handle.result() == "nobody decided"


async def test_the_clock_shows_what_it_is_told_to_at_first() -> None:
    moment = datetime(2024, 2, 28, 12, tzinfo=UTC)
    async with env(at=moment) as made:
        assert made.now == moment
        await made.advance("36h")
        assert made.now.date() == datetime(2024, 3, 1, tzinfo=UTC).date()


def test_a_test_of_unittest_needs_no_more() -> None:
    class Case(unittest.IsolatedAsyncioTestCase):
        async def test_it(self) -> None:
            async with env() as made:
                handle = await made.runtime.start(Approval.run)
                assert await handle.result() == "nobody decided"

    result = unittest.TestResult()
    Case("test_it").run(result)
    assert result.wasSuccessful(), result.errors
    assert result.testsRun == 1


def test_afterwards_time_is_real_and_timers_keep_their_distance() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        async with env() as made:
            assert await made.runtime.execute(Approval.run) == "nobody decided"
            loop.call_later(0.02, lambda: fired.append(time.monotonic()))
            ended = time.monotonic()
        assert fired == []
        await asyncio.sleep(0.03)
        assert fired and fired[0] - ended >= 0.02
        async with env() as again:
            await again.advance("1d")

    asyncio.run(main())


def test_a_loop_that_is_not_asyncios_own_is_refused() -> None:
    class Foreign(asyncio.SelectorEventLoop):
        pass

    async def main() -> None:
        with pytest.raises(RuntimeStateError, match="Foreign"):
            async with env():
                pass

    with asyncio.Runner(loop_factory=Foreign) as runner:
        runner.run(main())


async def test_an_environment_on_a_file_leaves_its_runs_to_the_next(
    tmp_path: Path,
) -> None:
    async with env(path=tmp_path / "a.db") as made:
        handle = await made.runtime.start(Approval.run, id="a")
    async with env(path=tmp_path / "a.db") as made:
        handle = made.runtime.handle("a")
        await handle.signal(Approval.approve)
        assert await handle.result() == "approved"


# -- what is really under way holds time back ------------------------------------------


@task(registry=REGISTRY, timeout="10s")
def in_a_thread() -> str:
    time.sleep(0.05)
    return "done"


@task(registry=REGISTRY, timeout="10s")
async def over_a_socket(server: socket.socket) -> str:
    raise NotImplementedError


@task(registry=REGISTRY, timeout="10s")
async def for_ever() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_a_task_in_a_thread_does_not_run_into_its_limit() -> None:
    async with env() as made:
        began = made.now
        assert await made.runtime.execute(in_a_thread) == "done"
        assert made.now == began


async def test_a_task_that_waits_for_a_socket_does_not_run_into_its_limit() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    late = threading.Timer(0.05, there.send, (b"data",))

    async def reading(server: object) -> str:
        late.start()
        received = await asyncio.get_running_loop().sock_recv(here, 10)
        return received.decode()

    with here, there:
        async with env(fakes={over_a_socket: reading}) as made:
            began = made.now
            assert await made.runtime.execute(over_a_socket, 0) == "data"
            assert made.now == began
        late.join()


async def test_a_task_that_waits_for_nothing_runs_into_its_limit_at_once() -> None:
    async with env() as made:
        began = made.now
        with pytest.raises(WorkflowFailure) as failed:
            await made.runtime.execute(for_ever)
        assert isinstance(failed.value.cause, TaskTimeout)
        assert made.now - began == timedelta(seconds=10)


async def test_a_socket_that_lies_idle_does_not_keep_another_task_awake() -> None:
    here, there = socket.socketpair()
    loop = asyncio.get_running_loop()

    async def sleeping(server: object) -> str:
        await asyncio.sleep(5)
        return "slept"

    with here, there:
        async with env(fakes={over_a_socket: sleeping}) as made:
            loop.add_reader(here, lambda: None)
            began = made.now
            assert await made.runtime.execute(over_a_socket, 0) == "slept"
            assert made.now - began == timedelta(seconds=5)
            loop.remove_reader(here)


async def test_an_environment_opens_while_a_socket_is_waited_for() -> None:
    here, there = socket.socketpair()
    loop = asyncio.get_running_loop()
    with here, there:
        loop.add_reader(here, lambda: None)
        async with env() as made:
            assert await made.runtime.execute(Approval.run) == "nobody decided"
        loop.remove_reader(here)


async def test_a_hold_keeps_time_still_for_as_long_as_it_lasts() -> None:
    async with env() as made:
        handle = await made.runtime.start(Approval.run)
        began = made.now
        released = asyncio.Event()
        loop = asyncio.get_running_loop()
        with made.hold():
            late = threading.Timer(0.02, loop.call_soon_threadsafe, (released.set,))
            late.start()
            await released.wait()
            assert made.now == began
        assert await handle.result() == "nobody decided"


# -- fakes -----------------------------------------------------------------------------


async def test_a_mock_stands_for_a_task_with_the_tasks_own_retries() -> None:
    fake = AsyncMock(side_effect=[OSError("no line"), OSError("no line"), "paid"])
    async with env() as made:
        made.replace(charge, fake)
        assert await made.runtime.execute(subscription, 7) == "paid"
    assert fake.await_args_list == [((7,),)] * 3


async def test_a_fake_may_be_a_function_that_blocks_and_may_take_the_context() -> None:
    def fake(order: int) -> str:
        return f"{context().task_name} {order}"

    async with env() as made:
        made.replace(charge, fake)
        assert await made.runtime.execute(subscription, 7) == "charge 7"
        made.replace(pack, Mock(return_value="no box"))
        assert await made.runtime.execute(pack, 7) == "no box"


@workflow(registry=REGISTRY)
async def ordering() -> str:
    try:
        return await execute_child(subscription, 1)
    except ChildFailure:
        return "not today"


async def test_a_fake_stands_for_a_workflow_and_so_for_a_child() -> None:
    async def refusing(order: int) -> str:
        raise ValueError(order)

    async with env() as made:
        began = made.now
        made.replace(subscription, refusing)
        assert await made.runtime.execute(ordering) == "not today"
        assert made.now == began


async def test_a_fake_is_the_environments_own_and_names_stay_as_they_are() -> None:
    async with env(fakes={pack: lambda order: "faked"}) as made:
        assert await made.runtime.execute(pack, 1) == "faked"
    async with env() as made:
        assert await made.runtime.execute(pack, 1) == "box 1"


async def test_what_is_registered_later_is_there_too() -> None:
    async with env() as made:

        @workflow(registry=REGISTRY)
        async def latecomer() -> str:
            return "here"

        assert await made.runtime.execute(latecomer) == "here"


async def test_what_is_neither_a_task_nor_a_workflow_has_no_fake() -> None:
    neither: Any = print
    blocking: Any = len
    async with env() as made:
        with pytest.raises(TypeError, match="not a workflow"):
            made.replace(neither, AsyncMock())
        with pytest.raises(TypeError, match="must be async"):
            made.replace(subscription, blocking)


# -- at the end ------------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def looking_at_the_clock() -> str:
    await sleep(time.time() % 1000)
    return "done"


async def test_code_that_looks_at_the_time_fails_the_test_at_its_end() -> None:
    with pytest.raises(NonDeterminismError, match="looking_at_the_clock"):
        async with env() as made:
            await made.runtime.execute(looking_at_the_clock)


@workflow(registry=REGISTRY)
async def in_any_order() -> None:
    for order in {f"order {n}" for n in range(30)}:
        await pack(int(order.split()[1]))


async def test_elsewhere_code_that_goes_by_the_order_of_a_set_fails_it_too() -> None:
    async with env() as made:
        await made.runtime.execute(in_any_order)
    with pytest.raises(NonDeterminismError, match="in_any_order"):
        async with env(elsewhere=True) as made:
            await made.runtime.execute(in_any_order)


async def test_code_that_looks_at_the_time_passes_where_nothing_is_checked() -> None:
    async with env(check=False) as made:
        await made.runtime.execute(looking_at_the_clock)


async def test_a_run_whose_workflow_nobody_knows_is_not_replayed() -> None:
    async with env() as made:
        handle = await made.runtime.start("unheard of")
        assert (await handle.describe()).aside is not None


async def test_values_of_a_converter_of_ones_own_are_replayed_with_it() -> None:
    async with env(data_converter=DataConverter(JsonConverter())) as made:
        made.replace(charge, AsyncMock(return_value="paid"))
        assert await made.runtime.execute(subscription, 7) == "paid"


async def test_the_error_of_the_test_itself_comes_first() -> None:
    with pytest.raises(TaskTimeout, match="my own"):
        async with env() as made:
            await made.runtime.execute(looking_at_the_clock)
            raise TaskTimeout("my own")
