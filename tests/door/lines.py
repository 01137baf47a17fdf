"""A second front on the door: requests as lines of JSON, on any stream socket.

A line is ``{"ask": operation, "body": request, "token": …, "key": …}``; `key` stands
for a request ID. Back come lines: ``{"answer": …}``, ``{"not_yet": true}``, or an
error as the wire has it; of what is answered item by item ``{"item": …}`` for each, and
``{"end": true}``. It ends with the connection, or where a line is too long.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from everact.runtime import EveractError, wire
from everact.runtime.door import (
    LARGEST_BODY,
    MALFORMED,
    Caller,
    Door,
    NotYet,
    TokenEnded,
    fault_of_ours,
    malformed,
    too_large,
)
from everact.runtime.errors import RPCError
from everact.runtime.operations.base import Operation
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.statuses import RPCStatus

LOG: Final = logging.getLogger("tests.door.lines")
NAMED: Final = {operation.name: operation for operation in OPERATIONS.values()}

Say = Callable[[bytes], Awaitable[None]]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    ask: str
    body: msgspec.Raw = msgspec.Raw(b"{}")
    token: str | None = None
    key: str = ""


async def serve(door: Door, peer: socket.socket, limit: int = LARGEST_BODY) -> None:
    """Answer what comes in, line by line, until the other side has gone."""
    reader, writer = await asyncio.open_connection(sock=peer, limit=limit)

    async def say(text: bytes) -> None:
        writer.write(text + b"\n")
        await writer.drain()

    try:
        while line := await reader.readline():
            await answer(door, line, say)
    except ValueError:  # the reader's word for a line beyond its limit
        await say(told(too_large(limit)))
    except ConnectionError:
        pass
    finally:
        writer.close()


async def answer(door: Door, line: bytes, say: Say) -> None:
    """Say what there is to say to one line."""
    try:
        read = msgspec.json.decode(line, type=Line)
        caller = door.caller(read.token)
        operation = NAMED.get(read.ask)
        if operation is None:
            raise RPCError("there is no such operation", RPCStatus.NOT_FOUND)
        door.check(caller, operation)
        asked = wire.decode_request(operation.request, bytes(read.body))
        if operation.streams:
            await stream(door, caller, operation, asked.request, say)
            return
        found = await door.call(
            caller, asked.request, wait=asked.wait, request_id=read.key
        )
        values = door.values
        body = wire.encode_answer(operation.request, found, values)
        await say(b'{"answer":%s}' % body)
    except NotYet:
        await say(wire.NOT_YET)
    except ConnectionError:
        raise
    except EveractError as error:
        await say(told(error))
    except MALFORMED as error:
        await say(told(malformed(error, "the line")))
    except Exception as error:
        await say(told(fault_of_ours(error, "a line", LOG)))


async def stream(
    door: Door, caller: Caller, operation: Operation, request: Any, say: Say
) -> None:
    try:
        async with door.items(caller, request) as items:
            async for item in items:
                values = door.values
                body = wire.encode_item(operation.answer, item.value, values)
                await say(b'{"item":%s}' % body)
    except TokenEnded as ended:  # in the middle of an answer nothing else can be said
        raise ConnectionResetError(str(ended)) from None
    await say(b'{"end":true}')


def told(error: EveractError) -> bytes:
    return wire.encode_error(error)[1]
