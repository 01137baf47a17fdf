"""Those who hold connections and ask nothing do not keep others from being served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from everact.runtime import Client
from tests.control.engine import Engine, engine
from tests.kills.limits import sockets_allowed

pytestmark = pytest.mark.real_time

IDLE = 1_000
STREAMS = 200
AT_ONCE = 50
"""Connections that are opened at the same time."""
RUNS = 50
PATIENCE = 60.0
"""Seconds for everything: a bound on a hang, not a measurement."""


@pytest.fixture(autouse=True)
def many_sockets() -> Iterator[None]:
    """This process may open as many sockets as it is allowed to have."""
    with sockets_allowed():
        yield


async def test_a_thousand_idle_connections_and_two_hundred_streams_disturb_nobody(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(PATIENCE), engine(tmp_path) as served:
        async with idle(served, IDLE) as connections, watching(served) as streams:
            async with await Client.connect(f"{served.host}:{served.port}") as client:
                began = time.monotonic()
                results = await asyncio.gather(
                    *(client.execute("squares", 3) for _ in range(RUNS))
                )
                took = time.monotonic() - began
            assert results == [[0, 1, 4]] * RUNS
            for stream in streams:
                await heard_of(stream, RUNS)
            assert await still_there(connections) == IDLE
        assert await is_well(served)
    print(f"{RUNS} runs in {took:.2f} s beside {IDLE} idle and {STREAMS} streams")


async def test_streams_that_nobody_reads_disturb_nobody(tmp_path: Path) -> None:
    """Events that nobody takes wait; the runs that they tell of do not."""
    async with asyncio.timeout(PATIENCE), engine(tmp_path) as served:
        async with AsyncExitStack() as stack:
            for _ in range(AT_ONCE):
                _, writer = await asyncio.open_connection(
                    served.host, served.port, limit=1
                )
                stack.callback(writer.close)
                writer.write(
                    f"GET /api/v1/runs/watch HTTP/1.1\r\nHost: {served.host}:"
                    f"{served.port}\r\n\r\n".encode()
                )
                await writer.drain()
            async with await Client.connect(f"{served.host}:{served.port}") as client:
                for _ in range(10):
                    await asyncio.gather(
                        *(client.execute("echo", "x" * 1_000) for _ in range(RUNS))
                    )
        assert await is_well(served)


@asynccontextmanager
async def idle(served: Engine, count: int) -> AsyncIterator[list[Connected]]:
    """Connections that have asked once and are kept alive."""
    made: list[Connected] = []

    async def connect(_: int) -> None:
        connection = await asyncio.open_connection(served.host, served.port)
        made.append(connection)
        assert await alive(connection, served)

    try:
        for batch in range(0, count, AT_ONCE):
            await asyncio.gather(*map(connect, range(batch, batch + AT_ONCE)))
        yield made
    finally:
        for _, writer in made:
            writer.close()


Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def alive(connection: Connected, served: Engine) -> bool:
    """Whether the engine answers on it, and keeps it open."""
    reader, writer = connection
    host = f"{served.host}:{served.port}"
    writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    [length] = [
        int(line.split(":")[1])
        for line in head.splitlines()
        if line.startswith("content-length")
    ]
    await reader.readexactly(length)
    return " 200 " in head.splitlines()[0] and "connection: close" not in head


async def still_there(connections: list[Connected]) -> int:
    """How many the engine has not closed."""
    return sum(not reader.at_eof() for reader, _ in connections)


@asynccontextmanager
async def watching(served: Engine) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """Open streams of what happens to all runs."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        opened = [
            await session.get(f"{served.base}/api/v1/runs/watch")
            for _ in range(STREAMS)
        ]
        for stream in opened:
            assert stream.status == 200
            await stream.content.readuntil(b"\n\n")  # now it is subscribed
        yield opened
        for stream in opened:
            stream.close()


async def heard_of(stream: aiohttp.ClientResponse, runs: int) -> None:
    """Read the stream until it has told of so many runs that completed."""
    seen = 0
    while seen < runs:
        event = await stream.content.readuntil(b"\n\n")
        seen += b'"completed"' in event.lower()


async def is_well(served: Engine) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{served.base}/readyz") as answer,
    ):
        return answer.status == 200
