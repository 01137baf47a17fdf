"""Where payloads are in a request, an answer or a record, derived from its type."""

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from everact.runtime.core.failures import Failure
from everact.runtime.core.opaque import PAYLOAD, STANDS_FOR

Change: TypeAlias = Callable[[bytes], bytes]
Visit: TypeAlias = Callable[[Any, Change], Any]


@cache
def payloads_of(kind: Any) -> Visit | None:
    """What changes every payload in a value of type `kind`; None if it has none.

    The exception in a failure counts as one. The value itself is not changed: the
    answer is a copy with the changed payloads in it.
    """
    origin = get_origin(kind)
    if origin is Annotated:
        for meta in kind.__metadata__:
            if (getattr(meta, "extra", None) or {}).get(STANDS_FOR) == PAYLOAD:
                return _payload
        return payloads_of(get_args(kind)[0])
    if origin in (Union, UnionType):
        return _union(get_args(kind))
    if origin is tuple:
        return _each(payloads_of(get_args(kind)[0]))
    if origin is dict:
        return _each_named(payloads_of(get_args(kind)[1]))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):

        def visit(value: Any, change: Change) -> Any:
            return _struct(kind)(value, change)  # on use: it may hold its own kind

        return visit
    return None


def _payload(payload: bytes, change: Change) -> bytes:
    return change(payload) if payload else payload


def _each(inner: Visit | None) -> Visit | None:
    if inner is None:
        return None
    return lambda value, change: tuple(inner(item, change) for item in value)


def _each_named(inner: Visit | None) -> Visit | None:
    if inner is None:
        return None
    return lambda value, change: {k: inner(v, change) for k, v in value.items()}


def _union(kinds: tuple[Any, ...]) -> Visit | None:
    visits = {kind: payloads_of(kind) for kind in kinds if kind is not NoneType}
    found = {kind: visit for kind, visit in visits.items() if visit is not None}
    if not found:
        return None
    if len(visits) == 1:
        (only,) = found.values()
        return lambda value, change: None if value is None else only(value, change)

    def visit(value: Any, change: Change) -> Any:
        of_kind = found.get(type(value))
        return value if of_kind is None else of_kind(value, change)

    return visit


@cache
def _struct(kind: Any) -> Visit:
    hints = get_type_hints(kind, include_extras=True)
    visits: dict[str, Visit] = {}
    for field in msgspec.structs.fields(kind):
        visit = payloads_of(hints[field.name])
        if kind is Failure and field.name == "value":
            visit = _exception
        if visit is not None:
            visits[field.name] = visit

    def change_all(value: Any, change: Change) -> Any:
        changed = {
            name: visit(getattr(value, name), change) for name, visit in visits.items()
        }
        return msgspec.structs.replace(value, **changed) if changed else value

    return change_all


def _exception(payload: bytes | None, change: Change) -> bytes | None:
    """The pickled exception of a failure."""
    return None if payload is None else change(payload)
