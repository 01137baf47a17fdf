"""Fields that two kinds of structs have in common: what one shows of the other."""

from collections.abc import Hashable
from dataclasses import fields
from functools import cache
from typing import Any


def alike(kind: Any, found: Any) -> dict[str, Any]:
    """The fields of a `kind` that `found` has too, by the same names.

    Both are structs of msgspec, dataclasses or named tuples.
    """
    return {name: getattr(found, name) for name in _common(kind, found.__class__)}


@cache
def _common(kind: Hashable, other: Hashable) -> tuple[str, ...]:
    return tuple(name for name in _names(kind) if name in _names(other))


def _names(kind: Any) -> tuple[str, ...]:
    names = "_fields" if hasattr(kind, "_fields") else "__struct_fields__"
    found: tuple[str, ...] | None = getattr(kind, names, None)
    return found or tuple(field.name for field in fields(kind))
