"""The executors of one engine, by name; each is made when it is first asked for."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from everact.runtime.core import failures
from everact.runtime.core.admission import SLOT
from everact.runtime.core.records import RunTask
from everact.runtime.definitions.executors import LOOP, executor_named
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine import execution
from everact.runtime.engine.execution.base import Executor, Job
from everact.runtime.engine.host import Host


class Executors:
    """All methods on the engine's loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._made: dict[str, Executor] = {}

    def of(self, command: RunTask, task: Task[..., Any] | None) -> Executor:
        """Where attempts of `command` run: as it says itself, or as its task does."""
        options = command.options
        name = "" if options is None else options.executor
        return self.named(name or (LOOP if task is None else task.executor))

    def named(self, name: str) -> Executor:
        """The executor of a name; one that only refuses, if there is none."""
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._make(name)
        return found

    def _make(self, name: str) -> Executor:
        try:
            registered = executor_named(name)
        except ValueError as unknown:
            return Missing(name, str(unknown))
        made: Executor = registered.make(self._host)
        return made

    def close(self) -> None:
        """Nobody is heard any more."""
        for executor in self._made.values():
            executor.close()


class Missing:
    """In place of an executor that a recorded call names, and nobody knows here."""

    needs = SLOT
    here = True

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def start(self, job: Job) -> None:
        """Fail, once and for all."""
        text = f"task {job.command.name!r} cannot run here: {self._why}"
        job.fail(failures.not_found(text))

    def stop(self, job: Job) -> None:
        """It is over already."""

    def close(self) -> None:
        """There is nothing."""


for _found in iter_modules(execution.__path__):
    import_module(f"{execution.__name__}.{_found.name}")
