"""Prefixes of hold reasons that mean something: waiting for code, stalled in replay."""

from everact.runtime.core.kinds import COROUTINE
from everact.runtime.core.records import Started

WAITING = "waiting: "
"""For want of a worker or of its code: nobody has to do anything about the run."""

STALLED = "its code does not come to a wait when it is replayed"
"""Its replay did not come to an end in its time: its history may fit all the same."""


def unknown(start: Started) -> str:
    """The reason of a run whose code is not here."""
    what = "workflow" if start.kind in ("", COROUTINE) else start.kind
    return f"{WAITING}no {what} named {start.name!r} is registered"
