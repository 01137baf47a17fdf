"""Those who end the process, beside those who only happen to be under way then."""

import asyncio

from everact.runtime import workflow
from everact.runtime.errors import AttemptLost, RunPutAside
from tests.simulation.corpus.tasks import (
    CORPUS,
    deadly,
    deadly_helper,
    deadly_later,
    deadly_thread,
    echo,
    lasting,
)
from tests.simulation.scene import Scene
from tests.simulation.world import Entry, World

INNOCENT = 6

KILLERS = {
    "at once": deadly,
    "later": deadly_later,
    "thread": deadly_thread,
    "helper": deadly_helper,
}


@workflow(registry=CORPUS)
async def patient(number: int) -> int:
    return await lasting(number)


@workflow(registry=CORPUS)
async def killing(how: str) -> str:
    try:
        await KILLERS[how]()
    except AttemptLost as error:
        return "lost" if "3 times" in str(error) else str(error)
    return "survived"


@workflow(registry=CORPUS)
async def killing_itself() -> None:
    await echo("before")
    World.playing.crash("workflow code kills the engine")
    await asyncio.sleep(1)


async def start_innocent(scene: Scene) -> None:
    for number in range(INNOCENT):
        await scene.start(patient, number, id=f"patient {number}")


async def see_innocent(scene: Scene) -> None:
    for number in range(INNOCENT):
        assert await scene.outcome(f"patient {number}") == number


def play_killing(how: str) -> Entry:
    async def play(scene: Scene) -> None:
        await start_innocent(scene)
        await scene.start(killing, how, id="killing")
        await see_innocent(scene)
        assert await scene.outcome("killing") == "lost"

    return Entry(f"killing_{how.replace(' ', '_')}", play, lossy=True)


async def play_killing_itself(scene: Scene) -> None:
    """It is put aside, so that the others go on; and it can be ended."""
    await start_innocent(scene)
    await scene.start(killing_itself, id="killing")
    await see_innocent(scene)
    try:
        seen = await scene.outcome("killing")
    except RunPutAside as error:
        seen = error.reason
    assert seen == "RunTerminated" or "2 times in a row" in seen
    await scene.terminate("killing")
    assert await scene.outcome("killing") == "RunTerminated"


async def play_killers(scene: Scene) -> None:
    await start_innocent(scene)
    for how in KILLERS:
        await scene.start(killing, how, id=how)
    for how in KILLERS:
        assert await scene.outcome(how) == "lost"
    await see_innocent(scene)


WORKS = (
    *(play_killing(how) for how in KILLERS),
    Entry("killing_itself", play_killing_itself, lossy=True),
    Entry("killers", play_killers, lossy=True),
)
