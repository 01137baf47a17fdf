"""A kind of program whose code is a table: nodes with parents, and nothing to replay.

A node is a task or a wait, and may be skipped. It begins when its parents are done or
skipped; the number of its call is its place in the table. What became of the nodes is
the program's state, saved with each row: a condition is asked once, and its verdict
stands there. A graph is asked `nodes`, what each is now, which is answered later; the
update `note` is let in later too. All that the engine knows of it is a line in the list
of kinds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

from everact.runtime.core import failures
from everact.runtime.core.records import (
    CancelRequested,
    Command,
    Complete,
    CompleteUpdate,
    Event,
    Fail,
    RunTask,
    SaveState,
    Started,
    StartTimer,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    UpdateAccepted,
)
from everact.runtime.definitions.interceptors import InterceptorChains
from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.workflows import WorkflowDefinition
from everact.runtime.errors import QueryFailed
from everact.runtime.programs import kinds
from everact.runtime.programs.base import Later, Query
from everact.runtime.programs.compare import check
from everact.runtime.values.converter import DataConverter

GRAPH = "graph"

OPEN, DONE, SKIPPED = "open", "done", "skipped"


class Node(NamedTuple):
    """A task that is given the input, or a wait of so many seconds."""

    name: str
    task: str = ""
    seconds: float = 0.0
    parents: tuple[str, ...] = ()
    skip_if: Callable[[Any], bool] | None = None


class GraphDefinition(WorkflowDefinition):
    """A graph of that name."""

    kind = GRAPH

    def __init__(self, name: str, nodes: tuple[Node, ...], registry: Registry) -> None:
        async def graph(given: Any) -> dict[str, Any]:
            raise NotImplementedError

        super().__init__(name, graph)
        self.nodes = nodes
        registry.add_workflow(self)

    def takes(self, update: str) -> bool:
        return update == "note"


class GraphProgram:
    """One graph; see the module."""

    answers_after = 0.0
    """Seconds until a question is answered."""

    def __init__(
        self,
        definition: GraphDefinition,
        start: Started,
        generation: int,
        values: DataConverter,
        interceptors: InterceptorChains,
    ) -> None:
        self.definition = definition
        self.table = definition.nodes
        self.start = start
        self.values = values
        self.state: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}
        self.notes: list[str] = []

    # -- driving -------------------------------------------------------------------

    def activate(self, events: tuple[Event, ...], now: float) -> list[Command]:
        commands: list[Command] = []
        for event in events:
            ended = self._take(event, commands)
            if ended is not None:
                return [*commands, ended]
        self._go_on(commands, now)
        commands.append(SaveState(self.save()))
        if OPEN not in self.state.values():
            outputs = self.values.encode(self.outputs, "outputs")
            commands.append(Complete(outputs))
        return commands

    def _take(self, event: Event, commands: list[Command]) -> Command | None:
        """What has become of a node, or a message; how the run ends by it."""
        match event:
            case TaskCompleted(call=call, result=result):
                self._done(call, self.values.decode(result))
            case TimerFired(call=call):
                self._done(call, None)
            case TaskFailed(failure=failure):
                return Fail(failure)
            case CancelRequested(reason=reason):
                return Fail(failures.cancelled(reason))
            case UpdateAccepted(update_id=update_id, args=(note,)):
                self.notes.append(self.values.decode(note))
                answer = self.values.encode(len(self.notes), "a number")
                commands.append(CompleteUpdate(update_id, answer))
        return None

    def _done(self, call: int, output: Any) -> None:
        name = self.table[call - 1].name
        self.state[name], self.outputs[name] = DONE, output

    def _go_on(self, commands: list[Command], now: float) -> None:
        """Begin what its parents let begin; the table has parents first."""
        for call, node in enumerate(self.table, 1):
            waits = any(self.state.get(p, OPEN) == OPEN for p in node.parents)
            if node.name in self.state or waits:
                continue
            (given,) = self.start.args
            if node.skip_if is not None and node.skip_if(self.values.decode(given)):
                self.state[node.name] = SKIPPED
                continue
            self.state[node.name] = OPEN
            if node.task:
                commands.append(RunTask(call, node.task, (given,)))
            else:
                commands.append(StartTimer(call, now + node.seconds))

    def resume(self) -> list[Command]:
        raise AssertionError("a table comes to its end at once")

    def replay(self, script: Any) -> None:
        for number, row in enumerate(script, 1):
            produced = self.activate(row.events, row.time)
            check(self.definition.name, number, row.commands, produced, self.values)

    def save(self) -> bytes:
        now = self.state, self.outputs, self.notes
        return self.values.encode(now, "a graph")

    def load(self, state: bytes) -> None:
        self.state, self.outputs, self.notes = self.values.decode(state)

    # -- looking in ----------------------------------------------------------------

    @property
    def stuck(self) -> None:
        return None

    @property
    def finished(self) -> bool:
        return True

    def query(self, query: Query) -> Later:
        if query.name != "nodes":
            raise QueryFailed(f"a graph answers no query {query.name!r}")
        now = dict(self.state)

        async def answer() -> dict[str, str]:
            await asyncio.sleep(GraphProgram.answers_after)
            if query.args == ("exit",):
                raise SystemExit(3)
            if query.args:
                raise ValueError(f"no node has the name {query.args[0]!r}")
            return now

        return Later(answer)

    def takes(self, update: str) -> bool:
        return self.definition.takes(update)

    def validate(self, event: UpdateAccepted) -> Later:
        known, note = len(self.notes), self.values.decode(event.args[0])

        async def judge() -> None:
            await asyncio.sleep(GraphProgram.answers_after)
            if note == "exit":
                raise SystemExit(3)
            if known >= 2:
                raise ValueError(f"a graph takes two notes, and {note!r} is one more")

        return Later(judge)

    def where(self) -> str:
        return "its open nodes"

    def close(self) -> None:
        pass


def known() -> Any:
    """Graphs are among the kinds of programs, while this is entered."""
    return patch.dict(kinds.KINDS, {GRAPH: GraphProgram})
