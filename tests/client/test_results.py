"""What comes back from an engine elsewhere: types, endings, descriptions, histories."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    RunStatus,
    WorkflowFailure,
    continue_as_new,
    receive,
    retry,
    task,
    workflow,
)
from everact.runtime.errors import (
    ContinuedAsNew,
    QueryFailed,
    QueryRejected,
    RPCError,
    RunCancelled,
    RunTerminated,
    RunTimedOut,
    ValueNotReadable,
    ValueNotStorable,
)
from everact.runtime.statuses import RPCStatus, TimeoutKind
from tests.client.conftest import Place

pytestmark = pytest.mark.real_time

REGISTRY = Registry()


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Parcel:
    id: UUID
    size: Size
    sent: datetime


PARCEL = Parcel(UUID(int=7), Size.LARGE, datetime(2026, 1, 2, tzinfo=UTC))
AS_JSON = {
    "id": "00000000-0000-0000-0000-000000000007",
    "size": "large",
    "sent": "2026-01-02T00:00:00Z",
}


@workflow(registry=REGISTRY)
async def forwarded(parcel: Parcel) -> Parcel:
    assert isinstance(parcel, Parcel)
    return parcel


@task(registry=REGISTRY)
async def weighed(parcel: Parcel) -> list[Parcel]:
    return [parcel] * 2


@workflow(registry=REGISTRY)
class Shelf:
    @workflow.run
    async def run(self) -> Parcel:
        self.parcel = await receive("put")
        return PARCEL

    @workflow.query
    def found(self) -> Parcel:
        return PARCEL

    @workflow.query
    def broken(self) -> None:
        raise ValueError("no shelf")


@workflow(registry=REGISTRY)
async def opaque() -> Any:
    return object()


@workflow(registry=REGISTRY)
async def failing() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ApplicationError("outer", 1, "two", type="Mine") from error


@workflow(registry=REGISTRY)
async def waiting() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def counting(left: int) -> int:
    if left:
        continue_as_new(left - 1)
    return left


@task(registry=REGISTRY, retry=retry(first="1h"))
async def flaky() -> None:
    raise ConnectionError("not today")


@workflow(registry=REGISTRY)
async def stuck() -> None:
    await flaky()


# -- types -----------------------------------------------------------------------------


@pytest.mark.feature("DC-01", "HN-05")
async def test_a_result_has_the_type_that_its_target_returns(client: Client) -> None:
    assert await client.execute(forwarded, PARCEL) == PARCEL
    assert await client.execute(weighed, PARCEL) == [PARCEL, PARCEL]
    handle = await client.start(Shelf.run)
    assert await handle.query(Shelf.found) == PARCEL
    await handle.signal("put", PARCEL)
    assert await handle.result() == PARCEL


@pytest.mark.feature("DC-03", "HN-02")
async def test_a_name_tells_no_type_and_result_type_does(client: Client) -> None:
    handle = await client.start("forwarded", PARCEL, id="x")
    assert await handle.result() == AS_JSON
    assert await client.handle("x").result() == AS_JSON
    assert await client.handle("x", result_type=Parcel).result() == PARCEL
    assert await client.execute("forwarded", PARCEL, result_type=Parcel) == PARCEL
    shelf = await client.start("Shelf")
    assert await shelf.query("found") == AS_JSON
    assert await shelf.query("found", result_type=Parcel) == PARCEL


@pytest.mark.feature("DC-03", "ER-01")
async def test_a_value_that_is_not_of_the_type_is_an_error_of_the_family(
    client: Client,
) -> None:
    handle = await client.start("forwarded", PARCEL, id="x")
    await handle.result()
    wrong: Any = client.handle("x", result_type=int)
    with pytest.raises(ValueNotReadable, match="no int"):
        await wrong.result()
    shelf = await client.start("Shelf")
    with pytest.raises(ValueNotReadable, match="no Size"):
        await shelf.query("found", result_type=Size)


@pytest.mark.feature("CX-03")
async def test_a_client_made_directly_has_the_defaults_of_connect(
    client: Client,
) -> None:
    twin = Client(client.transport)
    assert twin.config() == client.config()
    assert await twin.execute(forwarded, PARCEL) == PARCEL


@pytest.mark.feature("DC-01")
async def test_what_has_no_json_form_is_refused_or_marked(client: Client) -> None:
    with pytest.raises(ValueNotStorable, match="argument 1 of forwarded"):
        await client.start("forwarded", object())
    assert [line async for line in client.list()] == []
    assert await client.execute(opaque) == {"$python": "builtins.object"}


# -- endings ---------------------------------------------------------------------------


async def ending(handle: Any) -> BaseException:
    with pytest.raises(WorkflowFailure) as caught:
        await handle.result()
    assert caught.value.cause is not None
    return caught.value.cause


@pytest.mark.feature("HN-07", "ER-02")
async def test_the_four_endings_are_told_apart(client: Client) -> None:
    cause = await ending(await client.start(failing))
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message, cause.details) == ("Mine", "outer", (1, "two"))
    assert "KeyError" in str(cause.cause)
    assert "ApplicationError" in cause.traceback
    handle = await client.start(waiting)
    await handle.cancel(reason="enough")
    assert isinstance(await ending(handle), RunCancelled)
    handle = await client.start(waiting)
    await handle.terminate({"a": 1}, reason="at once")
    cause = await ending(handle)
    assert isinstance(cause, RunTerminated)
    assert (cause.reason, cause.details) == ("at once", ({"a": 1},))
    cause = await ending(await client.start(waiting, run_timeout=0.05))
    assert isinstance(cause, RunTimedOut)
    assert cause.kind is TimeoutKind.RUN


@pytest.mark.feature("HN-08")
async def test_a_result_follows_its_chain_or_names_the_next_run(client: Client) -> None:
    handle = await client.start(counting, 2, id="x")
    assert await handle.result() == 0
    with pytest.raises(ContinuedAsNew) as caught:
        await handle.result(follow_runs=False)
    following = client.handle("x", run_id=caught.value.next_run_id)
    assert (await following.describe()).status is RunStatus.CONTINUED_AS_NEW


@pytest.mark.feature("ER-02", "HN-02")
async def test_refusals_are_the_errors_of_the_embedded_client(client: Client) -> None:
    unknown = client.handle("unknown")
    for asking in (unknown.describe, unknown.result, unknown.cancel, unknown.history):
        with pytest.raises(RPCError, match="unknown") as refused:
            await asking()
        assert refused.value.status is RPCStatus.NOT_FOUND
    handle = await client.start(Shelf.run)
    with pytest.raises(QueryFailed, match="no shelf"):
        await handle.query(Shelf.broken)
    with pytest.raises(QueryFailed, match="found"):
        await handle.query("nothing")
    await handle.terminate()
    with pytest.raises(QueryRejected) as rejected:
        await handle.query(Shelf.found, reject_condition="not_open")
    assert rejected.value.status is RunStatus.TERMINATED


# -- looking ---------------------------------------------------------------------------


@pytest.mark.feature("HN-09")
async def test_a_description_shows_memo_pending_tasks_and_their_failure(
    client: Client,
) -> None:
    handle = await client.start(
        stuck, memo={"for": ["you", 1]}, parameters={"p": 1}, headers={"h": "v"}
    )
    while not (found := await handle.describe()).pending_tasks:
        pass
    while found.pending_tasks[0].last_failure is None:
        found = await handle.describe()
    (pending,) = found.pending_tasks
    assert (pending.name, pending.state, pending.attempt) == ("flaky", "retrying", 2)
    assert pending.last_failure == "ConnectionError: not today"
    assert found.memo == {"for": ["you", 1]}
    assert (found.parameters, found.headers) == ({"p": 1}, {"h": "v"})
    assert (found.workflow, found.status) == ("stuck", RunStatus.RUNNING)


@pytest.mark.feature("HN-10")
async def test_a_history_is_read_in_pages_and_followed_to_its_end(
    client: Client,
) -> None:
    handle = await client.start(waiting)
    following = asyncio.create_task(_kinds(handle, page_size=1))
    closing = asyncio.create_task(_kinds(handle, closing_only=True))
    await handle.signal("go", [1, {"a": None}])
    kinds = await following
    assert (kinds[0], kinds[-1]) == ("Started", "Complete")
    assert await closing == ["Complete"]
    items = await handle.history()
    assert [item.kind for item in items] == kinds
    signal = next(item for item in items if item.kind == "SignalReceived")
    assert signal.data["args"] == [[1, {"a": None}]]
    assert '"SignalReceived"' in signal.to_json()


async def _kinds(handle: Any, **options: Any) -> list[str]:
    return [item.kind async for item in handle.follow_history(**options)]


@pytest.mark.feature("HN-06")
async def test_any_number_may_wait_at_any_time(client: Client, place: Place) -> None:
    handle = await client.start(waiting, id="x")
    waiters = [asyncio.create_task(handle.result()) for _ in range(20)]
    await handle.signal("go", "gone")
    assert await asyncio.gather(*waiters) == ["gone"] * 20
    assert await client.handle("x").result() == "gone"
    assert await place.runtime.handle("x").result() == "gone"
