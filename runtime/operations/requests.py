"""Idempotency: a request is carried out once under its ID, and answered again."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from everact.runtime.core.requests import AUTOMATIC, RESERVED, RequestName, what_of
from everact.runtime.engine.requests import UnderWay
from everact.runtime.errors import invalid
from everact.runtime.operations.base import OPERATIONS, Operation, Request, Typed
from everact.runtime.store.base import Remembered

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")
R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")


async def carry_out(
    engine: "Engine",
    request: Request[A],
    typed: Typed | None = None,
) -> A:
    """The answer to a request; if its ID was used for the same, the first answer.

    `typed` is what is done to a request before its handler gets it, and may refuse it.
    RequestIdReused if another request was carried out under its ID; a refused one
    leaves its ID free.
    """
    operation = OPERATIONS[type(request)]
    name = None if operation.target is None else named(request)
    if name is None:
        plain: A = await _handled(engine, request, operation, typed)
        return plain

    async def do() -> A:
        answer: A = await _handled(engine, request, operation, typed)
        return answer

    while True:
        found = engine.requests.look(name)
        if found is None:
            return await _begun(engine, operation, name, do)
        if not isinstance(found, UnderWay):
            again: A = await operation.again(engine, request, found)
            return again
        if found.name == name and operation.rejoins:
            return await do()
        if found.name == name and found.answer is not None:
            joined: A = await asyncio.shield(found.answer)
            return joined
        await asyncio.wait((found.settled,))


async def _handled(
    engine: "Engine", request: Any, operation: Operation, typed: Typed | None
) -> Any:
    if typed is not None:
        request = typed(engine, request)
        if isawaitable(request):
            request = await request
    return await operation.handler(engine, request)


async def _begun(
    engine: "Engine",
    operation: Operation,
    name: RequestName,
    do: Callable[[], Awaitable[A]],
) -> A:
    """Carry a request out to its end, even if its sender gives up."""
    begun = engine.requests.begin(name)
    if operation.rejoins:
        try:
            return await do()
        finally:
            engine.requests.end(begun)
    under_way(engine, begun, do())
    assert begun.answer is not None
    answer: A = await asyncio.shield(begun.answer)
    return answer


def under_way(engine: "Engine", begun: UnderWay, doing: Any) -> None:
    """Let a request that has begun go on by itself, for all who wait for it."""

    def ended(task: "asyncio.Future[Any]") -> None:
        engine.requests.end(begun)
        if not task.cancelled():
            task.exception()  # whoever waits has it, or has given up

    begun.answer = engine.loop.create_task(doing)
    begun.answer.add_done_callback(ended)


async def to_its_end(engine: "Engine", doing: Coroutine[Any, Any, T]) -> T:
    """What comes of work that goes on if whoever asked for it gives up."""
    task = engine.loop.create_task(doing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:  # nobody else looks at what it raises
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise


def remembered(
    engine: "Engine", request: Any, answer: msgspec.Struct | None = None
) -> Remembered | None:
    """What is to be written with the effect of a request; None if it has no ID."""
    request_id = id_of(request)
    if not request_id:
        return None
    return engine.requests.row(_workspace(request), request_id, answer)


def named(request: Any) -> RequestName | None:
    """What the ID of a request names; None without one. RPCError for one of ours."""
    request_id = id_of(request)
    if not request_id:
        return None
    operation = OPERATIONS[type(request)]
    if operation.target is None:
        return None
    if not request_id.startswith(AUTOMATIC):
        check_id(request_id)
    what = what_of(operation.name, operation.target(request))
    return RequestName(_workspace(request), request_id, what)


def id_of(request: Any) -> str:
    """The ID of a request: of one that starts a run first, if it has one there."""
    start = getattr(request, "start", None)
    if start is not None and start.request_id:
        return str(start.request_id)
    return getattr(request, "request_id", "")


def takes_id(request: Any) -> bool:
    """Whether a request can have an ID, here or in the start that it holds."""
    return hasattr(request, "request_id") or hasattr(request, "start")


def with_id(request: R, request_id: str) -> R:
    """A request under an ID, if it can have one and has none."""
    if id_of(request) or not takes_id(request):
        return request
    if hasattr(request, "request_id"):
        return replace(request, request_id=request_id)
    start: Any = request
    return replace(request, start=with_id(start.start, request_id))


def check_id(request_id: str) -> None:
    """Refuse the ID of a user that could meet one of ours; RPCError."""
    if request_id.startswith(RESERVED):
        raise invalid(
            f"request ID {request_id!r}: those that begin with {RESERVED!r} are "
            "everact's own, choose another"
        )


def _workspace(request: Any) -> str:
    found: str | None = getattr(request, "workspace", None)
    if found is None:
        parts = (getattr(request, part, None) for part in ("run", "start", "task"))
        found = next(part.workspace for part in parts if part is not None)
    return found
