"""User events: runs that wait for them, and runs that they start."""

import asyncio
from typing import Any

from everact.runtime import continue_as_new, run_info, workflow
from everact.runtime.events import SleepCondition, UserEventCondition, any_of, wait_for
from everact.runtime.functions import Reset
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def expecting(key: str, filter: str | None, scope: str | None) -> list[Any]:
    """One event, and then one of another kind beside a sleep and a task."""
    first = UserEventCondition(key, filter=filter, scope=scope, key="first")
    met = await wait_for("first", first)
    told = asyncio.ensure_future(echo(met["first"].payload["n"]))
    both = await wait_for("second", UserEventCondition(f"{key}!"), SleepCondition(1))
    return [met["first"].event_id, await told, both[f"{key}!"].payload]


async def play_expecting(scene: Scene) -> None:
    key = scene.id("tick")
    await scene.push(key, {"n": 0})  # nobody waits yet
    for name, filter, scope in (
        ("any", None, None),
        ("odd", "n IN (1, 3)", None),
        ("ours", None, "ours"),
        ("none", "n > 9", None),
    ):
        await scene.start(expecting, key, filter, scope, id=name)

    async def push(number: int, scope: str | None) -> str:
        await scene.pause()
        return await scene.push(key, {"n": number}, scope=scope)

    even, odd = await push(2, None), await push(3, None)
    ours = await push(4, "ours")
    seconds = await asyncio.gather(*(scene.push(f"{key}!", n) for n in range(3)))
    assert len(set(seconds)) == 3

    async def ended(name: str) -> Any:
        """Its outcome, with second events until one comes after its first."""
        outcome = asyncio.ensure_future(scene.outcome(name))
        while not outcome.done():
            await asyncio.wait([outcome], timeout=2.0)
            if not outcome.done():
                await scene.push(f"{key}!", "again", again=True)
        return await outcome

    assert (await ended("any"))[:2] == [even, 2]
    assert (await ended("odd"))[:2] == [odd, 3]
    assert (await ended("ours"))[:2] == [ours, 4]
    assert await scene.cancel("none")
    assert await scene.outcome("none") == "RunCancelled"


@workflow(registry=CORPUS)
async def looking_back(key: str) -> list[Any]:
    past = UserEventCondition(key, scope="s", look_back="1h", filter="n > 0")
    met = await wait_for("past", any_of(past, SleepCondition(2000)))
    return [met[key].payload["n"]] if key in met else ["nothing"]


async def play_looking_back(scene: Scene) -> None:
    key = scene.id("past")
    await scene.push(key, {"n": 0}, scope="s")
    await scene.start(looking_back, key, id="before")
    await scene.push(key, {"n": 1}, scope="s")
    await scene.push(key, {"n": 2}, scope="s")
    await asyncio.gather(
        *(scene.start(looking_back, key, id=f"after{number}") for number in range(3)),
        scene.push(key, {"n": 3}, scope="s"),
    )
    assert await scene.outcome("before") == [1]
    for number in range(3):
        assert await scene.outcome(f"after{number}") == [1]


@workflow(registry=CORPUS)
async def crowd(key: str, number: int) -> list[Any]:
    met = await wait_for(
        "it", UserEventCondition(key, filter=f"only IN ({number}, 99)")
    )
    return [met[key].payload["only"]]


async def play_crowd(scene: Scene) -> None:
    key = scene.id("crowd")
    await asyncio.gather(
        *(scene.start(crowd, key, number, id=f"c{number}") for number in range(9))
    )
    for only in (3, 5):
        await scene.pause()
        await scene.push(key, {"only": only})
    await scene.push(key, {"only": 99})
    for number in range(9):
        expected = number if number in (3, 5) else 99
        assert await scene.outcome(f"c{number}") == [expected]


@workflow(registry=CORPUS)
async def anew(key: str, left: int) -> list[Any]:
    """Waits in each run of a chain, and in each generation of each run."""
    met = await wait_for("it", UserEventCondition(key), UserEventCondition(f"{key}!"))
    if left:
        if left % 2:
            raise Reset(anew, key, left - 1)
        continue_as_new(key, left - 1)
    return [met[key].payload, run_info().generation]


async def play_anew(scene: Scene) -> None:
    key = scene.id("anew")
    await scene.start(anew, key, 3, id="a")
    outcome = asyncio.ensure_future(scene.outcome("a"))
    number = 0
    while not outcome.done():
        await scene.push(key, number, again=True)
        await scene.push(f"{key}!", number, again=True)
        await asyncio.wait([outcome], timeout=1.0)
        number += 1
    assert (await outcome)[1] == 1


@workflow(registry=CORPUS, on_events=["corpus:counted"])
async def doubled(count: dict[str, int]) -> object:
    return await echo(2 * count["n"])


@workflow(registry=CORPUS, on_events=["corpus:counted"])
async def choosy(count: int) -> int:
    return count


async def play_subscribers(scene: Scene) -> None:
    for number in range(3):
        event_id = await scene.push("corpus:counted", {"n": number})
        await scene.pause()
        found = await scene.outcome("", workflow_id=f"{event_id}/doubled")
        assert found == 2 * number
        failed = await scene.outcome("", workflow_id=f"{event_id}/choosy")
        assert failed == "ApplicationError"


WORKS = (
    Entry("expecting", play_expecting),
    Entry("looking back", play_looking_back),
    Entry("crowd", play_crowd),
    Entry("anew", play_anew),
    Entry("subscribers", play_subscribers),
)
