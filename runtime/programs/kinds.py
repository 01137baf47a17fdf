"""The kinds of programs, in one list: what makes the program of a run.

A run records of which kind it is, and that decides: a name may mean something else by
now. Where nothing is recorded (a run that has not begun, or that an earlier version
wrote) the name says it. A new kind is a definition, its program, and a line here.
"""

from typing import Protocol

from everact.runtime.core.kinds import COROUTINE, TASK
from everact.runtime.core.records import SaveState, Started
from everact.runtime.core.state import RunState
from everact.runtime.definitions.interceptors import NO_INTERCEPTORS, InterceptorChains
from everact.runtime.definitions.registry import Registry
from everact.runtime.definitions.workflows import WorkflowDefinition
from everact.runtime.programs.attended import coroutine_program
from everact.runtime.programs.base import Program, Replay, Saving
from everact.runtime.values.converter import DataConverter


class Maker(Protocol):
    """What makes the programs of one kind."""

    def __call__(
        self,
        definition: WorkflowDefinition,
        start: Started,
        generation: int,
        values: DataConverter,
        interceptors: InterceptorChains,
    ) -> Program: ...


KINDS: dict[str, Maker] = {COROUTINE: coroutine_program, TASK: coroutine_program}


def definition_for(
    registry: Registry, name: str, kind: str = ""
) -> WorkflowDefinition | None:
    """The definition of that name and kind; None if the registry knows none.

    A task can stand in a workflow's place: a run of its own that makes one call.
    """
    definition = registry.workflows.get(name)
    if definition is not None and (not kind or definition.kind == kind):
        return definition
    if not registry.knows(name, kind):
        return None
    definition = WorkflowDefinition(name, registry.tasks[name])
    definition.kind, definition.registry = TASK, registry
    return definition


def program_of(
    definition: WorkflowDefinition,
    start: Started,
    generation: int,
    values: DataConverter,
    interceptors: InterceptorChains = NO_INTERCEPTORS,
) -> Program:
    """The program that runs what `definition` defines."""
    return KINDS[definition.kind](definition, start, generation, values, interceptors)


def bring_back(program: Program, state: RunState, script: Replay) -> None:
    """Make a new program what `state` and its script say that it was."""
    rows = iter(script)
    if state.saved:
        assert isinstance(program, Saving), f"{state.start.kind} programs do not save"
        commands = next(rows).commands
        program.load(next(c.state for c in commands if isinstance(c, SaveState)))
    program.replay(rows)
