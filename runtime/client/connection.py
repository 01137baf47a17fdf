"""HTTP to one engine: the pool of sockets, what waits on it, and its sign of life.

It knows nothing of operations. Every failure to get an answer comes out as an error
of the family; whatever answer came is given as it is.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

import aiohttp

from everact.runtime.client.affinity import Affinity
from everact.runtime.client.pending import Making, Pending
from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    TLSConfig,
)
from everact.runtime.client.tunnel import TunnelConnector
from everact.runtime.core.addresses import Address
from everact.runtime.core.durations import seconds
from everact.runtime.errors import EngineUnreachable, RuntimeStateError

CONNECT_SECONDS: Final = 10.0
"""How long it may take until a socket is connected."""

NOTICE: Final = 15.0
"""Seconds of silence of which somebody who waits is told."""

SIGN_OF_LIFE: Final = "/healthz"


class Answer(NamedTuple):
    """What came back for one request."""

    status: int
    body: bytes
    content_type: str


class Connection:
    """Sends requests to `target`; sockets are opened as they are needed.

    It belongs to the event loop of its first request. `tls` and `proxy` are settings
    of `Client.connect`. Whatever is silent for longer than `keep_alive` allows is
    dropped, and what waits on it fails with EngineUnreachable.
    """

    def __init__(
        self,
        target: Address,
        *,
        tls: bool | TLSConfig = False,
        keep_alive: KeepAliveConfig | None = None,
        proxy: HttpConnectProxyConfig | None = None,
    ) -> None:
        settings = TLSConfig() if tls is True else tls or None
        self.target = target
        self.established = False
        self._ssl: ssl.SSLContext | bool = settings.context() if settings else False
        self._server_name = settings.server_name if settings else None
        self._base = f"{'https' if settings else 'http'}://{target}"
        self._keep_alive = keep_alive
        self._proxy = proxy
        self._affinity = Affinity("client")
        self._pending = Pending()
        self._session: aiohttp.ClientSession | None = None
        self._watch: asyncio.Task[None] | None = None
        self._heard = 0.0
        self.on_silence: Callable[[float], None] | None = None
        """Told for how many seconds the engine has been silent, while somebody waits:
        after `NOTICE`, twice that, and so on. It is probed in time if the interval of
        `keep_alive` is shorter than that."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str],
        limit: float | None = None,
        expired: Making | None = None,
    ) -> Answer:
        """The answer to one request, whatever its status.

        What `expired` makes is raised after `limit` seconds, or EngineUnreachable.
        EngineUnreachable without an answer, RuntimeStateError if the client is closed,
        or is used on another loop or in a forked process.
        """
        loop = self._affinity.enter()
        if self._watch is None and self._keep_alive is not None:
            self._heard = loop.time()
            self._watch = loop.create_task(self._keep_watch(self._keep_alive))
        async with self._pending.within(limit, expired or self._silent):
            try:
                found = await self._send(method, path, body, headers)
            except (aiohttp.ClientError, OSError) as error:
                if self._affinity.ended:
                    raise self._affinity.refusal() from None
                raise self._no_answer(error) from error
        self._heard, self.established = loop.time(), True
        return found

    async def pause(self, seconds: float) -> None:
        """Sleep, unless the connection is closed meanwhile."""
        self._affinity.enter()
        async with self._pending.within(None):
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End what waits with RuntimeStateError, and close the sockets."""
        if self._affinity.ended:
            return
        if self._session is not None:
            self._affinity.enter()
        self._affinity.end("is closed")
        if self._session is not None:
            self._pending.abort(_closed_meanwhile)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._drop_sockets()

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            method,
            self._base + path,
            data=body,
            headers=headers,
            server_hostname=self._server_name,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, await response.read(), response.content_type)

    def _open(self) -> aiohttp.ClientSession:
        # Waiting requests hold their socket: a limit would let them starve the others.
        connector: aiohttp.BaseConnector = (
            aiohttp.TCPConnector(limit=0, ssl=self._ssl)
            if self._proxy is None
            else TunnelConnector(self._proxy, self.target, self._ssl, self._server_name)
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )

    async def _drop_sockets(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _keep_watch(self, settings: KeepAliveConfig) -> None:
        """Probe whenever nothing was heard for the interval; drop what is silent."""
        loop = asyncio.get_running_loop()
        interval = seconds(settings.interval, what="interval")
        limit = seconds(settings.timeout, what="timeout")
        telling = loop.create_task(self._tell_of_silence())
        since = self._heard
        try:
            while True:
                await asyncio.sleep(max(since + interval - loop.time(), 0.0))
                if loop.time() - max(since, self._heard) < interval:
                    since = self._heard
                    continue
                try:
                    async with asyncio.timeout(limit):
                        await self._send("GET", SIGN_OF_LIFE, None, {})
                except (TimeoutError, aiohttp.ClientError, OSError):
                    lifeless = f"gave no sign of life for {interval + limit:g} s"
                    self._pending.abort(partial(self._unreachable, lifeless, sent=True))
                    await self._drop_sockets()
                else:
                    self._heard = loop.time()
                since = loop.time()
        finally:
            telling.cancel()

    async def _tell_of_silence(self) -> None:
        loop, told = asyncio.get_running_loop(), NOTICE
        while True:
            await asyncio.sleep(max(self._heard + told - loop.time(), 0.0))
            silent = loop.time() - self._heard
            if silent < NOTICE:
                told = NOTICE
            elif silent >= told:
                if self.on_silence is not None and self._pending:
                    self.on_silence(silent)
                told *= 2

    def _no_answer(self, error: Exception) -> EngineUnreachable:
        """`error` of the HTTP library as the family's."""
        never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
        cause = getattr(error, "os_error", error)
        what = str(cause) or type(cause).__name__
        if isinstance(error, never):
            return self._unreachable(what, sent=False)
        return self._unreachable(f"the connection broke: {what}", sent=True)

    def _silent(self) -> EngineUnreachable:
        return self._unreachable("did not answer in time", sent=True)

    def _unreachable(self, why: str, *, sent: bool) -> EngineUnreachable:
        text = f"no answer from the engine at {self.target}: {why}"
        return EngineUnreachable(text, str(self.target), sent)


def _closed_meanwhile() -> RuntimeStateError:
    return RuntimeStateError("the client was closed meanwhile")
