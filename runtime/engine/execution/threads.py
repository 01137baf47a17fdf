"""Attempts in threads: functions that block.

The threads are daemons, reused, never waited for: a pool of the standard library would
hold up the interpreter's exit until every task ended. Results come back to the loop in
bunches.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias

from everact.runtime.core import admission
from everact.runtime.definitions.context import current_attempt
from everact.runtime.definitions.executors import THREAD, register_executor
from everact.runtime.definitions.interceptors import Invocation
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.execution.base import Job
from everact.runtime.engine.execution.loop import (
    Args,
    Kwargs,
    LoopExecutor,
    injected,
    report,
)
from everact.runtime.engine.host import Host

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


class ThreadExecutor(LoopExecutor):
    """Runs functions in threads; interceptors around them are on the loop."""

    name = THREAD
    needs = admission.THREAD

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._threads = TaskThreads()

    def stop(self, job: Job) -> None:
        """A thread cannot be told; its function may look whether it is cancelled."""

    def close(self) -> None:
        """Idle threads end; busy ones end with what they do."""
        self._threads.close()

    def _begin(
        self, job: Job, task: Task[..., Any], args: Args, kwargs: Kwargs
    ) -> None:
        if not self.host.interceptors.tasks:
            args, kwargs = injected(job, task, args, kwargs)
            self._run(job, task, args, kwargs, job.returned)
            return
        running = self._intercepted(job, task, args, kwargs)
        if running.done():
            report(job, running)
        else:  # not to be interrupted: it keeps its slot until the thread is through
            running.add_done_callback(partial(report, job))

    async def _perform(self, job: Job, task: Task[..., Any], call: Invocation) -> Any:
        args, kwargs = injected(job, task, call.args, call.kwargs)
        ended: asyncio.Future[tuple[Any, BaseException | None]]
        ended = self.host.loop.create_future()

        def done(value: Any, error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result((value, error))

        self._run(job, task, args, kwargs, done)
        value, error = await ended
        if error is not None:
            raise error
        return value

    def _run(
        self,
        job: Job,
        task: Task[..., Any],
        args: Args,
        kwargs: Kwargs,
        then: Done,
    ) -> None:
        clock = self.host.clock
        context = copy_context()
        context.run(current_attempt.set, job)
        clock.hold()
        job.goes_on(threaded=True)

        def done(value: Any, error: BaseException | None) -> None:
            clock.release()
            then(value, error)

        self._threads.run(lambda: context.run(task.function, *args, **kwargs), done)


def _refused(function: Callable[..., Any]) -> str | None:
    if inspect.iscoroutinefunction(function):
        return "an async function runs on the loop, not in a thread"
    return None


register_executor(THREAD, ThreadExecutor, _refused)
