"""A real engine with runs in every status, served; run as a child process.

    python -m tests.dashboard.site DATABASE [--token] [--empty | --many]
        [--address HOST:PORT]

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
from everact.runtime import (
    Registry,
    Runtime,
    Worker,
    context,
    continue_as_new,
    retry,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.control.serving import Control
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.events import SleepCondition, UserEventCondition, any_of, wait_for
from everact.runtime.schedules import (
    CalendarSpec,
    IntervalSpec,
    OverlapPolicy,
    Range,
    Schedule,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    StartWorkflow,
)
from everact.runtime.search import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.versions import AddCompatible, AddNewDefault
from everact.runtime.workflows import (
    all_handlers_finished,
    set_current_details,
    upsert_search_attributes,
)
from tests.store.many import many_runs

REGISTRY = Registry()
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
"""What would run in a page that took it for HTML."""

CUSTOMER = SearchAttributeKey.for_keyword("Customer")
STAGE = SearchAttributeKey.for_keyword("Stage")
TOTAL = SearchAttributeKey.for_float("Total")
TAGS = SearchAttributeKey.for_keyword_list("Tags")
ODD = SearchAttributeKey.for_text(HOSTILE)


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


@task(registry=REGISTRY)
async def pack(parcel: int) -> str:
    await asyncio.sleep(0.05)
    return f"parcel {parcel} is packed"


@task(registry=REGISTRY)
async def signature(paper: str) -> str:
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def contract(paper: str) -> str:
    return f"signed by {await signature(paper)}"


@workflow(registry=REGISTRY)
class Parcel:
    """A parcel: it is found by attributes, updated, and waits for events."""

    def __init__(self) -> None:
        self.stops: list[str] = []
        self.insured = asyncio.Event()

    @workflow.run
    async def run(self, number: int) -> list[str]:
        await pack(number)
        upsert_search_attributes(STAGE.value_set("packed"))
        set_current_details("waits for the courier,\nwho comes on Friday")
        courier = UserEventCondition("courier", scope=f"parcel-{number}")
        await wait_for("courier", any_of(courier, SleepCondition("30d")))
        self.insured.set()
        await wait_condition(all_handlers_finished)
        return self.stops

    @workflow.update
    async def add_stop(self, place: str) -> int:
        await pack(len(self.stops))
        self.stops.append(place)
        return len(self.stops)

    @add_stop.validator
    def check_stop(self, place: str) -> None:
        if not place:
            raise ValueError("a stop has a name")

    @workflow.update
    async def insure(self, value: int) -> str:
        await self.insured.wait()
        return f"insured at {value}"


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


async def found(runtime: Runtime) -> None:
    """Parcels, with everything that a run can be told apart by."""
    await runtime.search_attributes.add(CUSTOMER, STAGE, TOTAL, TAGS, ODD)
    for number, customer in enumerate(["ada", "bob", "ada"]):
        attributes: list[SearchAttributePair[Any]] = [
            CUSTOMER.value_set(customer),
            TOTAL.value_set(10.5 * number),
            TAGS.value_set(["fragile", "gift"]),
        ]
        handle = await runtime.start(
            Parcel,
            args=[number],
            id=f"parcel-{number}",
            search_attributes=TypedSearchAttributes(attributes),
            priority=3,
            static_summary=f"A parcel for {customer}",
            static_details="Two cups and a pot.\nThe pot is old.",
            additional_metadata={"shop": {"region": "north"}},
            memo={"gift": True},
        )
        if number == 1:
            await handle.update(Parcel.add_stop, "Ghent", id="stop-1")
            await handle.start_update(
                Parcel.insure, 100, wait_for="accepted", id="insure-1"
            )
    await runtime.start(
        Parcel,
        args=[9],
        id=f"parcel {HOSTILE}",
        search_attributes=TypedSearchAttributes([ODD.value_set(HOSTILE)]),
        static_summary=HOSTILE,
        static_details=HOSTILE,
        additional_metadata={HOSTILE: HOSTILE},
    )
    await runtime.start(echo, 1, id="cron-echo", cron_schedule="*/5 * * * *")
    await runtime.start(contract, "lease", id="contract-1")
    for operation in (
        AddNewDefault("1.0"),
        AddNewDefault("2.0"),
        AddCompatible("2.1", "2.0"),
    ):
        await runtime.versions.update("press", operation)
    await runtime.start(wait_for_ever, id="printing", queue="press")


async def plan(runtime: Runtime) -> None:
    """Schedules: a calm one, a busy one, a paused one, a hostile one."""
    create = runtime.schedules.create
    await create(
        "nightly-import",
        Schedule(
            StartWorkflow(echo, {"bucket": "invoices"}, id="import-nightly"),
            ScheduleSpec(
                cron_expressions=["0 2 * * MON-FRI"], time_zone_name="Europe/Berlin"
            ),
            SchedulePolicy(overlap=OverlapPolicy.BUFFER_ONE, pause_on_failure=True),
            ScheduleState(note="as agreed with the warehouse"),
        ),
        search_attributes=TypedSearchAttributes([CUSTOMER.value_set("ada")]),
        memo={"owner": "billing"},
        static_summary="Takes in what the shops sent",
    )
    await create(
        "stock",
        Schedule(
            StartWorkflow(echo, "stock", id="stock"),
            ScheduleSpec(
                intervals=[IntervalSpec("15m", "90s")],
                skip=[
                    CalendarSpec(
                        second=(Range(0, 59),),
                        minute=(Range(0, 59),),
                        hour=(Range(0, 5),),
                    )
                ],
                jitter="20s",
            ),
        ),
        trigger_immediately=True,
    )
    await create(
        "reports",
        Schedule(
            StartWorkflow(echo, "report", id="report"),
            ScheduleSpec(calendars=[CalendarSpec(hour=(Range(9, 17),))]),
            SchedulePolicy(overlap=OverlapPolicy.ALLOW_ALL),
            ScheduleState(paused=True, note="until the printer is repaired"),
        ),
    )
    await create(
        HOSTILE,
        Schedule(
            StartWorkflow(echo, HOSTILE, id=HOSTILE),
            ScheduleSpec(cron_expressions=[f"@daily # {HOSTILE}"]),
            state=ScheduleState(note=HOSTILE),
        ),
        trigger_immediately=True,
        static_details=HOSTILE,
        memo={HOSTILE: HOSTILE},
    )


async def serve(database: str, address: str, guarded: bool, filled: bool) -> None:
    token = ""
    fresh = not Path(database).exists()
    if guarded:
        tokens = TokenFile.for_database(database)
        token = tokens.create("page", scope=Scope.ADMIN)[1]
    async with (
        Runtime(
            database,
            registry=REGISTRY,
            workers=[Worker(), Worker("press", build_id="2.1")],
        ) as runtime,
        Control(runtime, address) as control,
    ):
        if fresh and filled:
            await fill(runtime)
            await found(runtime)
            await plan(runtime)
            runtime.engine.system.spawn(Counter, name="visitors")
        print(json.dumps({"address": control.address, "token": token}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("--address", default="127.0.0.1:0")
    parser.add_argument("--token", action="store_true")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--many", action="store_true")
    given = parser.parse_args()
    if given.many:
        many_runs(Path(given.database).parent)
    filled = not (given.token or given.empty or given.many)
    asyncio.run(serve(given.database, given.address, given.token, filled))


if __name__ == "__main__":
    main()
