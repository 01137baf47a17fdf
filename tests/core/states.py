"""Building states, and looking at the whole of one."""

from __future__ import annotations

import copy
from typing import Any

from everact.runtime.core.records import (
    Began,
    Command,
    Event,
    Started,
    StartOptions,
)
from everact.runtime.core.state import RunState

NOW = 1_000.0


def started(options: StartOptions | None = None, **fields: Any) -> Started:
    """A start of the workflow "w"; its run ID is "r"."""
    given: dict[str, Any] = {
        "name": "w",
        "workflow_id": "id",
        "run_id": "r",
        "first_run_id": "r",
        "root_run_id": "r",
        "options": options or StartOptions(),
    }
    return Started(**{**given, **fields})


def new(options: StartOptions | None = None, **fields: Any) -> RunState:
    """A run that took in its start and nothing else."""
    state = RunState(started(options, **fields))
    state.apply(state.start, NOW)
    return state


def open_run(*commands: Command, options: StartOptions | None = None) -> RunState:
    """A run that began and answered `commands`."""
    state = new(options)
    state.apply(Began(), NOW)
    state.issue(commands)
    return state


def after(state: RunState, *steps: tuple[Event, float]) -> RunState:
    """`state` after events that must all fit."""
    for event, now in steps:
        assert state.apply(event, now) is not None
    return state


def whole(state: RunState) -> dict[str, Any]:
    """Everything that a state holds, as comparable values.

    Timers are compared by the moments that are due: which dead ones wait to be
    dropped from the heap is nobody's business.
    """
    state = copy.deepcopy(state)
    values = dict(state.__getstate__())
    values["timers"] = state.moments()
    values["tries"] = {
        call: {name: getattr(tries, name) for name in tries.__slots__}
        for call, tries in (state.calls.tries or {}).items()
    }
    values["calls"] = dict(sorted(state.calls.items()))
    return values
