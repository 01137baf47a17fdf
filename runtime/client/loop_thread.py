"""An event loop on a thread of its own, for programs that have none.

`LoopThread` runs what it is handed there; whoever hands it over waits. Nothing of it
may be called where a loop runs: that would block the loop.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
)
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

from everact.runtime.errors import RuntimeStateError

T = TypeVar("T")


class LoopThread:
    """An event loop on a daemon thread; other threads run coroutines on it and wait.

    `hosted` is what the loop lives for: it is entered there, and left when `close` is
    called, with which the loop ends.
    """

    def __init__(
        self,
        hosted: Callable[[], AbstractAsyncContextManager[Any]],
        what: str = "runtime",
    ) -> None:
        self._hosted = hosted
        self._what = what
        self._stop = asyncio.Event()
        self._lock = threading.Lock()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._waiting: set[concurrent.futures.Future[Any]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="everact", daemon=True)

    def start(self) -> None:
        """Start, and wait until the loop is ready; raises what prevented it."""
        refuse_on_loop()
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._end()  # an interrupt: do not leave it on
            raise

    def close(self) -> None:
        """End the loop and wait for that; raises what `hosted` ended with, once.

        Harmless when repeated, and before the start.
        """
        if self._thread.ident is None:
            return
        refuse_on_loop()
        self._end()
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _end(self) -> None:
        with self._lock:
            if self._waiting is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)

    def wait(
        self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None
    ) -> T:
        """Run `coroutine` on the loop and wait for what it gives.

        It is cancelled when `timeout` seconds are over first (TimeoutError), and when
        the waiting is interrupted. RuntimeStateError if the loop has ended or ends
        meanwhile, or if a loop runs on this thread.
        """
        try:
            future = self._submit(coroutine)
        except BaseException:
            coroutine.close()
            raise
        try:
            return future.result(timeout)
        except concurrent.futures.CancelledError:
            raise RuntimeStateError(f"the {self._what} was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._lock:
                if self._waiting is not None:
                    self._waiting.discard(future)

    def step(self, items: AsyncIterator[T]) -> T:
        """The next of `items`; StopIteration after the last."""
        found = self.wait(_next(items))
        if found is None:
            raise StopIteration
        return found[0]

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items of `items`, each fetched when it is asked for."""
        try:
            while (found := self.wait(_next(items))) is not None:
                yield found[0]
        finally:
            if isinstance(items, AsyncGenerator):
                with suppress(RuntimeStateError):  # its loop has ended, and so has it
                    self.wait(_closed(items))

    def _submit(
        self, coroutine: Coroutine[Any, Any, T]
    ) -> "concurrent.futures.Future[T]":
        refuse_on_loop()
        with self._lock:
            if self._waiting is None or self._loop is None:
                raise RuntimeStateError(f"the {self._what} is not running")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._waiting.add(future)
            return future

    def _run(self) -> None:
        try:
            asyncio.run(self._host())
        except BaseException as error:
            if self._ready.done():
                self._error = error
            else:
                self._ready.set_exception(error)
        finally:
            with self._lock:
                waiting, self._waiting = self._waiting, None
            for future in waiting or ():
                future.cancel()  # what came too late for the loop to see

    async def _host(self) -> None:
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._waiting = set()
        async with self._hosted():
            self._ready.set_result(None)
            await self._stop.wait()


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    async for item in items:
        return (item,)
    return None


async def _closed(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


def refuse_on_loop() -> None:
    """RuntimeStateError where a loop runs."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeStateError(
            "the blocking form would block a running loop: use the asynchronous one"
        )
