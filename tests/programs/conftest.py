"""Programs are driven on the test's own thread, as on the engine's loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everact.runtime.programs.loop import GeneratorHooks
from tests.programs.driven import close_all


@pytest.fixture(autouse=True)
def generator_hooks() -> Iterator[None]:
    hooks = GeneratorHooks()
    hooks.install()
    yield
    close_all()
    hooks.remove()
