"""The site that client tests run on: an engine on one SQLite file, and clients of it.

Every test of what a client promises takes its verbs from `runtime`, or from
``site.up()`` where it needs several lives of the engine. Another way to reach an
engine is another entry of `SITES`: the tests do not change.

Author code is registered in the module's own `REGISTRY`. What all engines of a module
are made with is in its `ENGINE`, and what its clients of remote ones are in `CLIENT`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Client, Registry, Runtime, Worker
from tests.features.not_remote import NOT_REMOTE, REMOTE_MODULES
from tests.features.remote import RemoteSite, hosting
from tests.features.stage import stage


class Site(Protocol):
    """Where an engine lives. One engine at a time, on one file, in virtual time."""

    path: Path
    clock: VirtualClock

    def up(
        self,
        *,
        workers: Sequence[Worker] | None = None,
        registry: Registry | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[Client]:
        """Bring the engine up; a client of it, made with `options`.

        At the end the engine is closed in good order. `workers` are its workers
        (default: one for the queue "default").
        """


class EmbeddedSite:
    """Engine and client are one `Runtime`."""

    def __init__(self, path: Path, clock: VirtualClock, registry: Registry) -> None:
        self.path = path
        self.clock = clock
        self.engine: dict[str, Any] = {}
        self._registry = registry

    @asynccontextmanager
    async def up(
        self,
        *,
        workers: Sequence[Worker] | None = None,
        registry: Registry | None = None,
        **options: Any,
    ) -> AsyncIterator[Client]:
        async with Runtime(
            self.path,
            workers=workers,
            registry=registry or self._registry,
            clock=self.clock,
            **(self.engine | options),
        ) as runtime:
            yield runtime


SITES: dict[str, type[EmbeddedSite | RemoteSite]] = {
    "embedded": EmbeddedSite,
    "remote": RemoteSite,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a site runs on each that it can run on."""
    if "site" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        sites = list(SITES) if module in REMOTE_MODULES else ["embedded"]
        if metafunc.function.__name__ in NOT_REMOTE:
            sites = ["embedded"]
        metafunc.parametrize("site", sites, indirect=True)


@pytest.fixture(scope="session")
def process() -> Iterator[Connection]:
    """The process where the engines of remote sites live."""
    with hosting() as connection:
        yield connection


@pytest_asyncio.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A place for an engine, where nothing is running yet, and an empty stage."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    made = SITES[request.param](
        tmp_path / "everact.db", VirtualClock(loop), request.module.REGISTRY
    )
    if isinstance(made, RemoteSite):
        made.process = request.getfixturevalue("process")
        made.module = request.module.__name__
        made.client = getattr(request.module, "CLIENT", {})
    else:
        made.engine = getattr(request.module, "ENGINE", {})
    stage.open(loop)
    yield made
    stage.open(None)


@pytest_asyncio.fixture
async def runtime(site: Site) -> AsyncIterator[Client]:
    """A client of a running engine with one worker."""
    async with site.up() as client:
        yield client
