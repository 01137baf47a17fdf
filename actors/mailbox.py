"""What lies in a mailbox, and what becomes of messages that nobody will read.

A mailbox is a plain list of messages, owned by its actor and touched only on the loop
thread. ``None`` instead of a list means idle: nothing unread and nothing running. A
told message lies there bare; only one that wants an answer has an envelope.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import pykka
from pykka import messages

from everact.actors.errors import ActorDeadError
from everact.actors.future import ActorFuture

__all__ = [
    "DEAD_LETTERS",
    "START",
    "STOP",
    "Ask",
    "Inbox",
    "Mailbox",
    "is_stop",
    "reject",
]

#: pykka's request to stop after everything that was sent before it.
STOP: Final = messages._ActorStop()


class _Start:
    """The first message of an actor that has an ``on_start`` of its own."""

    def __repr__(self) -> str:
        return "START"


START: Final = _Start()


class Ask:
    """A message whose sender waits for an answer."""

    __slots__ = ("message", "reply")

    def __init__(self, message: Any, reply: ActorFuture[Any]) -> None:
        self.message = message
        self.reply = reply


def is_stop(item: Any) -> bool:
    """Whether this is a request to stop, told or asked: it needs no room."""
    return type(item.message if type(item) is Ask else item) is type(STOP)


class Mailbox(Protocol):
    """What a sender needs of a mailbox that is not idle."""

    def append(self, item: Any, /) -> None: ...

    def __len__(self) -> int: ...


class _DeadLetters:
    """The mailbox of every actor that has stopped: answers asks, drops the rest."""

    def append(self, item: Any, /) -> None:
        reject((item,), "the actor")

    def __len__(self) -> int:
        return 0


DEAD_LETTERS: Final = _DeadLetters()


def reject(items: Iterable[Any], actor: object) -> None:
    """Answer the asks among unread messages; a request to stop is thereby granted."""
    for item in items:
        if type(item) is not Ask:
            continue
        if is_stop(item):
            item.reply.set(None)
        else:
            item.reply.set_error(
                ActorDeadError(f"{actor} stopped before handling the message")
            )


class Inbox:
    """pykka's view of a mailbox: envelopes are put; only the actor takes them out."""

    def __init__(self, ref: pykka.ActorRef[Any]) -> None:
        self._ref = ref

    def put(self, envelope: Any, /) -> None:
        """Send what a :mod:`pykka` envelope holds."""
        self._ref._put(envelope.message, envelope.reply_to)  # type: ignore[attr-defined]

    def get(self) -> Any:
        """Refused: the system hands out messages, one at a time."""
        raise NotImplementedError("only the actor system takes messages out")

    def empty(self) -> bool:
        """Whether nothing is unread."""
        return self._ref._unread() == 0  # type: ignore[attr-defined, no-any-return]
