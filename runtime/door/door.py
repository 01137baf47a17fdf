"""The door itself: the way of a request from a caller to the engine, and back.

In this order: what the caller's scope allows, whether the engine is there to answer,
the workspaces that the request reaches, the values in it, how long its sender waits,
and its request ID. A front that knows the operation before it has read the body asks
`check` first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from everact.runtime.core.bounds import DEFAULT_WAIT
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.callers import Caller, Callers
from everact.runtime.door.limits import check_wait
from everact.runtime.door.refusals import NotYet
from everact.runtime.door.rights import check_access, check_workspaces
from everact.runtime.door.spans import operation_span
from everact.runtime.door.trust import check_payloads
from everact.runtime.errors import RPCError, RuntimeStateError
from everact.runtime.operations.access import EVERY_WORKSPACE
from everact.runtime.operations.base import OPERATIONS, Item, Operation, Request
from everact.runtime.operations.requests import carry_out, with_id
from everact.runtime.values.converter import DataConverter

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")


class Door:
    """The one way to an engine for whoever is not the program that it runs in.

    Nothing that comes through it is ever unpickled: a request with values that are
    neither plain data nor what a codec made, marked as foreign, is refused.
    """

    def __init__(self, engine: "Engine", callers: Callers) -> None:
        self.engine = engine
        self.callers = callers

    def caller(self, bearer: str | None) -> Caller:
        """The caller who shows that token, or nothing; RPCError if it may not ask."""
        return self.callers.find(bearer)

    def workspace(self, namespace: str) -> str:
        """The workspace that others call a namespace, a tenant or an account.

        Its name is the same, and "default" where none is given. Whether the caller
        reaches it is decided when it asks for something there. RPCError for what
        stands for all of them: a request reaches one.
        """
        if namespace == EVERY_WORKSPACE:
            raise RPCError(
                f"{namespace!r} stands for every workspace: name one",
                RPCStatus.INVALID_ARGUMENT,
            )
        return namespace or "default"

    @property
    def values(self) -> DataConverter:
        """How the engine stores values: what an answer's are shown by."""
        return self.engine.values

    def check(self, caller: Caller, operation: Operation) -> None:
        """RPCError if the caller may not ask for this, or the engine cannot answer."""
        check_access(caller, operation.access)
        self.check_serving()

    def check_serving(self) -> None:
        """Raise what tells that the engine has ended, or is about to."""
        engine = self.engine
        if engine.lost is not None:
            raise type(engine.lost)(str(engine.lost))
        if engine.stopping:
            raise RuntimeStateError("the runtime is closed or closing")

    async def call(
        self,
        caller: Caller,
        request: Request[A],
        *,
        wait: float = DEFAULT_WAIT,
        request_id: str = "",
    ) -> A:
        """The answer; whatever it tells of is durable.

        NotYet after `wait` seconds of one that may take as long as a run does. The
        `request_id` is for a request that carries none, where a front has a place of
        its own for it. TokenEnded if the caller's token is revoked meanwhile.
        """
        operation = self._admitted(caller, request)
        check_wait(request.wait if operation.times_itself else wait)  # type: ignore[attr-defined]
        if request_id:
            request = with_id(request, request_id)
        async with self.callers.while_it_counts(caller):
            with operation_span(operation.name):
                answer = carry_out(self.engine, request, operation.typed)
                if operation.times_itself or not operation.waits_for(request):
                    return await answer
                found = await _within(wait, answer)
        if found is _LATE:
            raise NotYet
        return found

    @asynccontextmanager
    async def items(
        self, caller: Caller, request: Request[A]
    ) -> AsyncIterator[AsyncIterator[Item[A]]]:
        """The items of an operation that is answered one by one, for the block.

        It is cut off, with TokenEnded, soon after the caller's token is revoked.
        """
        operation = self._admitted(caller, request)
        async with self.callers.while_it_counts(caller):
            items = await operation.handler(self.engine, request)
            try:
                yield items
            finally:
                await items.aclose()

    def _admitted(self, caller: Caller, request: Request[Any]) -> Operation:
        operation = OPERATIONS[type(request)]
        self.check(caller, operation)
        check_workspaces(caller, request, operation.access)
        check_payloads(request)
        return operation


_LATE: Final[Any] = object()


async def _within(wait: float, answer: Awaitable[A]) -> A:
    """The answer, or _LATE; a wait that is over is no error of the operation."""
    scope = asyncio.timeout(wait)
    try:
        async with scope:
            return await answer
    except TimeoutError:
        if scope.expired():
            late: A = _LATE
            return late
        raise
