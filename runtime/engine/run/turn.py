"""A turn: the events of one transition of a run, before it is recorded."""

import msgspec

from everact.runtime.core.calls import Shown
from everact.runtime.core.records import Event
from everact.runtime.engine.messages import Envelope
from everact.runtime.store.base import Write


class Turn(msgspec.Struct, eq=False):
    """Events that make one transition: what of them is shown, and how they came.

    `within` is another run's write that must be in the same transaction; `insert`
    says that it is the first transition of a run or generation.
    """

    events: tuple[Event, ...]
    shown: Shown
    now: float
    envelope: Envelope | None = None
    within: Write | None = None
    insert: bool = False
