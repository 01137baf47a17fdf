"""A kind of program that saves, see tests/programs/counters.py."""

import asyncio

from everact.runtime.programs import kinds
from tests.programs.counters import COUNTER, CounterDefinition, CounterProgram
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.scene import Scene
from tests.simulation.world import Entry

kinds.KINDS[COUNTER] = CounterProgram  # type: ignore[assignment]
COUNTERS = CounterDefinition("counters", echo.everact_name, CORPUS)


async def play_counters(scene: Scene) -> None:
    await scene.start("counters", 1, id="a")

    async def add(number: int) -> None:
        await scene.pause(3.0)
        if number % 2:
            await scene.signal("a", "add", 10 * number)
        else:
            answer = await scene.update("a", "add", 10 * number, key=f"add {number}")
            assert answer > 10 * number

    async def work() -> None:
        for number in range(2):
            await scene.pause(2.0)
            await scene.signal("a", "work", number)

    await asyncio.gather(*(add(n) for n in range(4)), work())
    refused = await scene.update("a", "add", -1, key="down", traceless=True)
    assert refused == "ValueError"
    await scene.signal("a", "stop")
    total = await scene.outcome("a")
    assert 61 + 1 + 1 <= total <= 61 + 61 + 122, total


WORKS = (Entry("counters", play_counters),)
