"""The engine `prefect`: flows and tasks against a server of its own on loopback.

Prefect records the states of flows and tasks, it does not recover them: only the works
without a kill apply. Its server is a child process on a free port with a SQLite file
in the directory of the measurement. Logging to the server is off, which its
documentation offers for throughput.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import aiohttp

from benchmarks.engines import packages
from benchmarks.engines.base import Actors, Session

LOOPBACK: Final = "127.0.0.1"
START: Final = 120.0
"""Seconds that the server may take to answer."""


class PrefectSession:
    """A client of a running server."""

    def __init__(self, works: Any) -> None:
        self._works = works

    async def run(self, work: str, number: int) -> None:
        """Call the flow; its final state is recorded when it returns."""
        await self._works.CLOSED[work](number)

    async def sleeper(self, number: int, due: float) -> None:
        """Not supported: sleeping is not durable."""
        raise NotImplementedError

    async def gated(self, number: int, steps: int) -> None:
        """Not supported: a killed flow is not resumed."""
        raise NotImplementedError

    async def recovered(self, count: int) -> None:
        """Not supported."""
        raise NotImplementedError

    async def receiver(self, number: int) -> None:
        """Not supported."""
        raise NotImplementedError

    async def signal(self, number: int, value: int) -> None:
        """Not supported."""
        raise NotImplementedError


class Prefect:
    """Prefect with its own server."""

    name: str = "prefect"
    works: ClassVar[frozenset[str]] = frozenset({"W1", "W10", "F100"})
    starts_per_s: ClassVar[float] = 1
    patience: ClassVar[float] = 4
    warm_s: ClassVar[float] = 5
    most_callers: ClassVar[int] = 32

    def missing(self) -> str | None:
        """The package."""
        return packages.absent("prefect")

    def versions(self) -> dict[str, str]:
        """Prefect."""
        return packages.versions("prefect")

    def load(self) -> None:
        """Nothing: Prefect reads its settings when it is imported, so that waits."""

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Start the server, then import the flows."""
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        url = f"http://{LOOPBACK}:{port}/api"
        os.environ |= {
            "PREFECT_HOME": str(directory / "prefect"),
            "PREFECT_API_URL": url,
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        server = _start(directory, port)
        try:
            await _healthy(f"{url}/health", server)
            yield PrefectSession(
                importlib.import_module("benchmarks.engines.prefect_works")
            )
        finally:
            server.terminate()
            await asyncio.to_thread(server.wait)

    def actors(self) -> AbstractAsyncContextManager[Actors]:
        """Prefect has none."""
        raise NotImplementedError("Prefect has no actors")


def _start(directory: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", LOOPBACK, "--port", str(port), "--no-ui"),
        ],
        stdout=subprocess.DEVNULL,
        cwd=directory,
    )


async def _healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(START), aiohttp.ClientSession() as client:
        while server.poll() is None:
            try:
                async with client.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
        raise RuntimeError(f"the server ended with {server.returncode}")


def engine(name: str) -> Prefect:
    """The one engine of this module."""
    return Prefect()
