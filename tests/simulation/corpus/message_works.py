"""Signals, queries, cancellation and termination, from clients and other runs."""

import asyncio
from typing import Any

from everact.runtime import (
    cancel_run,
    on_query,
    on_signal,
    receive,
    run_info,
    signal_run,
    sleep,
    wait_condition,
    workflow,
)
from everact.runtime.errors import QueryFailed, RPCError
from everact.runtime.workflows import cancel_reason
from tests.simulation.corpus.tasks import CORPUS, echo, flaky
from tests.simulation.scene import Scene
from tests.simulation.world import Entry


@workflow(registry=CORPUS)
class Counter:
    """Handlers of every kind."""

    def __init__(self) -> None:
        self.total = 0
        self.others: list[str] = []
        self.slow: list[object] = []

    @workflow.run
    async def run(self, expected: int) -> list[Any]:
        await wait_condition(
            lambda: (
                self.total >= expected
                and len(self.others) == 2
                and len(self.slow) == expected
            )
        )
        return [self.total, sorted(self.others), sorted(map(str, self.slow))]

    @workflow.signal
    def add(self, number: int) -> None:
        self.total += number

    @workflow.signal
    async def add_slowly(self, number: int) -> None:
        self.slow.append(await echo(number))

    @workflow.signal(dynamic=True)
    def other(self, name: str, args: tuple[Any, ...]) -> None:
        self.others.append(f"{name}{args}")

    @workflow.query
    def so_far(self) -> int:
        return self.total


async def play_counter(scene: Scene) -> None:
    await scene.start(Counter, 4, id="a")

    async def send(number: int) -> None:
        await scene.pause()
        await scene.signal("a", "add", 1, key=str(number))
        await scene.pause()
        await scene.signal("a", "add_slowly", number)

    async def send_other(name: str) -> None:
        await scene.pause()
        await scene.signal("a", name, 1, 2)

    async def look() -> None:
        seen = 0
        for _ in range(4):
            await scene.pause(2.0)
            found = await scene.query("a", "so_far")
            stored = sum(
                count
                for name, count in scene.world.ledger.signals.items()
                if name.startswith(f"{scene.id('a')} add ")
            )
            assert seen <= found <= stored, (seen, found, stored)
            seen = found

    await asyncio.gather(
        *(send(number) for number in range(4)),
        send_other("hey"),
        send_other("ho"),
        look(),
    )
    assert await scene.outcome("a") == [
        4,
        ["hey(1, 2)", "ho(1, 2)"],
        ["0", "1", "2", "3"],
    ]
    assert await scene.query("a", "so_far") == 4


@workflow(registry=CORPUS)
async def receiver(count: int) -> list[Any]:
    got: list[Any] = []
    heard: list[object] = []
    on_signal("aloud", heard.append)
    on_query("got", lambda: list(got))
    try:
        await receive("never", timeout=1)
    except TimeoutError:
        got.append("nothing")
    for _ in range(count):
        got.append(await receive("item"))
        await echo("pause")
    await wait_condition(lambda: len(heard) == 1)
    return [*sorted(map(str, got)), *heard]


async def play_receiver(scene: Scene) -> None:
    await scene.start(receiver, 3, id="a")

    async def send(number: int) -> None:
        await scene.pause()
        await scene.signal("a", "item", number)

    await asyncio.gather(
        *(send(n) for n in range(3)), scene.signal("a", "aloud", "loud")
    )
    assert await scene.outcome("a") == ["0", "1", "2", "nothing", "loud"]
    try:
        await scene.query("a", "unknown")
    except QueryFailed:
        pass
    else:
        raise AssertionError("an unknown query was answered")


@workflow(registry=CORPUS)
async def approval() -> str:
    verdict: list[str] = []
    on_signal("decide", verdict.append)
    try:
        await wait_condition(lambda: bool(verdict), timeout=2)
    except TimeoutError:
        await echo("expired")
        return "expired"
    await echo(verdict[0])
    return verdict[0]


async def play_approval(scene: Scene) -> None:
    await scene.start(approval, id="a")
    await scene.pause()
    await scene.signal("a", "decide", "yes")
    assert await scene.outcome("a") in ("yes", "expired")


@workflow(registry=CORPUS)
async def cleaning(name: str) -> str:
    try:
        await echo("begun")
        await sleep(10_000)
    except asyncio.CancelledError:
        await flaky(1)
        await sleep(1)
        await echo(f"cleaned {name}")
        assert cancel_reason() == "simulated"
        raise
    return "done"


@workflow(registry=CORPUS)
async def keeping() -> str:
    try:
        await sleep(10_000)
    except asyncio.CancelledError:
        await echo("stays")
        return "stayed"
    return "done"


async def play_cancelling(scene: Scene) -> None:
    run_id = await scene.start(cleaning, "up", id="a")
    await scene.start(keeping, id="b")
    await scene.pause()
    await asyncio.gather(scene.cancel("a"), scene.cancel("b"))
    assert await scene.outcome("a") == "RunCancelled"
    assert await scene.outcome("b") == "stayed"
    assert scene.world.ledger.completed(run_id) >= 3, "the clean-up was cut short"


async def play_terminating(scene: Scene) -> None:
    await scene.start(cleaning, "never", id="a")
    await scene.pause()
    await scene.terminate("a")
    assert await scene.outcome("a") == "RunTerminated"
    assert not await scene.signal("a", "late")


@workflow(registry=CORPUS)
async def talker(other: str, third: str) -> list[str]:
    said = []
    for number in range(3):
        await signal_run(other, "item", number)
        said.append("sent")
    await signal_run(other, "aloud", run_info().workflow_id.rpartition(".")[2])
    await cancel_run(third)
    try:
        await signal_run(f"{other}.nobody", "item", 1)
    except RPCError as error:
        said.append(error.status.name)
    return said


async def play_talking(scene: Scene) -> None:
    await scene.start(receiver, 3, id="b")
    await scene.start(keeping, id="c")
    await scene.start(talker, scene.id("b"), scene.id("c"), id="a")
    assert await scene.outcome("a") == ["sent", "sent", "sent", "NOT_FOUND"]
    assert await scene.outcome("b") == ["0", "1", "2", "nothing", "a"]
    assert await scene.outcome("c") == "stayed"


@workflow(registry=CORPUS)
async def selfish() -> object:
    """Sends itself a signal."""
    sending = asyncio.ensure_future(signal_run(run_info().workflow_id, "mine", 5))
    got = await receive("mine")
    await sending
    return got


async def play_selfish(scene: Scene) -> None:
    await scene.start(selfish, id="a")
    assert await scene.outcome("a") == 5


WORKS = (
    Entry("counter", play_counter),
    Entry("receiver", play_receiver),
    Entry("approval", play_approval),
    Entry("cancelling", play_cancelling),
    Entry("terminating", play_terminating),
    Entry("talking", play_talking),
    Entry("selfish", play_selfish),
)
