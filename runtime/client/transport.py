"""The port between a client and an engine: a request in, its answer out."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from everact.runtime.operations.base import OPERATIONS, Request

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")


class Transport(Protocol):
    """Carries requests to an engine."""

    async def call(self, request: Request[A]) -> A:
        """The answer to `request`, or the error that the engine refused it with."""


class InProcess:
    """Hands requests to an engine on the same loop."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine

    async def call(self, request: Request[A]) -> A:
        answer: A = await OPERATIONS[type(request)].handler(self.engine, request)
        return answer
