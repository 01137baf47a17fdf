"""A client as its nouns see it: who asks, by which transport, in which namespace.

Handles and the nouns of a client are given a `Requester`, and not the client.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from everact.runtime.client.rpc import RPC
from everact.runtime.client.transport import Transport
from everact.runtime.operations.base import Request
from everact.runtime.values.converter import DataConverter

A = TypeVar("A")


class Requester(Protocol):
    """Whoever sends requests for a handle."""

    identity: str
    values: DataConverter
    default_query_reject_condition: str

    @property
    def transport(self) -> Transport:
        """What a request is handed to. RuntimeStateError if it is closed."""
        ...

    @property
    def namespace(self) -> str:
        """What all reads and writes are confined to."""
        ...


class Noun:
    """What a client offers about one noun: verbs, each of which sends a request."""

    def __init__(self, client: Requester) -> None:
        self._client = client

    async def _ask(self, request: Request[A], rpc: RPC) -> A:
        """The answer to a request, which is sent for the client's namespace, by it."""
        client = self._client
        sender = {"workspace": client.namespace, "identity": client.identity}
        known = sender.keys() & {*request.__struct_fields__}
        if known:
            request = replace(request, **{name: sender[name] for name in known})
        return await client.transport.call(request, rpc)

    def _details(self, details: Sequence[Any]) -> tuple[bytes, ...]:
        """Details of what is reported, as they are sent."""
        encode = self._client.values.encode
        return tuple(encode(d, f"detail {n}") for n, d in enumerate(details, 1))
