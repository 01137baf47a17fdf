"""The lower layer of a client: requests as they are sent, grouped by whom they ask."""

from typing import Final, TypeVar, Unpack

from everact.runtime.client.rpc import RPC
from everact.runtime.client.transport import Transport
from everact.runtime.operations.base import OPERATIONS, Request

A = TypeVar("A")

_SERVICE_OF: Final = {
    "engine": "operator",
    "actors": "operator",
    "search_attributes": "operator",
    "tokens": "operator",
    "clock": "test",
}
"""Who answers operations on a noun; the runs' service unless it is listed."""


class Service:
    """One service of an engine.

    A request is not converted, and is repeated after a transient failure only on
    demand; it then takes effect once.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._name = name

    async def call(
        self, request: Request[A], *, retry: bool = False, **rpc: Unpack[RPC]
    ) -> A:
        """The answer to `request`; TypeError for a request to another service."""
        noun = OPERATIONS[type(request)].name.partition(".")[0]
        service = _SERVICE_OF.get(noun, "workflow")
        if service != self._name:
            raise TypeError(
                f"{type(request).__name__} is a request to the {service} service"
            )
        return await self._transport.call(request, rpc, retry=retry)

    def __repr__(self) -> str:
        return f"<Service {self._name!r}>"
