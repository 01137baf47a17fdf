"""Kinds of programs, as runs record them, and the state of a run by its kind.

What drives a run is made by its definition; which kind that is stands in the run's
`Started` (or `Began`) from then on, and in its row. A kind that replays is brought back
by its script. One that saves is brought back by what it saved last.
"""

from everact.runtime.core.records import Started
from everact.runtime.core.state import RunState

COROUTINE = "coroutine"
"""An async function or a class with a run method; it replays."""

TASK = "task"
"""A task as a run of its own: a coroutine that makes one call."""

STATES: dict[str, type[RunState]] = {}
"""Kinds whose events are folded otherwise; their starts must say the kind."""


def state_of(start: Started, generation: int = 0) -> RunState:
    """The state of a run, or of a generation of it, before its first event."""
    if start.kind in STATES:
        return STATES[start.kind](start, generation)
    return RunState(start, generation)


def kind_of(kind: str, name: str, before: Started) -> str:
    """The kind of what follows `before` as `name`; empty if it is to be found out."""
    return kind or (before.kind if name == before.name else "")
