"""A loop in another thread, on which asynchronous codecs run while a caller waits."""

import asyncio
import inspect
import threading
import weakref
from collections.abc import Awaitable
from typing import Final, TypeVar

from everact.runtime.isolation import Exited

T = TypeVar("T")

LIMIT: Final = 30.0
"""Seconds until who waits gives up."""


class CodecLoop:
    """Runs awaitables on a loop of its own, started on first use, and waits.

    The thread is a daemon, and ends when nobody has this object any more.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wait(self, awaitable: Awaitable[T]) -> T:
        """What the awaitable gives; TimeoutError after `LIMIT` seconds."""
        future = asyncio.run_coroutine_threadsafe(_awaited(awaitable), self._running())
        try:
            return future.result(LIMIT)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise TimeoutError(f"{self._what} took longer than {LIMIT:g} s") from None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=_run, args=(loop,), name="everact-codec", daemon=True
                ).start()
                weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _awaited(awaitable: Awaitable[T]) -> T:
    assert inspect.isawaitable(awaitable)
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        raise Exited(error) from None  # else the loop ends, and others wait
