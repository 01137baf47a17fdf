"""How `examples.order_approval` is tested: by its days, by crashes, by its history.

Run it: python -m pytest examples/test_order_approval.py
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from everact.runtime import Runtime, testing
from examples.order_approval import Approval, Order, release

LAMP = Order(1, "lamp", 2)
WEEK = 7 * 86400.0


def test_a_forgotten_order_expires_and_goes_back_on_the_shelf() -> None:
    released: list[str] = []

    async def shelf(slip: str) -> None:
        released.append(slip)

    async def main() -> None:
        async with testing.Environment(fakes={release: shelf}) as env:
            began = env.now
            told = await env.runtime.execute(Approval.run, args=(LAMP, WEEK))
            assert told == "expired, nobody decided"
            assert env.now - began == timedelta(days=7)

    asyncio.run(main())
    assert released == ["slip-1"]


def test_a_decision_in_the_last_minute_counts() -> None:
    async def main() -> None:
        async with testing.Environment() as env:
            handle = await env.runtime.start(Approval.run, args=(LAMP, WEEK))
            await env.advance("6d23h59m")
            assert await handle.query(Approval.state) == "waiting"
            await handle.signal(Approval.decide, True, "Ada")
            assert await handle.result() == "approved by Ada: parcel for slip-1"

    asyncio.run(main())


async def refusing(runtime: Runtime) -> str:
    """What the shop does around one order that is refused."""
    handle = await runtime.start(Approval.run, args=(LAMP, WEEK), id="order-1")
    await asyncio.sleep(3600)
    await handle.signal(Approval.decide, False, "Ada")
    return await handle.result()


def test_a_crash_at_any_moment_changes_nothing() -> None:
    report = testing.crash_everywhere(refusing)
    assert report.outcome == "refused by Ada"
    assert report.crashes == 3 * report.commits


def test_what_runs_have_recorded_fits_the_code(tmp_path: Path) -> None:
    async def main() -> None:
        async with testing.Environment(tmp_path / "orders.db") as env:
            await refusing(env.runtime)

    asyncio.run(main())
    testing.replay(testing.histories(tmp_path / "orders.db", Approval), Approval)
