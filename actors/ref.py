"""References: how everybody but its own system talks to an actor.

A reference outlives its actor and, under a supervisor, follows it through restarts.
Everything public here may be called from any thread. In a thread with a running event
loop nothing blocks: what would be a blocking call elsewhere gives an awaitable.
"""

from __future__ import annotations

import threading
import uuid
from asyncio import _get_running_loop as running_loop
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

import pykka

from everact.actors.errors import ActorDeadError, MailboxFull
from everact.actors.exit import Exit, Killed
from everact.actors.future import ActorFuture
from everact.actors.mailbox import START, STOP, Ask, Inbox, is_stop, reject
from everact.actors.registry import ENDED

if TYPE_CHECKING:
    from everact.actors.actor import Actor
    from everact.actors.system import ActorSystem

__all__ = ["ActorRef", "BoundedActorRef", "Limbo", "Terminated"]

A = TypeVar("A", bound="Actor")

_new = object.__new__

# Guards what is made lazily and must exist once: URN and stop event of a reference.
_lazy_lock = threading.Lock()


class Terminated:
    """Told to a watching actor when the actor it watches has ended for good."""

    __slots__ = ("exit", "ref")
    __match_args__ = ("ref", "exit")

    def __init__(self, ref: ActorRef[Any], exit: Exit) -> None:
        self.ref = ref
        self.exit = exit

    def __repr__(self) -> str:
        return f"Terminated({self.ref}, {self.exit})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Terminated):
            return NotImplemented
        return self.ref is other.ref and self.exit == other.exit

    def __hash__(self) -> int:
        return hash((Terminated, id(self.ref)))


class Limbo:
    """Stands in for a supervised actor between two lives: keeps its messages."""

    __slots__ = ("_actor_exit", "_actor_queue", "system")

    def __init__(self, system: ActorSystem, unread: list[Any]) -> None:
        self.system = system
        self._actor_queue = unread
        self._actor_exit = None


class ActorRef(pykka.ActorRef[A]):
    """A reference to one actor. Made by its system; equal only to itself."""

    __slots__ = ("_actor", "_event", "_exit", "_urn", "_watchers", "name", "system")

    # Declared by pykka as plain attributes; made lazily here, when first asked for.
    actor_class: type[A]
    system: ActorSystem
    #: The name given at spawn, if any.
    name: str | None
    _actor: A | Limbo | None
    _exit: Exit | None
    _urn: str | None
    _event: threading.Event | None
    _watchers: list[Callable[[ActorRef[Any], Exit], object]] | None

    def __init__(self, actor: A, name: str | None = None) -> None:
        self._actor = actor
        self._exit = None
        self._urn = None
        self._event = None
        self._watchers = None
        self.name = name
        self.system = actor.system
        self.actor_class = type(actor)
        if actor._actor_serial == ENDED:  # made after the end
            self._actor, self._exit = None, actor._actor_exit

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The actor's UUID as a URN. Made when first asked for."""
        urn = self._urn
        if urn is None:
            with _lazy_lock:
                if self._urn is None:
                    self._urn = uuid.uuid4().urn
                urn = self._urn
            self.system.registry._urn_made(self)
        return urn

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Set once the actor takes no more messages, for threads to wait on."""
        with _lazy_lock:
            if self._event is None:
                self._event = threading.Event()
        # Registered first, looked at after: a stop in between sets it twice, not never.
        if not self.is_alive():
            self._event.set()
        return self._event

    @property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]
        """pykka's view of the mailbox."""
        return Inbox(self)

    @property
    def exit(self) -> Exit | None:
        """How the actor ended, or None while it lives."""
        return self._exit

    def __str__(self) -> str:
        label = f"{self.actor_class.__name__} ({self.actor_urn})"
        return label if self.name is None else f"{self.name}: {label}"

    def __repr__(self) -> str:
        return f"<ActorRef for {self}>"

    def __copy__(self) -> ActorRef[A]:
        return self

    def __deepcopy__(self, memo: object) -> ActorRef[A]:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{self} belongs to its process: it cannot be pickled")

    def is_alive(self) -> bool:
        """Whether the actor takes messages. True between two lives of a restart."""
        actor = self._actor
        return actor is not None and actor._actor_exit is None

    # -- messages

    def tell(self, message: Any) -> None:
        """Send a message, wanting no answer.

        Raises :class:`ActorDeadError` if the actor has stopped.
        """
        actor = self._actor
        if actor is None or actor._actor_exit is not None:
            raise ActorDeadError(f"{self} not found")
        system = self.system
        if get_ident() != system._thread:
            system._post_from_thread(self, message)
            return
        queue = actor._actor_queue
        if queue is not None:
            queue.append(message)
            return
        actor._actor_queue = [message]
        ready = system._ready
        if not ready:
            system._wake()
        ready.append(actor)  # type: ignore[arg-type]

    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any:
        """Send a message and get its answer.

        In a plain thread: blocks and returns the answer, or a future if not ``block``.
        In a thread with a running event loop: always returns a future at once, so
        write ``await ref.ask(message)``. ``timeout`` (seconds) counts from the await;
        :class:`AskTimeout` is raised after it.

        What the actor raises is raised here. A stopped actor gives
        :class:`ActorDeadError`, now or when it stops before it answers.
        """
        # Without their __init__: this is the hot path of every conversation.
        reply: ActorFuture[Any] = _new(ActorFuture)
        asked = _new(Ask)
        asked.message = message
        asked.reply = reply
        try:
            self.tell(asked)
        except (ActorDeadError, MailboxFull) as error:
            reply.set_error(error)
        loop = running_loop()
        if loop is None:
            return reply.get(timeout=timeout) if block else reply
        if loop is self.system._loop:
            reply._loop = loop
        if timeout is not None:
            reply._await_timeout = timeout
        return reply

    def _put(self, message: Any, reply: ActorFuture[Any] | None) -> None:
        """Send; every refusal becomes the answer, if one is wanted."""
        if reply is None:
            self.tell(message)
            return
        try:
            self.tell(Ask(message, reply))
        except (ActorDeadError, MailboxFull) as error:
            reply.set_error(error)

    def _unread(self) -> int:
        actor = self._actor
        queue = None if actor is None else actor._actor_queue
        if not isinstance(queue, list) or not queue:
            return 0
        return len(queue) - (queue[0] is START)  # not a message that anybody sent

    # -- the end of an actor

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the actor to stop after what was sent before.

        The answer, when it and its children have stopped: True, or False if it was
        dead already. Blocks or gives a future as :meth:`ask` does.
        """
        granted: ActorFuture[Any] = ActorFuture()
        stopped: ActorFuture[bool] = ActorFuture()
        granted.add_waker(lambda: stopped.set(granted._error is None))
        # Not self.tell: a bounded mailbox never refuses a request to stop.
        try:
            ActorRef.tell(self, Ask(STOP, granted))
        except ActorDeadError as error:
            granted.set_error(error)
        if running_loop() is not None:
            if timeout is not None:
                stopped._await_timeout = timeout
            return stopped
        return stopped.get(timeout=timeout) if block else stopped

    def kill(self, reason: str = "") -> None:
        """End the actor at once: unread messages are refused, an asynchronous handler
        is cancelled. Idempotent; returns before it has happened if in another thread.
        """
        self.system._run_on_loop(self._end, Killed(reason))

    def _end(self, exit: Exit) -> None:
        actor = self._actor
        if actor is not None and not isinstance(actor, Limbo):
            actor._actor_terminate(exit)

    def wait_stopped(self) -> ActorFuture[Exit]:
        """A future of how the actor ends: await it, or ``get`` it in a thread."""
        ended: ActorFuture[Exit] = ActorFuture()
        self.system._run_on_loop(self._add_watcher, lambda _ref, exit: ended.set(exit))
        return ended

    def _add_watcher(self, told: Callable[[ActorRef[Any], Exit], object]) -> None:
        """On the loop thread: call when the actor has ended for good (or now)."""
        if self._exit is not None:
            told(self, self._exit)
        elif self._watchers is None:
            self._watchers = [told]
        else:
            self._watchers.append(told)

    def _stopped(self) -> None:
        """On the loop thread: the actor takes no more messages."""
        if self._event is not None:
            self._event.set()

    def _abandoned(self, exit: Exit) -> None:
        """On the loop thread: nobody gives the actor in limbo another life."""
        limbo = self._actor
        self._exit = exit
        if isinstance(limbo, Limbo):
            reject(limbo._actor_queue, self)
        self._stopped()
        self.system.registry._forget(self)
        self._end_of_life(exit)

    def _end_of_life(self, exit: Exit) -> None:
        """On the loop thread: the actor has ended for good."""
        self._exit = exit
        self._actor = None
        watchers, self._watchers = self._watchers, None
        for told in watchers or ():
            told(self, exit)

    def _actor_weakref(self) -> A | None:  # type: ignore[override]
        """The actor object, for pykka's proxies."""
        actor = self._actor
        return None if isinstance(actor, Limbo) else actor


class BoundedActorRef(ActorRef[A]):
    """A reference to an actor whose mailbox holds a limited number of messages."""

    __slots__ = ("_coming", "bound")

    def __init__(self, actor: A, name: str | None, bound: int) -> None:
        super().__init__(actor, name)
        self.bound = bound
        # Sent by other threads, not yet in the mailbox; guarded by _lazy_lock.
        self._coming = 0

    def tell(self, message: Any) -> None:
        """Send a message, wanting no answer.

        Raises :class:`ActorDeadError` if the actor has stopped and
        :class:`MailboxFull` if as many messages as it may hold are unread.
        """
        if get_ident() == self.system._thread:
            if self._unread() + self._coming >= self.bound:
                raise MailboxFull(f"{self} has {self.bound} unread messages")
            super().tell(message)
            return
        with _lazy_lock:
            full = self._unread() + self._coming >= self.bound
            self._coming += not full
        if full:
            raise MailboxFull(f"{self} has {self.bound} unread messages")
        try:
            super().tell(message)
        except BaseException:
            self._arrived(message)
            raise

    def _arrived(self, message: Any) -> None:
        """A message of another thread has reached the mailbox, or never will."""
        if not is_stop(message):
            with _lazy_lock:
                self._coming -= 1
