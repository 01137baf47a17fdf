"""Author code that the endpoint's tests start over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from everact.actors import Actor
from everact.runtime import Registry, context, task, workflow

REGISTRY = Registry()


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Order:
    id: UUID
    placed: datetime
    size: Size
    lines: list[str]


@task(registry=REGISTRY)
async def square(n: int) -> int:
    return n * n


@workflow(registry=REGISTRY)
async def squares(n: int) -> list[int]:
    return list(await asyncio.gather(*(square(i) for i in range(n))))


@workflow(registry=REGISTRY)
async def echo(value: Any) -> Any:
    return value


@workflow(registry=REGISTRY)
async def ship(order: Order, fragile: bool = False) -> Order:
    assert isinstance(order, Order) and isinstance(order.placed, datetime)
    order.lines.append(f"{order.size.name} fragile={fragile}")
    return order


@workflow(registry=REGISTRY)
async def breaks() -> None:
    raise ValueError("as it should")


@workflow(registry=REGISTRY)
async def gives_what_json_has_not() -> Any:
    return lambda: 1


@workflow(registry=REGISTRY)
class Basket:
    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.closed = False

    @workflow.run
    async def run(self) -> int:
        while not self.closed:
            await asyncio.sleep(3600)
        return len(self.orders)

    @workflow.signal
    def add(self, order: Order) -> None:
        self.orders.append(order)

    @workflow.update
    def rename(self, name: str) -> str:
        return f"a basket of {name}"

    @workflow.query
    def sizes(self, only: Size | None = None) -> list[Size]:
        assert only is None or isinstance(only, Size)
        found = [order.size for order in self.orders]
        return [size for size in found if only in (None, size)]


@task(registry=REGISTRY, cancellation="wait")
async def signature(paper: str) -> bool:
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def sign(paper: str) -> bool:
    return await signature(paper)


@REGISTRY.offer
class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def on_receive(self, message: Any) -> Any:
        if message == "break":
            raise RuntimeError("as it should")
        self.count += message
        return self.count
