"""Cancelling and terminating runs, and what their tasks notice of it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunHandle,
    RunStatus,
    TaskContext,
    Worker,
    WorkflowFailure,
    cancel_run,
    context,
    execute_child,
    receive,
    start_child,
    task,
    wait_condition,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    RPCError,
    RunCancelled,
    RunTerminated,
    TaskTimeout,
    ValueNotStorable,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.workflows import cancel_reason
from tests.features.conftest import Site
from tests.features.killing import Program
from tests.features.stage import note, noted, stage

REGISTRY = Registry()


@task(registry=REGISTRY)
async def clean_up(what: str) -> str:
    note(f"cleaned {what}")
    return what


@task(registry=REGISTRY)
async def noticing(label: str) -> str:
    """An asynchronous task: cancellation is raised at its await."""
    here = context()
    note(f"{label} runs")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        note((label, "interrupted", here.cancelled, here.done()))
        raise
    return label


@task(registry=REGISTRY)
async def stubborn(label: str) -> str:
    """An asynchronous task that swallows its cancellation and goes on for a while."""
    note(f"{label} runs")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        await asyncio.sleep(50)
    note(f"{label} ends")
    return label


@task(registry=REGISTRY)
def polling(label: str) -> str:
    """A synchronous task that polls the flag in a tight loop."""
    here = context()
    note((label, "runs", here.cancelled))
    while not here.cancelled:
        time.sleep(0)
    note((label, "saw it", here.done()))
    return label


RELEASE = threading.Event()


@task(registry=REGISTRY)
def ignoring(label: str) -> str:
    """A synchronous task that never looks at the flag."""
    here = context()
    note(f"{label} runs")
    RELEASE.wait()
    note((label, "ends", here.cancelled))
    return label


@task(registry=REGISTRY, timeout="5s")
async def limited() -> None:
    here = context()
    note(("before", here.cancelled))
    try:
        await asyncio.sleep(1000)
    finally:
        note(("after", here.cancelled))


@workflow(registry=REGISTRY)
async def propagating() -> None:
    await durable_sleep("1d")


@workflow(registry=REGISTRY)
async def cleaning() -> None:
    try:
        await durable_sleep("1d")
    finally:
        await clean_up("before")
        await durable_sleep("10s")
        await clean_up(f"after, because {cancel_reason()}")


@workflow(registry=REGISTRY)
async def swallowing() -> str:
    try:
        await durable_sleep("1d")
    except asyncio.CancelledError:
        return f"instead, because {cancel_reason()}"
    return "undisturbed"


@workflow(registry=REGISTRY)
async def with_details() -> None:
    try:
        await durable_sleep("1d")
    except asyncio.CancelledError as error:
        raise RunCancelled("half done", 1, {"two": 2}) from error


@workflow(registry=REGISTRY)
async def calling(names: list[str]) -> list[Any]:
    tasks: dict[str, Any] = {
        "noticing": noticing,
        "stubborn": stubborn,
        "polling": polling,
        "ignoring": ignoring,
    }
    calls = [tasks[name.split()[0]](name) for name in names]
    return list(await asyncio.gather(*calls))


@workflow(registry=REGISTRY)
async def busy() -> None:
    while True:
        await asyncio.sleep(0)


@workflow(registry=REGISTRY)
async def waiting(how: str) -> str:
    note(f"waiting by {how}")
    if how == "receive":
        await receive("never")
    elif how == "condition":
        await wait_condition(lambda: False)
    elif how == "sleep":
        await asyncio.sleep(1e6)
    elif how == "event":
        await asyncio.Event().wait()
    elif how == "child":
        await execute_child(propagating, id="the child")
    return "undisturbed"


@workflow(registry=REGISTRY)
async def parent(setting: str) -> None:
    _ = await start_child(propagating, id=f"child {setting}", on_parent_close=setting)
    note("child started")
    await durable_sleep("1d")


@workflow(registry=REGISTRY)
async def asking_to_stop(other: str) -> str:
    await cancel_run(other)
    try:
        await cancel_run("unknown")
    except RPCError as error:
        return str(error.status)
    return "no error"


@workflow(registry=REGISTRY)
async def timing_out() -> str:
    try:
        await limited()
    except TaskTimeout:
        return "timed out"
    return "in time"


async def ended(handle: RunHandle[Any]) -> BaseException | None:
    with pytest.raises(WorkflowFailure) as failed:
        await handle.result()
    return failed.value.cause


async def status_of(handle: RunHandle[Any]) -> RunStatus:
    return (await handle.describe()).status


async def not_found(call: Any) -> None:
    with pytest.raises(RPCError) as refused:
        await call
    assert refused.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("CN-01")
async def test_cancelling_twice_is_harmless_and_after_the_end_not_found(
    runtime: Client,
) -> None:
    handle = await runtime.start(cleaning)
    await handle.cancel(reason="first")
    await handle.cancel(reason="second")
    assert await status_of(handle) is RunStatus.RUNNING
    cause = await ended(handle)
    assert isinstance(cause, RunCancelled)
    assert stage.notes == ["cleaned before", "cleaned after, because first"]
    history = await handle.history()
    assert [i.kind for i in history].count("CancelRequested") == 1

    await not_found(handle.cancel())
    await not_found(runtime.handle(handle.id).cancel())
    await not_found(runtime.handle("unknown").cancel())
    assert await handle.history() == history


@pytest.mark.feature("CN-01")
async def test_a_cancellation_is_stored_and_acted_on_later(site: Site) -> None:
    async with site.up(workers=[]) as runtime:
        handle = await runtime.start(swallowing, id="later")
        never_begun = await runtime.start(propagating, id="never begun")
        await never_begun.cancel(reason="no need")
        cause = await ended(never_begun)
        assert isinstance(cause, RunCancelled) and cause.reason == "no need"
    async with site.up() as runtime:
        handle = runtime.handle("later")
        await asyncio.sleep(1)
        await handle.cancel(reason="stored")
        assert await handle.result() == "instead, because stored"


@pytest.mark.feature("CN-01")
async def test_a_request_to_cancel_may_be_repeated_by_its_id(runtime: Client) -> None:
    handle = await runtime.start(swallowing)
    await handle.cancel(reason="x", request_id="r")
    await handle.cancel(reason="x", request_id="r")
    assert await handle.result() == "instead, because x"


@pytest.mark.feature("CN-01")
async def test_a_cancellation_is_limited_to_the_chain_of_the_handle(
    runtime: Client,
) -> None:
    first = await runtime.start(swallowing, id="x")
    await first.cancel()
    await first.result()
    second = await runtime.start(swallowing, id="x")
    await not_found(first.cancel())
    await not_found(first.terminate())
    assert await status_of(second) is RunStatus.RUNNING
    await runtime.handle("x").cancel(reason="by the ID")
    assert await second.result() == "instead, because by the ID"


@pytest.mark.feature("CN-01")
async def test_a_workflow_can_ask_another_run_to_stop(runtime: Client) -> None:
    target = await runtime.start(propagating, id="target")
    assert await runtime.execute(asking_to_stop, "target") == "NOT_FOUND"
    assert isinstance(await ended(target), RunCancelled)


@pytest.mark.feature("CN-02")
async def test_a_run_propagates_cleans_up_or_swallows(runtime: Client) -> None:
    first, second, third = [
        await runtime.start(w) for w in (propagating, cleaning, swallowing)
    ]
    for handle in (first, second, third):
        await handle.cancel(reason="enough")
    assert isinstance(await ended(first), RunCancelled)
    assert isinstance(await ended(second), RunCancelled)
    assert await third.result() == "instead, because enough"

    assert await status_of(first) is RunStatus.CANCELLED
    assert await status_of(second) is RunStatus.CANCELLED
    assert stage.notes == ["cleaned before", "cleaned after, because enough"]
    assert await status_of(third) is RunStatus.COMPLETED


@pytest.mark.feature("CN-02")
async def test_clean_up_goes_on_after_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(cleaning, id="cleaning")
        await handle.cancel(reason="enough")
        await noted("cleaned before")
        await asyncio.sleep(1)
    async with site.up() as runtime:
        assert isinstance(await ended(runtime.handle("cleaning")), RunCancelled)
    assert stage.notes == ["cleaned before", "cleaned after, because enough"]


@pytest.mark.feature("CN-03")
@pytest.mark.parametrize("how", ["receive", "condition", "sleep", "event", "child"])
async def test_pending_waits_end_at_once(runtime: Client, site: Site, how: str) -> None:
    handle = await runtime.start(waiting, how)
    await asyncio.sleep(1)
    before = site.clock.now()
    await handle.cancel()
    assert isinstance(await ended(handle), RunCancelled)
    assert site.clock.now() == pytest.approx(before, abs=0.5)


@pytest.mark.feature("CN-03", "CN-07")
async def test_a_queued_task_never_starts_and_a_running_one_sees_the_flag(
    site: Site,
) -> None:
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        handle = await runtime.start(calling, ["noticing 1", "noticing 2"])
        await noted("noticing 1 runs")
        states = [t.state for t in (await handle.describe()).pending_tasks]
        assert states == ["running", "queued"]
        await handle.cancel()
        assert isinstance(await ended(handle), RunCancelled)
        await asyncio.sleep(5000)
        assert stage.notes == [
            "noticing 1 runs",
            ("noticing 1", "interrupted", True, True),
        ]


@pytest.mark.feature("CN-03")
@pytest.mark.parametrize(
    ("setting", "status"),
    [
        ("terminate", RunStatus.TERMINATED),
        ("cancel", RunStatus.CANCELLED),
        ("abandon", RunStatus.RUNNING),
    ],
)
async def test_children_are_treated_as_their_setting_says(
    runtime: Client, setting: str, status: RunStatus
) -> None:
    handle = await runtime.start(parent, setting)
    await noted("child started")
    await handle.cancel()
    assert isinstance(await ended(handle), RunCancelled)
    await asyncio.sleep(1)
    assert await status_of(runtime.handle(f"child {setting}")) is status


@pytest.mark.feature("CN-04")
async def test_waiters_get_the_details_that_the_run_supplied(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(with_details, id="x")
        waiter = asyncio.ensure_future(ended(handle))
        await handle.cancel(reason="enough")
        first = await waiter
    async with site.up() as runtime:
        second = await ended(runtime.handle("x"))
    for cause in (first, second):
        assert isinstance(cause, RunCancelled)
        assert (cause.reason, cause.details) == ("half done", (1, {"two": 2}))


@pytest.mark.feature("CN-04")
async def test_or_the_reason_of_the_request(runtime: Client) -> None:
    handle = await runtime.start(propagating)
    await handle.cancel(reason="enough")
    cause = await ended(handle)
    assert isinstance(cause, RunCancelled)
    assert (cause.reason, cause.details) == ("enough", ())


@pytest.mark.feature("CN-05")
async def test_a_run_in_a_busy_loop_is_terminated_at_once(
    runtime: Client, site: Site
) -> None:
    handle = await runtime.start(busy)
    await handle.terminate({"by": "us"}, reason="enough")
    assert await status_of(handle) is RunStatus.TERMINATED
    cause = await ended(handle)
    assert isinstance(cause, RunTerminated)
    assert (cause.reason, cause.details) == ("enough", ({"by": "us"},))


@pytest.mark.feature("CN-05")
async def test_a_run_without_a_worker_or_its_code_is_terminated(site: Site) -> None:
    async with site.up() as runtime:
        await runtime.start(propagating, id="x")
    async with site.up(workers=[], registry=Registry()) as runtime:
        await runtime.handle("x").terminate(reason="enough")
        assert isinstance(await ended(runtime.handle("x")), RunTerminated)


@pytest.mark.feature("CN-05")
async def test_code_of_a_terminated_run_runs_no_more(runtime: Client) -> None:
    handle = await runtime.start(cleaning)
    await asyncio.sleep(1)
    await handle.terminate()
    await asyncio.sleep(60)
    assert stage.notes == []
    await not_found(handle.terminate())
    await not_found(runtime.handle("unknown").terminate())


@pytest.mark.feature("CN-05", "CN-07")
async def test_tasks_of_a_terminated_run_are_cancelled(runtime: Client) -> None:
    handle = await runtime.start(calling, ["noticing 1", "polling 1"])
    await noted("noticing 1 runs")
    await noted(("polling 1", "runs", False))
    await handle.terminate()
    await noted(("noticing 1", "interrupted", True, True))
    await noted(("polling 1", "saw it", True))


@pytest.mark.feature("CN-05")
@pytest.mark.parametrize(
    ("setting", "status"),
    [
        ("terminate", RunStatus.TERMINATED),
        ("cancel", RunStatus.CANCELLED),
        ("abandon", RunStatus.RUNNING),
    ],
)
async def test_children_of_a_terminated_run_are_treated_likewise(
    runtime: Client, setting: str, status: RunStatus
) -> None:
    handle = await runtime.start(parent, setting)
    await noted("child started")
    await handle.terminate()
    await asyncio.sleep(1)
    assert await status_of(runtime.handle(f"child {setting}")) is status


@pytest.mark.feature("CN-07")
async def test_a_synchronous_task_that_polls_ends_soon_after_the_cancellation(
    runtime: Client, site: Site
) -> None:
    handle = await runtime.start(calling, ["polling 1"])
    await noted(("polling 1", "runs", False))
    before = site.clock.now()
    await handle.cancel()
    assert isinstance(await ended(handle), RunCancelled)
    await noted(("polling 1", "saw it", True))
    assert site.clock.now() < before + 1


@pytest.mark.feature("CN-07")
async def test_a_task_that_exceeds_its_timeout_is_cancelled(
    runtime: Client, site: Site
) -> None:
    before = site.clock.now()
    assert await runtime.execute(timing_out) == "timed out"
    assert stage.notes == [("before", False), ("after", True)]
    assert site.clock.now() == pytest.approx(before + 5, abs=0.1)


@pytest.mark.feature("CN-07")
async def test_only_the_cancelled_task_has_the_flag(runtime: Client) -> None:
    first = await runtime.start(calling, ["polling 1"])
    await runtime.start(calling, ["noticing 2"])
    await noted(("polling 1", "runs", False))
    await noted("noticing 2 runs")
    await first.cancel()
    await noted(("polling 1", "saw it", True))
    assert not any("noticing 2" in str(n) and "interrupted" in n for n in stage.notes)


@pytest.mark.feature("CN-08")
async def test_asynchronous_tasks_are_interrupted_synchronous_ones_are_not(
    site: Site,
) -> None:
    RELEASE.clear()
    async with site.up(workers=[Worker(slots=2)]) as runtime:
        handle = await runtime.start(calling, ["noticing 1", "ignoring 1"])
        await noted("noticing 1 runs")
        await noted("ignoring 1 runs")
        await handle.cancel()
        assert isinstance(await ended(handle), RunCancelled)
        await noted(("noticing 1", "interrupted", True, True))

        # The synchronous one keeps its slot: of the next two tasks one has to wait.
        following = await runtime.start(calling, ["noticing 2", "noticing 3"])
        await noted("noticing 2 runs")
        states = [t.state for t in (await following.describe()).pending_tasks]
        assert states == ["running", "queued"]
        RELEASE.set()
        await noted(("ignoring 1", "ends", True))
        await noted("noticing 3 runs")

        kinds = [item.kind for item in await handle.history()]
        assert "TaskCompleted" not in kinds  # what it returned was discarded


@pytest.mark.feature("CN-08")
async def test_an_asynchronous_task_that_goes_on_keeps_its_slot_until_it_ends(
    site: Site,
) -> None:
    async with site.up(workers=[Worker(slots=1)]) as runtime:
        handle = await runtime.start(calling, ["stubborn 1"])
        await noted("stubborn 1 runs")
        await handle.cancel()
        assert isinstance(await ended(handle), RunCancelled)
        await runtime.start(calling, ["noticing 2"])
        await asyncio.sleep(40)
        assert "noticing 2 runs" not in stage.notes
        await noted("noticing 2 runs")
        assert stage.notes.index("stubborn 1 ends") < stage.notes.index(
            "noticing 2 runs"
        )
        kinds = [item.kind for item in await handle.history()]
        assert "TaskCompleted" not in kinds


async def test_details_of_a_termination_must_be_storable(runtime: Client) -> None:
    handle = await runtime.start(propagating)
    with pytest.raises(ValueNotStorable, match="detail 1"):
        await handle.terminate(threading.Lock())
    assert await status_of(handle) is RunStatus.RUNNING


@task(registry=REGISTRY)
async def by_parameter(label: str, here: TaskContext) -> None:
    note((label, here.cancelled))
    try:
        await asyncio.sleep(1000)
    finally:
        note((label, here.cancelled))


@pytest.mark.feature("CN-07")
async def test_a_dispatched_task_is_cancelled_by_its_identifier(
    runtime: Client,
) -> None:
    handle = await runtime.start(by_parameter, "x")
    await noted(("x", False))
    await runtime.handle(handle.id).cancel()
    assert isinstance(await ended(handle), RunCancelled)
    await noted(("x", True))


KILLED = """
    import asyncio, sys
    from everact.runtime import Runtime, WorkflowFailure, sleep, task, workflow

    @task
    async def clean_up(step: int) -> None:
        with open("cleaned", "a") as file:
            print(step, file=file)

    @workflow
    async def cleaning() -> None:
        try:
            await sleep("1d")
        finally:
            for step in range(3):
                await clean_up(step)
                await sleep("200ms")

    async def end(how: str) -> None:
        async with Runtime("everact.db") as runtime:
            handle = await runtime.start(cleaning, id="x")
            if how == "cancel":
                await handle.cancel(reason="enough")
            else:
                await handle.terminate(reason="enough")
            print("acknowledged")
            await asyncio.sleep(1000)

    async def look() -> None:
        async with Runtime("everact.db") as runtime:
            try:
                await runtime.handle("x").result()
            except WorkflowFailure as failure:
                print(type(failure.cause).__name__, failure.cause)

    asyncio.run(look() if sys.argv[1] == "look" else end(sys.argv[1]))
"""


@pytest.mark.kill
@pytest.mark.feature("CN-01", "CN-02")
def test_an_acknowledged_cancellation_survives_a_kill(tmp_path: Path) -> None:
    program = Program(tmp_path, KILLED)
    program.kill_at("acknowledged", "cancel")
    assert program.run("look") == ["RunCancelled enough"]
    cleaned = (tmp_path / "cleaned").read_text().split()
    # Only the step that ran at the moment of the kill may have run again.
    assert list(dict.fromkeys(cleaned)) == ["0", "1", "2"]
    assert len(cleaned) <= 4


@pytest.mark.kill
@pytest.mark.feature("CN-05")
def test_an_acknowledged_termination_survives_a_kill(tmp_path: Path) -> None:
    program = Program(tmp_path, KILLED)
    program.kill_at("acknowledged", "terminate")
    assert program.run("look") == ["RunTerminated enough"]
    assert not (tmp_path / "cleaned").exists()
