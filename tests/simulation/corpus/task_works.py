"""Tasks that fail, are repeated, tell of their progress, or exceed their limits."""

import asyncio

from everact.runtime import workflow
from everact.runtime.errors import AttemptLost
from everact.runtime.errors import TaskTimeout as TaskTimedOut
from tests.simulation.corpus.tasks import (
    CORPUS,
    blob,
    deadly,
    echo,
    flaky,
    hopeless,
    mute,
    plod,
    queued,
    slow,
    stubborn,
)
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def backoff() -> list[int]:
    return list(await asyncio.gather(*(flaky(number) for number in range(3))))


async def play_backoff(scene: Scene) -> None:
    await scene.start(backoff, id="a")
    assert await scene.outcome("a") == [0, 1, 2]


@workflow(registry=CORPUS)
async def heartbeats() -> int:
    return await plod(6)


async def play_heartbeats(scene: Scene) -> None:
    await scene.start(heartbeats, id="a")
    assert await scene.outcome("a") == 6


@workflow(registry=CORPUS)
async def limits() -> list[str]:
    async def kind(awaitable: object) -> str:
        try:
            return str(await awaitable)  # type: ignore[misc]
        except TaskTimedOut as error:
            return str(error.kind)

    return list(await asyncio.gather(kind(slow()), kind(mute()), kind(stubborn())))


async def play_limits(scene: Scene) -> None:
    await scene.start(limits, id="a")
    assert await scene.outcome("a") == ["attempt", "heartbeat", "attempt"]


@workflow(registry=CORPUS)
async def poisonous() -> str:
    before = await echo("before")
    try:
        await deadly()
    except AttemptLost:
        return f"{before} lost {await echo('after')}"
    return "survived"


async def play_poisonous(scene: Scene) -> None:
    await scene.start(poisonous, id="a")
    assert await scene.outcome("a") == "before lost after"


@workflow(registry=CORPUS)
async def heavy() -> int:
    """Enough journal for several checkpoints."""
    total = 0
    for number in range(10):
        total += len(await blob(6000 + number))
        await echo(b"," * 3000)
    return total


async def play_heavy(scene: Scene) -> None:
    await scene.start(heavy, id="a")
    assert await scene.outcome("a") == 60_045


@workflow(registry=CORPUS)
async def wide() -> int:
    """Outcomes of one run in one batch, enough of them for checkpoints on the way."""
    found = await asyncio.gather(*(blob(900 + n) for n in range(40)))
    await asyncio.sleep(1)
    return sum(map(len, found))


async def play_wide(scene: Scene) -> None:
    await scene.start(wide, id="a")
    assert await scene.outcome("a") == 36_780


@workflow(registry=CORPUS)
async def narrow() -> list[str]:
    async def kind(awaitable: object) -> str:
        try:
            return str(await awaitable)  # type: ignore[misc]
        except TaskTimedOut as error:
            return str(error.kind)

    return list(await asyncio.gather(kind(queued(0.0)), kind(echo("free"))))


async def play_narrow(scene: Scene) -> None:
    """No worker serves the queue of one of the tasks."""
    await scene.start(narrow, id="a")
    assert await scene.outcome("a") == ["queue", "free"]


@workflow(registry=CORPUS)
async def given_up() -> str:
    try:
        await hopeless()
    except TaskTimedOut as error:
        return str(error.kind)
    return "it ended"


async def play_given_up(scene: Scene) -> None:
    """A task's time is over, with all its attempts."""
    await scene.start(given_up, id="a")
    assert await scene.outcome("a") == "total"


async def play_alone(scene: Scene) -> None:
    """A task in a workflow's place."""
    await scene.start(flaky, 7, id="a")
    assert await scene.outcome("a") == 7


WORKS = (
    Entry("backoff", play_backoff),
    Entry("heartbeats", play_heartbeats),
    Entry("limits", play_limits),
    Entry("poisonous", play_poisonous, lossy=True),
    Entry("heavy", play_heavy),
    Entry("narrow", play_narrow),
    Entry("alone", play_alone),
    Entry("wide", play_wide),
    Entry("given up", play_given_up),
)
