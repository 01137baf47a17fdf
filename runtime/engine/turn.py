"""What one transition of a run is made of, before it is recorded."""

import asyncio
from typing import Any

import msgspec

from everact.runtime.core.records import Event
from everact.runtime.core.state import Shown
from everact.runtime.store.base import Remembered, Write


class Asked(msgspec.Struct, eq=False):
    """An event whose sender waits until it is durable, or refused.

    With `follow` it is for the successor of a run that has continued, as signals are.
    """

    event: Event
    reply: "asyncio.Future[Any]"
    request: Remembered | None = None
    follow: bool = False

    def settle(self, value: Any = None) -> None:
        """The event is durable."""
        if not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: BaseException) -> None:
        """The event will never be durable."""
        if not self.reply.done():
            self.reply.set_exception(error)


class Turn(msgspec.Struct, eq=False):
    """Events that make one transition: what of them is shown, and how they came.

    `within` is another run's write that must be in the same transaction; `insert`
    says that it is the first transition of a run or generation.
    """

    events: tuple[Event, ...]
    shown: Shown
    now: float
    asked: Asked | None = None
    within: Write | None = None
    insert: bool = False
