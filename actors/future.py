"""The answer to an ask: awaitable on any event loop, gettable from any thread.

A :class:`pykka.Future` that never blocks an event loop. ``set`` takes no lock: it
writes the outcome first and wakes waiters after, and a waiter registers first and looks
at the outcome after, so one of the two always sees the other.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import threading
import time
from asyncio import _get_running_loop as running_loop
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

import pykka

from everact.actors.errors import AskTimeout, BlockingCallError

__all__ = ["ActorFuture"]

T = TypeVar("T")
M = TypeVar("M")
J = TypeVar("J")
R = TypeVar("R")

ExcInfo: TypeAlias = tuple[
    type[BaseException] | None, BaseException | None, TracebackType | None
]

_PENDING = object()

# Guards the list of waiters of whichever future is being waited for; held for a few
# bytecodes only, and never by set(), so one lock for all of them is enough.
_waiters_lock = threading.Lock()


class ActorFuture(pykka.Future[T]):
    """A value that an actor will answer with.

    ``await`` it on an event loop; ``get(timeout=…)`` blocks in a thread without a
    running loop, and raises :class:`BlockingCallError` instead of blocking one that
    has. Both can be repeated. An awaiting task may be cancelled: the future stays.
    """

    _value: Any = _PENDING
    _error: BaseException | None = None
    _traceback: TracebackType | None = None
    _waiters: list[Callable[[], object]] | None = None
    # The way of nearly every ask: one task of the loop that also sets the outcome.
    _loop: asyncio.AbstractEventLoop | None = None
    _waiter: asyncio.Future[T] | None = None
    # What makes the value when it is first asked for, and what it made.
    _hook: Any = None
    _hook_value: Any = _PENDING
    #: Seconds that an await may take; set by an ask with a timeout on the loop.
    _await_timeout: float | None = None

    def __init__(self) -> None:
        """No state: an unset future is nothing but its class's defaults."""

    def __repr__(self) -> str:
        state = "pending" if self._value is _PENDING else "done"
        return f"<{type(self).__name__} {state}>"

    def done(self) -> bool:
        """Whether the outcome is there."""
        return self._value is not _PENDING or self._hook_value is not _PENDING

    # -- setting

    def set(self, value: T | None = None) -> None:
        """Set the value, once. Wakes waiters in their own threads and loops."""
        if self._value is not _PENDING or self._hook is not None:
            raise queue.Full("the future already has its outcome")
        self._value = value
        waiter = self._waiter
        if waiter is not None:
            if running_loop() is self._loop and not waiter.done():
                waiter.set_result(value)  # type: ignore[arg-type]
            else:
                self._wake_own(waiter)
        if self._waiters is not None:
            self._wake()

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Set the exception (that of the except block, unless one is given), once."""
        if exc_info is None:
            exc_info = sys.exc_info()
        kind, error, traceback = exc_info
        if error is None:
            error = kind() if kind is not None else RuntimeError("no exception to set")
        self.set_error(error, traceback)

    def set_error(
        self, error: BaseException, traceback: TracebackType | None = None
    ) -> None:
        """Set the exception object, once."""
        if self._value is not _PENDING or self._hook is not None:
            raise queue.Full("the future already has its outcome")
        self._traceback = traceback or error.__traceback__
        self._error = error
        self._value = None
        if self._waiter is not None:
            self._wake_own(self._waiter)
        if self._waiters is not None:
            self._wake()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Let a function of a timeout produce the value when it is first asked for.

        An await runs it in a thread of the loop's default executor.
        """
        if self._value is not _PENDING or self._waiter is not None:
            raise queue.Full("the future has its outcome, or an actor will set it")
        self._loop = None
        self._hook = func
        self._wake()

    # -- waiting

    def get(self, *, timeout: float | None = None) -> T:
        """Block until the outcome is there, and return or raise it.

        Raises :class:`AskTimeout` (a :class:`pykka.Timeout`) after ``timeout`` seconds.
        """
        if self._hook is not None:
            return self._run_hook(timeout)
        if self._value is _PENDING:
            self._block(timeout)
            if self._hook is not None:
                return self._run_hook(timeout)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, T]:
        if self._value is _PENDING and self._await_timeout is None:
            loop = self._loop
            if loop is not None and running_loop() is loop:
                waiter = self._waiter
                if waiter is None or waiter.done():
                    waiter = self._waiter = loop.create_future()
                    return waiter.__await__()
        return self._await_generally()

    def _await_generally(self) -> Generator[Any, None, T]:
        """Any number of tasks on any loops, time limits, and derived values."""
        if self._value is _PENDING and self._hook is None:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            self.add_waker(functools.partial(_wake_waiter, loop, waiter))
            if self._await_timeout is None:
                yield from waiter
            else:
                yield from _in_time(waiter, self._await_timeout).__await__()
        if self._hook is not None:
            return (yield from self._await_hook().__await__())
        return self._outcome()

    __iter__ = __await__

    def add_waker(self, wake: Callable[[], object]) -> None:
        """Call once the outcome is there, in the thread that sets it (or now)."""
        with _waiters_lock:
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(wake)
        if self._value is not _PENDING:
            self._wake()

    def _wake_own(self, waiter: asyncio.Future[T]) -> None:
        """Hand the outcome to the task of the future's own loop."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if running_loop() is not loop:
            loop.call_soon_threadsafe(self._wake_own, waiter)
        elif not waiter.done():
            if self._error is None:
                waiter.set_result(self._value)
            else:
                waiter.set_exception(_raisable(self._error))

    def _wake(self) -> None:
        with _waiters_lock:
            waiters, self._waiters = self._waiters, None
        for wake in waiters or ():
            wake()

    def _outcome(self) -> T:
        error = self._error
        if error is None:
            return cast("T", self._value)
        # The same traceback each time: it must not grow with every get.
        raise error.with_traceback(self._traceback)

    def _block(self, timeout: float | None) -> None:
        if timeout is not None and timeout <= 0:
            raise AskTimeout(f"{timeout} seconds")
        if running_loop() is not None:
            raise BlockingCallError(
                "get() would block the running event loop; use await instead"
            )
        arrived = threading.Event()
        self.add_waker(arrived.set)
        if not arrived.wait(timeout):
            raise AskTimeout(f"{timeout} seconds")

    # -- values made from other values

    def _run_hook(self, timeout: float | None) -> T:
        if self._hook_value is _PENDING:
            self._hook_value = self._hook(timeout)
        return cast("T", self._hook_value)

    async def _await_hook(self) -> T:
        if self._hook_value is _PENDING:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, self._run_hook, None)
        return cast("T", self._hook_value)

    def filter(
        self: ActorFuture[Iterable[J]], func: Callable[[J], bool]
    ) -> ActorFuture[Iterable[J]]:
        """A future of the list of items for which ``func`` is true."""
        return _Derived((self,), lambda values: list(filter(func, values[0])))

    def join(
        self: ActorFuture[Any], *futures: pykka.Future[Any]
    ) -> ActorFuture[Iterable[Any]]:
        """A future of the list of the values of this and other futures."""
        return _Derived((self, *futures), lambda values: values)

    def map(self, func: Callable[[T], M]) -> ActorFuture[M]:
        """A future of ``func(value)``."""
        return _Derived((self,), lambda values: func(values[0]))

    def reduce(
        self: ActorFuture[Iterable[J]], func: Callable[[R, J], R], *args: R
    ) -> ActorFuture[R]:
        """A future of the items folded into one, from left to right."""
        return _Derived(
            (self,), lambda values: functools.reduce(func, values[0], *args)
        )


def _raisable(error: BaseException) -> BaseException:
    """What a coroutine may raise: not StopIteration, which would end it normally."""
    if not isinstance(error, StopIteration):
        return error
    replaced = RuntimeError(f"the actor raised {error!r}")
    replaced.__cause__ = error
    return replaced


def _wake_waiter(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
    if running_loop() is not loop:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, waiter)
    elif not waiter.done():
        waiter.set_result(None)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _in_time(waiter: asyncio.Future[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiter
    except TimeoutError:
        raise AskTimeout(f"{seconds} seconds") from None


class _Derived(ActorFuture[T]):
    """A value computed from those of other futures, when it is first asked for."""

    def __init__(
        self,
        sources: tuple[pykka.Future[Any], ...],
        compute: Callable[[list[Any]], T],
    ) -> None:
        self._sources = sources
        self._compute = compute
        self._hook = self._get_sources

    def _get_sources(self, timeout: float | None) -> T:
        deadline = None if timeout is None else time.monotonic() + timeout
        values = []
        for source in self._sources:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            values.append(source.get(timeout=left))
        return self._compute(values)

    async def _await_hook(self) -> T:
        if self._hook_value is _PENDING:
            values = [await source for source in self._sources]
            self._hook_value = self._compute(values)
        return cast("T", self._hook_value)
