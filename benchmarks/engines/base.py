"""The port that an engine adapter fills: what the harness asks of every engine.

An adapter does the work as its engine's documentation recommends for throughput, and
nothing else: timing, concurrency and statistics belong to the harness.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol


class Session(Protocol):
    """One open engine. Whatever returns has been acknowledged as durable."""

    async def run(self, work: str, number: int) -> None:
        """Start a run of a load or burst and wait for its durable result."""

    async def sleeper(self, number: int, due: float) -> None:
        """Start a run that sleeps until `due` (wall clock) and then does one step."""

    async def gated(self, number: int, steps: int) -> None:
        """Start run `number`: `steps` steps, the gate as a step, one more step."""

    async def recovered(self, count: int) -> None:
        """Wait until the gated runs 0 to count - 1 of the killed process finished."""

    async def receiver(self, number: int) -> None:
        """Start a run that takes signals for ever; return once it can be sent to."""

    async def signal(self, number: int, value: int) -> None:
        """Send a signal to a receiver; return once it is durable."""


class Ref(Protocol):
    """How a message is sent to an actor."""

    def tell(self, message: Any, /) -> None:
        """Send without waiting."""

    def ask(self, message: Any, /) -> Awaitable[Any]:
        """Send and await the reply."""


class Actors(Protocol):
    """An open actor system, for the work M."""

    def spawn(self, receive: Callable[[Any], Any]) -> Ref:
        """Start an actor whose messages are handled by `receive`."""


class Engine(Protocol):
    """An engine that can be measured; instances hold no state."""

    @property
    def name(self) -> str:
        """As given on the command line."""

    works: ClassVar[frozenset[str]]
    """The works that it supports; all others are printed as not supported."""
    starts_per_s: ClassVar[float]
    """A cautious guess, used only to place the first due time behind all starts."""
    patience: ClassVar[float]
    """Factor on the seconds of a measurement, for engines that need longer."""

    warm_s: ClassVar[float]
    """Seconds of load before its figures hold still: connections, caches."""
    most_callers: ClassVar[int]
    """More callers than that are not supported."""

    def missing(self) -> str | None:
        """Say what to install, or None if the engine can run."""

    def versions(self) -> dict[str, str]:
        """Versions of the packages that make up the engine."""

    def load(self) -> None:
        """Import what is needed, before any clock runs."""

    def open(self, directory: Path) -> AbstractAsyncContextManager[Session]:
        """Open the engine on its files in the directory, recovering what is there."""

    def actors(self) -> AbstractAsyncContextManager[Actors]:
        """Open an actor system."""


class Served(Protocol):
    """An engine that other processes can use; only these do the work `http`."""

    def endpoint(self, directory: Path) -> AbstractAsyncContextManager[Session]:
        """Start the engine in a process of its own; a client session of it."""
