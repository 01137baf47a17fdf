"""The engine `everact`: the embedded Runtime on a SQLite file, and everact.actors."""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.engines import packages
from benchmarks.engines.actor_works import EveractActors
from benchmarks.engines.base import Actors, Session
from everact.actors import ActorSystem

if TYPE_CHECKING:
    from types import ModuleType


class EveractSession:
    """An open Runtime."""

    def __init__(self, runtime: Any, works: ModuleType) -> None:
        self._runtime = runtime
        self._works = works
        self._receivers: dict[int, Any] = {}

    async def run(self, work: str, number: int) -> None:
        """Start and wait for the durable result."""
        given = {"id": f"run-{number}"} if work == "W1id" else {}
        await self._runtime.execute(self._works.CLOSED[work], number, **given)

    async def sleeper(self, number: int, due: float) -> None:
        """Start; the start is durable when it returns."""
        await self._runtime.start(self._works.sleeper, due)

    async def gated(self, number: int, steps: int) -> None:
        """Start under a known ID."""
        await self._runtime.start(self._works.gated, steps, id=_gated_id(number))

    async def recovered(self, count: int) -> None:
        """Wait for the result of each."""
        for number in range(count):
            await self._runtime.handle(_gated_id(number)).result()

    async def receiver(self, number: int) -> None:
        """Start, and keep the handle."""
        self._receivers[number] = await self._runtime.start(
            self._works.receiver, id=f"receiver-{number}"
        )

    async def signal(self, number: int, value: int) -> None:
        """Send a signal."""
        await self._receivers[number].signal("value", value)


class Everact:
    """everact itself, with its defaults."""

    name: str = "everact"
    works: ClassVar[frozenset[str]] = frozenset(
        {"W1", "W1id", "W10", "F100", "C100", "S1k", "S10k", "S100k", "R1000", "H10k"}
        | {"M", "sig", "http"}
    )
    starts_per_s: ClassVar[float] = 2_000
    patience: ClassVar[float] = 1
    warm_s: ClassVar[float] = 0
    most_callers: ClassVar[int] = 1_000_000

    def missing(self) -> str | None:
        """The runtime, while it is being built."""
        if importlib.util.find_spec("everact.runtime.client") is None:
            return "everact.runtime is not there yet"
        return None

    def versions(self) -> dict[str, str]:
        """everact, and what it stands on."""
        return {
            "sqlite": sqlite3.sqlite_version,
            "everact": packages.installed("everact") or "from the checkout",
            **packages.versions("msgspec", "cloudpickle", "pykka"),
        }

    def load(self) -> None:
        """Import the runtime and define the works."""
        if self.missing() is None:
            importlib.import_module("benchmarks.engines.everact_works")

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Open the Runtime on its file; opening recovers."""
        runtime: Any = importlib.import_module("everact.runtime").Runtime
        works = importlib.import_module("benchmarks.engines.everact_works")
        async with runtime(str(directory / "everact.db")) as opened:
            yield EveractSession(opened, works)

    @asynccontextmanager
    async def endpoint(self, directory: Path) -> AsyncIterator[Session]:
        """Serve it in a child process, and connect a client to that."""
        remote = importlib.import_module("benchmarks.engines.everact_remote")
        async with remote.served(directory) as session:
            yield session

    @asynccontextmanager
    async def actors(self) -> AsyncIterator[Actors]:
        """Open an actor system on the running loop."""
        async with ActorSystem() as system:
            yield EveractActors(system)


def _gated_id(number: int) -> str:
    return f"gated-{number}"


def engine(name: str) -> Everact:
    """The one engine of this module."""
    return Everact()
