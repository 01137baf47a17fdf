"""Values stored as JSON: a class where a type hint tells it, plain data elsewhere.

The engines here are made with `DataConverter.json`.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    TaskContext,
    WorkflowFailure,
    execute_child,
    gather,
    on_query,
    on_signal,
    receive,
    run_info,
    start_child,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.converters import DataConverter, JsonConverter
from everact.runtime.errors import TaskTimeout, ValueNotStorable
from tests.features.conftest import Site
from tests.features.stage import note, stage

REGISTRY = Registry()
ENGINE = {"data_converter": DataConverter.json}


class Size(Enum):
    SMALL = "small"


@dataclass
class Order:
    id: UUID
    at: datetime
    size: Size = Size.SMALL
    parts: list[Order] = field(default_factory=list)


ORDER = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC))
PLAIN = {
    "id": str(UUID(int=7)),
    "at": "2026-01-02T00:00:00Z",
    "size": "small",
    "parts": [],
}


@workflow(registry=REGISTRY)
async def returned(order: Order) -> Order:
    assert type(order) is Order
    return order


@workflow(registry=REGISTRY)
async def untyped(value: Any) -> Any:
    return value


@task(registry=REGISTRY)
async def doubled(order: Order) -> list[Order]:
    assert type(order) is Order
    note("doubled")
    return [order, order]


@task(registry=REGISTRY)
def in_a_thread(ctx: TaskContext, order: Order, *, other: Order) -> dict[str, Order]:
    assert type(order) is type(other) is Order
    assert ctx.task_name == "in_a_thread"
    return {"order": order}


@task(registry=REGISTRY)
async def plainly(order) -> Any:  # type: ignore[no-untyped-def]
    assert isinstance(order, dict)
    return order


@workflow(registry=REGISTRY)
async def everywhere(order: Order) -> list[Order]:
    """An order goes through tasks and children of every kind and stays one."""
    found = await doubled(order)
    again: Any
    threaded: Any
    again, threaded = await gather(
        doubled(found[1]),
        in_a_thread(order, other=order),  # type: ignore[call-arg,arg-type]
    )
    assert type(threaded["order"]) is type(again[0]) is Order
    child = await start_child(returned, order)
    third = await child
    fourth = await execute_child("untyped", order)
    assert type(third) is Order and isinstance(fourth, dict)
    assert isinstance(await plainly(order), dict)
    await receive("go on")
    return [third, again[0]]


@workflow(registry=REGISTRY)
class Shelf:
    def __init__(self) -> None:
        self.orders: list[Order] = []

    @workflow.run
    async def run(self) -> list[Order]:
        await wait_condition(lambda: len(self.orders) > 1)
        return self.orders

    @workflow.signal
    async def put(self, order: Order) -> None:
        assert type(order) is Order
        self.orders.append(order)

    @workflow.update
    async def exchange(self, order: Order) -> Order:
        assert type(order) is Order
        return order

    @workflow.query
    def has(self, order: Order) -> list[Order]:
        assert type(order) is Order
        return [one for one in self.orders if one == order]


@workflow(registry=REGISTRY)
async def own_handlers() -> Order:
    found: list[Order] = []

    def put(order: Order) -> None:
        found.append(order)

    on_signal("put", put)
    on_query("put", lambda: found)
    await wait_condition(lambda: bool(found))
    assert type(found[0]) is Order
    return found[0]


@workflow(registry=REGISTRY)
async def remembering() -> Any:
    return run_info().memo["order"]


# -- types -----------------------------------------------------------------------------


@pytest.mark.feature("DC-01")
async def test_a_dataclass_is_its_class_with_a_hint_and_a_dictionary_without(
    runtime: Client,
) -> None:
    assert await runtime.execute(returned, ORDER) == ORDER
    assert await runtime.execute(untyped, ORDER) == PLAIN
    assert await runtime.execute(untyped, ORDER, result_type=Order) == ORDER


@pytest.mark.feature("DC-01")
async def test_lambdas_and_bytes_come_back_between_python_peers(
    runtime: Client,
) -> None:
    double = await runtime.execute(untyped, lambda n: 2 * n)
    assert double(4) == 8
    assert await runtime.execute(untyped, b"\x00\xff") == b"\x00\xff"


@pytest.mark.feature("DC-01")
async def test_an_order_stays_one_through_tasks_children_and_a_restart(
    site: Site,
) -> None:
    async with site.up() as client:
        handle = await client.start(everywhere, ORDER, id="x")
        await stage.noted("doubled", 2)
        for _ in range(100):
            await asyncio.sleep(0)
    async with site.up() as client:
        handle = client.handle("x", result_type=list[Order])
        await handle.signal("go on")
        assert await handle.result() == [ORDER, ORDER]


@pytest.mark.feature("DC-01", "DC-03")
async def test_signals_and_queries_are_given_what_their_handlers_declare(
    runtime: Client,
) -> None:
    handle = await runtime.start(Shelf.run)
    await handle.signal(Shelf.put, ORDER)
    assert await handle.query(Shelf.has, ORDER) == [ORDER]
    assert await handle.query("has", ORDER) == [PLAIN]
    assert await handle.query("has", ORDER, result_type=list[Order]) == [ORDER]
    assert await handle.update(Shelf.exchange, ORDER) == ORDER
    assert await handle.update("exchange", ORDER) == PLAIN
    assert await handle.update("exchange", ORDER, result_type=Order) == ORDER
    await handle.signal("put", ORDER)
    assert await handle.result() == [ORDER, ORDER]


@pytest.mark.feature("DC-01")
async def test_handlers_of_function_workflows_as_well(runtime: Client) -> None:
    handle = await runtime.start(own_handlers)
    await handle.signal("put", ORDER)
    assert await handle.result() == ORDER


@pytest.mark.feature("DC-03")
async def test_a_name_tells_no_type_and_result_type_does(runtime: Client) -> None:
    handle = await runtime.start("returned", ORDER, id="x")
    assert await handle.result() == PLAIN
    assert await runtime.handle("x").result() == PLAIN
    assert await runtime.handle("x", result_type=Order).result() == ORDER
    named: Any = await runtime.start(returned, ORDER, result_type=dict)
    assert await named.result() == PLAIN


@pytest.mark.feature("DC-01")
async def test_a_memo_is_plain_data(runtime: Client) -> None:
    handle = await runtime.start(remembering, memo={"order": ORDER})
    assert await handle.result() == PLAIN
    assert (await handle.describe()).memo == {"order": PLAIN}


# -- arguments -------------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def counted(*args: Any) -> list[Any]:
    note("user code")
    return list(args)


@workflow(registry=REGISTRY)
async def one(value: int) -> int:
    note("user code")
    return value


@pytest.mark.feature("DC-04")
async def test_one_argument_or_several_and_none_is_one(runtime: Client) -> None:
    assert await runtime.execute(counted, None) == [None]
    assert await runtime.execute(counted) == []
    assert await runtime.execute(counted, args=[1, None]) == [1, None]
    assert await runtime.execute(counted, [1, 2]) == [[1, 2]]
    with pytest.raises(ValueError, match="not both"):
        await runtime.start(counted, 1, args=[2])
    with pytest.raises(ValueError, match="not both"):
        await runtime.start(counted, None, args=[2])


@pytest.mark.feature("DC-04")
async def test_arguments_that_do_not_fit_never_reach_user_code(runtime: Client) -> None:
    for given in ([], [1, 2]):
        with pytest.raises(TypeError, match="one"):
            await runtime.start(one, args=given)
    assert [line async for line in runtime.list()] == []
    assert stage.notes == []


# -- what cannot be converted ----------------------------------------------------------


@pytest.mark.feature("DC-05")
async def test_under_json_alone_an_open_socket_is_refused_and_no_run_exists(
    site: Site,
) -> None:
    async with site.up(data_converter=DataConverter(JsonConverter())) as client:
        with socket.socket() as opened:
            with pytest.raises(ValueNotStorable, match="argument 1 of untyped"):
                await client.start(untyped, opened)
            with pytest.raises(ValueNotStorable, match="memo 'm'"):
                await client.start(untyped, 1, memo={"m": opened})
            handle = await client.start(untyped, 1, id="only")
            with pytest.raises(ValueNotStorable, match="argument 2 of put"):
                await handle.signal("put", 1, opened)
        assert [line.workflow_id async for line in client.list()] == ["only"]


@pytest.mark.parametrize("given", [JsonConverter(), "json", DataConverter])
def test_a_converter_that_is_none_is_refused_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match="data_converter"):
        Client(None, data_converter=given)


# -- failures --------------------------------------------------------------------------


@task(registry=REGISTRY)
async def declined() -> None:
    try:
        raise KeyError("B")
    except KeyError as error:
        raise ApplicationError("A", ORDER, 2, non_retryable=True) from error


@task(registry=REGISTRY)
async def unknown() -> None:
    class Odd(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("does not travel")

    raise Odd("strange") from ValueError("because")


@task(registry=REGISTRY, timeout="1s")
async def slow() -> None:
    await asyncio.sleep(5)


@workflow(registry=REGISTRY)
async def calls(name: str) -> None:
    await {"declined": declined, "unknown": unknown, "slow": slow}[name]()


async def cause(client: Client, name: str) -> Any:
    with pytest.raises(WorkflowFailure) as caught:
        await client.execute(calls, name)
    return caught.value.cause


@pytest.mark.feature("DC-06")
async def test_a_caller_sees_both_ends_of_a_chain(runtime: Client) -> None:
    found = await cause(runtime, "declined")
    assert isinstance(found, ApplicationError)
    assert (found.type, found.message) == ("ApplicationError", "A")
    assert (found.details, found.non_retryable) == ((PLAIN, 2), True)
    assert "in declined" in found.traceback
    inner = found.cause
    assert isinstance(inner, ApplicationError)
    assert (inner.type, inner.message) == ("KeyError", "'B'")


@pytest.mark.feature("DC-06")
async def test_an_unknown_error_keeps_the_name_of_its_type(runtime: Client) -> None:
    found = await cause(runtime, "unknown")
    assert isinstance(found, ApplicationError)
    assert found.type.endswith("Odd")
    assert (found.message, found.non_retryable) == ("strange", False)
    assert "ValueError" in str(found.cause)


@pytest.mark.feature("DC-06")
async def test_an_error_of_the_library_comes_back_as_itself(runtime: Client) -> None:
    found = await cause(runtime, "slow")
    assert type(found) is TaskTimeout
    assert found.kind.name == "ATTEMPT"
