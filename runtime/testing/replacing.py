"""A registry in which fakes stand for tasks and workflows of another one.

Nothing of the other registry is changed, so that tests with fakes of their own can
run side by side.
"""

import asyncio
import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import (
    Workflow,
    WorkflowDefinition,
    name_of,
)

Fakes = Mapping[Any, Callable[..., Any]]
"""What stands for which task or workflow."""


class Replacing(Registry):
    """Another registry, with what `fakes` replaces. It shows what is added there."""

    def __init__(self, base: Registry, fakes: Fakes | None = None) -> None:
        super().__init__(base.endpoint)
        self._base = base
        self._own_tasks: dict[str, Task[..., Any]] = {}
        self._own_workflows: dict[str, WorkflowDefinition] = {}
        self.tasks = ChainMap(self._own_tasks, base.tasks)  # type: ignore[assignment]
        self.workflows = ChainMap(  # type: ignore[assignment]
            self._own_workflows, base.workflows
        )
        self.actors = base.actors
        for replaced, fake in (fakes or {}).items():
            self.replace(replaced, fake)

    def replace(self, replaced: Any, fake: Callable[..., Any]) -> None:
        """Let `fake` stand for a task or a workflow, which keeps name and options.

        TypeError for anything else, or for a workflow's fake that is not async.
        """
        if isinstance(replaced, Task):
            self._own_tasks[replaced.everact_name] = standing_for(replaced, fake)
            return
        name = name_of(replaced)
        if isinstance(fake, Workflow):
            fake = fake.function
        if not inspect.iscoroutinefunction(fake):
            raise TypeError(f"what stands for workflow {name!r} must be async")
        self._own_workflows[name] = WorkflowDefinition(name, _plain(fake))

    def replaced(self, name: str) -> bool:
        """Whether a fake stands for the workflow of that name."""
        return name in self._own_workflows

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self._base.on_change(listener)


def standing_for(task: Task[..., Any], function: Callable[..., Any]) -> Task[..., Any]:
    """A task of the same name and options that calls `function`; not registered."""
    return Task(
        _plain(function),
        name=task.everact_name,
        options=task.options,
        executor="loop" if inspect.iscoroutinefunction(function) else "thread",
        registry=task.registry,
    )


def _plain(fake: Callable[..., Any]) -> Callable[..., Any]:
    """`fake` as a function: a mock's attributes are not a definition's."""
    if isinstance(fake, Task):
        return _plain(fake.function)
    if inspect.isfunction(fake):
        return fake
    if inspect.iscoroutinefunction(fake):

        async def asking(*args: Any, **kwargs: Any) -> Any:
            return await fake(*args, **kwargs)

        return asking

    def calling(*args: Any, **kwargs: Any) -> Any:
        return fake(*args, **kwargs)

    return calling


def watched(base: Registry, begins: Callable[[], bool]) -> Replacing:
    """A registry whose tasks ask `begins`, before they are called, whether they may."""
    made = Replacing(base)
    for task in list(base.tasks.values()):
        made.replace(task, _asking(task.function, begins))
    return made


def _asking(function: Callable[..., Any], begins: Callable[[], bool]) -> Any:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            if not begins():
                await asyncio.get_running_loop().create_future()
            return await function(*args, **kwargs)

        return waiting

    @functools.wraps(function)
    def blocking(*args: Any, **kwargs: Any) -> Any:
        if not begins():
            raise RuntimeError("the engine of this task is dead")
        return function(*args, **kwargs)

    return blocking
