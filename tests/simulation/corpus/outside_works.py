"""Tasks that others complete, fail, keep alive, or stop."""

import asyncio

from everact.runtime import ApplicationError, workflow
from everact.runtime.errors import TaskTimeout as TaskTimedOut
from tests.simulation.corpus.tasks import CORPUS, echo, elsewhere, left_alone, patient
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def handed_over() -> list[str]:
    first = await elsewhere("first")
    return [first, await elsewhere("second"), str(await echo("third"))]


async def told(scene: Scene, id: str, call: int, verb: str, *given: object) -> None:
    """Tell it until it counts: the task may not be asked for, or between attempts."""
    while not await scene.report(id, call, verb, *given):
        await asyncio.sleep(0.5)


async def play_handed_over(scene: Scene) -> None:
    await scene.start(handed_over, id="a")
    await told(scene, "a", 1, "fail", ApplicationError("not yet"))
    await told(scene, "a", 1, "complete", "one")
    await told(scene, "a", 2, "complete", "two")
    assert await scene.outcome("a") == ["one", "two", "third"]


@workflow(registry=CORPUS)
async def stopping() -> str:
    try:
        async with asyncio.timeout(4):
            return await patient()
    except TimeoutError:
        return f"stopped {await echo('then')}"


async def play_stopping(scene: Scene) -> None:
    """The workflow gives up, and waits for the task to say that it has stopped."""
    await scene.start(stopping, id="a")
    for _ in range(60):
        await scene.report("a", 1, "heartbeat")
        await asyncio.sleep(0.5)
    await scene.report("a", 1, "stopped")
    assert await scene.outcome("a") == "stopped then"


@workflow(registry=CORPUS)
async def abandoned() -> str:
    call = asyncio.create_task(elsewhere("never"))
    left = asyncio.create_task(left_alone())
    await asyncio.sleep(2)
    call.cancel()
    try:
        await left
    except TaskTimedOut as error:
        return str(error.kind)
    return "in time"


async def play_abandoned(scene: Scene) -> None:
    await scene.start(abandoned, id="a")
    assert await scene.outcome("a") == "attempt"


WORKS = (
    Entry("handed_over", play_handed_over),
    Entry("stopping", play_stopping),
    Entry("abandoned", play_abandoned),
)
