"""A connector that reaches one target through the CONNECT of an HTTP proxy.

aiohttp tunnels only what is encrypted; everything else it would hand to the proxy to
read and forward. Here all traffic is tunnelled.
"""

import asyncio
import base64
import ssl
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    parse_target,
)
from everact.runtime.core.addresses import Address


class TunnelConnector(aiohttp.BaseConnector):
    """Connects to `target` through `proxy`, with TLS inside the tunnel if asked to."""

    def __init__(
        self,
        proxy: HttpConnectProxyConfig,
        target: Address,
        tls: ssl.SSLContext | bool,
        server_name: str | None,
    ) -> None:
        super().__init__(limit=0)
        self._proxy = proxy
        self._target = target
        self._tls = tls or None
        self._server_name = (server_name or target.host) if tls else None

    async def _create_connection(
        self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        address = parse_target(self._proxy.target)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout.sock_connect):
                reader, writer = await asyncio.open_connection(*address)
                try:
                    await self._ask(reader, writer)
                    _, protocol = await loop.create_connection(
                        self._factory,
                        sock=_detached(writer),
                        ssl=self._tls,
                        server_hostname=self._server_name,
                    )
                finally:
                    writer.transport.abort()
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(
                f"the proxy at {address} did not connect in time"
            ) from error
        except OSError as error:
            raise aiohttp.ClientProxyConnectionError(
                req.connection_key, error
            ) from error
        return protocol

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Ask for the tunnel; OSError if the proxy refuses it."""
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._proxy.basic_auth is not None:
            credentials = ":".join(self._proxy.basic_auth).encode()
            encoded = base64.b64encode(credentials).decode()
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionError(
                f"the proxy at {self._proxy.target} gave no answer to CONNECT"
            ) from error
        status = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]
        if not status.startswith("2"):
            raise ConnectionRefusedError(
                f"the proxy at {self._proxy.target} refused to connect: {status}"
            )


def _detached(writer: asyncio.StreamWriter) -> Any:
    """The connected socket, in a copy that outlives the writer's transport."""
    found = writer.transport.get_extra_info("socket")
    return found.dup()
