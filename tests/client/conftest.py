"""An engine behind its endpoint on a real socket, and a front that can interfere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from everact.runtime import Client, Registry, Runtime
from everact.runtime.control.serving import Control
from tests.client.servers import Front


class Place:
    """Where an engine can be reached; it can be taken down and brought up again."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._path = path
        self._registry = registry
        self._up: AsyncExitStack | None = None
        self.runtime: Runtime

    async def up(self) -> str:
        """Bring the engine up; the host:port of its endpoint."""
        async with AsyncExitStack() as stack:
            self.runtime = Runtime(self._path, registry=self._registry, grace=0)
            await stack.enter_async_context(self.runtime)
            control = await stack.enter_async_context(
                Control(self.runtime, "127.0.0.1:0")
            )
            self._up = stack.pop_all()
        return control.address

    async def down(self) -> None:
        """Take the endpoint and the engine down."""
        up, self._up = self._up, None
        if up is not None:
            await up.aclose()


@pytest_asyncio.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A place where no engine is up yet; the module's REGISTRY holds its code."""
    made = Place(tmp_path / "everact.db", request.module.REGISTRY)
    yield made
    await made.down()


@pytest_asyncio.fixture
async def front(place: Place) -> AsyncIterator[Front]:
    """The front of an engine that is up; `target` leads to it."""
    made = Front(await place.up())
    async with made.running() as made.target:
        yield made


@pytest_asyncio.fixture
async def client(front: Front) -> AsyncIterator[Client]:
    """A client that goes through the front."""
    async with await Client.connect(front.target) as connected:
        yield connected
