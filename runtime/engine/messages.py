"""What is posted to a run that somebody waits for: events, and queries."""

import asyncio
from typing import Any

import msgspec

from everact.runtime.core.records import Event
from everact.runtime.programs.base import Query
from everact.runtime.store.base import Remembered


class Envelope(msgspec.Struct, eq=False):
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


class Question:
    """A query, answered once the state that it saw is durable."""

    __slots__ = ("query", "reply")

    def __init__(self, query: Query, reply: "asyncio.Future[Any]") -> None:
        self.query = query
        self.reply = reply
