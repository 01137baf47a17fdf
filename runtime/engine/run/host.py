"""Protocols between a run and what it consists of: the engine and the run for these.

`RunHost` is the engine, with those whom runs alone have to do with; `OwnRun` is the run
itself, whose code, journal and work ask each other these verbs.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from everact.runtime.core.records import (
    ChildClosed,
    Command,
    Event,
    RunTask,
    Transition,
)
from everact.runtime.core.state import RunState
from everact.runtime.engine.execution.attempt import TaskActor
from everact.runtime.engine.host import Acts, Host, Run, RunCode, RunJournal, Writes
from everact.runtime.engine.parts.base import Parts
from everact.runtime.engine.parts.updates import Updates
from everact.runtime.engine.parts.versions import Versions
from everact.runtime.engine.run.relations import Relations
from everact.runtime.engine.run.turn import Turn
from everact.runtime.engine.suspects import Suspects
from everact.runtime.store.base import Write


class RunHost(Host, Protocol):
    """The engine, as its runs know it."""

    parts: Parts
    writes: Mapping[type, Writes]
    """What parts write with records of a kind."""
    after_commit: Mapping[type, Acts]
    """What parts do for commands of a kind once they are durable."""
    relations: Relations
    updates: Updates
    versions: Versions
    suspects: Suspects
    common: frozenset[type]
    """Events for which no part writes anything, and that entail nothing themselves."""

    async def loaded(self, key: int) -> "OwnRun | None":
        """The run in memory, as it is durable; None if it is closed or unknown."""

    def run_closed(self, run: Run) -> "tuple[Any, ChildClosed] | None":
        """The end of a run is durable; the parent that is to be told, and of what."""

    def next_generation(self, run: Run) -> None:
        """A tail call is durable: the run begins anew under its identity."""

    def start_durable(self, run: Run) -> None:
        """The start is durable: tell who wants to know."""

    def stuck(self, run: Run, where: str) -> None:
        """Nothing open can wake the run: those who wait for it are told."""

    def drained(self, run: Run) -> None:
        """All that a discarded run did is durable, or refused."""

    def refused(self, run: Run, write: Write, error: BaseException) -> None:
        """One transition was refused: its run is dropped, and loaded if it exists."""


class OwnCode(RunCode, Protocol):
    """Its code; see `activation`."""

    def restore(self, script: list[Transition] | None) -> None:
        """The run is being read back: what its code was shown is at hand until None."""

    def activated(self, turn: Turn, commands: list[Command] | None, over: bool) -> None:
        """An activation ended with commands, wants another slice, or is over time."""

    def interrupted(self, turn: Turn, error: BaseException) -> None:
        """An activation did not come to its end."""

    def check_stuck(self) -> None:
        """Tell if nothing is open that could wake the code."""


class OwnJournal(RunJournal, Protocol):
    """Its journal; see `recording`."""

    in_flight: int
    size: int
    outgrown: int
    replies: "list[tuple[asyncio.Future[Any], Any]] | None"

    def record(self, turn: Turn, commands: tuple[Command, ...] = ()) -> None:
        """Record a transition; `Unrecordable` if its commands cannot be."""

    def begin(self, write: Write, turn: Turn) -> None:
        """The first row of a run: its row in the index goes with it."""

    def wake(self) -> float | None:
        """When the run must be in memory."""

    def tell_parent(self, write: Write) -> None:
        """The run closes with `write`: its parent must not sleep till it is told."""

    def committed(self, write: Write, error: BaseException | None) -> None:
        """The transition is durable, or refused."""

    def save(self, write: Write) -> None:
        """Write a checkpoint, if the rows since the last one outweigh that."""


class OwnWork(Protocol):
    """What it set off; see `releasing`."""

    attempts: dict[int, TaskActor]

    def release(
        self, events: tuple[Event, ...], commands: tuple[Command, ...]
    ) -> list[Any]:
        """Do what is durable now; what came in meanwhile, to be taken after it."""

    def settle_early(self, early: list[Any]) -> None:
        """Take what came in meanwhile, in its place in the line."""

    def dispatch(self, command: RunTask) -> None:
        """Start an attempt of an open task, as soon as a slot is free."""

    def closed(self) -> "tuple[OwnRun, ChildClosed] | None":
        """The run's end is durable; what its parent is to be told, if there is one."""


class OwnRun(Run, Protocol):
    """The run, as what it consists of knows it."""

    @property
    def engine(self) -> RunHost: ...
    @property
    def code(self) -> OwnCode: ...
    @property
    def journal(self) -> OwnJournal: ...
    @property
    def work(self) -> OwnWork: ...

    state: RunState
    successor: Run | None

    def adopt(self, attempt: TaskActor) -> None:
        """Make an attempt known to its system, as a child of this run."""
