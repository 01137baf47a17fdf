"""What stands between a client's verbs and its connection: interceptors, and a codec.

Every operation of a client is one request through one chain. The first interceptor is
outermost; innermost an asynchronous codec is applied to the values of the request, and
undone in those of the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import msgspec

from everact.runtime.client.rpc import RPC
from everact.runtime.client.transport import Forwarding, Transport
from everact.runtime.core.records import StartOptions
from everact.runtime.errors import ValueNotReadable
from everact.runtime.operations.base import OPERATIONS, Request
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.places import payloads_of

A = TypeVar("A")

_DOCUMENTS: Final = ("events.",)
"""Operations whose values are filtered by what is in them, so that no codec is used."""


@dataclass(frozen=True, slots=True)
class ClientCall(Generic[A]):
    """An operation of a client that is about to be sent.

    `request` is a struct of the module `everact.runtime.operations`: its type says
    which operation it is, its fields what is asked. User values in it, and in the
    answer, are payloads: `args` and `decode` read them.
    """

    request: Request[A]
    rpc: RPC | None
    values: DataConverter

    @property
    def name(self) -> str:
        """The operation, as ``runs.start``."""
        return OPERATIONS[type(self.request)].name

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments that the request carries, decoded; those of its update."""
        given: tuple[bytes, ...] = getattr(_message(self.request), "args", ())
        return tuple(map(self.values.decode, given))

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the request carries to the run."""
        found = getattr(_message(self.request), "headers", None)
        if found is None:
            found = getattr(getattr(self.request, "options", None), "headers", {})
        return dict(found)

    def replace(self, **fields: Any) -> Self:
        """The call with other fields of its request."""
        changed: Any = msgspec.structs.replace(self.request, **fields)
        return replace(self, request=changed)

    def with_args(self, *args: Any) -> Self:
        """The call with other arguments; ValueNotStorable names one that is none."""
        encode = self.values.encode
        given = tuple(encode(a, f"argument {n}") for n, a in enumerate(args, 1))
        message = _message(self.request)
        if message is self.request:
            return self.replace(args=given)
        return self.replace(update=msgspec.structs.replace(message, args=given))

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """The call with further headers; as it is if its request carries none."""
        return replace(self, request=_with_headers(self.request, dict(headers)))

    def encode(self, value: Any) -> bytes:
        """A value as a payload, for a field of the request or of the answer."""
        return self.values.encode(value, "a value")

    def decode(self, payload: bytes) -> Any:
        """The value of a payload."""
        return self.values.decode(payload)


ClientProceed: TypeAlias = Callable[[ClientCall[A]], Awaitable[A]]


class ClientInterceptor:
    """Stands around every operation of a client; see `Client(interceptors=[…])`.

    One that is a `WorkerInterceptor` too, and is given to a `Runtime`, also stands
    around what the workers of that runtime execute.
    """

    async def call(self, call: ClientCall[A], proceed: ClientProceed[A]) -> A:
        """Carry out `call` by `proceed`, or not; give its answer, or another one.

        What waits for a run (`runs.result`) is one call for as long as it waits.
        """
        return await proceed(call)


class Intercepted(Forwarding):
    """A connection with interceptors before it, or with an asynchronous codec."""

    def __init__(
        self,
        connection: Transport,
        interceptors: Iterable[ClientInterceptor],
        converter: DataConverter,
    ) -> None:
        super().__init__(connection)
        self._values = converter.immediate
        proceed = self._send
        if converter.waits:
            self._converter = converter
            proceed = self._send_coded
        for interceptor in reversed(tuple(interceptors)):
            proceed = _around(interceptor, proceed)
        self._proceed: Callable[[ClientCall[Any]], Awaitable[Any]] = proceed

    async def call(
        self, request: Request[A], rpc: RPC | None = None, *, retry: bool = True
    ) -> A:
        """As the port says. What is not to be repeated is not sent this way."""
        answer: A = await self._proceed(ClientCall(request, rpc, self._values))
        return answer

    async def _send(self, call: ClientCall[Any]) -> Any:
        return await self.connection.call(call.request, call.rpc)

    async def _send_coded(self, call: ClientCall[Any]) -> Any:
        kind = type(call.request)
        if OPERATIONS[kind].name.startswith(_DOCUMENTS):
            return await self._send(call)
        request = await _changed(kind, call.request, self._converter.wrap_async)
        answer = await self.connection.call(request, call.rpc)
        return await _changed(OPERATIONS[kind].answer, answer, self._unwrapped)

    async def _unwrapped(self, payload: bytes) -> bytes:
        try:
            return await self._converter.unwrap_async(payload)
        except ValueNotReadable:
            return payload  # who decodes it is told why


def with_interceptors(
    connection: Transport,
    interceptors: Iterable[object],
    converter: DataConverter,
) -> Transport:
    """The way of a client's requests: `connection` itself if nothing is before it."""
    plain = plain_connection(connection)
    found = tuple(i for i in interceptors if isinstance(i, ClientInterceptor))
    if not found and not converter.waits:
        return plain
    return Intercepted(plain, found, converter)


def plain_connection(transport: Transport) -> Transport:
    """The connection that clients share, without what one of them has before it."""
    return transport.connection if isinstance(transport, Intercepted) else transport


def _message(request: Any) -> Any:
    """What of a request is for the code of a run: itself, or the update in it."""
    return getattr(request, "update", request)


def _with_headers(request: Any, headers: dict[str, str]) -> Any:
    changed: dict[str, Any] = {}
    if hasattr(request, "headers"):
        changed["headers"] = request.headers | headers
    for part in ("update", "start"):
        if isinstance(getattr(request, part, None), msgspec.Struct):
            changed[part] = _with_headers(getattr(request, part), headers)
    options = getattr(request, "options", None)
    if isinstance(options, StartOptions):
        changed["options"] = msgspec.structs.replace(
            options, headers=options.headers | headers
        )
    return msgspec.structs.replace(request, **changed) if changed else request


def _around(
    interceptor: ClientInterceptor, proceed: Callable[[ClientCall[Any]], Awaitable[Any]]
) -> Any:
    return lambda call: interceptor.call(call, proceed)


async def _changed(
    kind: Any, value: Any, change: Callable[[bytes], Awaitable[bytes]]
) -> Any:
    """`value` with its payloads changed, all at the same time."""
    visit = payloads_of(kind)
    if visit is None:
        return value
    found: list[bytes] = []

    def collect(payload: bytes) -> bytes:
        found.append(payload)
        return payload

    visit(value, collect)
    if not found:
        return value
    changed = await asyncio.gather(*map(change, found))
    return visit(value, dict(zip(found, changed, strict=True)).__getitem__)
