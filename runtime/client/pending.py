"""Calls under way, each with its time limit, which may be cut off from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pending:
    """The calls that wait on one connection. For one event loop."""

    def __init__(self) -> None:
        self._scopes: dict[asyncio.Timeout, BaseException | None] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    @asynccontextmanager
    async def within(
        self, limit: float | None, expired: BaseException | None = None
    ) -> AsyncIterator[None]:
        """Raise `expired` after `limit` seconds, or what `abort` is told before."""
        scope = asyncio.timeout(limit)
        self._scopes[scope] = expired
        try:
            async with scope:
                yield
        except TimeoutError:
            why = self._scopes[scope]
            if not scope.expired() or why is None:
                raise
            raise why from None
        finally:
            del self._scopes[scope]

    def abort(self, why: BaseException) -> None:
        """End every call that is under way now with `why`."""
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                self._scopes[scope] = why
                scope.reschedule(now)
