"""The same engine behind each front, and the same questions to it.

`Told.status` is in the door's words: an `RPCStatus` by name, ``OK`` or ``NOT_YET``.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door import Callers, Door, TokenFile
from tests.control.safety.wire import LIMIT, ask
from tests.door import lines

LARGEST = 100_000
"""Bytes of a request that the fronts of these tests take."""


class Told(NamedTuple):
    status: str
    body: Any
    """The answer, or what the refusal says."""


class Front(ABC):
    """A way to the engine."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    @abstractmethod
    async def ask(
        self, operation: str, body: Any = None, token: str = "", key: str = ""
    ) -> Told:
        """What is said to one request; `body` is sent as it is if it is bytes."""

    @abstractmethod
    async def read_all(self, operation: str, body: Any, token: str) -> bytes:
        """Everything that is said to one request, until the connection ends."""

    @abstractmethod
    def token_of_tasks(self, workspace: str) -> str:
        """What the engine gives to tasks of a workspace."""


class OverHttp(Front):
    def __init__(self, runtime: Runtime, control: Control) -> None:
        super().__init__(runtime)
        self._port = control.port

    async def ask(
        self, operation: str, body: Any = None, token: str = "", key: str = ""
    ) -> Told:
        headers = [("Idempotency-Key", key)] if key else []
        path = "/api/v1/" + operation.replace(".", "/")
        sent = as_json(body)
        answer = await ask(self._port, "POST", path, headers, sent, token=token)
        found = msgspec.json.decode(answer.body)
        if answer.status < 300:
            late = answer.status == HTTPStatus.ACCEPTED
            return Told("NOT_YET" if late else "OK", found)
        return Told(found["error"]["status"], found["error"])

    async def read_all(self, operation: str, body: Any, token: str) -> bytes:
        path = "/api/v1/" + operation.replace(".", "/")
        sent = as_json(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n"
            f"Connection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(head.encode() + sent)
        return await spoken(reader, writer)

    def token_of_tasks(self, workspace: str) -> str:
        endpoint = self.runtime.engine.endpoint
        assert endpoint is not None
        return endpoint(workspace).token


class OverLines(Front):
    def __init__(self, runtime: Runtime, door: Door, stack: AsyncExitStack) -> None:
        super().__init__(runtime)
        self._door = door
        self._stack = stack

    async def ask(
        self, operation: str, body: Any = None, token: str = "", key: str = ""
    ) -> Told:
        async with asyncio.timeout(LIMIT):
            reader, writer = await self._connect()
            writer.write(line_of(operation, body, token, key))
            said = await reader.readline()
            writer.close()
        found = msgspec.json.decode(said)
        if "error" in found:
            return Told(found["error"]["status"], found["error"])
        if "answer" in found:
            return Told("OK", found["answer"])
        return Told("NOT_YET" if "not_yet" in found else "OK", found)

    async def read_all(self, operation: str, body: Any, token: str) -> bytes:
        reader, writer = await self._connect()
        writer.write(line_of(operation, body, token, ""))
        writer.write_eof()
        return await spoken(reader, writer)

    def token_of_tasks(self, workspace: str) -> str:
        return self._door.engine.task_secrets.of(workspace)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        serving = asyncio.ensure_future(lines.serve(self._door, theirs, LARGEST))
        self._stack.push_async_callback(ended, serving)
        return await asyncio.open_connection(sock=ours)


@asynccontextmanager
async def opened(kind: str, runtime: Runtime) -> AsyncIterator[Front]:
    """A front of that kind to the runtime; it asks for tokens."""
    if kind == "http":
        settings = ControlSettings(port=0, authentication=True, body_limit=LARGEST)
        async with Control(runtime, settings=settings) as control:
            yield OverHttp(runtime, control)
        return
    assert runtime.database_file is not None
    tokens = TokenFile.for_database(runtime.database_file)
    callers = Callers(tokens, runtime.engine.task_secrets, authentication=True)
    async with AsyncExitStack() as stack:
        yield OverLines(runtime, Door(runtime.engine, callers), stack)


KINDS = ("http", "lines")


def as_json(body: Any) -> bytes:
    return body if isinstance(body, bytes) else msgspec.json.encode(body or {})


def line_of(operation: str, body: Any, token: str, key: str) -> bytes:
    head = {"ask": operation} | ({"token": token} if token else {})
    head |= {"key": key} if key else {}
    inside = as_json(body) or b"{}"
    return msgspec.json.encode(head)[:-1] + b',"body":' + inside + b"}\n"


async def spoken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    found = b""
    async with asyncio.timeout(LIMIT):
        with suppress(ConnectionError):
            while part := await reader.read(65536):
                found += part
    writer.close()
    return found


async def ended(serving: asyncio.Task[None]) -> None:
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
