"""Marks of fields that hold opaque bytes: user values (payloads) and JSON documents.

To the core they are bytes. Whoever shows a record to the world outside needs to know
more: a payload is an encoded user value, a document is JSON already, and bytes that
are neither (pickled exceptions) are for this installation alone and are not shown.
"""

from collections.abc import Iterator
from typing import (
    Annotated,
    Any,
    Final,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import Meta, Struct

PAYLOAD: Final = "payload"
DOCUMENT: Final = "document"
STANDS_FOR: Final = "stands for"

Payload: TypeAlias = Annotated[bytes, Meta(extra={STANDS_FOR: PAYLOAD})]
"""A user value, encoded by a converter. Empty bytes mean that there is none."""

Document: TypeAlias = Annotated[bytes, Meta(extra={STANDS_FOR: DOCUMENT})]
"""A JSON object. Empty bytes mean that there is none."""


def stands_for(kind: Any) -> str | None:
    """What bytes of an annotated type stand for; None for any other type."""
    metas = getattr(kind, "__metadata__", ())
    told = ((getattr(meta, "extra", None) or {}).get(STANDS_FOR) for meta in metas)
    return next(filter(None, told), None)


def holds_payloads(kind: Any) -> bool:
    """Whether there is a payload anywhere in values of a type."""
    return _holds(kind, set())


def _holds(kind: Any, seen: set[Any]) -> bool:
    if get_origin(kind) is not Annotated and isinstance(kind, type):
        if not issubclass(kind, Struct) or kind in seen:
            return False
        seen.add(kind)
        hints = get_type_hints(kind, include_extras=True).values()
        return any(_holds(hint, seen) for hint in hints)
    if stands_for(kind) == PAYLOAD:
        return True
    return any(_holds(inner, seen) for inner in get_args(kind))


def byte_strings(value: Any) -> Iterator[bytes]:
    """All byte strings in plain data, at any depth."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from byte_strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from byte_strings(inner)
