"""Sockets and connections: where the endpoint may listen, and what a peer may cost it.

What is refused here never becomes a request: it is answered, and logged, without
anything that the peer sent.
"""

import asyncio
import errno
import ipaddress
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from everact.runtime.control.guard import Guard
from everact.runtime.control.refusals import Refusal
from everact.runtime.control.settings import ControlSettings
from everact.runtime.control.standing_in import StandIn
from everact.runtime.core.addresses import Address
from everact.runtime.core.durations import seconds
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.tokens import PREFIX
from everact.runtime.errors import AddressInUse, EndpointError
from everact.runtime.isolation import log

LOG: Final = logging.getLogger("everact.control")
ACCESS_LOG: Final = logging.getLogger("everact.control.access")

BACKLOG: Final = 1024
HANDSHAKE_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 1.0
LINGER_SECONDS: Final = 1.0
"""How long a body that nobody wants is read, so that its sender sees the answer."""


class Listener:
    """An open endpoint, and who answers there while the loop does not turn."""

    def __init__(self, settings: ControlSettings, sockets: list[socket.socket]) -> None:
        host, self.port = sockets[0].getsockname()[:2]
        tls = settings.tls.context() if settings.tls else None
        self.stand_in = StandIn(sockets, tls)
        self.address = str(Address(host, self.port))
        self.url = f"{settings.scheme}://{self.address}"


@asynccontextmanager
async def listening(app: web.Application, guard: Guard) -> AsyncIterator[Listener]:
    """Serve `app`, which is the guard's, until the end of the block.

    Then nothing new is taken, and what is being answered has SHUTDOWN_SECONDS.
    EndpointError and AddressInUse, as `listen` says, before anything is served.
    """
    settings = guard.settings
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS)
    sockets = await listen(settings, guard.callers.authenticated)
    try:
        await runner.setup()
        for made in sockets:
            await Site(runner, made, settings).start()
        yield Listener(settings, sockets)
    finally:
        await runner.cleanup()
        for made in sockets:
            made.close()


async def listen(settings: ControlSettings, authenticated: bool) -> list[socket.socket]:
    """Listening sockets on every address of `settings.host`; all have one port.

    EndpointError, with nothing left open, if that would offer the engine to others
    without `authenticated` requests, or cannot be; AddressInUse if it is taken.
    """
    where = str(Address(settings.host, settings.port))
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise EndpointError(f"cannot listen on {where}: {error}") from error
    _check_reach(settings, {str(info[4][0]) for info in found}, authenticated)
    sockets: list[socket.socket] = []
    port = settings.port
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in found):
            made = socket.create_server(
                (str(address[0]), port, *address[2:]), family=family, backlog=BACKLOG
            )
            sockets.append(made)
            port = made.getsockname()[1]
    except OSError as error:
        for made in sockets:
            made.close()
        raise _cannot_listen(where, error) from error
    return sockets


def _check_reach(
    settings: ControlSettings, addresses: set[str], authenticated: bool
) -> None:
    if all(ipaddress.ip_address(text).is_loopback for text in addresses):
        return
    if not authenticated:
        if not settings.open_to_network:
            raise EndpointError(
                f"{settings.host} can be reached from other machines, and no token is "
                "asked for: whoever reaches it could run your workflows. Create a "
                "token (`everact token create NAME`) and leave authentication on, or "
                f"listen on 127.0.0.1, or force it with open_to_network=True"
            )
        LOG.warning(
            "the control endpoint on %s is open to the network without authentication",
            settings.host,
        )
    elif not settings.tls and not settings.public_address.startswith("https:"):
        LOG.warning(
            "the control endpoint on %s speaks plain HTTP: tokens can be read on the "
            "way. Give it a certificate, or put it behind a proxy that has one and set "
            "its public address",
            settings.host,
        )


def _cannot_listen(where: str, error: OSError) -> EndpointError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"{where} is in use by another program: stop that one, or choose another "
            "port (0 takes a free one)"
        )
    return EndpointError(f"cannot listen on {where}: {error.strerror or error}")


class Connection(web.RequestHandler):
    """One connection; a head that is not HTTP is refused in the form of every error."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # may hold what the peer sent, a header included
    ) -> web.StreamResponse:
        if status >= 500:
            log(LOG, logging.ERROR, exc, "error while a request was answered")
        else:
            LOG.info("%s sent what is not HTTP: %s", request.remote, _kind(exc))
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        if status >= 500:
            refusal = Refusal(status, RPCStatus.INTERNAL, _OURS, closing=True)
        else:
            refusal = Refusal(status, RPCStatus.INVALID_ARGUMENT, _THEIRS, closing=True)
        return refusal.response()


_OURS: Final = "the engine failed to answer; its log tells why"
_THEIRS: Final = "the request is not valid HTTP, or its head is too large"


def _kind(error: BaseException | None) -> str:
    return type(error).__name__


class Site(web.BaseSite):
    """A listening socket whose connections have the limits of `settings`."""

    __slots__ = ("_settings", "_socket")

    def __init__(
        self, runner: web.AppRunner, listening: socket.socket, settings: ControlSettings
    ) -> None:
        tls = settings.tls
        super().__init__(
            runner, ssl_context=tls.context() if tls else None, backlog=BACKLOG
        )
        self._socket = listening
        self._settings = settings

    @property
    def name(self) -> str:
        """The address, as a URL."""
        host, port = self._socket.getsockname()[:2]
        return f"{self._settings.scheme}://{Address(host, port)}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        server, options = self._runner.server, _options(self._settings)
        assert server is not None
        self._server = await loop.create_server(
            lambda: Connection(server, loop=loop, **options),
            sock=self._socket,
            ssl=self._ssl_context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._ssl_context else None,
            backlog=self._backlog,
        )


def _options(settings: ControlSettings) -> dict[str, Any]:
    return {
        "keepalive_timeout": seconds(settings.idle_timeout, what="idle_timeout"),
        "lingering_time": LINGER_SECONDS,
        "max_line_size": settings.header_limit,
        "max_field_size": settings.header_limit,
        "max_headers": settings.header_count,
        "auto_decompress": False,
        "logger": LOG,
        "access_log": ACCESS_LOG,
        "access_log_class": AccessLog,
    }


class AccessLog(AbstractAccessLogger):
    """Who asked for which path, and how that ended: no query, header or body."""

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return self.logger.isEnabledFor(logging.INFO)

    def log(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float
    ) -> None:
        self.logger.info(
            "%s %s %s %d %d bytes %.3f s",
            request.remote or "-",
            request.method,
            _SECRET.sub(PREFIX + "…", request.rel_url.raw_path),
            response.status,
            response.body_length,
            time,
        )


_SECRET: Final = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_%-]+")
