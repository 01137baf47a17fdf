"""The engines `dbos` (its SQLite file) and `dbos-postgres` (a DSN from outside).

Workflows are async and called directly, which is the shortest way that DBOS offers:
the call returns once the result is recorded. Settings are the defaults. The PostgreSQL
database named by EVERACT_BENCH_POSTGRES should be a throw-away one: every measurement
leaves a schema in it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.engines import packages
from benchmarks.engines.base import Actors, Session

DSN: Final = "EVERACT_BENCH_POSTGRES"

POLL: Final = 0.05
"""Seconds between looks at what is still to be recovered."""


class DbosSession:
    """A launched DBOS."""

    def __init__(self, dbos: Any, works: Any) -> None:
        self._dbos = dbos
        self._works = works

    async def run(self, work: str, number: int) -> None:
        """Call the workflow."""
        await self._works.CLOSED[work](number)

    async def sleeper(self, number: int, due: float) -> None:
        """Start it in the background."""
        await self._dbos.DBOS.start_workflow_async(self._works.sleeper, due)

    async def gated(self, number: int, steps: int) -> None:
        """Start it in the background."""
        await self._dbos.DBOS.start_workflow_async(self._works.gated, steps)

    async def recovered(self, count: int) -> None:
        """Launching recovers, by queueing again; look until nothing is open."""
        look = self._dbos.DBOS.list_workflows_async
        while await look(status=["PENDING", "ENQUEUED"], limit=1):
            await asyncio.sleep(POLL)
        done = await look(status="SUCCESS")
        if len(done) != count:
            raise RuntimeError(f"{len(done)} of {count} runs recovered")

    async def receiver(self, number: int) -> None:
        """Start it in the background under a known ID."""
        with self._dbos.SetWorkflowID(_receiver_id(number)):
            await self._dbos.DBOS.start_workflow_async(self._works.receiver)

    async def signal(self, number: int, value: int) -> None:
        """Send a message."""
        await self._dbos.DBOS.send_async(_receiver_id(number), value, self._works.TOPIC)


class Dbos:
    """DBOS on SQLite, or on the PostgreSQL whose DSN a variable holds."""

    works: ClassVar[frozenset[str]] = frozenset(
        {"W1", "W10", "F100", "C100", "S1k", "R1000", "H10k", "sig"}
    )
    starts_per_s: ClassVar[float] = 20
    patience: ClassVar[float] = 4
    warm_s: ClassVar[float] = 1
    most_callers: ClassVar[int] = 1_000_000

    def __init__(self, name: str, variable: str | None) -> None:
        self.name = name
        self._variable = variable

    def missing(self) -> str | None:
        """The package, or the DSN."""
        if self._variable is not None and not os.environ.get(self._variable):
            return f"set {self._variable} to the DSN of a throw-away database"
        return packages.absent("dbos")

    def versions(self) -> dict[str, str]:
        """DBOS."""
        return packages.versions("dbos")

    def load(self) -> None:
        """Import DBOS and register the works."""
        importlib.import_module("benchmarks.engines.dbos_works")

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Launch, as the same executor and version each time, so that it recovers."""
        dbos = importlib.import_module("dbos")
        config: dict[str, Any] = {
            "name": "bench",
            "system_database_url": f"sqlite:///{directory / 'dbos.sqlite'}",
            "application_version": "1",
            "executor_id": "bench",
            "log_level": "ERROR",
        }
        if self._variable is not None:
            config["system_database_url"] = os.environ[self._variable]
            config["dbos_system_schema"] = directory.name.replace("-", "_")
        dbos.DBOS(config=config)
        await asyncio.to_thread(dbos.DBOS.launch)
        yield DbosSession(
            dbos, importlib.import_module("benchmarks.engines.dbos_works")
        )
        # No destroy: it waits for runs that sleep or receive; the process ends now.

    def actors(self) -> AbstractAsyncContextManager[Actors]:
        """DBOS has none."""
        raise NotImplementedError("DBOS has no actors")


def _receiver_id(number: int) -> str:
    return f"receiver-{number}"


def engine(name: str) -> Dbos:
    """DBOS on SQLite, or on PostgreSQL."""
    return Dbos(name, DSN if name == "dbos-postgres" else None)
