"""One request, carried out once: the way from a request to its handler.

What makes two requests the same is their operation, their target and whatever else was
asked; who asks, trace headers and how long the caller waits are left out of it. Of the
values that users pass those are compared that are plain data. A pickle of an equal
value may differ, and so does what a codec makes of it: such values are not compared.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

import msgspec

from everact.runtime.core.requests import AUTOMATIC, RESERVED, RequestName, what_of
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.requests import UnderWay
from everact.runtime.errors import RPCError
from everact.runtime.operations.base import OPERATIONS, Operation, Request
from everact.runtime.values.payloads import HARMLESS, JSON_TAG

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")

_INCIDENTAL: Final = frozenset({"headers", "identity"})
"""Fields that say who asks and from where, not what for."""


async def carry_out(
    engine: "Engine",
    request: Request[A],
    prepared: Callable[["Engine", Any], Any] | None = None,
) -> A:
    """The answer to a request; if its ID was used for the same, the first answer.

    `prepared` is what is done to a request before its handler gets it, and may refuse
    it. RequestIdReused if another request was carried out under its ID; a refused one
    leaves its ID free.
    """
    operation = OPERATIONS[type(request)]

    async def do() -> A:
        given = request if prepared is None else prepared(engine, request)
        answer: A = await operation.handler(engine, given)
        return answer

    name = named(request) if operation.once else None
    if name is None:
        return await do()
    while True:
        found = engine.requests.look(name)
        if found is None:
            return await _begun(engine, operation, name, do)
        if not isinstance(found, UnderWay):
            assert operation.again is not None
            again: A = await operation.again(engine, request, found)
            return again
        if found.name == name and operation.rejoins:
            return await do()
        if found.name == name and found.answer is not None:
            joined: A = await asyncio.shield(found.answer)
            return joined
        await asyncio.shield(found.settled)


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


def named(request: Any) -> RequestName | None:
    """What the ID of a request names; None without one. RPCError for one of ours."""
    request_id = id_of(request)
    if not request_id:
        return None
    target, rest = request.asked
    digest = b""
    if not request_id.startswith(AUTOMATIC):  # those are never used again
        check_id(request_id)
        digest = _digest(rest)
    what = what_of(OPERATIONS[type(request)].name, target)
    return RequestName(_workspace(request), request_id, what, digest)


def id_of(request: Any) -> str:
    """The ID of a request: of one that starts a run first, if it has one there."""
    start = getattr(request, "start", None)
    found: str = (start.request_id if start is not None else "") or request.request_id
    return found


def automatic_id() -> str:
    """An ID for all tries of one call, made by a client."""
    return AUTOMATIC + uuid4().hex


def check_id(request_id: str) -> None:
    """Refuse the ID of a user that could meet one of ours; RPCError."""
    if request_id.startswith(RESERVED):
        raise RPCError(
            f"request ID {request_id!r}: those that begin with {RESERVED!r} are "
            "everact's own, choose another",
            RPCStatus.INVALID_ARGUMENT,
        )


def _workspace(request: Any) -> str:
    for part in ("run", "start", "task"):
        inner = getattr(request, part, None)
        if inner is not None:
            request = inner
            break
    workspace: str = request.workspace
    return workspace


def _digest(rest: tuple[Any, ...]) -> bytes:
    plain = msgspec.json.encode(_compared(rest), order="sorted")
    return hashlib.blake2b(plain, digest_size=16).digest()


def _compared(value: Any) -> Any:
    """What is compared of something that was asked, as plain data."""
    if isinstance(value, msgspec.Struct):
        return {
            name: _compared(getattr(value, name))
            for name in value.__struct_fields__
            if name not in _INCIDENTAL
        }
    if isinstance(value, dict):
        return {str(name): _compared(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_compared(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return _of_payload(value) if isinstance(value, bytes) else value


def _of_payload(payload: bytes) -> Any:
    """JSON by what it says, other plain data by its bytes, the rest by its kind."""
    tag = payload[:1]
    if tag in (JSON_TAG, b"{"):
        body = payload[1:] if tag == JSON_TAG else payload
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return payload
    return payload if tag in HARMLESS else tag
