"""The guard: what a request must show before anything else looks at it.

It is the outermost middleware but for a counter of requests, so it sees every method
and every path, unknown ones, event streams and static files included. In this order:
the host that the request names, the page that it comes from, its method, its token,
the scope of that, and its body. No route is exempt by how its path is written: those
that need no token are given as route objects, and are compared by identity. (Only a
header ``Expect`` is answered before it, by the HTTP library; that tells nothing.)
"""

import asyncio
import functools
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from aiohttp import hdrs, web

from everact.runtime.control.refusals import Refusal, refused, secure
from everact.runtime.control.settings import ControlSettings, origin_of
from everact.runtime.core.addresses import Address
from everact.runtime.core.durations import seconds
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.callers import Caller, Callers
from everact.runtime.door.limits import too_large
from everact.runtime.door.rights import check_access
from everact.runtime.door.tokens import Token
from everact.runtime.errors import RPCError
from everact.runtime.operations.access import Access

Route: TypeAlias = web.AbstractRoute
Next: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

METHODS: Final = ("GET", "POST")
CALLER: Final = web.RequestKey("caller", Token)
"""Who asks: handlers find it in the request."""


class Guard:
    """Guards one application. Nothing about a request that was refused is kept."""

    def __init__(self, settings: ControlSettings, callers: Callers) -> None:
        self.settings = settings
        self.callers = callers
        self._open: frozenset[Route] = frozenset()
        self._access: Mapping[Route, Access] = MappingProxyType({})
        self._body_seconds = seconds(settings.body_timeout, what="body_timeout")
        names = functools.partial(_names, settings)
        self._names_at = functools.lru_cache(maxsize=64)(names)

    def application(self) -> web.Application:
        """An application inside the guard: no route of it needs less than ADMIN yet."""

        @web.middleware
        async def guarded(request: web.Request, handler: Next) -> web.StreamResponse:
            try:
                await self._admit(request)
            except Refusal as refusal:
                return refusal.response()
            return await handler(request)

        app = web.Application(
            middlewares=[guarded], client_max_size=self.settings.body_limit
        )
        app.on_response_prepare.append(_secured)
        return app

    def permit(self, *, open: Iterable[Route], access: Mapping[Route, Access]) -> None:
        """Say once which routes need no token, and what the others need.

        A route in neither is for administrators.
        """
        self._open = frozenset(open)
        self._access = MappingProxyType(dict(access))

    async def _admit(self, request: web.Request) -> None:
        self._check_host(request)
        self._check_origin(request)
        if request.method not in METHODS:
            raise _not_allowed()
        route = request.match_info.route
        if route not in self._open:
            request[CALLER] = caller = self._authenticate(request)
            if request.match_info.http_exception is not None:
                return  # there is no such route, as whoever is known may be told
            try:
                check_access(caller, self._access.get(route, Access.ADMIN))
            except RPCError as error:
                raise refused(error) from None
        await self._take_body(request)

    # -- where it comes from -------------------------------------------------------

    def _check_host(self, request: web.Request) -> None:
        given = request.headers.getall(hdrs.HOST, ())
        shown = given[0] if len(given) == 1 else ""
        absolute = not request.raw_path.startswith("/")  # names a host of its own
        if shown.lower() in self._names(request).hosts and not absolute:
            return
        raise Refusal(
            421,
            RPCStatus.INVALID_ARGUMENT,
            f"this endpoint is not known as {shown[:200]!r}: use the address that it "
            "listens on, or add the name to its allowed hosts "
            "(EVERACT_CONTROL_ALLOWED_HOSTS)",
            closing=True,
        )

    def _check_origin(self, request: web.Request) -> None:
        """Pages of others may not ask; a link from them may lead to an open page."""
        given = request.headers.getall(hdrs.ORIGIN, ())
        if given:
            ours = len(given) == 1 and given[0].lower() in self._names(request).origins
        elif request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            link = request.headers.get("Sec-Fetch-Mode") == "navigate"
            ours = link and request.match_info.route in self._open
        else:
            ours = True
        if not ours:
            raise _foreign_page()

    def _names(self, request: web.Request) -> "_Names":
        return self._names_at(_local_address(request))

    # -- who it is -----------------------------------------------------------------

    def _authenticate(self, request: web.Request) -> Caller:
        given = request.headers.getall(hdrs.AUTHORIZATION, ())
        try:
            return self.callers.find(_bearer(given))
        except RPCError as error:
            raise refused(error, _HOW if not given else "") from None

    # -- what it brings ------------------------------------------------------------

    async def _take_body(self, request: web.Request) -> None:
        """Read the body, as far as it is wanted; handlers find it already read."""
        if request.method == "GET":
            if request.can_read_body:
                raise _unwanted(400, "a GET request has no body")
            return
        if request.content_type != "application/json":
            raise _unwanted(415, "send JSON, with `Content-Type: application/json`")
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise _unwanted(415, "compressed bodies are not taken")
        limit = self.settings.body_limit
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        try:
            if request.content.is_eof():  # all of it has come: nothing to wait for
                await request.read()
                return
            async with asyncio.timeout(self._body_seconds):
                await request.read()
        except TimeoutError:
            raise Refusal(
                408,
                RPCStatus.DEADLINE_EXCEEDED,
                "the body did not arrive in time",
                closing=True,
            ) from None
        except web.HTTPRequestEntityTooLarge:
            raise _too_large(limit) from None
        except web.RequestPayloadError:
            raise _unwanted(400, "the body is not valid HTTP") from None


async def _secured(_: web.Request, response: web.StreamResponse) -> None:
    secure(response.headers)


# -- what the endpoint is known as -----------------------------------------------------


class _Names(NamedTuple):
    hosts: frozenset[str]
    origins: frozenset[str]


def _local_address(request: web.Request) -> tuple[str, int]:
    """Where the connection arrived; a name server of another cannot change that."""
    transport = request.transport
    found = transport.get_extra_info("sockname") if transport is not None else None
    return tuple(found[:2]) if found else ("", 0)


def _names(settings: ControlSettings, local: tuple[str, int]) -> _Names:
    """Hosts and origins that are the endpoint's own at this address of the machine."""
    ip, port = local
    names = set(settings.allowed_hosts)
    if ip:
        for host in {ip, settings.host, *_aliases(ip)} - _EVERYWHERE:
            names.add(str(Address(host, port)))
            if port == _DEFAULT_PORTS[settings.scheme]:
                names.add(str(Address(host, port)).rpartition(":")[0])
    origins = {f"{settings.scheme}://{name}" for name in names}
    if settings.public_address:
        own = origin_of(settings.public_address)
        scheme, _, host = own.partition("://")
        names |= {host, f"{host}:{_DEFAULT_PORTS[scheme]}"}
        origins.add(own)
    origins |= settings.allowed_origins
    return _Names(_lowered(names), _lowered(origins))


_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _aliases(ip: str) -> set[str]:
    return {"localhost"} if ipaddress.ip_address(ip).is_loopback else set()


def _lowered(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


# -- refusals --------------------------------------------------------------------------


def _foreign_page() -> Refusal:
    return Refusal(
        403,
        RPCStatus.PERMISSION_DENIED,
        "a page of another origin may not use this endpoint; if it is yours, add its "
        "origin to the allowed ones (EVERACT_CONTROL_ALLOWED_ORIGINS)",
        closing=True,
    )


def _not_allowed() -> Refusal:
    return Refusal(
        405,
        RPCStatus.UNIMPLEMENTED,
        "only GET and POST are served",
        headers={hdrs.ALLOW: ", ".join(METHODS)},
        closing=True,
    )


_HOW: Final = ": send `Authorization: Bearer TOKEN`"


def _bearer(given: Sequence[str]) -> str | None:
    """The token in the values of the header; empty if there is none in them."""
    if not given:
        return None
    scheme, _, presented = (given[0] if len(given) == 1 else "").partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


def _unwanted(http_status: int, message: str) -> Refusal:
    return Refusal(http_status, RPCStatus.INVALID_ARGUMENT, message, closing=True)


def _too_large(limit: int) -> Refusal:
    return _unwanted(413, str(too_large(limit)))
