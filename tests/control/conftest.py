"""A running endpoint on a real socket of the loopback, and a bare HTTP session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest_asyncio

from everact.runtime import Runtime
from everact.runtime.control.serving import Control
from tests.control.works import REGISTRY


class Http:
    """What curl can do: paths and JSON in, status and JSON out."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def post(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
        async with self.session.post(
            self.base + path,
            data=data,
            headers={"Content-Type": "application/json"} | more,
        ) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async def get(self, path: str, **parameters: str) -> tuple[int, Any]:
        async with self.session.get(self.base + path, params=parameters) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async def ok(self, path: str, **body: Any) -> Any:
        """The answer of an operation, given as ``noun/verb``, that is not refused."""
        status, answer = await self.post(f"/api/v1/{path}", body)
        assert status == 200, answer
        return answer


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    """A runtime in real time."""
    async with Runtime(tmp_path / "everact.db", registry=REGISTRY) as runtime:
        yield runtime


@pytest_asyncio.fixture
async def http(runtime: Runtime) -> AsyncIterator[Http]:
    """Requests to the endpoint of `runtime`."""
    async with (
        Control(runtime, "127.0.0.1:0") as control,
        aiohttp.ClientSession() as session,
    ):
        yield Http(session, f"http://{control.address}")
