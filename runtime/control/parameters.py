"""Query parameters as the JSON of a request.

A field of a field is named with a dot: ``run.workflow_id=order-1``. What may be text
is text; anything else is JSON (``limit=10``, ``args=[1]``).
"""

from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Raw
from multidict import MultiMapping

from everact.runtime import wire


def body_of_query(kind: type, query: MultiMapping[str]) -> bytes:
    """The body that says what `query` says; msgspec.DecodeError for what it cannot."""
    body: dict[str, Any] = {}
    for name, text in query.items():
        *path, last = name.split(".")
        place = body
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise msgspec.DecodeError(f"parameter {name!r} is inside of another")
        if last in place:
            raise msgspec.DecodeError(f"parameter {name!r} is given twice")
        place[last] = text if name in _texts(kind) else _json(name, text)
    return msgspec.json.encode(body)


def _json(name: str, text: str) -> Raw:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise msgspec.DecodeError(f"parameter {name!r} is not JSON: {error}") from None
    return Raw(text.encode())


@cache
def _texts(kind: type) -> frozenset[str]:
    """The parameters whose values are text."""
    return frozenset(_texts_of(wire.codec_of(kind).request, ""))


def _texts_of(twin: Any, prefix: str) -> list[str]:
    found: list[str] = []
    for name, hint in get_type_hints(twin).items():
        for option in _options(hint):
            if option is str or get_origin(option) is Literal:
                found.append(prefix + name)
            elif isinstance(option, type) and issubclass(option, msgspec.Struct):
                found += _texts_of(option, f"{prefix}{name}.")
    return found


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
