"""Streams as server-sent events: one event per item, its cursor as the event's ID.

A browser's EventSource, or anything else that sends ``Last-Event-ID``, goes on after
the last event that it received. The stream closes with an event ``end``, or with an
event ``error`` that holds what a refusal holds elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web
from msgspec.structs import replace

from everact.runtime import wire
from everact.runtime.control.guard import CALLER
from everact.runtime.door.door import Door
from everact.runtime.errors import EveractError
from everact.runtime.operations.base import Item, Operation

SIGN_OF_LIFE: Final = 15.0
"""Seconds of silence until a comment is sent, so that nobody between gives up."""

CLOSING: Final = web.AppKey("closing", asyncio.Event)
"""Set when the endpoint closes."""


async def stream(
    request: web.Request, door: Door, operation: Operation, asked: Any
) -> web.StreamResponse:
    """Answer with the items of a streaming operation, until either side ends."""
    cursor = request.headers.get("Last-Event-ID")
    if cursor and "cursor" in asked.__struct_fields__:
        asked = replace(asked, cursor=cursor)
    answer = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    answer.headers["X-Accel-Buffering"] = "no"
    async with door.items(request[CALLER], asked) as items:
        closing = asyncio.ensure_future(request.app[CLOSING].wait())
        try:
            await answer.prepare(request)
            await answer.write(b": everact\n\n")
            await _send(answer, items, closing, operation, door)
        except ConnectionError:
            pass  # the other side has gone
        finally:
            closing.cancel()
    return answer


async def _send(
    answer: web.StreamResponse,
    items: AsyncIterator[Item[Any]],
    closing: "asyncio.Future[Any]",
    operation: Operation,
    door: Door,
) -> None:
    while True:
        following = asyncio.ensure_future(_next(items))
        try:
            while not following.done():
                await asyncio.wait(
                    (following, closing),
                    timeout=SIGN_OF_LIFE,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if closing.done():
                    return
                if not following.done():
                    await answer.write(b": still here\n\n")
            item = following.result()
        except EveractError as error:
            _, body = wire.encode_error(error)
            await answer.write(b"event: error\ndata: " + body + b"\n\n")
            return
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait((following,))
        if item is None:
            await answer.write(b"event: end\ndata: {}\n\n")
            return
        body = wire.encode_item(operation.answer, item.value, door.values)
        head = f"id: {item.id}\n".encode() if item.id else b""
        await answer.write(head + b"data: " + body + b"\n\n")


async def _next(items: AsyncIterator[Item[Any]]) -> Item[Any] | None:
    return await anext(items, None)
