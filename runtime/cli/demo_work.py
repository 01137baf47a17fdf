"""The workflows of `everact demo`: what a shop does with orders."""

import asyncio
from dataclasses import dataclass

from everact.runtime import Registry, context, wait_condition, workflow
from everact.runtime.definitions.tasks import task

REGISTRY = Registry()


class CarrierAway(Exception):
    """The carrier's counter is closed for the moment."""


@dataclass(frozen=True)
class Order:
    """What somebody wants to buy."""

    number: int
    article: str


@task(registry=REGISTRY)
async def reserve(order: Order) -> str:
    """Take the goods from the shelf."""
    await asyncio.sleep(0.5)
    return f"shelf {order.number}"


@task(registry=REGISTRY, retries=5)
async def ship(order: Order) -> str:
    """Hand the parcel over; the first two times nobody is there."""
    await asyncio.sleep(0.3)
    if context().attempt_number < 3:
        raise CarrierAway("nobody at the counter")
    return f"parcel {order.number}"


@workflow(registry=REGISTRY)
class Approval:
    """A person decides, in time."""

    def __init__(self) -> None:
        self.approved: bool | None = None

    @workflow.run
    async def run(self, article: str, patience: float) -> bool:
        """Wait for the decision, at most `patience` seconds; nobody is no."""
        try:
            await wait_condition(lambda: self.approved is not None, timeout=patience)
        except TimeoutError:
            return False
        return bool(self.approved)

    @workflow.signal
    def decide(self, approved: bool) -> None:
        """Yes or no."""
        self.approved = approved

    @workflow.query
    def state(self) -> str:
        """Where it stands."""
        return "waiting" if self.approved is None else "decided"


@workflow(registry=REGISTRY)
async def order(number: int, article: str, pause: float) -> str:
    """Reserve, wait a while, ship."""
    bought = Order(number, article)
    place = await reserve(bought)
    await asyncio.sleep(pause)
    return f"{await ship(bought)} from {place}"


@workflow(registry=REGISTRY)
async def shop(pause: float) -> list[str]:
    """Three orders at once."""
    articles = ("lamp", "piano", "ladder")
    return list(
        await asyncio.gather(
            *(
                _child(number, article, pause)
                for number, article in enumerate(articles, 1)
            )
        )
    )


async def _child(number: int, article: str, pause: float) -> str:
    from everact.runtime import execute_child

    return await execute_child(
        order, number, article, pause * number, id=f"demo-order-{number}"
    )
