"""Which names stand for which tasks and workflows.

A definition registers itself, under its qualified name without the module or the
name given to it, in the registry named by the decorator or in the process-wide
default one. Two different definitions of one name are refused; the same definition
seen again (a module loaded anew) replaces the old one.
"""

import inspect
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from everact.actors import Actor
from everact.runtime.core.kinds import TASK

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Actor)

if TYPE_CHECKING:
    from everact.runtime.definitions.tasks import Task
    from everact.runtime.definitions.workflows import WorkflowDefinition


class Registry:
    """A set of tasks and workflows by name.

    `endpoint` names the runtime that serves the registry's functions (None: the one
    that calls them). Adding is refused with ValueError if the name is taken by
    another definition, and nothing changes then.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = endpoint
        self.tasks: dict[str, Task[..., Any]] = {}
        self.workflows: dict[str, WorkflowDefinition] = {}
        self.actors: dict[str, type[Actor]] = {}
        self._listeners: list[Callable[[], None]] = []

    def add_task(self, task: "Task[..., Any]") -> None:
        """Register a task under its name."""
        _check_free(self.tasks.get(task.everact_name), task, "task")
        self.tasks[task.everact_name] = task
        self._changed()

    def add_workflow(self, workflow: "WorkflowDefinition") -> None:
        """Register a workflow under its name."""
        _check_free(self.workflows.get(workflow.name), workflow, "workflow")
        self.workflows[workflow.name] = workflow
        workflow.registry = self
        self._changed()

    def offer(self, cls: type[T], *, name: str | None = None) -> type[T]:
        """Let clients start actors of a class, by its name; also as a decorator.

        ValueError if the name is taken by another class.
        """
        known = name or cls.__qualname__
        if self.actors.setdefault(known, cls) is not cls:
            raise ValueError(f"another actor class is offered as {known!r} already")
        return cls

    def knows(self, name: str, kind: str = "") -> bool:
        """Whether `name` stands for a task or a workflow, of `kind` if given."""
        found = self.workflows.get(name)
        if found is not None and (not kind or found.kind == kind):
            return True
        return name in self.tasks and kind in ("", TASK)

    def kind_of(self, name: str) -> str:
        """Of what kind the runs are that `name` stands for; empty if it is unknown."""
        found = self.workflows.get(name)
        if found is not None:
            return found.kind
        return TASK if name in self.tasks else ""

    def subscribers(self, key: str) -> "tuple[WorkflowDefinition, ...]":
        """The workflows that a user event of that key starts, by name."""
        found = (w for w in self.workflows.values() if key in w.on_events)
        return tuple(sorted(found, key=lambda workflow: workflow.name))

    @overload
    def function(
        self, plain: Callable[P, Coroutine[Any, Any, R]], /
    ) -> "Task[P, R]": ...
    @overload
    def function(self, plain: Callable[P, R], /) -> "Task[P, R]": ...
    def function(self, plain: Callable[..., Any], /) -> "Task[..., Any]":
        """Register a function for calls from anywhere.

        Without a policy its calls are tried ten times at most, on temporary statuses
        only, 1 s doubling to 100 s. ValueError if the name is taken.
        """
        from everact.runtime.definitions.tasks import function

        return function(self)(plain)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each addition; returns what undoes that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _check_free(found: Any, new: Any, what: str) -> None:
    if found is None or _place(found) == _place(new) or _interactive(found, new):
        return
    name = getattr(new, "everact_name", None) or new.name
    raise ValueError(
        f"a {what} named {name!r} is registered already, from {_place(found)}; give "
        "one of them another name with name=…"
    )


def _place(definition: Any) -> tuple[str, str, int]:
    function = inspect.unwrap(definition.function)
    code = getattr(function, "__code__", None)
    if code is None:
        return (function.__module__, function.__qualname__, 0)
    return (function.__module__, code.co_filename, code.co_firstlineno)


def _interactive(found: Any, new: Any) -> bool:
    """A cell or line typed again: what people do at a prompt to redefine."""
    return all(
        _place(d)[0] == "__main__" and _place(d)[1][:1] == "<" for d in (found, new)
    )


_default: Registry | None = None


def default_registry() -> Registry:
    """The process-wide registry, made on first use from the environment.

    `EVERACT_ENDPOINT` names the runtime that serves it.
    """
    global _default
    if _default is None:
        _default = Registry(os.environ.get("EVERACT_ENDPOINT") or None)
    return _default
