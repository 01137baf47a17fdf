"""everact's actors behind the port of the work M."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from benchmarks.engines.base import Ref
from everact.actors import Actor, ActorSystem


class Worker(Actor):
    """Handles messages by calling a function."""

    def __init__(self, receive: Callable[[Any], Any]) -> None:
        super().__init__()
        self._receive = receive

    def on_receive(self, message: Any) -> Any:
        return self._receive(message)


class EveractActors:
    """Spawns workers in a system."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system

    def spawn(self, receive: Callable[[Any], Any]) -> Ref:
        """Start an actor."""
        return cast(Ref, self._system.spawn(Worker, receive))
