"""Servers on loopback that behave as a test needs them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import ClientSession, web

from everact.runtime.errors import RPCError
from everact.runtime.statuses import RPCStatus
from everact.runtime.wire import encode_error

Handling: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handle: Handling, ssl: object = None) -> AsyncIterator[str]:
    """A server that answers everything with `handle`; its host:port."""
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl)  # type: ignore[arg-type]
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


def free_port() -> int:
    """A port that nothing listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Proxy:
    """A proxy that does nothing but CONNECT; it counts what passes through it."""

    def __init__(self, *, credentials: str | None = None) -> None:
        self.asked: list[str] = []
        self.passed = 0
        self._credentials = credentials
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The proxy's host:port while it is up."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            host, port = server.sockets[0].getsockname()[:2]
            yield f"{host}:{port}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            self.asked.append(f"{method} {target}")
            wanted = self._credentials
            if wanted is not None and f"Basic {wanted}" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                await writer.drain()
                return
            host, port = target.rsplit(":", 1)
            there, back = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                await asyncio.gather(
                    self._pump(reader, back), self._pump(there, writer)
                )
            finally:
                back.close()
        finally:
            writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(65536):
            self.passed += len(data)
            sink.write(data)
            await sink.drain()
        sink.close()


class Front:
    """Stands before an engine's endpoint: notes what passes, and interferes on demand.

    `plan` says what becomes of the next requests: "unavailable" refuses one unread,
    the name of a status refuses it as an engine would, "lost" has it carried out and
    cuts the connection instead of an answer, "cut" cuts the connection unread; what is
    not planned for passes.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.plan: list[str] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sockets: set[object] = set()
        self.noticed = asyncio.Event()
        self.target = ""
        self._thawed = asyncio.Event()
        self._thawed.set()

    def freeze(self) -> None:
        """Take requests and answer none, signs of life included."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Answer again."""
        self._thawed.set()

    def count(self, path: str) -> int:
        """How many requests to a path came."""
        return sum(asked == path for asked, _ in self.asked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The front's host:port while it is up."""
        async with ClientSession() as self._session, serving(self._handle) as place:
            yield place

    async def until(self, path: str, count: int) -> None:
        """Wait until so many requests to a path have come."""
        while self.count(path) < count:
            self.noticed.clear()
            await self.noticed.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        sent = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.path, sent))
        assert request.transport is not None
        self.sockets.add(request.transport.get_extra_info("peername"))
        self.noticed.set()
        await self._thawed.wait()
        planned = self.plan.pop(0) if self.plan and request.path != "/healthz" else ""
        if planned == "unavailable":
            return web.Response(status=503)
        if planned in RPCStatus.__members__:
            status, body = encode_error(RPCError("as planned", RPCStatus[planned]))
            return web.Response(
                status=status, body=body, content_type="application/json"
            )
        if planned != "cut":
            sent.pop("host", None)
            async with self._session.request(
                request.method,
                f"http://{self.behind}{request.path_qs}",
                data=await request.read(),
                headers=sent,
            ) as answer:
                body = await answer.read()
                passed = {"content-type": answer.headers.get("content-type", "")}
                if not planned:
                    return web.Response(status=answer.status, body=body, headers=passed)
        request.transport.abort()
        return web.Response()
