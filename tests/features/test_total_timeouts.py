"""`total_timeout`: the limit of a task over all its attempts, and the waits between."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunHandle,
    TaskContext,
    Worker,
    context,
    retry,
    task,
    workflow,
)
from everact.runtime.definitions.executors import register_executor
from everact.runtime.engine.execution.polled import Polled
from everact.runtime.errors import RPCError, TaskTimeout
from everact.runtime.statuses import TimeoutKind
from tests.features.support import (
    EPOCH,
    Stage,
    crash_image,
    items,
    killed,
    open_runtime,
    played,
    turns,
)

registry = Registry()
tried: list[tuple[Any, ...]] = []

register_executor("lent", partial(Polled, name="lent", lease=10_000.0))
register_executor("noted", partial(Polled, name="noted"))

EVERY_30 = retry(first=30, growth=1)


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    tried.clear()


def passed() -> float:
    """Seconds since the test began."""
    return asyncio.get_running_loop().time()


@task(registry=registry, total_timeout=100, retry=EVERY_30)
async def fails() -> None:
    tried.append((context().attempt_number, passed()))
    raise LookupError(f"attempt {context().attempt_number}")


@task(registry=registry, total_timeout=100, retry=EVERY_30)
def fails_in_a_thread() -> None:
    raise LookupError(f"attempt {context().attempt_number}")


@task(registry=registry, total_timeout=100, timeout=40, retry=EVERY_30)
async def slow(ctx: TaskContext) -> None:
    ctx.refresh_timeout("1h")
    try:
        await asyncio.sleep(5000)
    except asyncio.CancelledError:
        tried.append(("stopped", passed()))
        raise


@task(registry=registry, queue="nobody", total_timeout=100, retries=5)
async def queued() -> None:
    raise AssertionError("nobody takes it")


@task(registry=registry, total_timeout=100, timeout=70, retry=EVERY_30)
async def handed() -> None:
    tried.append((context().attempt_number, passed()))
    context().complete_elsewhere()


@task(registry=registry, executor="lent", total_timeout=100, retry=EVERY_30)
async def lent() -> None:
    raise AssertionError("it is called elsewhere")


@task(registry=registry, executor="noted", total_timeout=100, retry=EVERY_30)
async def noted() -> None:
    raise AssertionError("it is called elsewhere")


@task(registry=registry)
async def unlimited() -> None:
    await asyncio.sleep(5000)


TASKS: dict[str, Any] = {
    made.everact_name: made
    for made in (fails, fails_in_a_thread, slow, queued, handed, lent, noted)
}
TASKS["given"] = unlimited.with_options(total_timeout="1m 40s")


@workflow(registry=registry)
async def calls(name: str) -> list[Any]:
    try:
        await TASKS[name]()
    except TaskTimeout as error:
        return [error.kind.name, str(error), repr(error.__cause__)]
    return []


async def ended(handle: RunHandle[list[Any]], *, at: float = 100) -> str:
    """Its task timed out then, and is recorded so; the cause that it was told."""
    kind, text, cause = await handle.result()
    assert passed() == at
    assert kind == TimeoutKind.TOTAL.name
    assert "did not end within its total timeout of 100 s" in text
    return str(cause)


@pytest.mark.feature("RT-07")
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("fails", "attempt 4"),
        ("fails_in_a_thread", "attempt 4"),
        ("slow", "None"),
        ("queued", "None"),
        ("handed", "ran longer than its timeout of 70 s"),
        ("lent", "None"),
        ("noted", "None"),
        ("given", "None"),
    ],
)
async def test_a_task_ends_at_its_total_timeout_wherever_it_is(
    tmp_path: Path, name: str, cause: str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert cause in await ended(await runtime.start(calls, name))
        runtime.add_worker(Worker(["nobody"]))
        await turns()


async def test_no_attempt_begins_that_would_come_too_late(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(calls, "fails")
        await ended(handle)
        assert tried == [(1, 0), (2, 30), (3, 60), (4, 90)]
        last = (await items(handle, "TaskFailed"))[-1].data
        assert (last["attempt"], last["started"]) == (4, None)


async def test_an_attempt_that_runs_is_stopped_whatever_it_was_granted(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        await ended(await runtime.start(calls, "slow"))
        await turns()
        assert tried == [("stopped", 100)]


@pytest.mark.parametrize("name", ["lent", "noted"])
async def test_who_took_it_elsewhere_comes_too_late(tmp_path: Path, name: str) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(calls, name)
        polled = runtime.engine.executors.named(name)
        assert isinstance(polled, Polled)
        first = await polled.poll(["default"], worker="far")
        await asyncio.sleep(60)
        elsewhere = runtime.task_handle(token=first.token)
        await elsewhere.fail(LookupError("it is not there"))
        second = await polled.poll(["default"], worker="far")
        assert passed() == 90
        assert second.timeout == 10
        assert "it is not there" in await ended(handle)
        with pytest.raises(RPCError):
            await runtime.task_handle(token=second.token).complete(None)


@pytest.mark.parametrize("name", ["fails", "slow", "queued", "handed", "lent", "noted"])
@pytest.mark.parametrize("later", [5, 95])
async def test_the_deadline_outlasts_the_engine(
    tmp_path: Path, name: str, later: float
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        await runtime.start(calls, name, id="run")
        await asyncio.sleep(35)
        image = crash_image(tmp_path / "a.db", "later")
    async with open_runtime(image, registry, at=EPOCH + 35 + later) as again:
        begin = passed()
        kind, _, _ = await again.handle("run").result()
        assert kind == "TOTAL"
        assert passed() - begin == max(0, 65 - later)


async def it_has_failed_once(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(calls, "fails", id="run")
        await asyncio.sleep(5)
        await stage.die()


async def it_is_over(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        stage.say("result", await runtime.handle("run").result())


@pytest.mark.kill
def test_the_deadline_outlasts_a_kill(tmp_path: Path) -> None:
    killed(it_has_failed_once, tmp_path)
    kind, _, cause = played(it_is_over, tmp_path, at=EPOCH + 500)["result"]
    assert kind == "TOTAL"
    assert "attempt 1" in cause


async def test_the_end_of_a_task_before_its_total_timeout_is_its_own(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(calls, "noted")
        polled = runtime.engine.executors.named("noted")
        assert isinstance(polled, Polled)
        taken = await polled.poll(["default"], worker="far")
        await runtime.task_handle(token=taken.token).complete(None)
        assert await handle.result() == []
        await asyncio.sleep(200)
        assert len(await items(handle, "TaskFailed")) == 0


async def test_it_is_described_while_it_waits_for_its_end(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(calls, "fails")
        await asyncio.sleep(95)
        (pending,) = (await handle.describe()).pending_tasks
        assert pending.attempt == 4
        await ended(handle)
