"""Plain asyncio in workflows: the standard ways to wait for several things."""

import asyncio
from typing import Any

from everact.runtime import now, random, sleep, uuid4, workflow
from tests.simulation.corpus.tasks import CORPUS, add, doomed, echo, endless, slow
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def sequence(count: int) -> list[object]:
    return [await echo(number) for number in range(count)]


async def play_sequence(scene: Scene) -> None:
    await scene.start(sequence, 5, id="a")
    assert await scene.outcome("a") == [0, 1, 2, 3, 4]


@workflow(registry=CORPUS)
async def gathered(count: int) -> list[object]:
    found = await asyncio.gather(
        *(echo(number) for number in range(count)), doomed("x"), return_exceptions=True
    )
    return [*found[:-1], type(found[-1]).__name__]


async def play_gathered(scene: Scene) -> None:
    await scene.start(gathered, 6, id="a")
    assert await scene.outcome("a") == [*range(6), "ApplicationError"]


@workflow(registry=CORPUS)
async def grouped() -> list[str]:
    kinds: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(endless())
            group.create_task(asyncio.sleep(10_000))
            group.create_task(doomed("down"))
    except* Exception as failed:
        kinds += [type(e).__name__ for e in failed.exceptions]
    async with asyncio.TaskGroup() as group:
        parts = [group.create_task(echo(n)) for n in range(3)]
    return kinds + [str(part.result()) for part in parts]


async def play_grouped(scene: Scene) -> None:
    await scene.start(grouped, id="a")
    assert await scene.outcome("a") == ["ApplicationError", "0", "1", "2"]


@workflow(registry=CORPUS)
async def waited() -> list[Any]:
    left = {asyncio.ensure_future(echo(n)) for n in range(4)}
    order = []
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        order += [part.result() for part in done]
    completed = [
        await part for part in asyncio.as_completed([echo(n) for n in range(4)])
    ]
    # The order goes through a task: on a replay it must be what it was.
    assert await echo(tuple(order)) == tuple(order)
    assert await echo(tuple(completed)) == tuple(completed)
    return [sorted(order), sorted(completed)]


async def play_waited(scene: Scene) -> None:
    await scene.start(waited, id="a")
    assert await scene.outcome("a") == [[0, 1, 2, 3], [0, 1, 2, 3]]


@workflow(registry=CORPUS)
async def timeouts() -> list[str]:
    seen = []
    try:
        async with asyncio.timeout(2):
            await endless()
    except TimeoutError:
        seen.append("timeout")
    try:
        await asyncio.wait_for(asyncio.sleep(50), 1)
    except TimeoutError:
        seen.append("wait_for")
    try:
        await slow()
    except TimeoutError as error:
        seen.append(type(error).__name__)
    async with asyncio.timeout(500):
        await echo(1)
    return seen


async def play_timeouts(scene: Scene) -> None:
    await scene.start(timeouts, id="a")
    assert await scene.outcome("a") == ["timeout", "wait_for", "TaskTimeout"]


@workflow(registry=CORPUS)
async def plumbing() -> list[Any]:
    queue: asyncio.Queue[int | None] = asyncio.Queue(2)
    lock, gate, seats = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2)
    taken: list[int] = []
    inside = most = 0

    async def produce() -> None:
        await gate.wait()
        for number in range(5):
            async with seats:
                await queue.put(int(str(await echo(number))))
        await queue.put(None)

    async def consume() -> None:
        nonlocal inside, most
        while (number := await queue.get()) is not None:
            async with lock:
                inside += 1
                most = max(most, inside)
                taken.append(await add(number, 100))
                inside -= 1

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(consume())
        await sleep(0.5)
        gate.set()
    return [taken, most]


async def play_plumbing(scene: Scene) -> None:
    await scene.start(plumbing, id="a")
    assert await scene.outcome("a") == [[100, 101, 102, 103, 104], 1]


@workflow(registry=CORPUS)
async def alarms() -> list[int]:
    rung: list[int] = []

    async def alarm(seconds: int) -> None:
        await sleep(seconds)
        rung.append(seconds)

    await asyncio.gather(*(alarm(seconds) for seconds in (30, 10, 20, 1, 10, 400)))
    return rung


async def play_alarms(scene: Scene) -> None:
    await scene.start(alarms, id="a")
    assert await scene.outcome("a") == [1, 10, 10, 20, 30, 400]


@workflow(registry=CORPUS)
async def facts() -> list[object]:
    """What is drawn before a wait is drawn again, the same, on a replay."""
    first = [random().random(), str(uuid4()), now().timestamp()]
    recorded = await echo(tuple(first))
    await sleep(3)
    second = [random().random(), str(uuid4())]
    again = await echo(tuple(second))
    return [recorded == tuple(first), again == tuple(second)]


async def play_facts(scene: Scene) -> None:
    await scene.start(facts, id="a")
    assert await scene.outcome("a") == [True, True]


WORKS = (
    Entry("sequence", play_sequence),
    Entry("gathered", play_gathered),
    Entry("grouped", play_grouped),
    Entry("waited", play_waited),
    Entry("timeouts", play_timeouts),
    Entry("plumbing", play_plumbing),
    Entry("alarms", play_alarms),
    Entry("facts", play_facts),
)
