"""Attempts on the event loop: async functions, and the frame that they run in."""

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Final, TypeAlias

from everact.runtime.core import failures
from everact.runtime.core.admission import SLOT
from everact.runtime.definitions.context import (
    Attempt,
    TaskContext,
    current_attempt,
)
from everact.runtime.definitions.executors import LOOP, register_executor
from everact.runtime.definitions.interceptors import Invocation, chained
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.execution.base import Job
from everact.runtime.engine.host import Host
from everact.runtime.engine.stage import on_stage, watched
from everact.runtime.isolation import Exited, contained, is_interrupt
from everact.runtime.programs.workflow_loop import decode_arguments
from everact.runtime.values.outcomes import failure_of

_Task = asyncio.Task
_EAGER = sys.version_info >= (3, 12)
_current_task: Callable[[asyncio.AbstractEventLoop], object] = (
    asyncio.current_task if _EAGER else asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]
)
"""On 3.11 `current_task` is Python code around this look-up."""


Function: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]


class LoopExecutor:
    """Runs async functions on the engine's own loop."""

    name = LOOP
    needs = SLOT
    here = True

    def __init__(self, host: Host) -> None:
        self.host = host

    def start(self, job: Job) -> None:
        """Call the function: its first step runs now, where that can be."""
        with on_stage(self.host.on_loop, job.place):
            call = self._call(job)
            if call is not None:
                self._begin(job, *call)

    def stop(self, job: Job) -> None:
        """Cancel the function where it waits."""
        if job.kept is not None:
            job.kept.cancel()

    def close(self) -> None:
        """Functions have had their time, and end with their loop."""

    def _call(self, job: Job) -> tuple[Task[..., Any], Args, Kwargs] | None:
        """What is to be called, and with what; None if the attempt has failed."""
        host, command, task = self.host, job.command, job.task
        if task is None:
            known = ", ".join(sorted(host.registry.tasks)) or "none"
            text = f"no task {command.name!r} is registered here; known: {known}"
            job.fail(failures.not_found(text))
            return None
        try:
            args, kwargs = decode_arguments(
                host.values, command.args, command.kwargs, task.signature
            )
        except Exception as error:
            job.fail(failure_of(error, values=host.values))
            return None
        job.begins()
        return task, args, kwargs

    def _begin(
        self, job: Job, task: Task[..., Any], args: Args, kwargs: Kwargs
    ) -> None:
        if self.host.interceptors.tasks:
            watch(job, self._intercepted(job, task, args, kwargs))
        else:
            args, kwargs = injected(job, task, args, kwargs)
            watch(job, self._started(job, task.function, args, kwargs))

    def _intercepted(
        self, job: Job, task: Task[..., Any], args: Args, kwargs: Kwargs
    ) -> "asyncio.Task[Any]":
        """The function with interceptors around it, which are on the loop."""
        call = Invocation(
            "task", job.command.name, args, kwargs, dict(job.command.headers or {})
        )
        innermost = partial(self._perform, job, task)
        proceed = chained(self.host.interceptors.tasks, innermost)
        return self._started(job, proceed, (call,), {})

    async def _perform(self, job: Job, task: Task[..., Any], call: Invocation) -> Any:
        """What interceptors proceed to: the function itself."""
        args, kwargs = injected(job, task, call.args, call.kwargs)
        return await task.function(*args, **kwargs)

    def _started(
        self, job: Job, function: Function, args: Args, kwargs: Kwargs
    ) -> "asyncio.Task[Any]":
        """A task that runs `function`; a suspect's notes when it is on the loop."""
        if job.suspect:
            function = partial(watched, self.host.on_loop, job.place, function)
        return self.host.start_task(performed(job, function, args, kwargs))


def injected(
    job: Job, task: Task[..., Any], args: Args, kwargs: Kwargs
) -> tuple[Args, Kwargs]:
    """The arguments together with the context, if the task takes it."""
    if task.signature.injected is None:
        return args, kwargs
    return task.signature.inject(TaskContext(job), args, kwargs)


def watch(job: Job, running: "asyncio.Task[Any]") -> None:
    """Report how `running` ends, now or later."""
    if running.done():
        report(job, running)
    else:
        job.kept = running
        job.goes_on(threaded=False)
        running.add_done_callback(partial(report, job))


def report(job: Job, ended: "asyncio.Task[Any]") -> None:
    """Report how `ended` has ended."""
    try:
        value = ended.result()
    except Exited as exited:
        job.returned(None, exited.error)
    except asyncio.CancelledError as error:
        job.stopped(error)
    except BaseException as error:
        if is_interrupt(error):  # the process ends: it has not failed
            job.settled = True
        job.returned(None, error)
    else:
        job.returned(value, None)


async def performed(
    attempt: Attempt,
    function: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a task's function; what asyncio ends its loop for ends it alone."""
    current_attempt.set(attempt)
    try:
        return await function(*args, **kwargs)
    except (SystemExit, KeyboardInterrupt) as error:
        raise Exited(contained(error)) from None


ATTEMPT: Final = performed.__code__
"""The frame that an attempt's function runs in: it holds the attempt as `attempt`."""


class TaskStarter:
    """Starts asyncio tasks with their first step run at once.

    A function that never waits ends without a turn of the loop, in a real task all
    the same. Only where no other task runs: elsewhere the first step is scheduled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._step: Callable[[], None]
        self._context: Context
        self._catch = self._caught

    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        loop = self._loop
        if _current_task(loop) is not None:
            return loop.create_task(coroutine)
        if _EAGER:
            return _Task(coroutine, loop=loop, eager_start=True)  # type: ignore[call-arg]
        try:
            loop.call_soon = self._catch  # type: ignore[assignment, method-assign]
        except AttributeError:  # a loop in C, which schedules it as usual
            return loop.create_task(coroutine)
        try:
            task = _Task(coroutine, loop=loop)
        finally:
            del loop.call_soon
        self._context.run(self._step)
        return task

    def _caught(self, step: Callable[[], None], *, context: Context) -> None:
        """In place of `call_soon` on Python 3.11, for the step of a new task."""
        self._step = step
        self._context = context


def _refused(function: Callable[..., Any]) -> str | None:
    if inspect.iscoroutinefunction(function):
        return None
    return "a function that is not async would block the loop: leave executor out"


register_executor(LOOP, LoopExecutor, _refused)
