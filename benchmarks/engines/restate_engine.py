"""The engine `restate`: its server, and its handlers in processes of their own.

The handlers are served by hypercorn over HTTP/2 (bidirectional streaming) by two
workers, which on two cores was much faster than serving them from the measuring
process. Callers go through the server's ingress. All sockets are on loopback and on
free ports, which a restart takes again. A SIGKILL hits the server and the handlers too,
and the figure for recovery includes the start of both.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final

import aiohttp

from benchmarks import probes
from benchmarks.engines import packages
from benchmarks.engines.base import Actors, Session

SERVER: Final = "EVERACT_BENCH_RESTATE_SERVER"
LOOPBACK: Final = "127.0.0.1"
START: Final = 60.0
"""Seconds that the server may take to answer."""
HANDLERS: Final = "benchmarks.engines.restate_handlers:app"
WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class _Ports:
    ingress: int
    admin: int
    node: int
    handlers: int

    @classmethod
    def of(cls, directory: Path) -> _Ports:
        """The ports of this directory's server; free ones the first time."""
        file = directory / "ports.json"
        if not file.exists():
            sockets = [socket.socket() for _ in range(4)]
            for one in sockets:
                one.bind((LOOPBACK, 0))
            ports = cls(*(one.getsockname()[1] for one in sockets))
            for one in sockets:
                one.close()
            file.write_text(json.dumps(asdict(ports)))
        return cls(**json.loads(file.read_text()))


class RestateSession:
    """A client of the server's ingress."""

    def __init__(self, client: aiohttp.ClientSession, ingress: str) -> None:
        self._client = client
        self._ingress = ingress

    async def run(self, work: str, number: int) -> None:
        """Call the handler and wait for its result."""
        await self._post(f"bench/{work}", number)

    async def sleeper(self, number: int, due: float) -> None:
        """Send to the handler."""
        await self._post("bench/sleeper/send", due)

    async def gated(self, number: int, steps: int) -> None:
        """Send to the workflow of that key."""
        await self._post(f"gated/{number}/_run_gated/send", steps)

    async def recovered(self, count: int) -> None:
        """Attach to each workflow by its key."""

        async def attach(number: int) -> None:
            url = f"{self._ingress}/restate/workflow/gated/{number}/attach"
            async with self._client.get(url) as answer:
                answer.raise_for_status()
                await answer.read()

        await asyncio.gather(*(attach(number) for number in range(count)))

    async def receiver(self, number: int) -> None:
        """Not supported: a promise of a workflow takes one value."""
        raise NotImplementedError("Restate workflows take no stream of signals")

    async def signal(self, number: int, value: int) -> None:
        """Not supported."""
        raise NotImplementedError("Restate workflows take no stream of signals")

    async def _post(self, path: str, body: float) -> None:
        async with self._client.post(f"{self._ingress}/{path}", json=body) as answer:
            answer.raise_for_status()
            await answer.read()


class Restate:
    """Restate's single-node server with the Python SDK."""

    name: str = "restate"
    works: ClassVar[frozenset[str]] = frozenset(
        {"W1", "W10", "F100", "C100", "S1k", "R1000", "H10k"}
    )
    starts_per_s: ClassVar[float] = 100
    patience: ClassVar[float] = 2
    warm_s: ClassVar[float] = 5
    most_callers: ClassVar[int] = 1_000_000

    def missing(self) -> str | None:
        """The SDK, or the server."""
        if _server() is None:
            return (
                "no restate-server: npm install @restatedev/restate-server, then put "
                f"it on PATH or name it in {SERVER}"
            )
        return packages.absent("restate-sdk", "hypercorn")

    def versions(self) -> dict[str, str]:
        """The SDK, and the server as it says."""
        server = _server()
        assert server is not None
        said = subprocess.run(
            [server, "--version"], check=True, capture_output=True, text=True
        ).stdout.split()
        return {
            **packages.versions("restate-sdk"),
            "restate-server": said[1] if len(said) > 1 else "unknown",
        }

    def load(self) -> None:
        """Nothing: the handlers' processes import the SDK."""

    @asynccontextmanager
    async def open(self, directory: Path) -> AsyncIterator[Session]:
        """Start server and handlers; on a kill they end with the process group."""
        ports = _Ports.of(directory)
        started = [_serve(directory, ports), _start(directory, ports)]
        client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        admin = f"http://{LOOPBACK}:{ports.admin}"
        ingress = f"http://{LOOPBACK}:{ports.ingress}"
        handlers = f"http://{LOOPBACK}:{ports.handlers}"
        try:
            async with client:
                await _answers(client, f"{handlers}/restate/health", started)
                await _answers(client, f"{admin}/health", started)
                await _register(client, admin, handlers)
                await _answers(client, f"{ingress}/restate/health", started)
                yield RestateSession(client, ingress)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()

    def actors(self) -> AbstractAsyncContextManager[Actors]:
        """Restate has none."""
        raise NotImplementedError("Restate has no actors")


def _server() -> str | None:
    return os.environ.get(SERVER) or shutil.which("restate-server")


def _start(directory: Path, ports: _Ports) -> subprocess.Popen[bytes]:
    server = _server()
    assert server is not None
    settings = {
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"{LOOPBACK}:{ports.node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://{LOOPBACK}:{ports.node}/",
        "RESTATE_INGRESS__BIND_ADDRESS": f"{LOOPBACK}:{ports.ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"{LOOPBACK}:{ports.admin}",
        "RESTATE_ADMIN__DISABLE_WEB_UI": "true",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "error",
        "RESTATE_NODE_NAME": "bench",
        "DO_NOT_TRACK": "1",
    }
    return subprocess.Popen(
        [server, "--no-logo", "--base-dir", str(directory / "restate")],
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        cwd=directory,
    )


def _serve(directory: Path, ports: _Ports) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "hypercorn", HANDLERS),
            *("--workers", str(WORKERS), "--log-level", "ERROR"),
            *("--bind", f"{LOOPBACK}:{ports.handlers}"),
        ],
        env=os.environ | probes.listen(directory / "probes.sock"),
        stdout=subprocess.DEVNULL,
        cwd=directory,
    )


async def _answers(
    client: aiohttp.ClientSession, url: str, started: list[subprocess.Popen[bytes]]
) -> None:
    """Wait until the address answers; raise if a process has ended instead."""
    async with asyncio.timeout(START):
        while True:
            for process in started:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args!r} ended early")
            try:
                async with client.get(url) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.01)


async def _register(client: aiohttp.ClientSession, admin: str, uri: str) -> None:
    async with client.post(f"{admin}/deployments", json={"uri": uri}) as answer:
        if not answer.ok:
            raise RuntimeError(f"restate-server refused: {await answer.text()}")


def engine(name: str) -> Restate:
    """The one engine of this module."""
    return Restate()
