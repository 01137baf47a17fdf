"""The engines by name, in the order in which tables show them.

An adapter is imported when its engine is asked for, so that a measuring process holds
the packages of one engine and no other's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from benchmarks.engines.base import Engine

_MODULES: Final = {
    "everact": "everact_engine",
    "limit": "limit",
    "ceiling": "ceiling",
    "dbos": "dbos_engine",
    "dbos-postgres": "dbos_engine",
    "restate": "restate_engine",
    "prefect": "prefect_engine",
}

NAMES: Final = tuple(_MODULES)


def engine(name: str) -> Engine:
    """The engine of that name; each adapter module has an `engine` function."""
    module = import_module(f"benchmarks.engines.{_MODULES[name]}")
    return cast(Engine, module.engine(name))
