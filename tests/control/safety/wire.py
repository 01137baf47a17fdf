"""HTTP by hand over a real socket: what no well-behaved client would send."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

LIMIT = 20.0
"""Seconds after which a test gives up on an answer; never waited for in good order."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


async def exchange(port: int, sent: bytes) -> bytes:
    """Everything that comes back until the endpoint closes the connection."""
    async with asyncio.timeout(LIMIT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(sent)
            return await read_all(reader)
        finally:
            writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    found = b""
    try:
        while part := await reader.read(65536):
            found += part
    except ConnectionError:  # it closed with something of ours unread
        pass
    return found


def parse(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(
        int(first.split()[1]), {k.lower(): v for k, v in headers.items()}, body
    )


async def ask(
    port: int,
    method: str,
    path: str,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes = b"",
    *,
    host: str | None = None,
    token: str = "",
) -> Answer:
    """One request on a connection of its own, exactly as it is given here."""
    given = headers.items() if isinstance(headers, dict) else headers or []
    lines = [(name, value) for name, value in given]
    names = {name.lower() for name, _ in lines}
    if "host" not in names:
        lines.insert(0, ("Host", f"127.0.0.1:{port}" if host is None else host))
    if token:
        lines.append(("Authorization", f"Bearer {token}"))
    if method == "POST" and "content-type" not in names:
        lines.append(("Content-Type", "application/json"))
    if not {"content-length", "transfer-encoding"} & names and body:
        lines.append(("Content-Length", str(len(body))))
    lines.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")
    return parse(await exchange(port, request + body))
