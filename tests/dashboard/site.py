"""A real engine with runs in every status, served; run as a child process.

    python -m tests.dashboard.site DATABASE [--token] [--many] [--address HOST:PORT]

Prints one line of JSON when it is ready: its address, and a token if one was made.
Ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from everact.actors import Actor
from everact.runtime import Registry, Runtime, continue_as_new, retry, task, workflow
from everact.runtime.control.serving import Control
from everact.runtime.control.tokens import Scope, TokenFile
from tests.store.many import many_runs

REGISTRY = Registry()
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
"""What would run in a page that took it for HTML."""


@task(registry=REGISTRY)
async def fetch(n: int) -> dict[str, Any]:
    await asyncio.sleep(0.02 * (1 + n % 3))
    return {"page": n, "title": f"Page {n}"}


@task(registry=REGISTRY)
async def summarise(pages: list[Any]) -> str:
    await asyncio.sleep(0.08)
    return f"{len(pages)} pages"


@task(registry=REGISTRY, retry=retry(first=timedelta(milliseconds=30), growth=1.5))
async def flaky(n: int) -> int:
    key = f"flaky {n}"
    TRIES[key] = TRIES.get(key, 0) + 1
    await asyncio.sleep(0.03)
    if TRIES[key] < 3:
        raise ConnectionError(f"the shop does not answer (attempt {TRIES[key]})")
    return n


TRIES: dict[str, int] = {}


@task(registry=REGISTRY, retry=retry(first=timedelta(hours=1)))
async def charge(order: str) -> None:
    raise ConnectionError(f"card terminal of {order} is off-line")


@workflow(registry=REGISTRY)
async def invoice(number: int) -> str:
    """A child."""
    await fetch(number)
    await asyncio.sleep(0.05)
    return f"invoice {number}"


@workflow(registry=REGISTRY)
class Order:
    """An order: all kinds of calls, and then it waits."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.paid = asyncio.Event()

    @workflow.run
    async def run(self, number: int, lines: list[str]) -> dict[str, Any]:
        pages = await asyncio.gather(*(fetch(n) for n in range(6)))
        await flaky(number)
        await asyncio.sleep(0.15)
        text = await invoice(number)
        await summarise(pages)
        while not self.paid.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.paid.wait(), 3600)
        return {"invoice": text, "notes": self.notes}

    @workflow.signal
    def note(self, text: str) -> None:
        self.notes.append(text)

    @workflow.signal
    def pay(self) -> None:
        self.paid.set()

    @workflow.query
    def all_notes(self) -> list[str]:
        return self.notes


@workflow(registry=REGISTRY)
async def payment(order: str) -> None:
    await charge(order)


@workflow(registry=REGISTRY)
async def crawl(count: int) -> int:
    for begin in range(0, count, 50):
        await asyncio.gather(*(quick(n) for n in range(begin, begin + 50)))
    await asyncio.gather(*(fetch(n) for n in range(8)))
    return count


@task(registry=REGISTRY)
async def quick(n: int) -> int:
    return n


@workflow(registry=REGISTRY)
async def echo(value: Any) -> Any:
    return value


@workflow(registry=REGISTRY)
async def refuse(reason: str) -> None:
    await fetch(1)
    raise ValueError(reason)


@workflow(registry=REGISTRY)
async def wait_for_ever() -> None:
    await asyncio.sleep(86400 * 21)


@workflow(registry=REGISTRY)
async def legs(left: int) -> int:
    await fetch(left)
    if left:
        continue_as_new(left - 1)
    return left


@workflow(registry=REGISTRY, name=HOSTILE)
async def hostile(value: Any) -> Any:
    raise RuntimeError(HOSTILE)


class Tally(Actor):
    """Counts for another."""


@REGISTRY.offer
class Counter(Actor):
    """An actor of the program's own, with one below it."""

    def on_start(self) -> None:
        self.spawn(Tally, name="visitors.tally")

    def on_receive(self, message: Any) -> Any:
        return message


async def fill(runtime: Runtime) -> None:
    """Runs in every status, and one with a hostile name everywhere."""
    for number in range(3):
        await runtime.execute(echo, {"greeting": "hello", "n": number})
    for number in (1001, 1002):
        order = await runtime.start(
            Order, args=[number, ["tea", "cups"]], id=f"order-{number}"
        )
        await order.signal(Order.note, "gift wrap")
    paid = await runtime.start(Order, args=[1000, ["teapot"]], id="order-1000")
    await paid.signal(Order.pay)
    await paid.result()
    await runtime.start(payment, "order-1001", id="payment-1001")
    refused = await runtime.start(refuse, "out of stock", id="order-refused")
    cancelled = await runtime.start(wait_for_ever, id="import-cancelled")
    terminated = await runtime.start(wait_for_ever, id="import-terminated")
    late = await runtime.start(wait_for_ever, id="import-late", run_timeout=0.2)
    await runtime.start(wait_for_ever, id="approval-1")
    moved = await runtime.start(legs, 2, id="legs")
    odd = await runtime.start(
        HOSTILE, args=[HOSTILE], id=HOSTILE, memo={HOSTILE: HOSTILE}, run_name=HOSTILE
    )
    await runtime.start("not_there_yet", id="parcel-aside")
    await cancelled.cancel()
    await terminated.terminate("the import was a mistake")
    large = await runtime.start(crawl, 500, id="crawl-large")
    for run in (refused, cancelled, terminated, late, moved, odd, large):
        with suppress(Exception):
            await run.result()


async def serve(database: str, address: str, guarded: bool, many: bool) -> None:
    token = ""
    fresh = not Path(database).exists()
    if guarded:
        tokens = TokenFile.beside(database)
        token = tokens.create("page", scope=Scope.ADMIN)[1]
    async with (
        Runtime(database, registry=REGISTRY) as runtime,
        Control(runtime, address) as control,
    ):
        if fresh and not (guarded or many):
            await fill(runtime)
            runtime.engine.system.spawn(Counter, name="visitors")
        print(json.dumps({"address": control.address, "token": token}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("--address", default="127.0.0.1:0")
    parser.add_argument("--token", action="store_true")
    parser.add_argument("--many", action="store_true")
    given = parser.parse_args()
    if given.many:
        many_runs(Path(given.database).parent)
    asyncio.run(serve(given.database, given.address, given.token, given.many))


if __name__ == "__main__":
    main()
