"""The active runtime: where calls of tasks outside of any run go."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from everact.runtime.definitions.tasks import Task
    from everact.runtime.values.calls import Call


class Caller(Protocol):
    """What can run a task that no workflow asked for."""

    async def call(
        self, task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a task as a run of its own and return its value."""

    async def dispatch(self, call: "Call") -> str:
        """Start a call as a run of its own and return its identifier at once."""

    def blocking(self, function: Callable[[], Any]) -> Any:
        """Run the coroutine that `function` makes from a thread that may block."""


_of_context: ContextVar[Caller | None] = ContextVar("everact_runtime", default=None)
_of_process: list[Caller] = []


def enter(caller: Caller) -> Callable[[], None]:
    """Make `caller` the active one of this context; returns what undoes that.

    Code outside the context (other threads) falls back to the latest one of the
    process.
    """
    before = _of_context.get()
    _of_context.set(caller)
    _of_process.append(caller)

    def leave() -> None:
        if _of_context.get() is caller:
            _of_context.set(before)
        if caller in _of_process:
            _of_process.remove(caller)

    return leave


def active() -> Caller:
    """The active runtime; RuntimeError if there is none."""
    found = _of_context.get()
    if found is not None and found in _of_process:
        return found
    if _of_process:
        return _of_process[-1]
    raise RuntimeError(
        "a task called outside a workflow needs a running Runtime: call it within "
        "`async with Runtime(…):`, or call its plain function as task.function(…)"
    )
