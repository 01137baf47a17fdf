"""Where systems live: which are hosted on which loop, and a loop in a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["LoopThread", "latest", "push", "remove"]

logger = logging.getLogger("everact.actors")

# The one piece of process-wide state: without it Actor.start() could not know its home.
# Systems are held weakly: they hold their loop, which would never be let go.
_hosted: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, list[weakref.ref[Any]]
] = weakref.WeakKeyDictionary()


def push(loop: asyncio.AbstractEventLoop, system: object) -> None:
    """The loop hosts this system from now on."""
    _hosted.setdefault(loop, []).append(weakref.ref(system))


def remove(loop: asyncio.AbstractEventLoop, system: object) -> None:
    """The loop hosts this system no longer."""
    systems = _hosted.get(loop, [])
    systems[:] = [other for other in systems if other() not in (system, None)]


def latest(loop: asyncio.AbstractEventLoop | None) -> Any:
    """The system that was hosted last on this loop and is still there; else None."""
    systems = _hosted.get(loop, ()) if loop is not None else ()
    return next(filter(None, (system() for system in reversed(systems))), None)


class LoopThread:
    """An event loop on a daemon thread of its own, until it is closed."""

    def __init__(self, begin: Callable[[], object], *, name: str) -> None:
        """Start the thread and return when ``begin`` has run on its loop."""
        self._closing = threading.Lock()
        self._begun: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(begin,), name=name, daemon=True
        )
        self._thread.start()
        self._begun.result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, then end loop and thread. Idempotent, any thread."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a loop cannot be closed from its own thread")
        with self._closing:
            if self._loop.is_closed() or not self._thread.is_alive():
                return
            try:
                asyncio.run_coroutine_threadsafe(last(), self._loop).result()
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()

    def _run(self, begin: Callable[[], object]) -> None:
        loop = self._loop
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(_call(begin))
            except BaseException as error:
                self._begun.set_exception(error)
                return
            self._begun.set_result(None)
            while not self._serve():
                pass

    def _serve(self) -> bool:
        """Run the loop until it is stopped; False if an actor interrupted it."""
        try:
            self._loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            # Nobody above this thread could act on it, and other actors live here.
            logger.critical("Interrupt in an actor, not in its system", exc_info=True)
            return False
        return True


async def _call(function: Callable[[], object]) -> None:
    function()
