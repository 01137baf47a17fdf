"""An engine with tokens beside its database, behind each front in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.runtime import Runtime
from everact.runtime.door import Scope, TokenFile
from tests.control.works import REGISTRY
from tests.door.fronts import KINDS, Front, opened


class Tokens:
    """The file, and new tokens of it."""

    def __init__(self, database: Path) -> None:
        self.file = TokenFile.for_database(database)

    def new(self, scope: Scope = Scope.USER, *workspaces: str) -> str:
        name = f"{len(self.file.list())}"
        return self.file.create(name, scope=scope, workspaces=workspaces)[1]


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "everact.db")


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with Runtime(tmp_path / "everact.db", registry=REGISTRY) as runtime:
        yield runtime


@pytest_asyncio.fixture(params=KINDS)
async def front(
    request: pytest.FixtureRequest, runtime: Runtime
) -> AsyncIterator[Front]:
    """Each front to the engine."""
    async with opened(request.param, runtime) as front:
        yield front
