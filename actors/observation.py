"""What an observer may see of a system: its tree of actors, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["ActorState", "ActorView"]

#: idle: nothing to read; ready: waits for its turn; busy: in asynchronous code;
#: stopping: takes no more messages, but it or its children have not ended yet.
ActorState: TypeAlias = Literal["idle", "ready", "busy", "stopping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorView:
    """One actor at one moment."""

    class_name: str
    #: The name given at spawn, if any.
    name: str | None
    #: What it says of itself, see `Actor.about`.
    about: str
    state: ActorState
    #: Messages in the mailbox that it has not begun to handle.
    unread: int
    #: Its children, in the order in which they were spawned.
    children: tuple[ActorView, ...]
