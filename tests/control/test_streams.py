"""Server-sent events: histories that are followed, runs that are watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from everact.runtime.search import SearchAttributeKey, TypedSearchAttributes
from tests.control.conftest import Http
from tests.control.works import Basket, squares

pytestmark = pytest.mark.real_time


class Event(NamedTuple):
    kind: str
    id: str
    data: Any


@asynccontextmanager
async def events(
    http: Http, path: str, last: str = "", **parameters: str
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {"Last-Event-ID": last} if last else {}
    url = f"{http.base}/api/v1/{path}"
    async with http.session.get(url, params=parameters, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield _events(answer)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield Event(
                fields.get("event", "message"),
                fields.get("id", ""),
                msgspec.json.decode(fields["data"]),
            )
            fields = {}


async def test_a_history_is_followed_to_the_end_of_its_run(
    http: Http, runtime: Runtime
) -> None:
    handle = await runtime.start(Basket.run, id="b")
    async with events(http, "runs/follow", **{"run.workflow_id": "b"}) as stream:
        first = await anext(stream)
        assert first.data["events"][0]["type"] == "Started"
        await handle.signal("add", 1)
        following = await anext(stream)
        assert following.data["events"][0]["type"] == "SignalReceived"
        await handle.terminate()
        kinds = [event.kind async for event in stream]
    assert kinds[-1] == "end"


async def test_following_goes_on_after_the_last_event_that_arrived(
    http: Http, runtime: Runtime
) -> None:
    await runtime.execute(squares, 3, id="s")
    async with events(http, "runs/follow", **{"run.workflow_id": "s"}) as stream:
        everything = [event async for event in stream]
    last = everything[1].id
    async with events(http, "runs/follow", last, **{"run.workflow_id": "s"}) as stream:
        rest = [event async for event in stream]
    assert rest == everything[2:] and len(rest) > 1


async def test_a_cursor_that_is_none_and_an_unknown_run_are_refused(http: Http) -> None:
    for parameters, status in (
        ({"run.workflow_id": "nobody"}, 404),
        ({"run.workflow_id": "nobody", "cursor": "x:1"}, 400),
    ):
        found, _ = await http.get("/api/v1/runs/follow", **parameters)
        assert found == status


async def test_every_run_that_begins_or_ends_is_told_to_those_who_watch(
    http: Http, runtime: Runtime
) -> None:
    async with events(http, "runs/watch", workflow="Basket") as stream:
        seen: asyncio.Queue[Event] = asyncio.Queue()
        reading = asyncio.create_task(_read(stream, seen))
        await _watched(runtime)
        await runtime.execute(squares, 1)
        handle = await runtime.start(Basket.run, id="b")
        began = await seen.get()
        assert (began.data["workflow_id"], began.data["status"]) == ("b", "RUNNING")
        await handle.terminate()
        ended = await seen.get()
        assert (ended.data["workflow_id"], ended.data["status"]) == ("b", "TERMINATED")
        reading.cancel()


async def test_a_change_is_told_without_reading_the_journal(
    http: Http, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = runtime.engine.store, set[str]()

    def rows(what: str, *args: Any) -> list[Any]:
        asked.add(what)
        return ask(what, *args)

    ask = store.rows
    customer = SearchAttributeKey.for_keyword("Customer")
    await runtime.search_attributes.add(customer)
    async with events(http, "runs/watch", workflow="Basket") as stream:
        before = asyncio.create_task(_next(stream))
        await _watched(runtime)
        monkeypatch.setattr(store, "rows", rows)
        attributes = TypedSearchAttributes([customer.value_set("ada")])
        await runtime.start(
            Basket.run, id="b", memo={"gift": True}, search_attributes=attributes
        )
        told = (await before).data
    assert "ada" in str(told["attributes"]["Customer"])
    assert (told["memo"], told["history_length"]) == ({}, 0)
    assert not asked & {"first_rows", "history_lengths"}


async def test_nothing_of_a_watcher_that_left_stays_behind(
    http: Http, runtime: Runtime
) -> None:
    before = len(runtime.engine.waiting.watchers)
    async with events(http, "runs/watch"):
        await _watched(runtime, before)
    for number in range(1000):
        if len(runtime.engine.waiting.watchers) == before:
            break
        await runtime.execute(squares, 0, id=f"s{number}")
        await asyncio.sleep(0.01)
    assert len(runtime.engine.waiting.watchers) == before


async def test_streams_end_when_the_endpoint_closes(runtime: Runtime) -> None:
    control = Control(runtime, "127.0.0.1:0")
    async with aiohttp.ClientSession() as session, control:
        http = Http(session, f"http://{control.address}")
        async with events(http, "runs/watch") as stream:
            await control.close()
            assert [event async for event in stream] == []


async def _read(stream: AsyncIterator[Event], seen: asyncio.Queue[Event]) -> None:
    async for event in stream:
        seen.put_nowait(event)


async def _next(stream: AsyncIterator[Event]) -> Event:
    return await anext(stream)


async def _watched(runtime: Runtime, before: int = 1) -> None:
    while len(runtime.engine.waiting.watchers) <= before:
        await asyncio.sleep(0.001)
