"""The names of where tasks can run: the one registry that `@task(executor=…)` asks.

An executor says its name here when its module is imported; see
`engine/execution/base.py` for what it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

LOOP, THREAD = "loop", "thread"
"""Where tasks run that name nothing: async functions, and others."""


class Registered(NamedTuple):
    """An executor by its name: who makes it, given the host that it is for, and what
    says why a function cannot run on it, if so.
    """

    make: Callable[[Any], Any]
    refuses: Callable[[Callable[..., Any]], str | None]


_registered: dict[str, Registered] = {}


def register_executor(
    name: str,
    make: Callable[[Any], Any],
    refuses: Callable[[Callable[..., Any]], str | None] = lambda _: None,
) -> None:
    """Let tasks name an executor; ValueError if the name is taken by another."""
    if name in _registered and _registered[name].make is not make:
        raise ValueError(f"there is an executor {name!r} already")
    _registered[name] = Registered(make, refuses)


def executor_named(name: object) -> Registered:
    """The executor of a name; ValueError if there is none."""
    found = _registered.get(name) if isinstance(name, str) else None
    if found is None:
        known = tuple(sorted(_registered))
        raise ValueError(f"executor must be one of {known}, not {name!r}")
    return found
