"""Kinds of programs, as runs record them.

What drives a run is made by its definition; which kind that is stands in the run's
`Started` (or `Began`) from then on, and in its row. A kind that replays is brought back
by its script. One that saves is brought back by what it saved last.
"""

from everact.runtime.core.records import Started

COROUTINE = "coroutine"
"""An async function or a class with a run method; it replays."""

TASK = "task"
"""A task as a run of its own: a coroutine that makes one call."""


def kind_of(kind: str, name: str, before: Started) -> str:
    """The kind of what follows `before` as `name`; empty if it is to be found out."""
    return kind or (before.kind if name == before.name else "")
