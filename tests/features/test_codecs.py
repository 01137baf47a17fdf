"""A codec: nothing but the two ends of it sees a user's value.

Engines and clients here share one that encrypts, with a fresh nonce for each value.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    TaskContext,
    WorkflowFailure,
    continue_as_new,
    execute_child,
    receive,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.converters import DataConverter, JsonConverter, PickleConverter
from everact.runtime.definitions.search_attributes import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.errors import UpdateFailed
from everact.runtime.schedules import Schedule, StartWorkflow
from examples.encrypted_values import Sealed
from tests.features.conftest import Site
from tests.features.stage import note, stage
from tests.features.support import crash_image, open_runtime, turns

REGISTRY = Registry()
CODEC = Sealed({"k1": b"k" * 32, "k0": b"o" * 32}, "k1")
ENGINE: dict[str, Any] = {
    "data_converter": DataConverter(
        JsonConverter(otherwise=PickleConverter()), codec=CODEC
    )
}
CLIENT = {"data_converter": DataConverter(JsonConverter(), codec=CODEC)}

SECRET = "4111-1111"


@dataclass
class Card:
    number: str


@task(registry=REGISTRY)
async def charged(card: Card) -> str:
    assert type(card) is Card
    return f"charged {card.number}"


@task(registry=REGISTRY, retries=1)
async def beating(ctx: TaskContext, card: Card) -> str:
    if ctx.attempt_number == 1:
        ctx.heartbeat(card.number)
        await asyncio.sleep(2)
        raise ApplicationError("once more", card.number)
    return str(ctx.heartbeat_details[0])


@workflow(registry=REGISTRY)
class Payment:
    def __init__(self) -> None:
        self.cards: list[Card] = []

    @workflow.run
    async def run(self, card: Card) -> list[str]:
        again: Any = beating
        found = [await charged(card), await again(card)]
        found.append(await execute_child(child, card))
        note("waits")
        await wait_condition(lambda: bool(self.cards))
        return [*found, self.cards[0].number]

    @workflow.signal
    def take(self, card: Card) -> None:
        assert type(card) is Card
        self.cards.append(card)

    @workflow.update
    def exchange(self, card: Card) -> Card:
        if card.number != SECRET:
            raise ApplicationError("another card", card)
        return card

    @workflow.query
    def has(self, card: Card) -> Card | None:
        return card if card.number == SECRET else None


@workflow(registry=REGISTRY)
async def child(card: Card, again: bool = True) -> str:
    if again:
        continue_as_new(card, False)
    return await charged(card)


@workflow(registry=REGISTRY)
async def long(card: Card, number: int) -> int:
    """Grows its journal until it needs a checkpoint."""
    for _ in range(number):
        assert SECRET in await charged(card)
    note("grown")
    await receive("end")
    return number


@workflow(registry=REGISTRY)
async def failing(card: Card) -> None:
    raise ApplicationError("no money", card, card.number)


def stored(site: Site) -> bytes:
    """Everything that is in the files of the database."""
    return b"".join(p.read_bytes() for p in site.path.parent.iterdir())


@pytest.mark.feature("DC-02")
async def test_no_value_is_stored_in_clear_and_every_result_reads_back(
    site: Site,
) -> None:
    async with site.up() as client:
        handle = await client.start(
            Payment.run, Card(SECRET), id="pay", memo={"card": SECRET}
        )
        await stage.noted("waits")
        assert await handle.query(Payment.has, Card(SECRET)) == Card(SECRET)
        assert (await handle.describe()).memo == {"card": SECRET}
        assert await handle.update(Payment.exchange, Card(SECRET)) == Card(SECRET)
        await handle.signal(Payment.take, Card(SECRET))
        assert await handle.result() == [
            f"charged {SECRET}",
            SECRET,
            f"charged {SECRET}",
            SECRET,
        ]
        started = (await handle.history())[0].data
        assert started["args"] == [{"number": SECRET}]
        found = [line.workflow_id async for line in client.list(workflow=Payment)]
        assert found == ["pay"]
        assert b"Payment" in stored(site)
        assert SECRET.encode() not in stored(site)
    assert SECRET.encode() not in stored(site)


@pytest.mark.feature("DC-02", "DC-06")
async def test_details_of_failures_are_coded_too(site: Site) -> None:
    async with site.up() as client:
        with pytest.raises(WorkflowFailure, match="no money") as caught:
            await client.execute(failing, Card(SECRET))
        found = caught.value.cause
        assert isinstance(found, ApplicationError)
        assert found.details == ({"number": SECRET}, SECRET)
        assert SECRET.encode() not in stored(site)


@pytest.mark.feature("DC-02")
async def test_checkpoints_hold_coded_values_and_the_run_goes_on_from_them(
    site: Site,
) -> None:
    async with site.up() as client:
        await client.start(long, args=[Card(SECRET), 150], id="long")
        await stage.noted("grown")
        for _ in range(100):
            await asyncio.sleep(0)
    assert SECRET.encode() not in stored(site)
    async with site.up() as client:
        handle = client.handle("long")
        await handle.signal("end")
        assert await handle.result() == 150


@pytest.mark.feature("DC-02")
async def test_a_run_goes_on_after_a_crash_though_a_codec_never_makes_the_same_twice(
    site: Site,
) -> None:
    async with site.up() as client:
        await client.start(Payment.run, Card(SECRET), id="pay")
        await stage.noted("waits")
        await turns()
        image = crash_image(site.path, "crashed")
        async with open_runtime(image, REGISTRY, **ENGINE) as again:
            handle = again.handle("pay")
            await handle.signal("take", Card(SECRET))
            assert SECRET in (await handle.result())[1]


@pytest.mark.feature("DC-02")
async def test_keys_are_rotated_by_the_codec(site: Site) -> None:
    old = Sealed({"k0": b"o" * 32}, "k0")
    async with site.up() as client:
        before = DataConverter(client.data_converter.values, codec=old)
        earlier = Client(client.transport, data_converter=before)
        assert await earlier.start(child, Card(SECRET), id="old")
        assert await client.handle("old").result() == f"charged {SECRET}"


@pytest.mark.feature("DC-02")
async def test_actions_of_schedules_are_coded_and_their_attributes_are_not(
    site: Site,
) -> None:
    async with site.up() as client:
        action = StartWorkflow(long, args=[Card(SECRET), 1], id="act")
        schedule = await client.schedules.create(
            "s",
            Schedule(action),
            memo={"card": SECRET},
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(SearchAttributeKey.for_keyword("Customer"), "Ada")]
            ),
        )
        view = await schedule.describe()
        assert view.memo == {"card": SECRET}
        assert list(view.schedule.action.args) == [{"number": SECRET}, 1]
        await schedule.trigger()
        await stage.noted("grown")
        assert SECRET.encode() not in stored(site)
        assert b"Ada" in stored(site)
        found = [
            line.id async for line in await client.schedules.list("Customer = 'Ada'")
        ]
        assert found == ["s"]


class Waiting:
    """A codec that has to wait, as for a key service; it notes where it was called."""

    name = "waiting"

    def __init__(self) -> None:
        self.threads: set[str] = set()

    async def encode(self, data: bytes) -> bytes:
        await asyncio.sleep(0)
        self.threads.add(f"encode {threading.current_thread().name}")
        return data[::-1]

    async def decode(self, data: bytes) -> bytes:
        await asyncio.sleep(0)
        self.threads.add(f"decode {threading.current_thread().name}")
        return data[::-1]


@pytest.mark.feature("DC-02")
async def test_an_asynchronous_codec_is_awaited_by_clients_and_waited_for_by_engines(
    site: Site,
) -> None:
    codec = Waiting()
    async with site.up(data_converter=DataConverter(codec=codec)) as client:
        handle = await client.start(
            Payment.run, Card(SECRET), memo={"card": Card(SECRET)}
        )
        await stage.noted("waits")
        assert await handle.query(Payment.has, Card(SECRET)) == Card(SECRET)
        assert (await handle.describe()).memo == {"card": Card(SECRET)}
        assert await handle.update(Payment.exchange, Card(SECRET)) == Card(SECRET)
        with pytest.raises(UpdateFailed) as refused:
            await handle.update(Payment.exchange, Card("other"))
        assert getattr(refused.value.cause, "details", None) == (Card("other"),)
        await handle.signal(Payment.take, Card(SECRET))
        assert (await handle.result())[-1] == SECRET
        assert (await handle.history())[0].data["args"] == [Card(SECRET)]
        with pytest.raises(WorkflowFailure) as caught:
            await client.execute(failing, Card(SECRET))
        found = caught.value.cause
        assert isinstance(found, ApplicationError)
        assert found.details == (Card(SECRET), SECRET)
        assert SECRET.encode() not in stored(site)
    assert {"encode MainThread", "decode MainThread"} < codec.threads
    assert {"encode everact-codec", "decode everact-codec"} < codec.threads
