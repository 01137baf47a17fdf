"""A kind of program that saves: counters, which take messages one at a time.

A counter is started with a number, or none. It takes the signals `add` and `stop`, and
`work`, by which it has a task say how much to add; the update `add`, answered with its
number then; and the query `total`. It saves itself after each message; while a task is
under way, what it is stands in its script alone. All that the engine knows of it is the
line that `known` adds.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from everact.runtime.core import failures
from everact.runtime.core.records import (
    Began,
    CancelRequested,
    Command,
    Complete,
    CompleteUpdate,
    Event,
    Fail,
    RunTask,
    SaveState,
    SignalReceived,
    Started,
    TaskCompleted,
    UpdateAccepted,
)
from everact.runtime.definitions.interceptors import InterceptorChains
from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.workflows import WorkflowDefinition
from everact.runtime.errors import QueryFailed
from everact.runtime.programs import compare, kinds
from everact.runtime.programs.base import Query
from everact.runtime.values.converter import DataConverter

COUNTER = "counter"


class CounterDefinition(WorkflowDefinition):
    """A counter of that name, whose `work` is done by the task `task`."""

    kind = COUNTER

    def __init__(self, name: str, task: str, registry: Registry) -> None:
        async def counter(total: int = 0) -> int:
            return total

        super().__init__(name, counter)
        self.task = task
        registry.add_workflow(self)

    def takes(self, update: str) -> bool:
        return update == "add"


class CounterProgram:
    """One counter; see the module."""

    loads = 0
    """How many were made from what they had saved: for tests."""

    def __init__(
        self,
        definition: CounterDefinition,
        start: Started,
        generation: int,
        values: DataConverter,
        interceptors: InterceptorChains,
    ) -> None:
        self.definition = definition
        self.start = start
        self.values = values
        self.total = 0
        self.last_call = 0
        self.working = 0
        self.stopped = False
        self.commands: list[Command] = []

    # -- driving -------------------------------------------------------------------

    def activate(self, events: tuple[Event, ...], now: float) -> list[Command]:
        for event in events:
            self._take(event)
        commands, self.commands = self.commands, []
        saved = self.save()
        if saved is not None:
            commands.append(SaveState(saved))
        if self.stopped and not self.working:
            commands.append(Complete(self.values.encode(self.total, "the total")))
        return commands

    def resume(self) -> list[Command]:
        raise AssertionError("a counter comes to its end at once")

    def replay(self, script: Any) -> None:
        for number, row in enumerate(script, 1):
            produced = self.activate(row.events, row.time)
            compare.check(
                self.definition.name, number, row.commands, produced, self.values
            )

    def save(self) -> bytes | None:
        if self.working:
            return None
        now = (self.total, self.last_call, self.stopped)
        return self.values.encode(now, "a counter")

    def load(self, state: bytes) -> None:
        self.total, self.last_call, self.stopped = self.values.decode(state)
        CounterProgram.loads += 1

    def _take(self, event: Event) -> None:
        match event:
            case Started() | Began():
                given = [self.values.decode(a) for a in self.start.args]
                self.total = given[0] if given else 0
            case SignalReceived(name="add", args=(payload,)):
                self.total += self.values.decode(payload)
            case SignalReceived(name="work"):
                self.last_call += 1
                self.working += 1
                payload = self.values.encode(self.total, "a total")
                self.commands.append(RunTask(self.last_call, self._task, (payload,)))
            case SignalReceived(name="stop"):
                self.stopped = True
            case TaskCompleted(result=payload):
                self.total += self.values.decode(payload)
                self.working -= 1
            case UpdateAccepted(update_id=update_id, args=(payload,)):
                self.total += self.values.decode(payload)
                answer = self.values.encode(self.total, "a total")
                self.commands.append(CompleteUpdate(update_id, answer))
            case CancelRequested(reason=reason):
                self.commands.append(Fail(failures.cancelled(reason)))

    @property
    def _task(self) -> str:
        return self.definition.task

    # -- looking in ----------------------------------------------------------------

    @property
    def stuck(self) -> None:
        return None

    @property
    def finished(self) -> bool:
        return True

    def query(self, query: Query) -> int:
        if query.name != "total":
            raise QueryFailed(f"a counter answers no query {query.name!r}")
        return self.total

    def takes(self, update: str) -> bool:
        return self.definition.takes(update)

    def validate(self, event: UpdateAccepted) -> None:
        if self.values.decode(event.args[0]) < 0:
            raise ValueError("a counter does not count down")

    def where(self) -> str:
        return "its next message"

    def close(self) -> None:
        pass


def known() -> Any:
    """Counters are among the kinds of programs, while this is entered."""
    return patch.dict(kinds.KINDS, {COUNTER: CounterProgram})
