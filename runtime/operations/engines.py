"""Operations on the engine itself: what it is, and what it knows by name."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Request, operation

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: the queues that it serves, and how much of it is in use."""

    name: str
    queues: tuple[str, ...]
    slots: int
    busy: int
    threads: int
    busy_threads: int
    build_id: str


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is. `now` is its clock's epoch seconds, `uptime` is in seconds.

    `runs_in_memory`, `runs_aside` and `actors` are counts; `disk_full` says that work
    is held until there is room.
    """

    version: str
    python: str
    database: str
    epoch: int
    now: float
    uptime: float
    runs_in_memory: int
    runs_aside: int
    actors: int
    disk_full: bool
    workers: tuple[WorkerInfo, ...]


class DescribeEngine(Request[EngineInfo], frozen=True, kw_only=True):
    """Describe the engine."""


class WorkflowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A registered workflow: its parameters as written, the messages that it takes."""

    name: str
    parameters: str
    signals: tuple[str, ...]
    queries: tuple[str, ...]
    updates: tuple[str, ...]
    any_signal: bool
    on_events: tuple[str, ...] = ()


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A registered task and its parameters as written."""

    name: str
    parameters: str


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can run by name."""

    workflows: tuple[WorkflowInfo, ...]
    tasks: tuple[TaskInfo, ...]
    actors: tuple[str, ...]


class ReadDefinitions(Request[Definitions], frozen=True, kw_only=True):
    """The names that are registered here."""


_OF_WORKERS = WorkerInfo.__struct_fields__


@operation("engine.info", DescribeEngine, access=Access.INFO)
async def describe_engine(engine: "Engine", _: DescribeEngine) -> EngineInfo:
    """Put together what is known without asking the database."""
    now = engine.clock.now()
    return EngineInfo(
        version=everact_version(),
        python=sys.version.split()[0],
        database=Path(getattr(engine.store, "path", "")).name,
        epoch=engine.epoch,
        now=now,
        uptime=engine.clock.monotonic() - engine.opened_at,
        runs_in_memory=len(engine.runs),
        runs_aside=engine.runs_aside,
        actors=len(engine.system.registry),
        disk_full=engine.commits.full is not None,
        workers=tuple(
            WorkerInfo(**{name: getattr(worker, name) for name in _OF_WORKERS})
            for worker in engine.admission.all
        ),
    )


@operation("engine.definitions", ReadDefinitions, access=Access.INFO)
async def read_definitions(engine: "Engine", _: ReadDefinitions) -> Definitions:
    """Read the registry, and those of workers that have their own."""
    workflows, tasks = dict(engine.registry.workflows), dict(engine.registry.tasks)
    for worker in engine.admission.all:
        if worker.registry is not None:
            workflows = worker.registry.workflows | workflows
            tasks = worker.registry.tasks | tasks
    return Definitions(
        workflows=tuple(
            WorkflowInfo(
                name=name,
                parameters=str(definition.signature),
                signals=tuple(definition.signals),
                queries=tuple(definition.queries),
                updates=tuple(definition.updates),
                any_signal=definition.any_signal is not None,
                on_events=definition.on_events,
            )
            for name, definition in sorted(workflows.items())
        ),
        tasks=tuple(
            TaskInfo(name=name, parameters=str(task.signature))
            for name, task in sorted(tasks.items())
        ),
        actors=tuple(sorted(engine.registry.actors)),
    )


def everact_version() -> str:
    """The installed version; "0" in a checkout that is not installed."""
    try:
        return version("everact")
    except PackageNotFoundError:
        return "0"
