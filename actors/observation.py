"""What an observer may see of a system: its tree of actors, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from everact.actors.actor import Actor

__all__ = ["ActorState", "ActorView", "observe"]

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


def observe(actors: Iterable[Actor]) -> tuple[ActorView, ...]:
    """Look at actors and all their descendants. Only on the loop thread."""
    return tuple(_view(actor) for actor in actors)


def _view(actor: Actor) -> ActorView:
    # Does not ask for the reference: looking must not make one.
    ref = actor._actor_ref
    return ActorView(
        class_name=type(actor).__name__,
        name=None if ref is None else ref.name,
        about=actor.about,
        state=_state(actor),
        unread=len(actor._actor_queue or ()),
        children=observe((actor._actor_children or {}).values()),
    )


def _state(actor: Actor) -> ActorState:
    if actor._actor_exit is not None:
        return "stopping"
    if actor._actor_running is not None:
        return "busy"
    return "idle" if actor._actor_queue is None else "ready"
