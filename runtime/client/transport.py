"""The port between a client and an engine: a request in, its answer out."""

import asyncio
from asyncio import _get_running_loop
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from everact.runtime.client.affinity import Affinity
from everact.runtime.client.rpc import NO_METADATA, RPC, checked_metadata, checked_rpc
from everact.runtime.core.durations import optional_seconds
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError
from everact.runtime.operations.base import OPERATIONS, Request
from everact.runtime.operations.requests import carry_out, check_id, id_of
from everact.runtime.values.converter import DataConverter

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")


class Usual(NamedTuple):
    """What clients of a transport convert and intercept with, unless they say so."""

    data_converter: DataConverter | None = None
    interceptors: tuple[Any, ...] = ()


NOTHING_USUAL: Final = Usual()


def usual_of(transport: Any) -> Usual:
    """What is usual on a transport, or on the one that it goes by."""
    plain = getattr(transport, "connection", transport)
    for one in (transport, plain):
        found = getattr(one, "usual", None)
        if isinstance(found, Usual):
            return found
    return NOTHING_USUAL


class Transport(Protocol):
    """Carries requests to an engine: the connection that clients share."""

    rpc_metadata: Mapping[str, str]
    api_key: str | None

    async def call(
        self, request: Request[A], rpc: RPC | None = None, *, retry: bool = True
    ) -> A:
        """The answer to `request`, or the error that the engine refused it with.

        `retry` repeats the request after transient failures, taking effect once.
        """

    async def close(self) -> None:
        """End all calls that wait, with RuntimeStateError, and refuse any other."""


class Forwarding:
    """A transport that stands before another, `connection`, whose settings it has."""

    def __init__(self, connection: Transport) -> None:
        self.connection = connection

    @property
    def rpc_metadata(self) -> Mapping[str, str]:
        """The connection's."""
        return self.connection.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, metadata: Mapping[str, str]) -> None:
        self.connection.rpc_metadata = metadata

    @property
    def api_key(self) -> str | None:
        """The connection's."""
        return self.connection.api_key

    @api_key.setter
    def api_key(self, key: str | None) -> None:
        self.connection.api_key = key

    async def close(self) -> None:
        """As the port says."""
        await self.connection.close()


class InProcess:
    """Hands requests to an engine on the same loop.

    Nothing lies between that could fail for a moment, so nothing is ever repeated,
    and nobody asks for an API key; it is kept for whoever reads it. What is answered
    from memory gives the loop a turn all the same, refusals too: a program may ask in
    a row until something is so, and the loop is what makes it so.
    """

    def __init__(self, engine: "Engine", usual: Usual = NOTHING_USUAL) -> None:
        self.engine = engine
        self.usual = usual
        self.rpc_metadata = NO_METADATA
        self.api_key: str | None = None
        self._affinity = Affinity("runtime", engine.loop)

    async def call(
        self, request: Request[A], rpc: RPC | None = None, *, retry: bool = True
    ) -> A:
        """As the port says; RuntimeStateError, nothing done, on another loop."""
        if _get_running_loop() is not self._affinity.loop:
            raise self._affinity.refusal()
        lost = self.engine.lost
        if lost is not None:
            raise type(lost)(str(lost))
        if rpc:
            return await self._limited(request, rpc)
        operation = OPERATIONS[type(request)]
        answer: A
        if not operation.waits and operation.reads:
            await asyncio.sleep(0)  # first: the answer is as things are when given
            answer = await operation.handler(self.engine, request)
            return answer
        request_id = id_of(request)
        if request_id:
            check_id(request_id)
        commits = self.engine.commits
        before = commits.answered
        try:
            if request_id:
                answer = await carry_out(self.engine, request)
            else:
                answer = await operation.handler(self.engine, request)
        except Exception:
            if commits.answered == before:
                await asyncio.sleep(0)
            raise
        if commits.answered == before:  # else it waited for a commit
            await asyncio.sleep(0)
        return answer

    async def close(self) -> None:
        """Refuse any other call; what waits is the engine's to answer."""
        self._affinity.end("is closed")

    async def _limited(self, request: Request[A], rpc: RPC) -> A:
        checked_metadata(checked_rpc(rpc).get("rpc_metadata", NO_METADATA))
        limit = optional_seconds(rpc.get("rpc_timeout"), what="rpc_timeout")
        if limit is None:
            return await self.call(request)
        if waits(request):  # and is asked again, but for what times itself
            if not OPERATIONS[type(request)].times_itself:
                return await self.call(request)
            wait = min(request.wait, limit / 2)  # type: ignore[attr-defined]
            request = replace(request, wait=wait)
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await self.call(request)
        except TimeoutError:
            if scope.expired():
                raise deadline_exceeded(request, limit) from None
            raise


def waits(request: Request[Any]) -> bool:
    """Whether the answer may take as long as a run does."""
    return OPERATIONS[type(request)].waits_for(request)


def deadline_exceeded(request: Request[Any], limit: float) -> RPCError:
    """What a caller gets whose `rpc_timeout` is over."""
    return RPCError(
        f"no answer to {OPERATIONS[type(request)].name} within its deadline of "
        f"{limit:g} s; it may have been carried out all the same",
        RPCStatus.DEADLINE_EXCEEDED,
    )
