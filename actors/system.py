"""The system: hosts actors on one event loop, from their spawn to an ordered stop.

The rule kept here: one list of actors whose mailboxes have something to read, drained
by one callback of the loop. A drain is guarded: whatever escapes from one actor, the
others get their turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pykka

from everact.actors import hosting
from everact.actors.clock import Clock, SystemClock, VirtualClock, VirtualLoop
from everact.actors.errors import (
    ActorDeadError,
    SystemStoppedError,
    WrongThreadError,
)
from everact.actors.mailbox import START, STOP, reject
from everact.actors.observation import ActorState, ActorView
from everact.actors.ref import ActorRef, BoundedActorRef, Limbo
from everact.actors.registry import UNLISTED, Registry

if TYPE_CHECKING:
    from everact.actors.actor import Actor

__all__ = ["ActorSystem", "prepare"]

A = TypeVar("A", bound="Actor")
T = TypeVar("T")

#: Seconds that leaving ``async with`` (or ``with``) lets actors finish their work.
SHUTDOWN_TIMEOUT = 10.0

logger = logging.getLogger("everact.actors")

_new = object.__new__
_ref_lock = threading.Lock()


class _Turn:
    """Sent by a thread that spawned an actor: its first message waits already."""


_TURN = _Turn()


def prepare(actor: Actor, system: ActorSystem, parent: Actor | None) -> None:
    """Give an actor object what it needs before its own ``__init__``."""
    actor.system = system
    actor.parent = parent
    actor._actor_queue = None
    actor._actor_ref = None
    actor._actor_exit = None
    actor._actor_children = None
    actor._actor_running = None
    actor._actor_serial = UNLISTED


def _not_hosted(*_args: Any, **_kwargs: Any) -> None:
    raise SystemStoppedError


class ActorSystem:
    """A family of actors on one event loop, with its own registry and clock.

    ``async with ActorSystem() as system:`` hosts it on the running loop;
    ``with ActorSystem.in_thread() as system:`` on a loop in a thread of its own.
    Leaving either stops every actor. Without a clock it takes the machine's, or on a
    :class:`VirtualLoop` that loop's.
    """

    def __init__(self, name: str = "system", *, clock: Clock | None = None) -> None:
        self.name = name
        self.registry = Registry()
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self._call_soon: Callable[..., object] = _not_hosted
        self._thread: int | None = None
        self._context = contextvars.copy_context()
        self._ready: list[Actor] = []
        self._serials = itertools.count()
        self._actor_children: dict[int, Actor] = {}
        # What other threads have sent, until the loop thread takes it over.
        self._coming: deque[tuple[ActorRef[Any], Any]] = deque()
        self._coming_announced = False
        # Held while another thread spawns, so that a stop misses nobody.
        self._spawning = threading.Lock()
        self._open = False
        self._child_ended: asyncio.Future[None] | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._host: hosting.LoopThread | None = None

    def __repr__(self) -> str:
        state = "open" if self._open else "stopped"
        return f"<ActorSystem {self.name!r} {state}, {len(self.registry)} actors>"

    @property
    def clock(self) -> Clock:
        """The clock of this system's timers. There once the system is hosted."""
        if self._clock is None:
            raise SystemStoppedError
        return self._clock

    @property
    def is_open(self) -> bool:
        """Whether it is hosted and takes new actors."""
        return self._open

    def observe(self) -> tuple[ActorView, ...]:
        """The tree of its actors as it is now. Only on the loop thread."""
        return _views(self._actor_children.values())

    # -- where it runs

    def bind(self) -> Self:
        """Host the system on the running loop. For use without ``async with``.

        Keep the answer: the loop does not, and a system that nobody keeps is none.
        """
        if self._thread is not None:
            raise SystemStoppedError("an actor system can be hosted only once")
        self._loop = asyncio.get_running_loop()
        self._call_soon = self._loop.call_soon
        self._thread = get_ident()
        self._open = True
        if self._clock is None:
            virtual = isinstance(self._loop, VirtualLoop)
            self._clock = VirtualClock(self._loop) if virtual else SystemClock()  # type: ignore[arg-type]
        hosting.push(self._loop, self)
        return self

    async def __aenter__(self) -> Self:
        return self.bind()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop(timeout=SHUTDOWN_TIMEOUT)

    @classmethod
    def in_thread(cls, name: str = "system", *, clock: Clock | None = None) -> Self:
        """A system on a loop of its own in a new daemon thread, running when it
        returns. A context manager; without ``with``, call :meth:`close`.
        """
        system = cls(name, clock=clock)
        system._host = hosting.LoopThread(system.bind, name=f"actors-{name}")
        return system

    def __enter__(self) -> Self:
        if self._host is None:
            raise SystemStoppedError("use ActorSystem.in_thread() with a plain 'with'")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, timeout: float | None = SHUTDOWN_TIMEOUT) -> None:
        """Stop a system made by :meth:`in_thread`, and its thread. Idempotent."""
        if self._host is None:
            raise SystemStoppedError("close() is for systems made by in_thread()")
        self._host.close(lambda: self.stop(timeout=timeout))

    # -- new actors

    def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: int | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Start an actor and return its reference. From any thread.

        ``args`` and ``kwargs`` go to its ``__init__``, which runs here and whose
        exception is raised here. ``name`` must be unique among live actors;
        ``mailbox`` limits the number of unread messages (see :class:`MailboxFull`).
        """
        return self._spawn(cls, args, kwargs, None, name, mailbox)

    def launch(
        self, cls: type[A], *args: Any, parent: Actor | None = None, **kwargs: Any
    ) -> A:
        """Start an actor and return the object itself, without a reference.

        Only on the loop thread: the cheap way in, for direct calls and ``post``.
        """
        if get_ident() != self._thread:
            raise SystemStoppedError if self._thread is None else WrongThreadError
        actor = _new(cls)
        prepare(actor, self, parent)
        actor.__init__(*args, **kwargs)  # type: ignore[misc]
        self._enlist(actor, parent)
        if cls._actor_has_on_start:
            actor.post(START)
        return actor

    def make(self, cls: type[A], *args: Any) -> A:
        """Make an actor that has no place among the actors yet, and return the object.

        For lives that are mostly too short to be looked for: `Actor.enlist` gives it
        its place. Until then it is an actor all the same, which takes messages and
        fails, but no query finds it; if it finishes before, its hooks are not called.
        Only on the loop thread.
        """
        actor = _new(cls)
        prepare(actor, self, None)
        actor.__init__(*args)  # type: ignore[misc]
        return actor

    def adopt(self, actor: Actor, parent: Actor) -> None:
        """Take in an actor object that was made without a system, as a child.

        For short lives: what begins and ends within one turn needs no place among the
        actors, and costs no more than its object. `object.__new__` makes it; it takes
        part from here on. Only on the loop thread.
        """
        prepare(actor, self, parent)
        self._enlist(actor, parent)
        if actor._actor_has_on_start:
            actor.post(START)

    def _enlist(self, actor: Actor, parent: Actor | None) -> None:
        serial = next(self._serials)
        if parent is None:
            if not self._open:
                raise SystemStoppedError
            self._actor_children[serial] = actor
        elif parent._actor_exit is not None:
            raise ActorDeadError(f"{parent} has stopped: it can have no children")
        elif parent._actor_children is None:
            parent._actor_children = {serial: actor}
        else:
            parent._actor_children[serial] = actor
        actor._actor_serial = serial
        self.registry._add(actor, serial)

    def _spawn(
        self,
        cls: type[A],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parent: Actor | None = None,
        name: str | None = None,
        mailbox: int | None = None,
        *,
        in_pykka: bool = False,
    ) -> ActorRef[A]:
        if not self._open and parent is None:
            raise SystemStoppedError
        actor = _new(cls)
        prepare(actor, self, parent)
        ref = self._make_ref(actor, name, mailbox)
        if mailbox is not None:
            actor._actor_one_by_one = True
        if name is not None:
            self.registry._name(ref, name)
        try:
            actor.__init__(*args, **kwargs)  # type: ignore[misc]
            if get_ident() == self._thread:
                self._enlist(actor, parent)
            else:
                self._enlist_from_thread(actor)
        except BaseException:
            self.registry._forget(ref)
            raise
        if in_pykka:
            actor._actor_in_pykka = True
            pykka.ActorRegistry.register(ref)
        if cls._actor_has_on_start:
            if get_ident() == self._thread:
                actor.post(START)
            else:
                self._post_from_thread(ref, _TURN)
        return ref

    def _enlist_from_thread(self, actor: Actor) -> None:
        with self._spawning:
            if not self._open:
                raise SystemStoppedError
            serial = actor._actor_serial = next(self._serials)
            if actor._actor_has_on_start:
                # Ahead of what anybody may tell it before the loop hears of it.
                actor._actor_queue = [START]
            self.registry._add_from_thread(actor, serial)
            self._actor_children[serial] = actor

    def _respawn(
        self,
        ref: ActorRef[A],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parent: Actor,
    ) -> None:
        """Give a reference that is in limbo a new actor, with the unread messages."""
        limbo = ref._actor
        assert isinstance(limbo, Limbo)
        actor = _new(ref.actor_class)
        prepare(actor, self, parent)
        actor._actor_ref = ref
        if isinstance(ref, BoundedActorRef):
            actor._actor_one_by_one = True
        actor.__init__(*args, **kwargs)  # type: ignore[misc]
        self._enlist(actor, parent)
        ref._actor = actor
        start = [START] if actor._actor_has_on_start else []
        if queue := start + limbo._actor_queue:
            actor._actor_queue = queue
            self._schedule(actor)

    def _make_ref(
        self, actor: A, name: str | None = None, mailbox: int | None = None
    ) -> ActorRef[A]:
        with _ref_lock:
            ref = actor._actor_ref
            if ref is None:
                if mailbox is None:
                    ref = ActorRef(actor, name)
                else:
                    ref = BoundedActorRef(actor, name, mailbox)
                actor._actor_ref = ref
        return ref

    # -- turns

    def _wake(self) -> None:
        self._call_soon(self._drain, context=self._context)

    def _schedule(self, actor: Actor) -> None:
        ready = self._ready
        if not ready:
            self._wake()
        ready.append(actor)

    def _drain(self) -> None:
        """Give every actor that has something to read its turn."""
        actors = iter(self._ready)
        self._ready = []
        actor: Actor | None = None
        try:
            for actor in actors:
                actor._actor_turn()
        except BaseException:
            # Goes on to the loop: it logs an error, and ends for an interrupt.
            if actor is not None and actor._actor_running is None:
                actor._actor_next()
            for actor in actors:
                self._schedule(actor)
            raise

    # -- other threads

    def _post_from_thread(self, ref: ActorRef[Any], message: Any) -> None:
        self._coming.append((ref, message))
        if self._coming_announced:
            return
        # A receive that is announced has not looked at the queue yet.
        self._coming_announced = True
        try:
            self._loop.call_soon_threadsafe(self._receive, context=self._context)
        except (RuntimeError, AttributeError):  # closed, or never hosted
            self._receive()

    def _receive(self) -> None:
        """Take over what other threads have sent."""
        self._coming_announced = False
        coming = self._coming
        while coming:
            ref, message = coming.popleft()
            actor = ref._actor
            if isinstance(ref, BoundedActorRef) and message is not _TURN:
                ref._arrived(message)
            if actor is None:
                reject((message,), ref)
            elif isinstance(actor, Limbo):
                actor._actor_queue.append(message)
            elif message is not _TURN:
                actor.post(message)
            elif actor._actor_exit is None:
                self._schedule(actor)

    def _run_on_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Call here if this is the loop thread (or none is left), else there."""
        if get_ident() != self._thread and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(function, *args)
                return
            except RuntimeError:
                if not self._loop.is_closed():
                    raise
        function(*args)

    # -- the end

    async def stop(self, *, timeout: float | None = None) -> None:
        """Stop every actor: the last spawned first, children before their parents.

        Each handles what was in its mailbox before. After ``timeout`` seconds (None:
        never) what is left is cut off. Idempotent, from any loop; not to be awaited
        by one of the actors.
        """
        if self._loop is None or self._loop.is_closed():
            self._open = False
            return
        if asyncio.get_running_loop() is not self._loop:
            elsewhere = asyncio.run_coroutine_threadsafe(
                self.stop(timeout=timeout), self._loop
            )
            await asyncio.wrap_future(elsewhere)
            return
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._shut_down(timeout))
        await asyncio.shield(self._stopping)

    async def _shut_down(self, timeout: float | None) -> None:
        with self._spawning:
            self._open = False
        try:
            async with asyncio.timeout(timeout):
                while self._actor_children:
                    await self._stop_last()
        except TimeoutError:
            logger.warning("%r: cut off after %s seconds", self, timeout)
        finally:
            # Nobody is left, unless time was up or the shutdown was cancelled.
            for actor in reversed(list(self._actor_children.values())):
                actor._actor_give_up()
            self._receive()
            hosting.remove(self._loop, self)

    async def _stop_last(self) -> None:
        actor = self._actor_children[next(reversed(self._actor_children))]
        self._child_ended = self._loop.create_future()
        if actor._actor_exit is None:
            actor.post(STOP)
        await self._child_ended

    def _actor_child_ended(self, child: Actor) -> None:
        """An actor that the system itself spawned has ended."""
        self._actor_children.pop(child._actor_serial, None)
        if self._child_ended is not None and not self._child_ended.done():
            self._child_ended.set_result(None)


def _views(actors: Iterable[Actor]) -> tuple[ActorView, ...]:
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
        children=_views((actor._actor_children or {}).values()),
    )


def _state(actor: Actor) -> ActorState:
    if actor._actor_exit is not None:
        return "stopping"
    if actor._actor_running is not None:
        return "busy"
    return "idle" if actor._actor_queue is None else "ready"
