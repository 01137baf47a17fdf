"""An actor for blocking code: its mailbox is on the loop, its code on a thread.

Each thread actor has a daemon thread of its own. The system hands it one message at a
time and the loop never waits; order, answers, supervision and shutdown are those of
every other actor.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import queue
import threading
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeVar

from everact.actors.actor import Actor
from everact.actors.errors import ActorError
from everact.actors.exit import NORMAL, Exit
from everact.actors.future import ActorFuture
from everact.actors.mailbox import START, Ask, is_stop
from everact.actors.ref import ActorRef

__all__ = ["ThreadActor"]

A = TypeVar("A", bound=Actor)

_numbers = itertools.count(1)


class _Job:
    """One call for the thread, and where its outcome goes on the loop."""

    __slots__ = ("args", "done", "function")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        self.function = function
        self.args = args
        self.done = done


class ThreadActor(Actor):
    """An actor whose handlers and hooks run on its own daemon thread and may block.

    Write plain functions: a coroutine is refused. ``spawn``, ``watch``, ``post`` and
    ``finish`` may be called from the handlers. A kill cannot interrupt the thread: the
    actor takes no more messages at once, ``on_stop`` runs when the thread comes back.
    While the thread works, virtual time stands still.
    """

    _actor_jobs: queue.SimpleQueue[_Job | None]
    _actor_thread: threading.Thread | None = None

    # -- on the thread of the actor, or any other

    def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: int | None = None,
        **kwargs: Any,
    ) -> ActorRef[A]:
        """Spawn a child: it stops when this actor stops, before it."""
        spawned: ActorFuture[ActorRef[A]] = ActorFuture()

        def spawn() -> None:
            try:
                spawned.set(self.system._spawn(cls, args, kwargs, self, name, mailbox))
            except Exception as error:
                spawned.set_error(error)

        self.system._run_on_loop(spawn)
        return spawned.get()

    def post(self, message: Any) -> None:
        """Append to the own mailbox. From any thread; dropped after the end."""
        self.system._run_on_loop(super().post, message)

    def finish(self, exit: Exit = NORMAL) -> None:
        """Stop after the handler that calls it; unread messages are refused."""
        self.system._run_on_loop(self._actor_terminate, exit)

    # -- on the loop

    def _actor_turn(self) -> None:
        if self._actor_exit is not None:
            return
        unread: list[Any] = self._actor_queue  # type: ignore[assignment]
        message = unread.pop(0)
        if message is START or is_stop(message):
            reply = message.reply if type(message) is Ask else None
            stop = message.message if type(message) is Ask else message
            result, _ = self._actor_internal(stop, reply)
            if type(result) is CoroutineType:
                self._actor_await(result, None)
        elif type(message) is Ask:
            call = self._actor_on_thread(self._handle_receive, message.message)
            self._actor_await(call, message.reply)
        else:
            self._actor_await(
                self._actor_on_thread(self._handle_receive, message), None
            )
        if self._actor_running is None and self._actor_exit is None:
            self._actor_next()

    def _actor_start(self) -> Any:
        self._actor_starting = True
        return self._actor_on_thread(self.on_start)

    def _actor_hook(self) -> Any:
        return self._actor_on_thread(super()._actor_hook)

    def _actor_ended(self) -> None:
        if self._actor_thread is not None:
            self._actor_jobs.put(None)
        super()._actor_ended()

    def _actor_on_thread(
        self, function: Callable[..., Any], *args: Any
    ) -> CoroutineType[Any, Any, Any]:
        """A coroutine that runs a function on the actor's thread."""
        return self._actor_call(function, args)  # type: ignore[return-value]

    async def _actor_call(
        self, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Any:
        loop = asyncio.get_running_loop()
        clock = self.system.clock
        outcome: asyncio.Future[Any] = loop.create_future()

        def arrived(value: Any, error: BaseException | None) -> None:
            clock.release()
            if outcome.done():
                return  # killed meanwhile
            if error is None:
                outcome.set_result(value)
            else:
                outcome.set_exception(error)

        def done(value: Any, error: BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(arrived, value, error)
            except RuntimeError:
                return  # the loop was closed: nobody waits any more

        clock.hold()
        self._actor_thread_jobs().put(_Job(function, args, done))
        return await outcome

    def _actor_thread_jobs(self) -> queue.SimpleQueue[_Job | None]:
        if self._actor_thread is None:
            self._actor_jobs = queue.SimpleQueue()
            name = f"{type(self).__name__}-{next(_numbers)}"
            self._actor_thread = threading.Thread(
                target=_work, args=(self._actor_jobs,), name=name, daemon=True
            )
            self._actor_thread.start()
        return self._actor_jobs


def _work(jobs: queue.SimpleQueue[_Job | None]) -> None:
    """The thread: one job after the other until there is none."""
    while (job := jobs.get()) is not None:
        try:
            value = job.function(*job.args)
            if inspect.iscoroutine(value):
                value.close()
                raise ActorError("a ThreadActor runs plain functions, not coroutines")
        except BaseException as error:
            job.done(None, error)
        else:
            job.done(value, None)
        del job
