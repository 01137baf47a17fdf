"""Rows RT: retries, timeouts, heartbeats. (RT-01 is a row of the client's tests.)"""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ApplicationError,
    Registry,
    RetryPolicy,
    RunStatus,
    Runtime,
    TaskContext,
    Worker,
    WorkflowFailure,
    context,
    continue_as_new,
    retry,
    run_info,
    sleep,
    task,
    workflow,
)
from everact.runtime.errors import RunPutAside, RunTimedOut, TaskTimeout
from everact.runtime.statuses import TimeoutKind
from tests.features.support import (
    EPOCH,
    Stage,
    items,
    killed,
    kinds,
    note,
    notes,
    open_runtime,
    played,
)

registry = Registry()
tried: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    tried.clear()


def virtual_time() -> float:
    """Seconds since the test began, in workflows and outside of them."""
    loop = asyncio.get_running_loop()
    return loop.time() - (0 if isinstance(loop, VirtualLoop) else EPOCH)


async def statuses(runtime: Runtime, id: str) -> list[RunStatus]:
    """The statuses of all runs of an ID, oldest first."""
    return [line.status async for line in runtime.list(id=id)][::-1]


def timed_out(failure: WorkflowFailure) -> TimeoutKind | None:
    """Which limit of a run ended it."""
    cause = failure.cause
    return cause.kind if isinstance(cause, RunTimedOut) else None


# -- RT-02: retrying a whole run -----------------------------------------------------


@workflow(registry=registry)
async def fails_until(success: int, kind: str = "ValueError") -> str:
    info = run_info()
    tried.append((virtual_time(), info.attempt, info.run_id))
    if info.attempt < success:
        raise ApplicationError("not yet", type=kind, non_retryable=kind == "Fatal")
    return f"attempt {info.attempt}"


@pytest.mark.feature("RT-02")
async def test_a_failing_run_is_retried_in_one_chain_and_an_early_waiter_gets_it(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            fails_until, 4, id="retried", retry=retry(first=1), memo={"kept": 1}
        )
        waiter = asyncio.create_task(handle.result())
        assert await waiter == "attempt 4"
        assert [at for at, _, _ in tried] == [0, 1, 3, 7]
        assert [attempt for _, attempt, _ in tried] == [1, 2, 3, 4]
        assert len({run_id for _, _, run_id in tried}) == 4
        lines = [line async for line in runtime.list(id="retried")]
        assert {line.first_run_id for line in lines} == {handle.result_run_id}
        assert await statuses(runtime, "retried") == [
            *[RunStatus.FAILED] * 3,
            RunStatus.COMPLETED,
        ]
        last = await runtime.handle("retried").describe()
        assert last.memo == {"kept": 1}


@pytest.mark.feature("RT-02")
async def test_each_retry_of_a_run_has_a_fresh_history(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        await runtime.execute(fails_until, 3, id="retried", retry=retry(first=1))
        async for line in runtime.list(id="retried"):
            handle = runtime.handle("retried", run_id=line.run_id)
            assert len(await items(handle, "Started")) == 1


@workflow(registry=registry)
async def hangs() -> None:
    tried.append((virtual_time(),))
    await sleep(1000)


@pytest.mark.feature("RT-02")
@pytest.mark.parametrize("ending", ["cancel", "terminate"])
async def test_cancelled_and_terminated_runs_are_not_retried(
    tmp_path: Path, ending: str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(hangs, id="hanging", retry=retry(first=1))
        await asyncio.sleep(1)
        await (handle.cancel() if ending == "cancel" else handle.terminate())
        with pytest.raises(WorkflowFailure):
            await handle.result()
        await asyncio.sleep(100)
        assert len(tried) == 1


@pytest.mark.feature("RT-02")
async def test_retries_of_a_run_end_with_the_attempts(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            fails_until, 9, retry=retry(first=1, attempts=3), id="retried"
        )
        with pytest.raises(WorkflowFailure, match="not yet"):
            await handle.result()
        assert [at for at, _, _ in tried] == [0, 1, 3]


@pytest.mark.feature("RT-02")
async def test_a_retry_that_would_begin_after_the_execution_timeout_is_not_made(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            fails_until, 9, retry=retry(first=10), execution_timeout=15
        )
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert [at for at, _, _ in tried] == [0, 10]
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert virtual_time() == 15


@pytest.mark.feature("RT-02", "RT-04")
@pytest.mark.parametrize("limit", [15, 30, 31])
async def test_a_run_whose_retry_is_due_after_its_limit_times_out_at_the_limit(
    tmp_path: Path, limit: int
) -> None:
    """Due at 0, 10, 30 and 70: at 30 the limit of 30 comes first."""
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(
            fails_until,
            9,
            retry=retry(first=10),
            execution_timeout=limit,
            id="retried",
        )
        await asyncio.sleep(limit - 1)
        assert (await handle.describe()).status is RunStatus.RUNNING
    # no engine runs at the limit, and at the moment of the retry
    async with open_runtime(database, registry, at=EPOCH + 200) as runtime:
        with pytest.raises(WorkflowFailure) as caught:
            await runtime.handle("retried").result()
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert len(tried) == (3 if limit == 31 else 2)
        found = await statuses(runtime, "retried")
        assert found[-1] is RunStatus.TIMED_OUT
        assert set(found[:-1]) == {RunStatus.FAILED}


@pytest.mark.feature("RT-04")
async def test_failing_for_good_does_not_wait_for_the_limit(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            fails_until, 9, retry=retry(first=1, attempts=2), execution_timeout=100
        )
        with pytest.raises(WorkflowFailure, match="not yet"):
            await handle.result()
        assert virtual_time() == 1


async def between_two_attempts(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(noted_failures, str(stage.folder), id="run", retry=FIVE)
        await asyncio.sleep(2)
        await stage.die()


async def the_next_attempt(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        stage.say("result", await runtime.handle("run").result())
        stage.say("at", stage.elapsed())


FIVE = RetryPolicy(first=5.0, growth=1.0, longest=5.0)


@workflow(registry=registry)
async def noted_failures(folder: str) -> int:
    attempt = run_info().attempt
    await note_attempt(folder, f"run attempt {attempt}")
    if attempt < 3:
        raise ValueError("not yet")
    return attempt


@task(registry=registry)
async def note_attempt(folder: str, text: str) -> None:
    note(folder, text)


@pytest.mark.kill
@pytest.mark.feature("RT-02")
def test_a_retry_of_a_run_survives_a_kill(tmp_path: Path) -> None:
    killed(between_two_attempts, tmp_path)
    said = played(the_next_attempt, tmp_path, at=EPOCH + 3)
    assert said == {"result": 3, "at": 10}
    assert notes(tmp_path) == [f"run attempt {n}" for n in (1, 2, 3)]


# -- RT-03: what is never retried ----------------------------------------------------


@task(registry=registry, retry=retry(first=1, attempts=5, never=["Fatal", KeyError]))
async def fails_with(kind: str) -> None:
    tried.append((kind, context().attempt_number))
    if kind == "KeyError":
        raise KeyError("listed")
    raise ApplicationError("no", type=kind, non_retryable=kind == "Marked")


@registry.function
async def denied() -> None:
    tried.append(("denied", context().attempt_number))
    raise PermissionError("no")


@workflow(registry=registry)
async def call_failing(kind: str) -> None:
    if kind == "denied":
        await denied()
    await fails_with(kind)


@pytest.mark.feature("RT-03")
@pytest.mark.parametrize("kind", ["Marked", "Fatal", "KeyError", "denied"])
async def test_some_failures_end_retrying_at_once(tmp_path: Path, kind: str) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        with pytest.raises(WorkflowFailure):
            await runtime.execute(call_failing, kind)
        assert tried == [(kind, 1)]
        assert virtual_time() == 0


@pytest.mark.feature("RT-03")
@pytest.mark.parametrize("kind", ["Fatal", "Listed"])
async def test_the_same_holds_for_runs(tmp_path: Path, kind: str) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        policy = retry(first=1, attempts=5, never=["Listed"])
        with pytest.raises(WorkflowFailure):
            await runtime.execute(fails_until, args=(9, kind), retry=policy)
        assert len(tried) == 1


# -- RT-04, RT-05: limits on chains and runs -----------------------------------------


@pytest.mark.feature("RT-04")
async def test_endless_retries_end_with_the_execution_timeout(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            fails_after_a_while,
            id="endless",
            retry=retry(first=0.5, growth=1),
            execution_timeout=3,
        )
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert virtual_time() == 3
        assert (await statuses(runtime, "endless"))[-1] is RunStatus.TIMED_OUT
        await asyncio.sleep(10)
        assert [at for (at,) in tried] == [0, 1.25, 2.5]


@workflow(registry=registry)
async def fails_after_a_while() -> None:
    tried.append((virtual_time(),))
    await sleep(0.75)
    raise ValueError("again")


@workflow(registry=registry)
async def goes_on_and_on(number: int) -> None:
    tried.append((number, virtual_time()))
    await sleep(1.25)
    continue_as_new(number + 1)


@pytest.mark.feature("RT-04")
async def test_the_execution_timeout_counts_over_successors(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(goes_on_and_on, 0, id="on", execution_timeout=3)
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert virtual_time() == 3
        await asyncio.sleep(10)
        assert tried == [(0, 0), (1, 1.25), (2, 2.5)]
        assert await statuses(runtime, "on") == [
            RunStatus.CONTINUED_AS_NEW,
            RunStatus.CONTINUED_AS_NEW,
            RunStatus.TIMED_OUT,
        ]


@pytest.mark.feature("RT-04")
async def test_the_execution_timeout_begins_after_the_start_delay(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(hangs, start_delay=10, execution_timeout=3)
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert virtual_time() == 13


@pytest.mark.feature("RT-04", "RT-05")
async def test_runs_have_no_limit_by_default(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(sleeps_for, "3d")
        assert await handle.result() == "slept"
        assert virtual_time() == 3 * 86400


@workflow(registry=registry)
async def sleeps_for(duration: str) -> str:
    await sleep(duration)
    return "slept"


@pytest.mark.feature("RT-05")
async def test_a_hanging_run_times_out_once_an_attempt(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            hangs, id="hanging", run_timeout=1, retry=retry(first=2, attempts=2)
        )
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert timed_out(caught.value) is TimeoutKind.RUN
        assert await statuses(runtime, "hanging") == [RunStatus.TIMED_OUT] * 2
        assert [at for (at,) in tried] == [0, 3]
        assert virtual_time() == 4


@pytest.mark.feature("RT-05")
async def test_the_execution_timeout_caps_the_run_timeout(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(hangs, run_timeout=10, execution_timeout=2)
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert timed_out(caught.value) is TimeoutKind.EXECUTION
        assert virtual_time() == 2


# -- RT-06: limit on one activation --------------------------------------------------


class Skipping(VirtualClock):
    """A clock whose monotonic time author code can move."""

    skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


skipping: list[Skipping] = []
activations: list[str] = []
TURNS = 50_000
"""More turns of the loop than an activation gets in one go."""


@workflow(registry=registry)
async def busy(times: int) -> str:
    await sleep(1)
    activations.append("begun")
    for turn in range(TURNS):
        if turn == TURNS // 2 and len(activations) <= times:
            skipping[-1].skipped += 11
        await asyncio.sleep(0)
    return "done"


def skipping_clock() -> Skipping:
    loop: Any = asyncio.get_running_loop()
    skipping.append(Skipping(loop, epoch=EPOCH))
    activations.clear()
    return skipping[-1]


@pytest.mark.feature("RT-06")
async def test_an_activation_over_its_limit_is_redone_and_the_run_completes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "everact.engine")
    clock = skipping_clock()
    async with Runtime(tmp_path / "a.db", registry=registry, clock=clock) as runtime:
        handle = await runtime.start(busy, 1, id="busy")
        assert await handle.result() == "done"
        assert activations == ["begun", "begun"]
        assert await statuses(runtime, "busy") == [RunStatus.COMPLETED]


@pytest.mark.feature("RT-06")
async def test_the_default_limit_of_an_activation_is_ten_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "everact.engine")
    clock = skipping_clock()
    async with Runtime(tmp_path / "a.db", registry=registry, clock=clock) as runtime:
        assert await runtime.execute(busy, 1, task_timeout=12) == "done"
        assert activations == ["begun"]


@pytest.mark.feature("RT-06")
async def test_code_that_never_comes_to_a_wait_is_put_aside_and_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = skipping_clock()
    async with Runtime(tmp_path / "a.db", registry=registry, clock=clock) as runtime:
        handle = await runtime.start(busy, 99, id="busy")
        with pytest.raises(RunPutAside, match="do long or blocking work in a @task"):
            await handle.result()
        assert activations == ["begun"] * 3
        view = await handle.describe()
        assert view.status is RunStatus.RUNNING
        assert "test_retries.py" in (view.aside or "")
        assert await runtime.execute(sleeps_for, "1s") == "slept"
        await handle.terminate()
        assert (await handle.describe()).status is RunStatus.TERMINATED
    assert "'busy'" in caplog.text


blocked: list[int] = []


@workflow(registry=registry)
async def blocks_once() -> str:
    await sleep(1)
    blocked.append(1)
    while len(blocked) == 1:
        pass
    return "done"


@pytest.mark.real_time
@pytest.mark.feature("RT-06")
async def test_code_that_blocks_the_loop_once_is_interrupted_and_completes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked.clear()
    async with Runtime(tmp_path / "a.db", registry=registry) as runtime:
        handle = await runtime.start(blocks_once, task_timeout=0.5, id="blocking")
        assert await handle.result() == "done"
    assert "'blocking'" in caplog.text
    assert "test_retries.py" in caplog.text


# -- RT-07: limits on tasks ----------------------------------------------------------


@task(registry=registry, queue="nobody", queue_timeout=300)
async def queued() -> None:
    tried.append(("queued",))


@workflow(registry=registry)
async def call_queued() -> str:
    try:
        await queued()
    except TaskTimeout as error:
        return error.kind.name
    return "ran"


@pytest.mark.feature("RT-07")
async def test_a_queued_task_without_a_worker_ends_at_its_limit(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_queued) == "QUEUE"
        assert virtual_time() == 300
        runtime.add_worker(Worker(["nobody"]))
        await asyncio.sleep(10)
        assert tried == []


@task(registry=registry, timeout=60, retry=retry(first=1, attempts=3))
async def slow_at_first(slow: int) -> str:
    attempt = context().attempt_number
    tried.append((attempt, virtual_time()))
    if attempt <= slow:
        await asyncio.sleep(1000)
    return f"attempt {attempt}"


@workflow(registry=registry)
async def call_slow(slow: int) -> str:
    try:
        return await slow_at_first(slow)
    except TaskTimeout as error:
        return error.kind.name


@pytest.mark.feature("RT-07")
async def test_a_slow_task_times_out_and_is_retried(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_slow, 2) == "attempt 3"
        assert tried == [(1, 0), (2, 61), (3, 123)]
        assert await runtime.execute(call_slow, 3) == "ATTEMPT"


# -- RT-08: extending a timeout ------------------------------------------------------


@task(registry=registry, timeout=2)
async def extended(ctx: TaskContext, times: int, by: Any = "2s") -> str:
    for _ in range(times):
        await asyncio.sleep(1)
        ctx.refresh_timeout(by)
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        tried.append(("ended", virtual_time()))
        raise
    return "not limited"


@workflow(registry=registry)
async def call_extended(times: int, by: Any = "2s") -> str:
    try:
        return await extended(times, by)  # type: ignore[arg-type]
    except TaskTimeout as error:
        return error.kind.name


@pytest.mark.feature("RT-08")
@pytest.mark.parametrize(("times", "end"), [(0, 2), (1, 4), (2, 6), (3, 8)])
async def test_each_extension_moves_the_deadline(
    tmp_path: Path, times: int, end: float
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(call_extended, times)
        await asyncio.sleep(end - 0.01)
        assert (await handle.describe()).status is RunStatus.RUNNING
        assert await handle.result() == "ATTEMPT"
        assert virtual_time() == end
        assert tried == [("ended", end)]


@pytest.mark.feature("RT-08")
async def test_an_extension_takes_a_timedelta(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        by = timedelta(minutes=1)
        assert await runtime.execute(call_extended, args=(1, by)) == "ATTEMPT"
        assert virtual_time() == 62


@pytest.mark.feature("RT-08")
@pytest.mark.parametrize("by", ["5", "-5s", "", "soon", 0, -1, timedelta(0)])
async def test_a_malformed_or_non_positive_extension_is_refused(
    tmp_path: Path, by: Any
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(call_extended, args=(1, by))
        with pytest.raises(ValueError, match="increment_by"):
            await handle.value()


@task(registry=registry, timeout=2, retry=retry(first=1, attempts=2))
async def extended_at_first(ctx: TaskContext) -> None:
    tried.append((ctx.attempt_number, virtual_time()))
    if ctx.attempt_number == 1:
        ctx.refresh_timeout("2s")
    await asyncio.sleep(100)


@workflow(registry=registry)
async def call_extended_at_first() -> None:
    await extended_at_first()  # type: ignore[call-arg]


@pytest.mark.feature("RT-08")
async def test_an_extension_concerns_the_current_attempt_only(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        with pytest.raises(WorkflowFailure):
            await runtime.execute(call_extended_at_first)
        assert tried == [(1, 0), (2, 5)]
        assert virtual_time() == 7


# -- RT-09: counting attempts --------------------------------------------------------


@task(registry=registry, retries=5)
async def fails_twice(ctx: TaskContext) -> str:
    tried.append((ctx.retry_count, ctx.attempt_number))
    if ctx.attempt_number < 3:
        raise ValueError("again")
    return "done"


@workflow(registry=registry)
async def call_fails_twice() -> str:
    return await fails_twice()  # type: ignore[call-arg]


@pytest.mark.feature("RT-09")
async def test_retries_and_attempts_are_counted(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_fails_twice) == "done"
        assert tried == [(0, 1), (1, 2), (2, 3)]


@task(registry=registry, retries=5)
async def counted_on_file(folder: str, ctx: TaskContext) -> int:
    note(folder, f"{ctx.retry_count} {ctx.attempt_number}")
    if ctx.attempt_number == 1:
        raise ValueError("again")
    await asyncio.sleep(10)
    return ctx.attempt_number


@workflow(registry=registry)
async def call_counted(folder: str) -> int:
    return await counted_on_file(folder)  # type: ignore[call-arg]


async def the_second_attempt_runs(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(call_counted, str(stage.folder), id="run")
        await asyncio.sleep(5)
        await stage.die()


@pytest.mark.kill
@pytest.mark.feature("RT-09")
def test_an_attempt_that_is_resumed_after_a_kill_keeps_its_number(
    tmp_path: Path,
) -> None:
    killed(the_second_attempt_runs, tmp_path)
    assert played(the_next_attempt, tmp_path, at=EPOCH + 6)["result"] == 2
    assert notes(tmp_path) == ["0 1", "1 2", "1 2"]


# -- RT-12, RT-13: heartbeats --------------------------------------------------------

thaw: list[asyncio.Event] = []


@task(registry=registry, heartbeat_timeout=5, heartbeat="manual", retries=3)
async def freezes_at_first(ctx: TaskContext) -> str:
    """The first attempt beats for 10 s, then freezes, and returns late."""
    tried.append((ctx.attempt_number, virtual_time()))
    if ctx.attempt_number > 1:
        return "in time"
    for _ in range(4):
        await asyncio.sleep(2.5)
        ctx.heartbeat()
    while not thaw[-1].is_set():
        try:
            await thaw[-1].wait()
        except asyncio.CancelledError:
            tried.append(("deaf", virtual_time()))
    tried.append(("late", virtual_time()))
    return "too late"


@workflow(registry=registry)
async def call_freezing() -> str:
    result = await freezes_at_first()  # type: ignore[call-arg]
    await sleep(20)
    return result


@pytest.mark.feature("RT-12")
async def test_a_frozen_attempt_is_given_up_and_its_late_result_refused(
    tmp_path: Path,
) -> None:
    thaw.append(asyncio.Event())
    two = [Worker(slots=1, name="one"), Worker(slots=1, name="two")]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        handle = await runtime.start(call_freezing)
        await asyncio.sleep(14)
        [pending] = (await handle.describe()).pending_tasks
        assert (pending.attempt, pending.worker) == (1, "one")
        await asyncio.sleep(6)
        # 10 s of beats, 5 s of silence, 1 s until the second attempt; the frozen
        # one still holds the slot of its worker.
        assert tried == [(1, 0), ("deaf", 15), (2, 16)]
        assert [worker.busy for worker in two] == [1, 0]
        thaw[-1].set()
        assert await handle.result() == "in time"
        assert tried[-1] == ("late", 20)
        assert [worker.busy for worker in two] == [0, 0]
        completed = await items(handle, "TaskCompleted")
        assert [item.data["result"] for item in completed] == ["in time"]
        [failed] = await items(handle, "TaskFailed")
        assert "no heartbeat for 5 s" in failed.data["failure"]["message"]


@task(registry=registry, heartbeat_timeout=5, heartbeat="manual")
async def freezes_for_good() -> None:
    await asyncio.sleep(1000)


@workflow(registry=registry)
async def call_frozen() -> str:
    try:
        await freezes_for_good()
    except TaskTimeout as error:
        return error.kind.name
    return "returned"


@pytest.mark.feature("RT-12")
async def test_lost_heartbeats_are_a_timeout_of_their_own_kind(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_frozen) == "HEARTBEAT"
        assert virtual_time() == 5


@task(registry=registry, heartbeat_timeout=5)
async def silent_for_long() -> str:
    context().heartbeat("begun")
    await asyncio.sleep(1000)
    return "done"


@workflow(registry=registry)
async def call_silent() -> str:
    return await silent_for_long()


@pytest.mark.feature("RT-12")
async def test_a_silent_attempt_is_not_lost_while_its_process_lives(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(call_silent)
        assert await handle.result() == "done"
        assert virtual_time() == 1000
        found = await kinds(handle)
        assert (found["TaskCompleted"], found["HeartbeatRecorded"]) == (1, 1)
        assert "TaskFailed" not in found


@task(registry=registry, heartbeat_timeout="10ms")
def silent_in_a_thread() -> str:
    released.wait()
    return "done"


released = threading.Event()


@workflow(registry=registry)
async def call_silent_in_a_thread() -> str:
    return await silent_in_a_thread()


@pytest.mark.feature("RT-12")
def test_nor_is_one_in_a_thread(tmp_path: Path) -> None:
    async def main() -> str:
        async with Runtime(tmp_path / "a.db", registry=registry) as runtime:
            handle = await runtime.start(call_silent_in_a_thread)
            asyncio.get_running_loop().call_later(0.1, released.set)
            return await handle.result()

    assert asyncio.run(main()) == "done"


@workflow(registry=registry)
async def call_watched() -> str:
    try:
        return await silent_for_long.with_options(heartbeat="manual")()
    except TaskTimeout as error:
        return error.kind.name


@pytest.mark.feature("RT-12")
async def test_a_call_may_say_that_its_progress_is_watched(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_watched) == "HEARTBEAT"
        assert virtual_time() == 5


@task(registry=registry, heartbeat_timeout=60, retries=3)
async def resumes(count: int, folder: str, ctx: TaskContext) -> str:
    begin = ctx.heartbeat_details[0] if ctx.heartbeat_details else 0
    note(folder, f"attempt {ctx.attempt_number} from {begin}")
    for index in range(begin, count):
        ctx.heartbeat(index + 1, "of", count)
        await asyncio.sleep(1)
        if ctx.attempt_number == 1 and index == 4:
            raise ConnectionError("lost")
    return f"all {count}"


@workflow(registry=registry)
async def call_resuming(folder: str) -> str:
    return await resumes(20, folder)  # type: ignore[call-arg]


@pytest.mark.feature("RT-13")
async def test_the_next_attempt_resumes_from_the_details_of_the_last(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_resuming, str(tmp_path)) == "all 20"
        assert notes(tmp_path) == ["attempt 1 from 0", "attempt 2 from 5"]
        assert virtual_time() == 20 + 1


async def ten_are_done(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(call_resuming, str(stage.folder), id="run")
        await asyncio.sleep(11.5)
        await stage.die()


@pytest.mark.kill
@pytest.mark.feature("RT-13")
def test_details_of_a_killed_attempt_are_there_for_the_next(tmp_path: Path) -> None:
    killed(ten_are_done, tmp_path)
    assert played(the_next_attempt, tmp_path, at=EPOCH + 12)["result"] == "all 20"
    assert notes(tmp_path) == [
        "attempt 1 from 0",
        "attempt 2 from 5",
        "attempt 2 from 11",
    ]


# -- RT-14, RT-15 --------------------------------------------------------------------


class Throttled(Exception):
    def __init__(self, retry_after: Any) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@task(registry=registry, retry=retry(first=1, attempts=3))
async def asks_for_delay(delay: Any, own: bool) -> int:
    attempt = context().attempt_number
    tried.append((attempt, virtual_time()))
    if attempt == 1:
        raise Throttled(delay) if own else ApplicationError("wait", retry_after=delay)
    if attempt == 2:
        raise ValueError("the policy's delay again")
    return attempt


@workflow(registry=registry)
async def call_delayed(delay: Any, own: bool) -> int:
    return await asks_for_delay(delay, own)


@pytest.mark.feature("RT-14")
@pytest.mark.parametrize("own", [True, False], ids=["own class", "ApplicationError"])
@pytest.mark.parametrize(
    ("delay", "seconds"), [(3, 3), ("3s", 3), (timedelta(seconds=3), 3), (0, 0)]
)
async def test_an_exception_may_carry_the_delay_before_the_next_attempt(
    tmp_path: Path, delay: Any, seconds: float, own: bool
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_delayed, args=(delay, own)) == 3
        # the second wait is the policy's for a second retry: the first one counted
        assert tried == [(1, 0), (2, seconds), (3, seconds + 2)]


@task(registry=registry)
async def plain_task() -> None:
    tried.append(("task",))
    raise ConnectionError("down")


@registry.function
async def plain_function() -> None:
    tried.append(("function",))
    raise ConnectionError("down")


@workflow(registry=registry)
async def call_plainly(what: str) -> None:
    tried.append(("run",))
    if what == "task":
        await plain_task()
    await plain_function()


@pytest.mark.feature("RT-15")
@pytest.mark.parametrize(("what", "attempts"), [("task", 1), ("function", 10)])
async def test_attempts_without_a_policy(
    tmp_path: Path, what: str, attempts: int
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(call_plainly, what, id="plain")
        with pytest.raises(WorkflowFailure):
            await handle.result()
        assert tried.count((what,)) == attempts
        assert tried.count(("run",)) == 1
        assert await statuses(runtime, "plain") == [RunStatus.FAILED]


@pytest.mark.feature("RT-15")
async def test_the_documented_delays_of_a_function_without_a_policy(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        with pytest.raises(WorkflowFailure):
            await runtime.execute(call_plainly, "function")
        assert virtual_time() == 1 + 2 + 4 + 8 + 16 + 32 + 64 + 100 + 100


@workflow(registry=registry)
async def waits_for_nobody() -> None:
    await asyncio.Event().wait()


@pytest.mark.feature("RT-05")
async def test_a_run_that_nobody_wakes_is_not_stuck_while_a_deadline_will_end_it(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        with pytest.raises(WorkflowFailure) as failed:
            await runtime.execute(waits_for_nobody, run_timeout="5s")
        assert timed_out(failed.value) is TimeoutKind.RUN
        with pytest.raises(RunPutAside, match="stuck"):
            await runtime.execute(waits_for_nobody)
