"""What ends a task, or gives up a closing, ends nothing else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from everact.actors import VirtualClock
from everact.runtime import (
    ApplicationError,
    Registry,
    Runtime,
    WorkflowFailure,
    task,
    workflow,
)
from everact.runtime.errors import UpdateFailed
from everact.runtime.updates import StartOperation

registry = Registry()


@task(registry=registry)
async def exits_at_once() -> None:
    sys.exit(3)


@task(registry=registry)
async def exits_later() -> None:
    await asyncio.sleep(1)
    sys.exit(3)


@workflow(registry=registry)
async def calls(name: str) -> None:
    await (exits_at_once if name == "at once" else exits_later)()


@workflow(registry=registry)
async def bystander() -> str:
    await asyncio.sleep(5)
    return "still here"


def open_runtime(path: Path) -> Runtime:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    return Runtime(path / "a.db", registry=registry, clock=clock)


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_task_that_calls_exit_fails_alone(tmp_path: Path, when: str) -> None:
    async with open_runtime(tmp_path) as runtime:
        other = await runtime.start(bystander)
        with pytest.raises(WorkflowFailure) as failed:
            await runtime.execute(calls, when)
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "SystemExit"
        assert await other.result() == "still here"


async def test_a_closing_that_its_caller_gives_up_goes_on(tmp_path: Path) -> None:
    runtime = open_runtime(tmp_path)
    await runtime.__aenter__()
    handle = await runtime.start(bystander, id="b")
    closing = asyncio.ensure_future(runtime.engine.close(1.0))
    await asyncio.sleep(0)
    closing.cancel()
    await runtime.engine.close(1.0)
    await runtime.close()
    async with open_runtime(tmp_path) as again:
        assert await again.handle(handle.id).result() == "still here"


@workflow(registry=registry)
class Abrupt:
    """Its handlers of what comes with its start begin before it does, and exit."""

    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(5)
        return "still here"

    @workflow.update
    async def change(self) -> None:
        sys.exit(3)

    @workflow.signal
    async def tell(self) -> None:
        sys.exit(3)


async def test_an_update_handler_that_exits_before_the_first_step_fails_alone(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path) as runtime:
        start = StartOperation(Abrupt, id="a", on_conflict="fail")
        async with asyncio.timeout(100):
            with pytest.raises(UpdateFailed) as failed:
                await runtime.updates.execute_with("change", start=start)
            assert isinstance(failed.value.cause, ApplicationError)
            assert failed.value.cause.type == "SystemExit"
            assert await runtime.handle("a").result() == "still here"


async def test_a_signal_handler_that_exits_before_the_first_step_fails_its_run(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path) as runtime:
        handle = await runtime.start(Abrupt, id="a", start_signal="tell")
        async with asyncio.timeout(100):
            with pytest.raises(WorkflowFailure) as failed:
                await handle.result()
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "SystemExit"
