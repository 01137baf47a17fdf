"""A bare callback mailbox on pykka: the ceiling of the work M.

A real pykka.Actor whose mailbox is a deque drained by a loop callback. No awaitable
handlers, supervision, failure handling, bounds or ordered shutdown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import pykka

from benchmarks.engines.base import Ref


class _Envelope(Protocol):
    message: Any
    reply_to: Any


class _Mailbox:
    __slots__ = ("_actor", "_call_soon", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[_Envelope] = deque()
        self._call_soon = asyncio.get_running_loop().call_soon
        self._actor: _BareActor | None = None

    def serve(self, actor: _BareActor) -> None:
        self._actor = actor

    def put(self, envelope: _Envelope) -> None:
        if not self._waiting:
            self._call_soon(self._drain)
        self._waiting.append(envelope)

    def get(self) -> _Envelope:
        return self._waiting.popleft()

    def empty(self) -> bool:
        return not self._waiting

    def _drain(self) -> None:
        # One tick drains what was there when it began, so that no actor starves.
        waiting, actor = self._waiting, self._actor
        assert actor is not None
        for _ in range(len(waiting)):
            envelope = waiting[0]
            reply = actor._handle_receive(envelope.message)
            if envelope.reply_to is not None:
                envelope.reply_to.set_result(reply)
            waiting.popleft()
        if waiting:
            self._call_soon(self._drain)


class _BareActor(pykka.Actor):
    def __init__(self, receive: Callable[[Any], Any]) -> None:
        super().__init__()
        self.on_receive = receive  # type: ignore[method-assign,assignment]

    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Mailbox()

    @staticmethod
    def _create_future() -> Any:
        return asyncio.get_running_loop().create_future()

    def _start_actor_loop(self) -> None:
        cast(_Mailbox, self.actor_inbox).serve(self)


class _Ref:
    """pykka's ref, with an ask that is awaited."""

    __slots__ = ("_ask", "tell")

    def __init__(self, ref: pykka.ActorRef[Any]) -> None:
        self.tell: Callable[[Any], None] = ref.tell
        self._ask = ref.ask

    def ask(self, message: Any) -> Awaitable[Any]:
        return cast(Awaitable[Any], self._ask(message, block=False))


class BareActors:
    """Spawns bare actors on the running loop."""

    def spawn(self, receive: Callable[[Any], Any]) -> Ref:
        """Start an actor."""
        return cast(Ref, _Ref(_BareActor.start(receive)))
