"""Calls under way, each with its time limit, which may be cut off from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Making: TypeAlias = Callable[[], BaseException]


class Pending:
    """The calls that wait on one connection. For one event loop."""

    def __init__(self) -> None:
        self._scopes: dict[asyncio.Timeout, Making | None] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    @asynccontextmanager
    async def within(
        self, limit: float | None, expired: Making | None = None
    ) -> AsyncIterator[None]:
        """Raise what `expired` makes after `limit` seconds, or `abort` before.

        TimeoutError if nothing is to be made.
        """
        scope = asyncio.timeout(limit)
        self._scopes[scope] = expired
        try:
            async with scope:
                yield
        except TimeoutError:
            why = self._scopes[scope]
            if not scope.expired() or why is None:
                raise
            raise why() from None
        finally:
            del self._scopes[scope]

    def abort(self, why: Making) -> None:
        """End every call that is under way now, each with an error of its own."""
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                self._scopes[scope] = why
                scope.reschedule(now)
