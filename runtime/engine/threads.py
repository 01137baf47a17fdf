"""Threads for tasks that block: daemons, reused, never waited for.

A pool of the standard library would hold up the interpreter's exit until every
task ended; these threads do not. Results come back to the loop in bunches.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

Done: TypeAlias = Callable[[Any, BaseException | None], None]

_KEPT_IDLE = 32


class TaskThreads:
    """Runs functions in threads; `done(value, error)` is called on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: list[SimpleQueue[Any]] = []
        self._lock = threading.Lock()
        self._finished: deque[tuple[Done, Any, BaseException | None]] = deque()
        self._announced = False
        self._closed = False
        self._names = 0

    def run(self, function: Callable[[], Any], done: Done) -> None:
        """Run `function` in a thread of its own for as long as it takes."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            self._names += 1
            threading.Thread(
                target=self._work,
                args=(inbox,),
                name=f"everact-task-{self._names}",
                daemon=True,
            ).start()
        inbox.put((function, done))

    def close(self) -> None:
        """Let idle threads end; busy ones end with what they do."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for inbox in idle:
            inbox.put(None)

    def _work(self, inbox: "SimpleQueue[Any]") -> None:
        while True:
            job = inbox.get()
            if job is None:
                return
            function, done = job
            value: Any = None
            error: BaseException | None = None
            try:
                value = function()
            except BaseException as raised:
                error = raised
            with self._lock:
                keep = not self._closed and len(self._idle) < _KEPT_IDLE
                if keep:
                    self._idle.append(inbox)
            self._finished.append((done, value, error))
            del job, function, done, value, error
            if not self._announced:
                self._announced = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return
            if not keep:
                return

    def _deliver(self) -> None:
        self._announced = False
        finished = self._finished
        while finished:
            done, value, error = finished.popleft()
            done(value, error)
