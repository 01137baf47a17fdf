"""Waiters: for results, for more of a history, for changes of any run.

Callers that give up leave nothing behind; when the engine closes, all are told.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from everact.runtime.core.statuses import RunStatus
from everact.runtime.errors import (
    EveractError,
    RunPutAside,
    RuntimeStateError,
    StoreError,
)


class Closed(msgspec.Struct, eq=False):
    """How a run ended, for those who wait for its result."""

    key: int
    status: RunStatus
    command: Any
    next_run_id: str


class Watcher(Protocol):
    """Is told of every run of the engine."""

    def changed(self, key: int, status: RunStatus | None) -> None:
        """A run began (RUNNING), ended with a status, or was put aside (None)."""

    def closed(self) -> None:
        """The engine closes."""


class Changes:
    """What one who watches all runs has not been told yet: each run at most once."""

    MOST = 10_000
    """Runs that may wait to be told; with more the watcher has to read the list."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._keys: dict[int, None] = {}
        self.waiting: asyncio.Future[None] | None = None
        self.missed = False
        self._closed = False

    def changed(self, key: int, status: RunStatus | None) -> None:
        if len(self._keys) < self.MOST:
            self._keys[key] = None
        else:
            self.missed = True
        if self.waiting is not None:
            reply(self.waiting, None)

    def closed(self) -> None:
        self._closed = True
        if self.waiting is not None:
            reply(self.waiting, None)

    async def next(self) -> list[int]:
        """The keys of the runs that changed since the last call, at least one.

        RuntimeStateError when the engine closes.
        """
        if not self._keys and not self._closed:
            self.waiting = self._loop.create_future()
            try:
                await self.waiting
            finally:
                self.waiting = None
        if self._closed:
            raise RuntimeStateError("the runtime was closed")
        keys, self._keys = list(self._keys), {}
        return keys


class Waiting:
    """The waiting callers of one engine, by run key."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.results: dict[int, list[asyncio.Future[Closed | None]]] = {}
        self.followers: dict[int, list[asyncio.Future[None]]] = {}
        self.watchers: set[Watcher] = set()
        """Who is told of all runs."""

    async def result(self, key: int, wait: float = math.inf) -> Closed | None:
        """Wait for the durable end of a run; None if it takes over `wait` seconds."""
        waiter: asyncio.Future[Closed | None] = self._loop.create_future()
        self.results.setdefault(key, []).append(waiter)
        timer = None
        if wait < math.inf:
            timer = self._loop.call_later(wait, reply, waiter, None)
        try:
            closed = await waiter
        except asyncio.CancelledError:
            _leave(self.results, key, waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if closed is None:
            _leave(self.results, key, waiter)
        return closed

    def closed(self, closed: Closed) -> None:
        """Tell those who wait for the run's result."""
        for waiter in self.results.pop(closed.key, ()):
            if not waiter.done():
                waiter.set_result(closed)
        if self.watchers:
            self.changed(closed.key, closed.status)

    def failed(self, key: int, error: BaseException) -> None:
        """Tell them that they wait in vain."""
        for waiter in self.results.pop(key, ()):
            fail(waiter, error)

    def put_aside(self, key: int, workflow_id: str, run_id: str, reason: str) -> None:
        """Tell them that the run's code cannot run."""
        for waiter in self.results.pop(key, ()):
            fail(waiter, RunPutAside(workflow_id, run_id, reason))
        self.changed(key, None)

    def close(self, lost: StoreError | None) -> None:
        """Tell everybody that the engine closes, and why, if it gave up."""
        everybody: list[asyncio.Future[Any]] = []
        for results in self.results.values():
            everybody += results
        for followers in self.followers.values():
            everybody += followers
        for watcher in self.watchers:
            watcher.closed()
        for waiter in everybody:
            closed = RuntimeStateError("the runtime was closed")
            fail(waiter, closed if lost is None else type(lost)(str(lost)))

    @contextmanager
    def following(self, key: int) -> Iterator["asyncio.Future[None]"]:
        """A future that is done when the run has one more durable transition.

        Enter before you look, or one that comes between is missed.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()
        self.followers.setdefault(key, []).append(waiter)
        try:
            yield waiter
        finally:
            _leave(self.followers, key, waiter)

    def transitioned(self, key: int) -> None:
        """Tell those who follow a run that it has another durable transition."""
        for waiter in self.followers.pop(key, ()):
            reply(waiter, None)

    def changed(self, key: int, status: RunStatus | None) -> None:
        """Tell those who watch all runs that one began, ended, or was put aside."""
        for watcher in self.watchers:
            watcher.changed(key, status)

    @contextmanager
    def watching(self) -> Iterator["Changes"]:
        """Somebody watches all runs for as long as this is entered."""
        watcher = Changes(self._loop)
        self.watchers.add(watcher)
        try:
            yield watcher
        finally:
            self.watchers.discard(watcher)


def _leave(waiting: dict[int, list[Any]], key: int, waiter: Any) -> None:
    """A caller stopped waiting: nothing of it stays behind."""
    left = waiting.get(key, [])
    if waiter in left:
        left.remove(waiter)
        if not left:
            del waiting[key]


def reply(waiting: "asyncio.Future[Any]", answer: Any) -> None:
    """Answer, if somebody still waits."""
    if not waiting.done():
        waiting.set_result(answer)


def fail(waiting: "asyncio.Future[Any]", error: BaseException) -> None:
    """Answer with an error, if somebody still waits."""
    if not waiting.done():
        waiting.set_exception(error)


def copy_of(error: BaseException) -> BaseException:
    """An error of its own for each who is told: tracebacks must not pile up."""
    if not isinstance(error, EveractError):
        return error
    made = StoreError(str(error))
    if isinstance(error, StoreError):
        kind = type(error)
        made = kind.__new__(kind, *error.args)  # what it takes to make one may differ
        vars(made).update(vars(error))
    made.__cause__ = error
    return made
