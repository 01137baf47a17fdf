"""The engines by name, in the order in which tables show them."""

from __future__ import annotations

from typing import Final

from benchmarks.engines.base import Engine
from benchmarks.engines.ceiling import Ceiling

ENGINES: Final[dict[str, Engine]] = {
    engine.name: engine
    for engine in (
        Ceiling(),
    )
}
