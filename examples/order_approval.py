"""An order that a person must approve, in time: a signal, a timeout, a compensation.

Three orders wait for the same person. One is approved, one is refused, and one is
forgotten: its time is up, and the goods that were reserved go back on the shelf. The
wait may as well last three weeks and any number of restarts; it costs one row.

Run it: python -m examples.order_approval [SECONDS]
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from everact.runtime import Runtime, task, wait_condition, workflow


@dataclass(frozen=True)
class Order:
    """What somebody wants to buy."""

    number: int
    article: str
    amount: int


@task
async def reserve(order: Order) -> str:
    """Take the goods from the shelf; the slip says where they are."""
    print(f"order {order.number}: {order.amount} x {order.article} reserved")
    return f"slip-{order.number}"


@task
async def release(slip: str) -> None:
    """Put the goods back."""
    print(f"{slip}: goods are back on the shelf")


@task(retries=3)
async def ship(slip: str) -> str:
    """Send the goods; returns the number to track them by."""
    return f"parcel for {slip}"


@workflow
class Approval:
    """One order, from the reservation to the parcel or back to the shelf."""

    def __init__(self) -> None:
        self.approved: bool | None = None
        self.by = "nobody"

    @workflow.run
    async def run(self, order: Order, patience: float) -> str:
        """Reserve, wait for the decision at most `patience` seconds, act on it."""
        slip = await reserve(order)
        try:
            await wait_condition(lambda: self.approved is not None, timeout=patience)
        except TimeoutError:
            await release(slip)
            return "expired, nobody decided"
        if not self.approved:
            await release(slip)
            return f"refused by {self.by}"
        return f"approved by {self.by}: {await ship(slip)}"

    @workflow.signal
    def decide(self, approved: bool, by: str) -> None:
        """The first decision counts."""
        if self.approved is None:
            self.approved, self.by = approved, by

    @workflow.query
    def state(self) -> str:
        """Where the order stands."""
        return "waiting" if self.approved is None else f"decided by {self.by}"


async def main(patience: float) -> None:
    """Place three orders and decide two of them."""
    with tempfile.TemporaryDirectory() as folder:
        async with Runtime(Path(folder) / "orders.db") as runtime:
            handles = []
            for number, article in enumerate(("lamp", "piano", "ladder"), 1):
                order = Order(number, article, amount=number)
                handles.append(
                    await runtime.start(
                        Approval.run, args=(order, patience), id=f"order-{number}"
                    )
                )
            print("order-1 is", await handles[0].query(Approval.state))
            await handles[0].signal(Approval.decide, True, "Ada")
            await handles[1].signal(Approval.decide, False, "Ada")
            for handle in handles:
                print(f"{handle.id}: {await handle.result()}")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
