"""Updates: accepted once, answered once, and cut off by the end of their run."""

import asyncio

from everact.runtime import Call, on_update, sleep, wait_condition, workflow
from everact.runtime.functions import Arguments, TailCall
from everact.runtime.workflows import all_handlers_finished
from tests.simulation.corpus.tasks import CORPUS, echo
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
class Till:
    """Takes payments until it is closed, and waits for those that it took."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.closed = False

    @workflow.run
    async def run(self) -> list[int]:
        await echo("open")
        await wait_condition(lambda: self.closed and all_handlers_finished())
        return sorted(self.paid)

    @workflow.update
    async def pay(self, amount: int) -> list[object]:
        self.paid.append(amount)
        await sleep(1)
        return [await echo(amount), amount * 2]

    @pay.validator
    def check(self, amount: int) -> None:
        if amount < 0:
            raise ValueError(amount)

    @workflow.update
    async def fail(self, text: str) -> None:
        await echo("failing")
        raise LookupError(text)

    @workflow.update
    def close(self) -> int:
        self.closed = True
        return len(self.paid)


async def play_till(scene: Scene) -> None:
    run_id = await scene.start(Till, id="a")

    async def pay(number: int) -> None:
        for _ in range(2):  # the second joins the first
            await scene.pause()
            answer = await scene.update("a", "pay", number, key=f"pay {number}")
            assert answer == [number, number * 2]

    async def refused() -> None:
        await scene.pause()
        bad = await scene.update("a", "pay", -1, key="bad", traceless=True)
        assert bad == "ValueError"
        assert await scene.update("a", "fail", "x", key="fail") == "LookupError"

    await asyncio.gather(*(pay(n) for n in range(3)), refused())
    assert await scene.update("a", "close", key="close") == 3
    assert await scene.outcome("a") == [0, 1, 2]
    assert await scene.update("a", "pay", 1, key="pay 1") == [1, 2]
    assert scene.world.ledger.accepted[run_id] == {
        "pay 0",
        "pay 1",
        "pay 2",
        "fail",
        "close",
    }


async def play_opening(scene: Scene) -> None:
    async def pay(number: int) -> None:
        await scene.pause(2.0)
        answer = await scene.update_with_start(
            Till, id="a", name="pay", args=(number,), key=f"pay {number}"
        )
        assert answer == [number, number * 2]

    await asyncio.gather(*(pay(n) for n in range(3)))
    await scene.update("a", "close", key="close")
    assert await scene.outcome("a") == [0, 1, 2]


@workflow(registry=CORPUS)
async def hasty(legs: int) -> str:
    """Goes on without its handlers."""

    async def work(text: str) -> str:
        for number in range(3):
            await echo(f"{text} {number}")
        return text

    on_update("work", work, unfinished="abandon")
    await sleep(2)
    if legs > 1:
        raise TailCall(Call("hasty", Arguments((legs - 1,))))
    return "gone"


async def play_hasty(scene: Scene) -> None:
    await scene.start(hasty, 2, id="a")

    async def work(number: int) -> None:
        await scene.pause(5.0)
        answer = await scene.update("a", "work", f"w{number}", key=f"w{number}")
        assert answer in (f"w{number}", "UpdateAbandoned", False)

    await asyncio.gather(*(work(n) for n in range(4)))
    assert await scene.outcome("a") == "gone"


WORKS = (
    Entry("till", play_till),
    Entry("opening", play_opening),
    Entry("hasty", play_hasty),
)
