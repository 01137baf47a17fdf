"""Tasks of the event loop: how they are started, and the frame that they run in."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

from everact.runtime.definitions.context import Attempt, current_attempt
from everact.runtime.isolation import Exited, contained

_Task = asyncio.Task
_EAGER = sys.version_info >= (3, 12)
_current_task: Callable[[asyncio.AbstractEventLoop], object] = (
    asyncio.current_task if _EAGER else asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]
)
"""On 3.11 `current_task` is Python code around this look-up."""


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
