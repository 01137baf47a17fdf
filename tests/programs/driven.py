"""A program without an engine: show it events, look at its commands.

`Driven` plays the run's part: it keeps what was shown and what was answered, as rows,
and can make the program anew from them. `play` also does the world's part: tasks are
run on the spot, in the order asked for, and timers fire when nothing else is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from everact.runtime import Registry
from everact.runtime.core import records
from everact.runtime.core.records import (
    CancelCall,
    CancelRequested,
    Command,
    Complete,
    CompleteUpdate,
    Event,
    Fail,
    RunTask,
    SignalReceived,
    Started,
    StartTimer,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    Transition,
    UpdateAccepted,
)
from everact.runtime.definitions.workflows import WorkflowDefinition, definition_of
from everact.runtime.programs.coroutine import CoroutineProgram
from everact.runtime.values.outcomes import exception_of, failure_of
from everact.runtime.values.payloads import PickleConverter

VALUES = PickleConverter()
NOW = 1_700_000_000.0
RUN_ID = "00000000-0000-4000-8000-000000000001"

_made: list[CoroutineProgram] = []


def close_all() -> None:
    """Close every program that was made: garbage would complain in a later test."""
    while _made:
        _made.pop().close()


Choice = Callable[[list[int]], int]
"""Which of the open tasks ends next."""


def first(open_tasks: list[int]) -> int:
    return open_tasks[0]


def last(open_tasks: list[int]) -> int:
    return open_tasks[-1]


class Driven:
    """One run of `workflow`, driven by hand."""

    def __init__(
        self, workflow: Any, *args: Any, run_id: str = RUN_ID, generation: int = 0
    ) -> None:
        found = definition_of(workflow)
        self.definition = found or WorkflowDefinition("workflow", workflow)
        self.generation = generation
        self.started = Started(
            self.definition.name,
            "wf",
            run_id,
            run_id,
            run_id,
            tuple(VALUES.encode(arg, "an argument") for arg in args),
        )
        self.now = NOW
        self.script: list[bytes] = []
        self.open: dict[int, Command] = {}
        self.issued: list[Command] = []
        self.closing: Command | None = None
        self.program = self.fresh()

    def fresh(self, workflow: Any = None) -> CoroutineProgram:
        """A program that was shown nothing yet, of other code if given."""
        definition = self.definition
        if workflow is not None:
            found = definition_of(workflow)
            definition = found or WorkflowDefinition("workflow", workflow)
        made = CoroutineProgram(definition, self.started, self.generation, VALUES)
        _made.append(made)
        return made

    # -- showing -------------------------------------------------------------------

    def show(self, *events: Event) -> list[Command]:
        """Show events; the commands that came."""
        commands = self.program.activate(events, self.now)
        while commands is None:
            commands = self.program.resume()
        row = Transition(self.now, events, tuple(commands))
        self.script.append(records.encode(row))
        for command in commands:
            if isinstance(command, CancelCall):
                self.open.pop(command.call)
            elif hasattr(command, "call"):
                self.open[command.call] = command
            elif not isinstance(command, CompleteUpdate):
                self.closing = command
        self.issued += commands
        return commands

    def start(self) -> list[Command]:
        return self.show(self.started)

    def complete(self, call: int, value: Any = None) -> list[Command]:
        del self.open[call]
        return self.show(TaskCompleted(call, VALUES.encode(value, "a result")))

    def fail(self, call: int, error: BaseException) -> list[Command]:
        del self.open[call]
        return self.show(TaskFailed(call, failure_of(error, values=VALUES)))

    def fire(self, call: int) -> list[Command]:
        timer = self.open.pop(call)
        assert isinstance(timer, StartTimer)
        self.now = max(self.now, timer.due)
        return self.show(TimerFired(call))

    def signal(self, name: str, *args: Any) -> list[Command]:
        payloads = tuple(VALUES.encode(arg, "an argument") for arg in args)
        return self.show(SignalReceived(name, payloads))

    def update(self, name: str, *args: Any, id: str = "u") -> list[Command]:
        payloads = tuple(VALUES.encode(arg, "an argument") for arg in args)
        return self.show(UpdateAccepted(id, name, payloads))

    def cancel(self, reason: str = "") -> list[Command]:
        return self.show(CancelRequested(reason))

    # -- the world -----------------------------------------------------------------

    def play(self, registry: Registry, choose: Choice = first) -> Any:
        """Go on to the end; the result, or the error as its caller would get it."""
        if not self.script:
            self.start()
        while self.closing is None:
            self.step(registry, choose)
        return self.outcome()

    def step(self, registry: Registry, choose: Choice = first) -> None:
        """Let one open task end, or else the earliest timer fire."""
        tasks = [c for c, command in self.open.items() if isinstance(command, RunTask)]
        if not tasks:
            timers = [c for c in self.open.values() if isinstance(c, StartTimer)]
            assert timers, f"nothing can happen; it waits at {self.program.where()}"
            self.fire(min(timers, key=lambda timer: (timer.due, timer.call)).call)
            return
        call = choose(tasks)
        command = self.open[call]
        assert isinstance(command, RunTask)
        function = registry.tasks[command.name].function
        args = [VALUES.decode(arg) for arg in command.args]
        kwargs = {k: VALUES.decode(arg) for k, arg in command.kwargs.items()}
        try:
            value = function(*args, **kwargs)
        except Exception as error:
            self.fail(call, error)
        else:
            self.complete(call, value)

    def outcome(self) -> Any:
        """The result of a closed run; its error is raised."""
        if isinstance(self.closing, Complete):
            return VALUES.decode(self.closing.result)
        assert isinstance(self.closing, Fail), self.closing
        raise exception_of(self.closing.failure, values=VALUES)

    # -- coming back -----------------------------------------------------------------

    @property
    def rows(self) -> list[Transition]:
        """What was recorded, as it is read back."""
        return [records.decode(body) for body in self.script]

    def replayed(self, workflow: Any = None) -> CoroutineProgram:
        """A program made anew from what was recorded, with other code if given."""
        program = self.fresh(workflow)
        try:
            program.replay(self.rows)
        except BaseException:
            program.close()
            raise
        return program

    def restart(self) -> None:
        """Forget the program and go on with one made from what was recorded."""
        self.program.close()
        self.program = self.replayed()


def play(
    workflow: Any,
    *args: Any,
    registry: Registry,
    choose: Choice = first,
    restarts: bool = False,
) -> Any:
    """Run to the end, made anew after every step if asked for; the result.

    What was recorded is replayed at the end, twice in fresh programs.
    """
    run = Driven(workflow, *args)
    run.start()
    while run.closing is None:
        if restarts:
            run.restart()
        run.step(registry, choose)
    run.replayed().close()
    run.replayed().close()
    run.program.close()
    return run.outcome()
