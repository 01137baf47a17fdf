"""Plain asyncio in workflows: cut off at every moment, it goes on to the same end.

Every workflow here is played once from start to end. On the way, at every quarter of a
second and whenever a transition became durable, the database is copied as a power cut
would leave it. Each copy is then opened at the moment of its crash and played to its
end: same result, same number of recorded steps, no recorded step executed again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunHandle,
    RunStatus,
    Workflow,
    WorkflowFailure,
    receive,
    task,
    workflow,
)
from everact.runtime.core import records
from everact.runtime.core.records import TaskCompleted, TaskFailed
from everact.runtime.functions import task_identifier
from everact.runtime.testing import histories
from tests.features.support import crash_image, items, open_runtime

registry = Registry()
executed: Counter[str] = Counter()
"""Task identifiers of the current life, and how often each was executed."""


@task(registry=registry)
async def step(value: Any) -> Any:
    executed[task_identifier() or ""] += 1
    return value


@task(registry=registry)
async def broken(text: str) -> Any:
    executed[task_identifier() or ""] += 1
    raise ValueError(text)


async def after(seconds: float, value: Any) -> Any:
    await asyncio.sleep(seconds)
    return await step(value)


async def broken_after(seconds: float, text: str) -> Any:
    await asyncio.sleep(seconds)
    return await broken(text)


@workflow(registry=registry)
async def gathering() -> Any:
    both = await asyncio.gather(after(1.1, "a"), after(0.4, "b"), step("c"))
    mixed = await asyncio.gather(
        after(0.3, "d"), broken_after(0.1, "no"), return_exceptions=True
    )
    return both, [str(outcome) for outcome in mixed]


@workflow(registry=registry)
async def gather_leaves_siblings_running() -> Any:
    log: list[str] = []

    async def sibling() -> None:
        log.append(await after(1, "sibling ended"))

    try:
        await asyncio.gather(broken_after(0.3, "no"), sibling())
    except ValueError as error:
        log.append(str(error))
    await asyncio.sleep(2)
    return log


@workflow(registry=registry)
async def waiting() -> Any:
    log: list[Any] = []
    tasks = {asyncio.create_task(after(n / 3, n)) for n in range(1, 6)}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    log.append(([t.result() for t in done], len(pending)))
    done, pending = await asyncio.wait(pending, timeout=0.7)
    log.append((sorted(t.result() for t in done), len(pending)))
    done, pending = await asyncio.wait(pending)
    # in the order in which the set is iterated, which must be the same on replay
    log.append([t.result() for t in done])
    return log


@workflow(registry=registry)
async def waiting_for_an_exception() -> Any:
    tasks = [
        asyncio.create_task(after(0.2, "first")),
        asyncio.create_task(broken_after(0.6, "no")),
        asyncio.create_task(after(3, "never")),
    ]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for running in pending:
        running.cancel()
    return len(done), len(pending), await step("after")


@workflow(registry=registry)
async def waiting_for_one() -> Any:
    log = [await asyncio.wait_for(after(0.5, "in time"), 1)]
    try:
        await asyncio.wait_for(after(5, "too late"), 0.6)
    except TimeoutError:
        log.append(await step("timed out"))
    return log


@workflow(registry=registry)
async def timing_out() -> Any:
    log: list[Any] = []
    async with asyncio.timeout(1):
        log.append(await after(0.5, "within"))
    outer = asyncio.timeout(0.5)
    try:
        async with outer:
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(3)
            finally:
                log.append("inner left")
    except TimeoutError:
        log.append(outer.expired())
    deadline = asyncio.get_running_loop().time() + 0.4
    try:
        async with asyncio.timeout_at(deadline) as moved:
            moved.reschedule(deadline + 0.3)
            log.append(await after(0.6, "moved"))
            await asyncio.sleep(9)
    except TimeoutError:
        log.append(await step("expired"))
    return log


@workflow(registry=registry)
async def grouping() -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(after(n / 4, n)) for n in (3, 1, 2)]
        direct = group.create_task(step("a task itself"))
    return [t.result() for t in tasks], direct.result()


@workflow(registry=registry)
async def group_that_fails() -> Any:
    log: list[Any] = []

    async def tidy(name: str) -> None:
        try:
            await after(5, name)
        except asyncio.CancelledError:
            log.append(await step(f"{name} tidied up"))
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for name in ("a", "b", "c"):
                group.create_task(tidy(name))
            group.create_task(broken_after(0.5, "one"))
            group.create_task(broken_after(0.5, "two"))
    except* ValueError as errors:
        log.append([str(error) for error in errors.exceptions])
    return log


@workflow(registry=registry)
async def locking() -> Any:
    lock, semaphore, log = asyncio.Lock(), asyncio.Semaphore(2), []

    async def careful(name: str) -> None:
        async with semaphore:
            log.append(f"{name} in")
            async with lock:
                log.append(await after(0.3, name))

    await asyncio.gather(*(careful(name) for name in "abcd"))
    return log, lock.locked()


@workflow(registry=registry)
async def eventful() -> Any:
    event, condition, log = asyncio.Event(), asyncio.Condition(), []
    ready: list[int] = []

    async def wait(name: str) -> None:
        await event.wait()
        log.append(await step(name))

    async def consume() -> None:
        async with condition:
            await condition.wait_for(lambda: len(ready) == 2)
            log.append(tuple(ready))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(wait(name))
        group.create_task(consume())
        for number in range(2):
            await asyncio.sleep(0.4)
            async with condition:
                ready.append(await step(number))
                condition.notify_all()
        event.set()
    return log


@workflow(registry=registry)
async def queueing() -> Any:
    queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2)
    log: list[Any] = []

    async def produce() -> None:
        for number in range(6):
            await queue.put(await step(number))
            await asyncio.sleep(0.1)
        for _ in range(2):
            await queue.put(None)

    async def consume(name: str, pace: float) -> None:
        while (number := await queue.get()) is not None:
            await asyncio.sleep(pace)
            log.append((name, await step(number)))
            queue.task_done()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(consume("quick", 0.2))
        group.create_task(consume("slow", 0.5))
    return log


@workflow(registry=registry)
async def as_they_come() -> Any:
    log: list[Any] = []
    spread = [after(n / 4, n) for n in (5, 1, 4, 2)]
    log += [await coming for coming in asyncio.as_completed(spread)]
    # all at the same moment: only the order of the set decides
    together = [step(n) for n in range(8)]
    log += [await coming for coming in asyncio.as_completed(together)]
    try:
        for coming in asyncio.as_completed([after(9, "never")], timeout=0.5):
            await coming
    except TimeoutError:
        log.append("timed out")
    return log


@workflow(registry=registry)
async def shielding() -> Any:
    inner = asyncio.create_task(after(1, "shielded"))
    try:
        await asyncio.wait_for(asyncio.shield(inner), 0.3)
    except TimeoutError:
        return ["gave up waiting", await inner]
    return []


@workflow(registry=registry)
async def streaming() -> Any:
    async def numbers() -> Any:
        for number in range(4):
            await asyncio.sleep(0.3)
            yield await step(number)

    found = [number async for number in numbers()]
    async for number in numbers():
        if number == 1:
            break
    return found


@workflow(registry=registry)
async def first_signal_or_timeout() -> Any:
    log = []
    for _ in range(3):
        try:
            log.append(await receive("word", timeout=0.6))
        except TimeoutError:
            log.append(await step("silence"))
    return log


PLAIN = [
    gathering,
    gather_leaves_siblings_running,
    waiting,
    waiting_for_an_exception,
    waiting_for_one,
    timing_out,
    grouping,
    group_that_fails,
    locking,
    eventful,
    queueing,
    as_they_come,
    shielding,
    streaming,
    first_signal_or_timeout,
]


async def recorded_steps(handle: RunHandle[Any]) -> set[str]:
    """The identifiers of the tasks whose outcome is in the journal."""
    found = [*await items(handle, "TaskCompleted"), *await items(handle, "TaskFailed")]
    run_id = (await handle.describe()).run_id
    return {f"{run_id}/0/{item.data['call']}" for item in found}


def steps_stored_in(database: Path) -> set[str]:
    """The same, of the only run in a database that nobody has opened."""
    return {
        f"{history.run_id}/{history.generation}/{event.call}"
        for history in histories(database)
        for row in history.rows
        for event in records.decode(row).events
        if isinstance(event, (TaskCompleted, TaskFailed))
    }


@pytest.mark.feature("RC-02", "RC-03")
@pytest.mark.parametrize("played", PLAIN, ids=lambda w: w.everact_name)
async def test_plain_asyncio_goes_on_after_a_crash_at_any_moment(
    tmp_path: Path, played: Workflow[[], Any]
) -> None:
    database = tmp_path / "a.db"
    copies: list[tuple[Path, float]] = []
    async with open_runtime(database, registry) as runtime:
        clock = runtime.engine.clock
        handle = await runtime.start(played, id="run")

        def copy() -> None:
            image = crash_image(database, f"copy {len(copies)}")
            copies.append((image, clock.now()))

        async def at_every_transition() -> None:
            async for _ in handle.follow_history():
                if not copies or copies[-1][1] != clock.now() or len(copies) < 40:
                    copy()

        following = asyncio.create_task(at_every_transition())
        while (await handle.describe()).status is RunStatus.RUNNING:
            copy()
            await asyncio.sleep(0.25)
        whole = await handle.result()
        steps = await recorded_steps(handle)
        await following
    assert steps
    for image, moment in copies:
        executed.clear()
        before = steps_stored_in(image)  # its run goes on as soon as it is opened
        async with open_runtime(image, registry, at=moment) as runtime:
            handle = runtime.handle("run")
            assert await handle.result() == whole
            assert await recorded_steps(handle) == steps
            # a call that was given up in the end may have run as well
            assert steps - before <= set(executed)
            assert not before & set(executed)
            assert set(executed.values()) <= {1}


@workflow(registry=registry)
async def cancelled_with_clean_up() -> Any:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(after(0.5, "done before"))
            group.create_task(after(60, "never"))
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)
        await step("cleaned up")
        raise


@pytest.mark.feature("RC-02", "RC-03")
async def test_a_clean_up_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(cancelled_with_clean_up, id="run")
        await asyncio.sleep(1)
        await handle.cancel(reason="enough")
        await asyncio.sleep(0.25)
        image, moment = crash_image(database, "copy"), runtime.engine.clock.now()
    executed.clear()
    async with open_runtime(image, registry, at=moment) as runtime:
        handle = runtime.handle("run")
        before = asyncio.get_running_loop().time()
        with pytest.raises(WorkflowFailure, match="was cancelled"):
            await handle.result()
        assert asyncio.get_running_loop().time() - before == pytest.approx(0.25)
        assert sum(executed.values()) == 1
