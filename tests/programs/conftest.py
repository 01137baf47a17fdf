"""Programs are driven on the test's own thread, as on the engine's loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everact.runtime.programs.loop import GeneratorHooks


@pytest.fixture(autouse=True)
def generator_hooks() -> Iterator[None]:
    hooks = GeneratorHooks()
    hooks.install()
    yield
    hooks.remove()
