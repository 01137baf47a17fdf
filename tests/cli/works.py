"""What the engine under the tests' commands serves."""

from __future__ import annotations

from dataclasses import dataclass

from everact.actors import Actor
from everact.runtime import context, default_registry, task, wait_condition, workflow


@dataclass(frozen=True)
class Line:
    article: str
    amount: int


@task
async def square(number: int) -> int:
    return number * number


@workflow
async def squares(count: int) -> list[int]:
    return [await square(number) for number in range(count)]


@workflow
async def unlucky(text: str) -> None:
    raise ValueError(text)


@workflow
async def opaque() -> object:
    return object


@workflow
class Basket:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.paid = False

    @workflow.run
    async def run(self) -> int:
        await wait_condition(lambda: self.paid)
        return sum(line.amount for line in self.lines)

    @workflow.signal
    def add(self, line: Line) -> None:
        self.lines.append(line)

    @workflow.signal
    def pay(self) -> None:
        self.paid = True

    @workflow.update
    def discount(self, percent: int) -> int:
        if percent > 50:
            raise ValueError(f"{percent} % is too much")
        self.lines = [
            Line(line.article, line.amount * (100 - percent) // 100)
            for line in self.lines
        ]
        return sum(line.amount for line in self.lines)

    @workflow.query
    def articles(self) -> list[str]:
        return [line.article for line in self.lines]


@task(retries=1)
async def approval(order: str) -> str:
    context().complete_elsewhere()


@workflow
async def ordering(order: str) -> str:
    return await approval(order)


class Counter(Actor):
    def __init__(self, start: int) -> None:
        self.count = start

    async def on_receive(self, message: int) -> int:
        self.count += message
        return self.count


default_registry().offer(Counter)
