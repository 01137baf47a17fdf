"""Access: which scope an operation needs, and which workspaces a request reaches.

The control endpoint asks; the embedded client, which is the program itself, is asked
nothing.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import msgspec

EVERY_WORKSPACE: Final = "*"
"""Stands for all workspaces, those to come included."""


class Access(Enum):
    """What an operation does, and so what a caller needs for it.

    INFO tells what belongs to no workspace (the version, registered names). READ
    changes nothing, WRITE acts on runs, WORK is what workers do for them, and ADMIN
    is everything else: limits, workspaces, tokens, and whatever says nothing.
    """

    INFO = "info"
    READ = "read"
    WRITE = "write"
    WORK = "work"
    ADMIN = "admin"


def workspaces_of(message: Any) -> frozenset[str]:
    """Every workspace that a request names, at any depth.

    A request that names none reaches beyond every workspace.
    """
    return frozenset(_workspaces(message))


def _workspaces(value: Any) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if name == "workspace":
                yield inner
            else:
                yield from _workspaces(inner)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _workspaces(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _workspaces(item)
