"""asyncio tasks that a task's function starts: contained, so that none harms others.

asyncio ends its loop, and with it the engine, when any task of it raises `SystemExit`
or `KeyboardInterrupt`. What runs the function itself is contained where it is called;
what the function starts beside (`create_task`, `gather`, a `TaskGroup`) is contained
here: such a branch ends with `isolation.Exited`, which whoever awaits it gets.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any

from everact.runtime.definitions.context import current_attempt
from everact.runtime.isolation import Exited, contained


def contain(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Contain what attempts start on `loop` from now on; undone by the answer.

    Tasks that no attempt starts are made as before.
    """
    before = loop.get_task_factory()

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> "asyncio.Future[Any]":
        if type(coroutine) is CoroutineType and current_attempt.get(None) is not None:
            coroutine = _Branch(coroutine)
        if before is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        return before(loop, coroutine, **options)

    def undo() -> None:
        if loop.get_task_factory() is make:
            loop.set_task_factory(before)

    loop.set_task_factory(make)
    return undo


class _Branch(Coroutine[Any, Any, Any]):
    """A coroutine that asyncio does not end its loop for."""

    __slots__ = ("_inner",)

    def __init__(self, inner: "CoroutineType[Any, Any, Any]") -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Exited(contained(error)) from None

    def throw(self, *error: Any) -> Any:
        try:
            return self._inner.throw(*error)
        except (SystemExit, KeyboardInterrupt) as raised:
            raise Exited(contained(raised)) from None

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """What else there is to know of a coroutine: its name, its frame."""
        return getattr(self._inner, name)
