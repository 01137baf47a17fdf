"""The small application, with and without tokens, and certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.control.safety.certificates import Files, make_files
from tests.control.safety.small import Small, small


@pytest_asyncio.fixture
async def open_site(tmp_path: Path) -> AsyncIterator[Small]:
    """No token was ever made: this machine may ask anything."""
    async with small(tmp_path) as site:
        yield site


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Small]:
    """Tokens are asked for."""
    async with small(tmp_path, authentication=True) as site:
        yield site


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates, made once."""
    return make_files(tmp_path_factory.mktemp("certificates"))
