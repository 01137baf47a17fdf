"""Where attempts run: executors by their names, and what workers elsewhere ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunHandle,
    RunStatus,
    Runtime,
    Worker,
    WorkflowFailure,
    task,
    workflow,
)
from everact.runtime.core.admission import SLOT
from everact.runtime.definitions import executors
from everact.runtime.definitions.executors import register_executor
from everact.runtime.engine.execution.base import Job
from everact.runtime.engine.execution.polled import Dispatch, Polled
from everact.runtime.errors import (
    AsyncTaskCancelled,
    RPCError,
    RunCancelled,
    RuntimeStateError,
    TaskTimeout,
)
from everact.runtime.statuses import RPCStatus
from tests.features.support import crash_image, open_runtime, turns

LEASE = 10.0

registry = Registry()


class Inline:
    """An executor of one's own: it gives back what it was given, at once."""

    name = "inline"
    needs = SLOT
    here = True

    def __init__(self, host: Any) -> None:
        self._values = host.values

    def start(self, job: Job) -> None:
        job.begins()
        (text,) = map(self._values.decode, job.command.args)
        if text == "broken":
            raise RuntimeError("no room for another process")
        job.returned(f"{text} of {job.command.name}", None)

    def stop(self, job: Job) -> None:
        """It is over already."""

    def close(self) -> None:
        """There is nothing."""


register_executor("inline", Inline)
register_executor("leased", partial(Polled, name="leased", lease=LEASE))
register_executor("recorded", partial(Polled, name="recorded"))


@task(registry=registry, executor="inline")
async def inline(text: str) -> str:
    raise AssertionError("it is not called")


@task(registry=registry, executor="leased")
async def leased(text: str) -> str:
    raise AssertionError("it is called elsewhere")


@task(registry=registry, executor="leased", timeout=8)
async def hurried(text: str) -> str:
    raise AssertionError("it is called elsewhere")


@task(registry=registry, executor="leased", cancellation="wait")
async def stoppable(text: str) -> str:
    raise AssertionError("it is called elsewhere")


@task(registry=registry, executor="leased", queue_timeout=60)
async def impatient(text: str) -> str:
    raise AssertionError("it is called elsewhere")


@task(registry=registry, executor="recorded", heartbeat_timeout=20)
async def recorded(text: str) -> str:
    raise AssertionError("it is called elsewhere")


@task(registry=registry)
async def here(text: str) -> str:
    return text


TASKS = {
    made.everact_name: made
    for made in (inline, leased, hurried, stoppable, impatient, recorded, here)
}


@workflow(registry=registry)
async def calls(name: str, text: str) -> str:
    return await TASKS[name](text)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def far(runtime: Runtime, name: str = "leased") -> Polled:
    found = runtime.engine.executors.named(name)
    assert isinstance(found, Polled)
    return found


async def take(runtime: Runtime, name: str = "leased") -> Dispatch:
    poll = far(runtime, name).poll(["default"], worker="far away")
    return await asyncio.wait_for(poll, timeout=5)


async def complete(runtime: Runtime, dispatch: Dispatch, value: str = "done") -> None:
    await runtime.task_handle(token=dispatch.token).complete(value)


async def refused(runtime: Runtime, dispatch: Dispatch) -> None:
    with pytest.raises(RPCError) as refusal:
        await complete(runtime, dispatch, "too late")
    assert refusal.value.status is RPCStatus.NOT_FOUND


async def was_cancelled(handle: RunHandle[str]) -> None:
    with pytest.raises(WorkflowFailure) as failure:
        await handle.result()
    assert isinstance(failure.value.__cause__, RunCancelled)


async def nobody_waits(runtime: Runtime, name: str = "leased") -> None:
    with pytest.raises(TimeoutError):
        await take(runtime, name)


# -- the port ------------------------------------------------------------------------


async def test_an_executor_is_a_start_and_a_stop(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        assert await runtime.execute(calls, args=("inline", "tea")) == "tea of inline"


async def test_what_an_executor_cannot_start_fails_and_keeps_no_slot(
    database: Path,
) -> None:
    async with open_runtime(database, registry, workers=[Worker(slots=1)]) as runtime:
        with pytest.raises(WorkflowFailure, match="no room for another process"):
            await runtime.execute(calls, args=("inline", "broken"))
        assert await runtime.execute(calls, args=("inline", "tea")) == "tea of inline"


@pytest.mark.parametrize("name", ["nowhere", 7])
def test_an_unknown_name_is_refused_at_the_declaration(name: Any) -> None:
    with pytest.raises(ValueError, match=f"executor must be one of .*not {name!r}"):
        task(registry=Registry(), executor=name)(here.function)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="there is an executor 'inline' already"):
        register_executor("inline", partial(Polled, name="inline"))


async def test_a_recorded_call_says_which_executor_is_not_there_any_more(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_runtime(database, registry) as runtime:
        await runtime.start(calls, args=("leased", "tea"), id="tea")
        await turns()
        image = crash_image(database, "later")
    monkeypatch.delitem(executors._registered, "leased")
    async with open_runtime(image, registry) as runtime:
        with pytest.raises(WorkflowFailure, match=r"must be one of .*not 'leased'"):
            await runtime.handle("tea").result()


# -- standing in line ------------------------------------------------------------------


@pytest.mark.feature("QT-07")
async def test_what_waits_for_a_poll_holds_no_slot_and_its_time_does_not_run(
    database: Path,
) -> None:
    async with open_runtime(database, registry, workers=[Worker(slots=1)]) as runtime:
        handle = await runtime.start(calls, args=("hurried", "tea"))
        await asyncio.sleep(3600)
        assert await runtime.execute(calls, args=("here", "at once")) == "at once"
        (pending,) = (await handle.describe()).pending_tasks
        assert (pending.state, pending.worker) == ("queued", "")
        assert pending.waits_for == (
            "a worker that asks for tasks of queue 'default' on 'leased'"
        )
        dispatch = await take(runtime)
        (pending,) = (await handle.describe()).pending_tasks
        assert (pending.state, pending.worker) == ("running", "far away")
        await asyncio.sleep(7)
        await complete(runtime, dispatch)
        assert await handle.result() == "done"


async def test_its_time_runs_from_the_taking(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("hurried", "tea"))
        await asyncio.sleep(3600)
        dispatch = await take(runtime)
        assert dispatch.timeout == 8
        with pytest.raises(WorkflowFailure) as failure:
            await handle.result()
        assert isinstance(failure.value.__cause__, TaskTimeout)
        await refused(runtime, dispatch)


async def test_a_limit_on_waiting_holds_for_what_waits_for_a_poll(
    database: Path,
) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("impatient", "tea"))
        with pytest.raises(WorkflowFailure) as failure:
            await handle.result()
        assert isinstance(failure.value.__cause__, TaskTimeout)
        await nobody_waits(runtime)


@pytest.mark.feature("QT-10")
async def test_who_asks_gets_the_most_urgent_and_then_the_oldest(
    database: Path,
) -> None:
    async with open_runtime(database, registry) as runtime:
        for text, priority in (("first", 1), ("second", 1), ("urgent", 3)):
            await runtime.start(calls, args=("leased", text), priority=priority)
        await turns()
        texts = [
            runtime.engine.values.decode((await take(runtime)).args[0])
            for _ in range(3)
        ]
        assert texts == ["urgent", "first", "second"]


async def test_who_asks_first_waits_until_there_is_something(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        asking = asyncio.create_task(take(runtime))
        other = far(runtime).poll(["another queue"], worker="elsewhere")
        waiting = asyncio.create_task(other)
        await turns()
        handle = await runtime.start(calls, args=("leased", "tea"))
        dispatch = await asking
        assert dispatch.task == "leased"
        assert not waiting.done()
        waiting.cancel()
        await complete(runtime, dispatch)
        assert await handle.result() == "done"


async def test_a_cancelled_run_is_not_given_to_anybody(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("leased", "tea"))
        await turns()
        await handle.cancel()
        await was_cancelled(handle)
        await nobody_waits(runtime)


@pytest.mark.feature("RC-01")
@pytest.mark.parametrize("name", ["leased", "recorded"])
async def test_what_nobody_took_is_not_lost_and_not_charged(
    database: Path, name: str
) -> None:
    async with open_runtime(database, registry) as runtime:
        await runtime.start(calls, args=(name, "tea"), id="tea")
        await turns()
        image = crash_image(database, "life-1")
    for life in range(2, 6):
        async with open_runtime(image, registry) as runtime:
            await turns()
            (pending,) = (await runtime.handle("tea").describe()).pending_tasks
            assert (pending.attempt, pending.lost_attempts) == (1, 0)
            image = crash_image(image, f"life-{life}")
    async with open_runtime(image, registry) as runtime:
        await complete(runtime, await take(runtime, name))
        assert await runtime.handle("tea").result() == "done"


# -- leases ----------------------------------------------------------------------------


async def test_a_lease_that_is_over_is_offered_again_under_a_fresh_token(
    database: Path,
) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("leased", "tea"))
        first = await take(runtime)
        await asyncio.sleep(LEASE - 6)
        await nobody_waits(runtime)
        second = await take(runtime)
        assert (first.attempt, second.attempt) == (1, 1)
        assert first.task_id == second.task_id
        assert first.token != second.token
        await refused(runtime, first)
        await complete(runtime, second)
        assert await handle.result() == "done"


async def test_a_lease_is_renewed_by_signs_of_life(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("leased", "tea"))
        dispatch = await take(runtime)
        for beat in range(5):
            await asyncio.sleep(LEASE - 1)
            await runtime.task_handle(token=dispatch.token).heartbeat(beat)
        await complete(runtime, dispatch)
        assert await handle.result() == "done"


async def test_who_takes_a_lease_over_is_told_what_the_last_one_reported(
    database: Path,
) -> None:
    async with open_runtime(database, registry) as runtime:
        await runtime.start(calls, args=("leased", "tea"))
        first = await take(runtime)
        await runtime.task_handle(token=first.token).heartbeat("half")
        await asyncio.sleep(LEASE + 1)
        second = await take(runtime)
        assert first.details == ()
        assert [*map(runtime.engine.values.decode, second.details)] == ["half"]


async def test_a_task_that_three_workers_did_not_come_back_from_is_lost(
    database: Path,
) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("leased", "tea"))
        for _ in range(3):
            await take(runtime)
            await asyncio.sleep(LEASE + 1)
        with pytest.raises(WorkflowFailure, match="3 workers in a row"):
            await handle.result()


async def test_a_leased_attempt_is_offered_again_after_a_crash(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        await runtime.start(calls, args=("leased", "tea"), id="tea")
        old = await take(runtime)
        image = crash_image(database, "later")
    async with open_runtime(image, registry) as runtime:
        await refused(runtime, old)
        new = await take(runtime)
        assert (new.attempt, new.token != old.token) == (1, True)
        await refused(runtime, old)
        await complete(runtime, new)
        assert await runtime.handle("tea").result() == "done"


async def test_who_gives_up_asking_has_taken_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_runtime(database, registry) as runtime:
        polled = far(runtime)
        poll = polled.poll(["default"], worker="impatient")
        asking = asyncio.create_task(poll)
        start = polled.start

        def given_too_late(job: Job) -> None:
            start(job)
            asking.cancel()

        monkeypatch.setattr(polled, "start", given_too_late)
        await turns()
        handle = await runtime.start(calls, args=("leased", "tea"))
        await asyncio.wait([asking])
        monkeypatch.undo()
        assert asking.cancelled()
        await complete(runtime, await take(runtime))
        assert await handle.result() == "done"


async def test_who_has_a_lease_is_told_to_stop_when_heard_of(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("stoppable", "tea"))
        dispatch = await take(runtime)
        await handle.cancel()
        reports = runtime.task_handle(token=dispatch.token)
        with pytest.raises(AsyncTaskCancelled):
            await reports.heartbeat()
        assert (await handle.describe()).status is RunStatus.RUNNING
        await reports.report_cancellation()
        await was_cancelled(handle)


# -- recorded takings ------------------------------------------------------------------


async def test_a_recorded_taking_outlives_the_engine(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        await runtime.start(calls, args=("recorded", "tea"), id="tea")
        dispatch = await take(runtime, "recorded")
        image = crash_image(database, "later")  # it is durable when it is told
    async with open_runtime(image, registry) as runtime:
        (pending,) = (await runtime.handle("tea").describe()).pending_tasks
        assert pending.state == "elsewhere"
        await nobody_waits(runtime, "recorded")
        await complete(runtime, dispatch)
        assert await runtime.handle("tea").result() == "done"


async def test_a_recorded_taking_is_told_when_it_is_durable(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("recorded", "tea"))
        await turns()
        commits = runtime.engine.commits
        flush = commits._flush
        monkeypatch.setattr(commits, "_flush", lambda: None)
        poll = far(runtime, "recorded").poll(["default"], worker="far away")
        asking = asyncio.create_task(poll)
        await turns()
        told_early = asking.done()
        monkeypatch.undo()
        flush()
        assert not told_early
        await complete(runtime, await asking)
        assert await handle.result() == "done"


async def test_a_recorded_taking_ends_by_silence(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(calls, args=("recorded", "tea"))
        dispatch = await take(runtime, "recorded")
        for _ in range(3):
            await asyncio.sleep(19)
            await runtime.task_handle(token=dispatch.token).heartbeat()
        with pytest.raises(WorkflowFailure) as failure:
            await handle.result()
        assert isinstance(failure.value.__cause__, TaskTimeout)


# -- the end of the engine -------------------------------------------------------------


async def test_who_asks_is_told_that_the_engine_closes(database: Path) -> None:
    async with open_runtime(database, registry) as runtime:
        asking = asyncio.create_task(take(runtime))
        await turns()
    with pytest.raises(RuntimeStateError, match="the runtime was closed"):
        await asking
    with pytest.raises(RuntimeStateError, match="is closed or closing"):
        await far(runtime).poll(["default"], worker="late")


@pytest.fixture(autouse=True)
def nobody_is_left_out() -> Iterator[None]:
    """Every name is there again after each test."""
    before = dict(executors._registered)
    yield
    executors._registered.update(before)
