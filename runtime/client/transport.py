"""The port between a client and an engine: a request in, its answer out."""

from asyncio import _get_running_loop
from typing import TYPE_CHECKING, Protocol, TypeVar

from everact.runtime.definitions.durable import DurableLoop
from everact.runtime.errors import RuntimeStateError
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
        """As the port says; RuntimeStateError, nothing done, on another loop."""
        loop = _get_running_loop()
        if loop is not self.engine.loop:
            raise RuntimeStateError(_elsewhere(loop))
        answer: A = await OPERATIONS[type(request)].handler(self.engine, request)
        return answer


def _elsewhere(loop: object) -> str:
    if isinstance(loop, DurableLoop):
        return (
            "workflow code cannot use a client, what it does would not be durable: "
            "use start_child, execute_child, signal_run or cancel_run, or a @task"
        )
    return (
        "the runtime belongs to another event loop: await its methods on the loop "
        "that entered it, or use RuntimeThread"
    )
