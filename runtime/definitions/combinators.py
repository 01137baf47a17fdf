"""Combinators of durable awaitables: all, gather, race, any.

They start their branches together. A losing branch is left alone: calls it made go
on and their results go nowhere, unless `cancel_losers` asks for cancellation. When
the combinator itself is cancelled, so are its branches.
"""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, TypeVar

from everact.runtime.definitions.durable import DurableLoop, required_loop

T = TypeVar("T")


async def all(*awaitables: Awaitable[T], cancel_losers: bool = False) -> list[T]:
    """The values of all, in argument order; the first error as soon as it happens.

    An empty list for no arguments. TypeError, before any branch starts, for what is
    no durable awaitable.
    """
    branches = _start(awaitables, "all")
    if not branches:
        return []
    pending = len(branches)
    done = branches[0].get_loop().create_future()

    def settle(branch: "asyncio.Future[T]") -> None:
        nonlocal pending
        pending -= 1
        error = _error(branch)
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif not pending:
            done.set_result(None)

    await _first(done, branches, settle, cancel_losers)
    return [branch.result() for branch in branches]


gather = all


async def race(*awaitables: Awaitable[T], cancel_losers: bool = False) -> T | None:
    """What the first branch to settle gives: its value, or its error.

    None for no arguments. TypeError as for `all`.
    """
    branches = _start(awaitables, "race")
    if not branches:
        return None
    done = branches[0].get_loop().create_future()

    def settle(branch: "asyncio.Future[T]") -> None:
        error = _error(branch)
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(branch.result())

    value: T = await _first(done, branches, settle, cancel_losers)
    return value


async def any(*awaitables: Awaitable[T], cancel_losers: bool = False) -> T | None:
    """The first value; if all fail, the sole error or a group of them in order.

    None for no arguments. TypeError as for `all`.
    """
    branches = _start(awaitables, "any")
    if not branches:
        return None
    done = branches[0].get_loop().create_future()
    errors: dict[asyncio.Future[T], BaseException] = {}

    def settle(branch: "asyncio.Future[T]") -> None:
        error = _error(branch)
        if error is not None:
            errors[branch] = error
        if done.done():
            return
        if error is None:
            done.set_result(branch.result())
        elif len(errors) == len(branches):
            done.set_exception(_combined([errors[b] for b in branches]))

    value: T = await _first(done, branches, settle, cancel_losers)
    return value


def _start(awaitables: tuple[Any, ...], what: str) -> list["asyncio.Future[Any]"]:
    loop = required_loop(what)
    try:
        for number, awaitable in enumerate(awaitables, 1):
            _check(awaitable, loop, f"argument {number} of {what}")
    except TypeError:
        for awaitable in awaitables:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
        raise
    return [asyncio.ensure_future(a, loop=loop) for a in awaitables]


def _check(awaitable: Any, loop: DurableLoop, what: str) -> None:
    if isinstance(awaitable, asyncio.Future):
        if awaitable.get_loop() is not loop:
            raise TypeError(f"{what} belongs to another event loop: {awaitable!r}")
    elif not (inspect.iscoroutine(awaitable) or hasattr(awaitable, "__await__")):
        raise TypeError(
            f"{what} is not awaitable: {awaitable!r}; pass the coroutine that calling "
            "a task or an async function gives"
        )


async def _first(
    done: "asyncio.Future[Any]",
    branches: list["asyncio.Future[Any]"],
    settle: Any,
    cancel_losers: bool,
) -> Any:
    for branch in branches:
        branch.add_done_callback(settle)
    try:
        return await done
    except asyncio.CancelledError:
        cancel_losers = True
        raise
    finally:
        if cancel_losers:
            for branch in branches:
                branch.cancel()


def _error(branch: "asyncio.Future[Any]") -> BaseException | None:
    if branch.cancelled():
        return asyncio.CancelledError()
    return branch.exception()


def _combined(errors: list[BaseException]) -> BaseException:
    if len(errors) == 1:
        return errors[0]
    text = "no branch of any succeeded"
    plain = [e for e in errors if isinstance(e, Exception)]
    if len(plain) == len(errors):
        return ExceptionGroup(text, plain)
    return BaseExceptionGroup(text, errors)
