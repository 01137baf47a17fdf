"""What a front may hand over of users' values: nothing that could be a pickle.

A payload of a request is plain data (JSON, as a rule), or what a codec made, marked as
foreign; both are read by readers that load no code. Bytes that are no payload (pickled
exceptions) are for this installation alone and come in through no door.
"""

from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from everact.runtime.core.opaque import DOCUMENT, PAYLOAD, STANDS_FOR
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError
from everact.runtime.values.coded import FOREIGN
from everact.runtime.values.payloads import HARMLESS

_BEGINNINGS: Final = HARMLESS | {b"", bytes((FOREIGN,))}
"""What a payload may begin with."""


def check_payloads(request: msgspec.Struct) -> None:
    """RPCError INVALID_ARGUMENT for a request with bytes that might be a pickle."""
    found = _suspect(request)
    if found is not None:
        raise RPCError(
            f"{found} holds a value that is neither data nor what a codec made",
            RPCStatus.INVALID_ARGUMENT,
        )


def _suspect(struct: msgspec.Struct) -> str | None:
    """The first field with bytes that might be a pickle; what is empty is none."""
    kind = type(struct)
    for name in _own(kind):
        if getattr(struct, name):
            return name
    for name in _carriers(kind):
        value = getattr(struct, name)
        if value and _suspicious(value):
            return name
    return None


def _suspicious(value: Any) -> bool:
    if isinstance(value, bytes):
        return value[:1] not in _BEGINNINGS
    if isinstance(value, msgspec.Struct):
        return _suspect(value) is not None
    if isinstance(value, dict):
        return any(map(_suspicious, value.values()))
    return isinstance(value, (tuple, list)) and any(map(_suspicious, value))


@cache
def _carriers(kind: type) -> tuple[str, ...]:
    """The fields that may hold payloads, at any depth."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in hints if _leads(hints[name], frozenset({kind})))


@cache
def _own(kind: type) -> tuple[str, ...]:
    """The fields of bytes that are this installation's own: they must be empty."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in hints if hints[name] in (bytes, bytes | None))


def _leads(hint: Any, above: frozenset[Any]) -> bool:
    """Whether a value of that type may hold a payload; its own kind is no news."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        stands_for = [
            (meta.extra or {}).get(STANDS_FOR)
            for meta in metas
            if isinstance(meta, msgspec.Meta)
        ]
        return DOCUMENT not in stands_for and (
            PAYLOAD in stands_for or _leads(inner, above)
        )
    if hint in above:
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        inside = get_type_hints(hint, include_extras=True)
        here = above | {hint}
        return bool(_own(hint)) or any(_leads(i, here) for i in inside.values())
    if get_origin(hint) in (tuple, list, dict, Union, UnionType):
        return any(_leads(inner, above) for inner in get_args(hint))
    return False
