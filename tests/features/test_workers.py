"""Row QT-07: the slots of workers."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from everact.runtime import (
    Registry,
    RunStatus,
    Runtime,
    Worker,
    WorkflowFailure,
    sleep,
    task,
    workflow,
)
from everact.runtime.engine.workers import DEFAULT_SLOTS
from everact.runtime.errors import UpdateTimedOutOrCancelled
from everact.runtime.updates import StartOperation
from tests.features.support import open_runtime

registry = Registry()
running = Counter[str]()
lock = threading.Lock()


def enter() -> None:
    with lock:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        running["all"] += 1


def leave() -> None:
    with lock:
        running["now"] -= 1


@pytest.fixture(autouse=True)
def nothing_running() -> None:
    running.clear()


@task(registry=registry)
async def occupy(seconds: float) -> None:
    enter()
    await asyncio.sleep(seconds)
    leave()


@task(registry=registry, retries=1, timeout=5)
async def overstay() -> None:
    enter()
    try:
        await asyncio.sleep(100)
    finally:
        leave()


gate = threading.Semaphore(0)


@task(registry=registry)
def occupy_a_thread() -> None:
    enter()
    gate.acquire()
    leave()


@workflow(registry=registry)
async def ten_tasks() -> None:
    await asyncio.gather(*(occupy(1) for _ in range(10)))


@workflow(registry=registry)
async def one_task() -> None:
    await occupy(1)


@workflow(registry=registry)
async def ten_threads() -> None:
    await asyncio.gather(*(occupy_a_thread() for _ in range(10)))


@workflow(registry=registry)
async def three_overstaying() -> int:
    outcomes = await asyncio.gather(
        *(overstay() for _ in range(3)), return_exceptions=True
    )
    return len(outcomes)


@workflow(registry=registry)
async def sleeper() -> None:
    await sleep(50)
    await occupy(1)


@pytest.mark.feature("QT-07")
async def test_ten_tasks_on_two_slots_are_never_more_than_two(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        await runtime.execute(ten_tasks)
        assert (running["most"], running["all"]) == (2, 10)
        assert asyncio.get_running_loop().time() == 5


@pytest.mark.feature("QT-07")
async def test_slots_are_shared_by_all_runs(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        handles = [await runtime.start(one_task) for _ in range(10)]
        for handle in handles:
            await handle.result()
        assert (running["most"], running["all"]) == (2, 10)


@pytest.mark.real_time
@pytest.mark.feature("QT-07")
@pytest.mark.parametrize("limit", ["slots", "threads"])
async def test_tasks_in_threads_are_never_more_than_two(
    tmp_path: Path, limit: str
) -> None:
    two = [Worker(slots=2) if limit == "slots" else Worker(threads=2)]
    async with Runtime(tmp_path / "a.db", registry=registry, workers=two) as runtime:
        handle = await runtime.start(ten_threads)
        gate.release(10)
        await handle.result()
        assert running["most"] <= 2
        assert running["all"] == 10


@pytest.mark.feature("QT-07")
async def test_durable_waits_hold_no_slot(tmp_path: Path) -> None:
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as runtime:
        handles = [await runtime.start(sleeper) for _ in range(5)]
        await asyncio.sleep(1)
        assert one[0].busy == 0
        await runtime.execute(one_task)
        assert asyncio.get_running_loop().time() == 2
        for handle in handles:
            await handle.result()
        assert running["most"] == 1


@pytest.mark.feature("QT-07")
async def test_the_slot_of_a_task_that_timed_out_is_free_again(tmp_path: Path) -> None:
    two = [Worker(slots=2)]
    async with open_runtime(tmp_path / "a.db", registry, workers=two) as runtime:
        assert await runtime.execute(three_overstaying) == 3
        assert running["most"] == 2
        assert (running["all"], two[0].busy) == (6, 0)


@task(registry=registry)
async def leaf(number: int) -> int:
    return number


@workflow(registry=registry)
async def of_a_leaf(number: int) -> int:
    return await leaf(number)


@workflow(registry=registry)
class Counting:
    """Answers updates with what a task says, until it is told to stop."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    @workflow.run
    async def run(self) -> None:
        await self.done.wait()

    @workflow.update
    async def add(self, number: int) -> int:
        return await leaf(number)

    @workflow.signal
    def stop(self) -> None:
        self.done.set()


client: Runtime
loop: asyncio.AbstractEventLoop


@task(registry=registry)
async def awaiting(ways: int) -> int:
    """Awaits runs whose tasks need the slot that it has: some of them, at once."""
    enter()
    runs = [client.execute(of_a_leaf, n) for n in range(ways)]
    total = sum(await asyncio.gather(*runs))
    leave()
    return total


@task(registry=registry)
def awaiting_in_a_thread() -> int:
    async def asked() -> int:
        return await client.execute(of_a_leaf, 7)

    return asyncio.run_coroutine_threadsafe(asked(), loop).result()


@task(registry=registry)
async def asking() -> int:
    handle = await client.start(Counting, id="counting")
    answer = await handle.update(Counting.add, 5)
    await handle.signal(Counting.stop)
    return answer


@workflow(registry=registry)
async def of_a_task_that_awaits(ways: int) -> int:
    return sum(await asyncio.gather(*(awaiting(ways) for _ in range(ways))))


@workflow(registry=registry)
async def of_a_thread_that_awaits() -> int:
    return await awaiting_in_a_thread()


@workflow(registry=registry)
async def of_a_task_that_asks() -> int:
    return await asking()


@pytest.mark.feature("QT-07")
async def test_a_task_that_awaits_a_run_lends_it_the_slot(tmp_path: Path) -> None:
    global client
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as client:
        assert await client.execute(of_a_task_that_awaits, 1) == 0
        assert await client.execute(of_a_task_that_awaits, 3) == 9
        assert await client.execute(of_a_task_that_asks) == 5
        assert one[0].busy == 0


@pytest.mark.real_time
@pytest.mark.feature("QT-07")
async def test_a_task_in_a_thread_lends_its_slot_and_its_thread(tmp_path: Path) -> None:
    global client, loop
    loop = asyncio.get_running_loop()
    one = [Worker(slots=1, threads=1)]
    async with Runtime(tmp_path / "a.db", registry=registry, workers=one) as client:
        assert await client.execute(of_a_thread_that_awaits) == 7
        assert (one[0].busy, one[0].busy_threads) == (0, 0)


@pytest.mark.feature("QT-07")
async def test_a_lent_slot_is_taken_back_over_the_number_and_given_back_once(
    tmp_path: Path,
) -> None:
    global client
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as client:
        waiting = await client.start(waits_then_works, id="waits")
        await client.start(one_task, id="works")
        await asyncio.sleep(0.5)  # the second has the slot that the first has lent
        assert one[0].busy == 1
        await client.handle("slow").signal("go")
        await asyncio.sleep(0.1)
        assert one[0].busy == 2
        await asyncio.sleep(1)
        assert one[0].busy == 1
        await waiting.cancel()
        with pytest.raises(WorkflowFailure):
            await waiting.result()
        assert one[0].busy == 0


@task(registry=registry)
async def wait_then_work() -> None:
    await client.execute("told", id="slow")
    await asyncio.sleep(100)


@workflow(registry=registry)
async def waits_then_works() -> None:
    await wait_then_work()


@workflow(registry=registry, name="told")
class Told:
    def __init__(self) -> None:
        self.gone = asyncio.Event()

    @workflow.run
    async def run(self) -> None:
        await self.gone.wait()

    @workflow.signal
    def go(self) -> None:
        self.gone.set()


@pytest.mark.feature("QT-07")
async def test_a_task_that_ends_while_it_awaits_leaves_no_slot_behind(
    tmp_path: Path,
) -> None:
    global client
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as client:
        waiting = await client.start(waits_then_works, id="waits")
        await asyncio.sleep(0.5)
        assert one[0].busy == 0
        await waiting.terminate()
        await asyncio.sleep(0.1)
        assert one[0].busy == 0
        await client.execute(one_task)
        assert one[0].busy == 0


@pytest.mark.feature("QT-07")
async def test_describe_says_what_an_attempt_waits_for(tmp_path: Path) -> None:
    global client
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as client:
        waiting = await client.start(waits_then_works, id="waits")
        await asyncio.sleep(0.1)
        [pending] = (await waiting.describe()).pending_tasks
        told = await client.handle("slow").describe()
        assert pending.state == "running"
        assert pending.waits_for == f"the end of run 'slow' ({told.run_id})"
        busy = await client.start(sleeper_now, id="busy")
        line = await client.start(one_task, id="line")
        await asyncio.sleep(0.1)
        [pending] = (await busy.describe()).pending_tasks
        assert (pending.state, pending.waits_for) == ("running", "")
        [pending] = (await line.describe()).pending_tasks
        assert pending.state == "queued"
        assert pending.waits_for == "a slot of queue 'default'"
        await waiting.terminate()


@workflow(registry=registry)
async def sleeper_now() -> None:
    await occupy(5)


# -- whose turn it is ------------------------------------------------------------------


@workflow(registry=registry)
async def flood(number: int) -> None:
    await asyncio.gather(*(occupy(1) for _ in range(number)))


@pytest.mark.feature("QT-07")
async def test_no_queue_of_a_worker_starves_behind_another(tmp_path: Path) -> None:
    one = [Worker(["busy", "quiet"], slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as runtime:
        await runtime.start(flood, 20, queue="busy")
        await asyncio.sleep(0.5)
        quiet = await runtime.start(one_task, queue="quiet")
        await asyncio.sleep(0.1)
        late = await runtime.start(flood, 20, queue="busy")
        await quiet.result()
        assert asyncio.get_running_loop().time() == 21  # in its turn: after the 20
        assert (await late.describe()).status is RunStatus.RUNNING


@pytest.mark.feature("QT-07")
def test_the_default_is_documented_and_nonsense_is_refused() -> None:
    assert Worker().slots == DEFAULT_SLOTS == 1000
    for slots in (0, -1):
        with pytest.raises(ValueError, match="slots of a worker"):
            Worker(slots=slots)
    with pytest.raises(ValueError, match="at least one queue"):
        Worker([])


@workflow(registry=registry)
class Silent:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(1000)

    @workflow.update
    async def ask(self) -> None:
        await asyncio.sleep(100)


@task(registry=registry)
async def impatient() -> None:
    start = StartOperation(Silent, id="silent", on_conflict="use_existing")
    with suppress(UpdateTimedOutOrCancelled, TimeoutError):
        async with asyncio.timeout(1):
            await client.updates.execute_with("ask", start=start)
    await asyncio.sleep(10)


@workflow(registry=registry)
async def of_an_impatient_task() -> None:
    await impatient()


@pytest.mark.feature("QT-07")
async def test_a_task_that_gives_up_waiting_has_its_slot_again(tmp_path: Path) -> None:
    """Though what it asked for goes on without it."""
    global client
    one = [Worker(slots=1)]
    async with open_runtime(tmp_path / "a.db", registry, workers=one) as client:
        handle = await client.start(of_an_impatient_task)
        await asyncio.sleep(0.5)
        assert one[0].busy == 0
        await asyncio.sleep(2)
        assert one[0].busy == 1
        await handle.result()
        assert one[0].busy == 0
        await client.handle("silent").terminate()
