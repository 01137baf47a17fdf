"""Children, chains of runs, limits on runs, starts that wait or collide."""

import asyncio
from typing import Any

from everact.runtime import (
    continue_as_new,
    execute_child,
    on_signal,
    race,
    retry,
    run_info,
    sleep,
    start_child,
    wait_condition,
    workflow,
)
from everact.runtime.errors import (
    ApplicationError,
    ChildFailure,
    WorkflowAlreadyStarted,
)
from everact.runtime.functions import Reset, all, any
from tests.simulation.corpus.message_works import cleaning, keeping
from tests.simulation.corpus.tasks import CORPUS, add, doomed, echo, endless, flaky
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
async def leaf(number: int) -> object:
    await sleep(number)
    return await echo(number)


@workflow(registry=CORPUS)
async def parent(count: int) -> list[Any]:
    direct = await asyncio.gather(*(leaf(n) for n in range(count)))
    child = await start_child(leaf, 1)
    return [*direct, await child.result()]


async def play_parent(scene: Scene) -> None:
    await scene.start(parent, 3, id="a")
    assert await scene.outcome("a") == [0, 1, 2, 1]


@workflow(registry=CORPUS)
async def leaving(prefix: str) -> str:
    """Ends while three children are open, one of each setting."""
    _ = await start_child(
        cleaning, "t", id=f"{prefix}.terminated", on_parent_close="terminate"
    )
    _ = await start_child(keeping, id=f"{prefix}.cancelled", on_parent_close="cancel")
    _ = await start_child(leaf, 20, id=f"{prefix}.abandoned", on_parent_close="abandon")
    await sleep(2)
    return "left"


async def play_leaving(scene: Scene) -> None:
    await scene.start(leaving, scene.id("a"), id="a")
    assert await scene.outcome("a") == "left"
    assert await scene.outcome("a.terminated") == "RunTerminated"
    assert await scene.outcome("a.cancelled") == "stayed"
    assert await scene.outcome("a.abandoned") == 20


@workflow(registry=CORPUS)
async def failing() -> None:
    await doomed("child")


@workflow(registry=CORPUS)
async def tidying() -> None:
    try:
        await sleep(10_000)
    finally:
        await echo("tidy")


@workflow(registry=CORPUS)
async def disappointed(taken: str) -> list[str]:
    seen = []
    try:
        await execute_child(failing)
    except ChildFailure as error:
        seen.append(str(getattr(error.cause, "type", "")))
    try:
        _ = await start_child(leaf, 1, id=taken)
    except ChildFailure as error:
        seen.append(str(getattr(error.cause, "type", "")))
    stubborn = asyncio.ensure_future(execute_child(keeping))
    compliant = asyncio.ensure_future(execute_child(tidying))
    await sleep(1)
    stubborn.cancel()
    compliant.cancel()
    await asyncio.wait([stubborn, compliant])
    seen.append("cancelled" if stubborn.cancelled() else stubborn.result())
    seen.append("cancelled" if compliant.cancelled() else "kept")
    return seen


async def play_disappointed(scene: Scene) -> None:
    await scene.start(keeping, id="b")
    await scene.start(disappointed, scene.id("b"), id="a")
    seen = ["Doomed", "WorkflowAlreadyStarted", "stayed", "cancelled"]
    assert await scene.outcome("a") == seen
    await scene.cancel("b")
    assert await scene.outcome("b") == "stayed"


@workflow(registry=CORPUS)
async def collecting(round: int, total: int) -> int:
    """Continues as new after every two signals; none may be lost or doubled."""
    got: list[int] = []
    on_signal("give", got.append)
    await wait_condition(lambda: len(got) >= 2)
    await echo(round)
    total += sum(got)
    if total < 111_111:
        continue_as_new(round + 1, total)
    return total


async def play_collecting(scene: Scene) -> None:
    await scene.start(collecting, 0, 0, id="a")

    async def give(power: int) -> None:
        await scene.pause()
        await scene.signal("a", "give", 10**power)

    await asyncio.gather(*(give(power) for power in range(6)))
    await scene.signal("a", "give", 0, key="last")
    await scene.signal("a", "give", 0, key="very last")
    assert await scene.outcome("a") == 111_111


@workflow(registry=CORPUS)
async def finishing(left: int, total: int) -> int:
    await echo(left)
    if left == 0:
        raise Reset(add, total, 1000)
    lost = asyncio.ensure_future(endless())
    await sleep(0.5)
    assert not lost.done()
    raise Reset(finishing, left - 1, total + left)


async def play_resetting(scene: Scene) -> None:
    await scene.start(finishing, 3, 0, id="a")
    assert await scene.outcome("a") == 1006


@workflow(registry=CORPUS)
async def stumbling() -> int:
    await echo("try")
    if run_info().attempt < 3:
        raise ApplicationError("not yet", type="NotYet")
    return run_info().attempt


async def play_stumbling(scene: Scene) -> None:
    await scene.start(stumbling, id="a", retry=retry(first=1, attempts=5))
    assert await scene.outcome("a") == 3


async def play_expiring(scene: Scene) -> None:
    await scene.start(cleaning, "x", id="run", run_timeout=5)
    await scene.start(
        cleaning,
        "x",
        id="chain",
        run_timeout=3,
        execution_timeout=10,
        retry=retry(first=1),
    )
    assert await scene.outcome("run") == "RunTimedOut"
    assert await scene.outcome("chain") == "RunTimedOut"


@workflow(registry=CORPUS)
async def gathering_early() -> list[int]:
    got: list[int] = []
    on_signal("early", got.append)
    await wait_condition(lambda: len(got) == 2)
    return sorted(got)


async def play_delayed(scene: Scene) -> None:
    await scene.start(gathering_early, id="a", start_delay=6)
    await scene.start(cleaning, "x", id="b", start_delay=1000)
    await scene.pause()
    await scene.signal("a", "early", 1)
    await scene.pause(8)
    await scene.signal("a", "early", 2)
    await scene.cancel("b")
    assert await scene.outcome("a") == [1, 2]
    assert await scene.outcome("b") == "RunCancelled"


@workflow(registry=CORPUS)
async def combining() -> list[Any]:
    first = await race(echo("quick"), endless(), cancel_losers=True)
    found = await any(doomed("no"), flaky(8), leaf(300), cancel_losers=True)
    both = await all(echo(1), flaky(2))
    try:
        await all(doomed("none"), endless(), cancel_losers=True)
    except ApplicationError as error:
        return [first, found, both, error.type]
    return []


async def play_combining(scene: Scene) -> None:
    await scene.start(combining, id="a")
    assert await scene.outcome("a") == ["quick", 8, [1, 2], "Doomed"]


async def play_unserved(scene: Scene) -> None:
    """No worker serves the queue when the run is started."""
    await scene.start(leaf, 1, id="a", queue="later")
    await scene.pause(10)
    await scene.serve("later")
    assert await scene.outcome("a") == 1


async def play_colliding(scene: Scene) -> None:
    async def beginning() -> Any:
        await scene.pause(1)
        return await scene.start(keeping, id="a", on_conflict="use_existing")

    async def refused() -> Any:
        await scene.pause(1)
        try:
            await scene.start(leaf, 1, id="a")
        except WorkflowAlreadyStarted:
            return "refused"
        return "started"

    run_id = await scene.start(keeping, id="a", on_conflict="attach")
    found: list[Any] = [*await asyncio.gather(beginning(), refused(), beginning())]
    assert found == [run_id, "refused", run_id], found
    await scene.cancel("a")
    assert await scene.outcome("a") == "stayed"
    attached = await scene.start(leaf, 1, id="a", on_conflict="attach", memo={"n": 1})
    assert attached == run_id


WORKS = (
    Entry("parent", play_parent),
    Entry("leaving", play_leaving),
    Entry("disappointed", play_disappointed),
    Entry("collecting", play_collecting),
    Entry("resetting", play_resetting),
    Entry("stumbling", play_stumbling),
    Entry("expiring", play_expiring),
    Entry("delayed", play_delayed),
    Entry("combining", play_combining),
    Entry("unserved", play_unserved),
    Entry("colliding", play_colliding),
)
