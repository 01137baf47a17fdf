"""An actor on an event loop: a mailbox of callbacks, no task of its own.

The rule kept here: one message at a time, in order of arrival, and an actor's life has
one path to its end (:meth:`Actor._actor_terminate`), whatever ends it. Everything that
starts with ``_actor_`` is between this module, its system and its references; all of it
runs on the loop thread. The file is long because turns and the end share one state: a
second file would own half of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import pykka
from pykka import messages

from everact.actors import ambient
from everact.actors.errors import ActorDeadError, ActorError
from everact.actors.exit import NORMAL, STOPPED, Exit, Failed, Killed
from everact.actors.future import ActorFuture
from everact.actors.mailbox import DEAD_LETTERS, START, STOP, Ask, Inbox, reject
from everact.actors.ref import ActorRef, Limbo, Terminated
from everact.actors.registry import ENDED, UNLISTED
from everact.actors.system import ActorSystem, prepare

if TYPE_CHECKING:
    import threading

    from everact.actors.mailbox import Mailbox

__all__ = ["Actor", "Running"]

A = TypeVar("A", bound="Actor")

logger = logging.getLogger("everact.actors")

# Messages that are not for on_receive, by exact type.
_INTERNAL = frozenset(
    {
        type(START),
        type(STOP),
        messages.ProxyCall,
        messages.ProxyGetAttr,
        messages.ProxySetAttr,
    }
)


class Running:
    """Asynchronous code of an actor that is under way, and who waits for it."""

    __slots__ = ("reply", "task")

    def __init__(
        self, task: asyncio.Future[Any], reply: ActorFuture[Any] | None
    ) -> None:
        self.task = task
        self.reply = reply


class Actor(pykka.Actor):
    """An actor hosted on the event loop of its system.

    Subclass it and write :meth:`on_receive`, or plain methods to be called through a
    proxy. Both, and the hooks, may be ``async``: then the next message waits until
    they are done. ``__init__`` runs where the actor is spawned, everything else on
    the loop thread; ``self.system`` and ``self.parent`` are there in ``__init__``.

    A subclass may define ``__slots__``; attribute names that begin with ``_actor_``
    are reserved.
    """

    __slots__ = (
        "_actor_children",
        "_actor_exit",
        "_actor_queue",
        "_actor_ref",
        "_actor_running",
        "_actor_serial",
        "parent",
        "system",
    )

    #: The system that hosts the actor.
    system: ActorSystem
    #: The actor that spawned it; None for those spawned by the system.
    parent: Actor | None

    # None: idle. A list: waiting for its turn, in it, or busy with asynchronous code.
    _actor_queue: Mailbox | None
    _actor_ref: ActorRef[Any] | None  # type: ignore[assignment]
    _actor_exit: Exit | None
    _actor_children: dict[int, Actor] | None
    _actor_running: Running | None
    _actor_serial: int

    # Set per class: whether there is anything to do before the first message.
    _actor_has_on_start: ClassVar[bool] = False
    # Rarely different from these, so kept in the instance dictionary when they are.
    _actor_stop_replies: tuple[ActorFuture[Any], ...] = ()
    # The unread messages stay countable: a turn takes only one of them.
    _actor_one_by_one: bool = False
    _actor_orderly: bool = False
    _actor_no_hook: bool = False
    _actor_starting: bool = False
    _actor_waits_for_child: bool = False
    _actor_in_pykka: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._actor_has_on_start = cls.on_start is not pykka.Actor.on_start

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        # Only for an object made by hand: the system makes its actors without this.
        self = super().__new__(cls)
        prepare(self, ActorSystem("unstarted"), None)
        return self

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing to set up: calling this from a subclass is allowed, not needed."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """Spawn on the system of the running loop, or else on the background system.

        The background system is one per process, on a daemon thread, made at first
        use. Actors started here are also listed in :class:`pykka.ActorRegistry`.
        """
        system = ambient.current_system()
        return system._spawn(cls, args, kwargs, in_pykka=True)

    # pykka's way to build an actor; here the system does it.

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise NotImplementedError("the mailbox is made by the actor system")

    @staticmethod
    def _create_future() -> ActorFuture[Any]:
        return ActorFuture()

    def _start_actor_loop(self) -> None:
        raise NotImplementedError("actors are started by an actor system")

    # -- who am I

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """The reference to this actor: always the same object. From any thread."""
        ref = self._actor_ref
        return ref if ref is not None else self.system._make_ref(self)

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The actor's UUID as a URN."""
        return self.actor_ref.actor_urn

    @property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]
        """pykka's view of the mailbox."""
        return self.actor_ref.actor_inbox

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Set once the actor takes no more messages."""
        return self.actor_ref.actor_stopped

    @property
    def about(self) -> str:
        """What the actor is there for, for whoever looks at the tree of a system.

        A subclass may tell more than its name does; it must be quick.
        """
        return ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is unread and nothing under way. On the loop thread."""
        return self._actor_queue is None

    # -- what an actor can do, on the loop thread

    def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: int | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Spawn a child: it stops when this actor stops, before it."""
        return self.system._spawn(cls, args, kwargs, self, name, mailbox)

    def post(self, message: Any) -> None:
        """Append to the own mailbox: no envelope, no reference, no limit.

        Only on the loop thread. Dropped if the actor has stopped.
        """
        queue = self._actor_queue
        if queue is not None:
            queue.append(message)
            return
        self._actor_queue = [message]
        system = self.system
        ready = system._ready
        if not ready:
            system._wake()
        ready.append(self)

    def enlist(self) -> None:
        """Take a place among the actors of the system, if it has none yet.

        Only an actor that :meth:`ActorSystem.make` made has none.
        """
        if self._actor_serial == UNLISTED:
            self.system._enlist(self, self.parent)

    def watch(self, ref: ActorRef[Any]) -> None:
        """Receive ``Terminated(ref, exit)`` once that actor has ended for good.

        At once if it has ended already. A restart by its supervisor is not an end.
        The actor may belong to another system.
        """
        ref.system._run_on_loop(ref._add_watcher, self._actor_told)

    def _actor_told(self, ref: ActorRef[Any], exit: Exit) -> None:
        self.system._run_on_loop(self.post, Terminated(ref, exit))

    def stop(self) -> None:
        """Stop after the messages that are in the mailbox now. Idempotent."""
        try:
            ActorRef.tell(self.actor_ref, STOP)
        except ActorDeadError:
            return

    def finish(self, exit: Exit = NORMAL) -> None:
        """Stop at once: unread messages are refused, children are stopped first.

        Only on the loop thread. An asynchronous handler that is under way is
        cancelled, unless this is called from it: then it runs to its end first.
        The first exit counts.
        """
        if self._actor_serial == UNLISTED and self._actor_queue is None:
            self._actor_exit = exit
            self._actor_queue = DEAD_LETTERS
        else:
            self._actor_terminate(exit)

    # -- the mailbox

    def _actor_turn(self) -> None:
        """Handle what lies in the mailbox now; what comes meanwhile waits a turn."""
        if self._actor_exit is not None:
            return  # ended while it waited for its turn
        unread: list[Any] = self._actor_queue  # type: ignore[assignment]
        if self._actor_one_by_one:
            pending = iter((unread.pop(0),))
        else:
            self._actor_queue = []
            pending = iter(unread)
        for message in pending:
            reply = None
            try:
                kind = type(message)
                if kind is Ask:
                    reply = message.reply
                    message = message.message
                    kind = type(message)
                if kind in _INTERNAL:
                    result, reply = self._actor_internal(message, reply)
                else:
                    result = self.on_receive(message)
            except BaseException as error:
                self._actor_raised(error, reply)
                if not isinstance(error, Exception):
                    self._actor_leave(pending)
                    raise
            else:
                if type(result) is CoroutineType:
                    self._actor_await(result, reply)
                    self._actor_put_back(pending)
                    return
                if reply is not None:
                    reply.set(result)
            if self._actor_exit is not None:
                self._actor_leave(pending)
                return
        self._actor_next()

    def _actor_next(self) -> None:
        """The turn is over: be idle, or wait for the next turn."""
        if self._actor_queue:
            self.system._schedule(self)
        elif self._actor_exit is None:
            self._actor_queue = None

    def _actor_put_back(self, pending: Iterator[Any]) -> None:
        queue = self._actor_queue
        if isinstance(queue, list):
            queue[:0] = pending
        else:
            self._actor_leave(pending)

    def _actor_leave(self, pending: Iterator[Any]) -> None:
        """The actor has ended in the middle of its turn: what of the rest?"""
        ref = self._actor_ref
        heir = self if ref is None else ref._actor
        if heir is None or heir._actor_exit is not None:
            reject(pending, self)
            return
        # Its supervisor keeps them, or has already started its next life.
        left = list(pending)
        if not left:
            return
        queue = heir._actor_queue
        if not isinstance(queue, list):
            heir._actor_queue = queue = []
            self.system._schedule(heir)  # type: ignore[arg-type]
        place = 1 if queue and queue[0] is START else 0
        queue[place:place] = left

    def _actor_internal(
        self, message: Any, reply: ActorFuture[Any] | None
    ) -> tuple[Any, ActorFuture[Any] | None]:
        """Obey pykka's own messages. Returns the result and who is to get it."""
        match message:
            case messages.ProxyCall(path, args, kwargs):
                return _attribute(self, path)(*args, **kwargs), reply
            case messages.ProxyGetAttr(path):
                return _attribute(self, path), reply
            case messages.ProxySetAttr(path, value):
                setattr(_attribute(self, path[:-1]), path[-1], value)
                return None, reply
        if message is START:
            return self._actor_start(), None
        if reply is not None:
            self._actor_stop_replies = (*self._actor_stop_replies, reply)
        self._actor_terminate(STOPPED, orderly=True)
        return None, None

    def _actor_start(self) -> Any:
        try:
            result: Any = self.on_start()  # type: ignore[func-returns-value]
        except Exception as error:
            self._actor_not_started(error)
            return None
        if type(result) is CoroutineType:
            self._actor_starting = True
            return result
        return None

    def _actor_not_started(self, error: Exception) -> None:
        # As in pykka: no on_failure for what never began.
        self._actor_log_failure(error)
        self._actor_no_hook = True
        self._actor_terminate(Failed(error))

    def _actor_raised(
        self, error: BaseException, reply: ActorFuture[Any] | None
    ) -> None:
        """Code of the actor raised: an answer to who asked, or the actor's failure."""
        if isinstance(error, Exception):
            if reply is not None:
                logger.info(
                    "Exception returned from %s to caller:", self, exc_info=error
                )
                reply.set_error(error)
                return
            self._actor_log_failure(error)
        else:
            logger.debug("%r in %s. Stopping it.", error, self)
            if reply is not None:
                reject((Ask(None, reply),), self)
        self._actor_terminate(Failed(error))

    def _actor_log_failure(self, error: BaseException) -> None:
        logger.error("Unhandled exception in %s:", self, exc_info=error)

    # -- asynchronous code

    def _actor_await(
        self, coroutine: CoroutineType[Any, Any, Any], reply: ActorFuture[Any] | None
    ) -> None:
        """Run the actor's coroutine to its end before anything else of the actor."""
        task = self.system._loop.create_task(coroutine)
        self._actor_running = Running(task, reply)
        task.add_done_callback(self._actor_awaited)

    def _actor_awaited(self, task: asyncio.Future[Any]) -> None:
        running = self._actor_running
        if running is None or running.task is not task:
            return  # given up by the system's shutdown
        self._actor_running = None
        starting, self._actor_starting = self._actor_starting, False
        ended = self._actor_exit is not None
        reply = running.reply
        if task.cancelled():
            if not ended:
                # By somebody else: to the asker an error, never a cancellation.
                self._actor_raised(ActorError("the handler was cancelled"), reply)
            elif reply is not None:
                reject((Ask(None, reply),), self)
        elif (error := task.exception()) is not None:
            # KeyboardInterrupt and SystemExit have left the loop with the task.
            if starting and isinstance(error, Exception):
                self._actor_not_started(error)
            else:
                self._actor_raised(error, reply)
        elif reply is not None:
            reply.set(task.result())
        if ended:
            self._actor_wind_down()
        elif self._actor_exit is None:
            self._actor_next()

    # -- the end

    def _actor_terminate(self, exit: Exit, *, orderly: bool = False) -> None:
        """Take no more messages, then wind down. The first exit counts."""
        running = self._actor_running
        if self._actor_exit is not None:
            if isinstance(exit, Killed):
                self._actor_hurry(exit)
            return
        self.enlist()
        self._actor_exit = exit
        unread = self._actor_queue
        self._actor_queue = DEAD_LETTERS
        if orderly:
            self._actor_orderly = True
        system = self.system
        system.registry._remove(self)
        ref = self._actor_ref
        if ref is not None and not self._actor_outlived(ref, unread):
            ref._stopped()
            if self._actor_in_pykka:
                pykka.ActorRegistry.unregister(ref)
        if unread:
            self._actor_leave(iter(unread))  # type: ignore[call-overload]
        if running is None:
            self._actor_wind_down()
        elif running.task is not asyncio.current_task(system._loop):
            running.task.cancel()

    def _actor_outlived(self, ref: ActorRef[Any], unread: Any) -> bool:
        """Whether a supervisor keeps reference and mailbox for the next life."""
        parent = self.parent
        if parent is None or not parent._actor_restarts(self):
            return False
        ref._actor = Limbo(self.system, [])
        return True

    def _actor_restarts(self, child: Actor) -> bool:
        """Asked by a child at its end: will it live again? Only under a supervisor."""
        return False

    def _actor_hurry(self, exit: Killed) -> None:
        """Killed while winding down: cancel what runs, kill what is waited for."""
        self._actor_orderly = False
        running = self._actor_running
        if running is not None:
            if running.task is not asyncio.current_task(self.system._loop):
                running.task.cancel()
        elif self._actor_children:
            for child in reversed(list(self._actor_children.values())):
                child._actor_terminate(exit)

    def _actor_wind_down(self) -> None:
        """Children first, in reverse order of spawn; then the hook; then the end."""
        self._actor_waits_for_child = False
        children = self._actor_children
        while children:
            serial, child = next(reversed(children.items()))
            if self._actor_orderly and child._actor_exit is None:
                child.post(STOP)
            else:
                child._actor_terminate(STOPPED)
            if serial in children:
                self._actor_waits_for_child = True
                return
        if self._actor_no_hook:
            self._actor_ended()
            return
        self._actor_no_hook = True
        try:
            result = self._actor_hook()
        except BaseException as error:
            self._actor_log_failure(error)
            self._actor_ended()
            if not isinstance(error, Exception):
                raise
            return
        if type(result) is CoroutineType:
            self._actor_await(result, None)
        else:
            self._actor_ended()

    def _actor_hook(self) -> Any:
        exit = self._actor_exit
        if isinstance(exit, Failed) and isinstance(exit.error, Exception):
            error = exit.error
            return self.on_failure(type(error), error, error.__traceback__)
        return self.on_stop()

    def _actor_child_ended(self, child: Actor) -> None:
        """A child has ended; the supervisor adds what it decides about that."""
        assert self._actor_children is not None
        self._actor_children.pop(child._actor_serial, None)
        if self._actor_waits_for_child:
            self._actor_wind_down()

    def _actor_ended(self) -> None:
        """The last moment: tell everybody who waits for it."""
        exit = self._actor_exit
        assert exit is not None
        ref = self._actor_ref
        if ref is not None and ref._actor is self:
            self.system.registry._forget(ref)
            ref._end_of_life(exit)
        for reply in self._actor_stop_replies:
            reply.set(None)
        (self.parent or self.system)._actor_child_ended(self)
        self._actor_serial = ENDED

    def _actor_give_up(self) -> None:
        """End now, whatever still runs: the system's shutdown has no more time."""
        self._actor_no_hook = True
        self._actor_waits_for_child = False
        for child in reversed(list((self._actor_children or {}).values())):
            child._actor_give_up()
        running, self._actor_running = self._actor_running, None
        if running is not None:
            running.task.cancel()
            if running.reply is not None:
                reject((Ask(None, running.reply),), self)
        if self._actor_exit is None:
            self._actor_terminate(Killed("shutdown timed out"))
        elif self._actor_serial != ENDED:
            self._actor_wind_down()


def _attribute(actor: Actor, path: tuple[str, ...]) -> Any:
    found: Any = actor
    for name in path:
        found = getattr(found, name)
    return found
