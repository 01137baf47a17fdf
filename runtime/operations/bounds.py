"""Validation of requests: numbers, lengths and moments, before anything happens.

What is checked is what the types of a request declare: the ranges of `core.bounds`,
and msgspec's own of numbers; integers of 64 bits and finite numbers where nothing is
declared; members of enumerations. The check of a type is made once, of the fields that
need one. JSON has been validated before, but a request of this process has not.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from operator import attrgetter, is_
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from everact.runtime.core.bounds import INTEGERS, WITHIN, is_datable, shown
from everact.runtime.core.records import Attribute, AttributeKind
from everact.runtime.core.retry import RetryPolicy, checked_policy
from everact.runtime.errors import RPCError, invalid

Check: TypeAlias = Callable[[Any, str], None]
"""Refuses a value, naming where it stands."""

_Field: TypeAlias = tuple[str, Any, Check]
"""A name, the default, and the check of any other value."""


def checker(
    kind: type[msgspec.Struct], apart: tuple[str, ...] = ()
) -> Callable[[Any], None]:
    """What refuses a request of a type with RPCError INVALID_ARGUMENT.

    The fields named in `apart` are left alone.
    """
    return _struct(kind, apart)


@cache
def _check_of(kind: Any) -> Check | None:
    """The check of a type; None if there is nothing to check."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _annotated(kind)
    if origin in (Union, UnionType):
        return _one_of(get_args(kind))
    if origin in (tuple, dict):
        return _each(get_args(kind))
    if kind is int:
        return _number(int, *INTEGERS)
    if kind is float:
        return _number(float, *_FINITE)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind)
    if _is_struct(kind):
        return _struct(kind)
    return None


def _annotated(kind: Any) -> Check | None:
    inner, *metas = get_args(kind)
    if inner not in (int, float):
        return _check_of(inner)
    least, most = INTEGERS if inner is int else _FINITE
    for meta in metas:
        if isinstance(meta, Meta):
            least = least if meta.ge is None else meta.ge
            most = most if meta.le is None else meta.le
            least, most = (meta.extra or {}).get(WITHIN, (least, most))
    return _number(inner, least, most)


def _number(kind: type, least: float, most: float) -> Check:
    accepted: Any = int if kind is int else int | float
    least, most = max(least, -_GREATEST), min(most, _GREATEST)

    def check(value: Any, where: str) -> None:
        if value.__class__ is bool or not isinstance(value, accepted):
            raise _refused(where, f"a number, not {type(value).__name__}")
        if not least <= value <= most:  # NaN is not either
            raise _refused(where, f"{_range(least, most)}, not {shown(value)}")

    return check


def _range(least: float, most: float) -> str:
    if (least, most) == INTEGERS:
        return "an integer of 64 bits"
    if most == _GREATEST:
        return "a finite number" if least == -most else f"{least:,.15g} or more"
    return f"{least:,.15g} to {most:,.15g}"


def _member(kind: type[Enum]) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, kind):
            try:
                kind(value)
            except (TypeError, ValueError):
                raise _refused(
                    where, f"one of {', '.join(kind.__members__)}, not {shown(value)}"
                ) from None

    return check


def _one_of(kinds: tuple[Any, ...]) -> Check | None:
    """One of several types: the check is of the first that the value can be of."""
    checks = [(_classes(kind), _check_of(kind)) for kind in kinds]
    if all(check is None for _, check in checks):
        return None
    optional = NoneType in kinds

    def check(value: Any, where: str) -> None:
        if value is None and optional:
            return
        if value.__class__ is bool and bool in kinds:  # which is an int, too
            return
        for classes, found in checks:
            if isinstance(value, classes):
                if found is not None:
                    found(value, where)
                return
        names = sorted({c.__name__ for classes, _ in checks for c in classes})
        raise _refused(where, f"{' or '.join(names)}, not {type(value).__name__}")

    return check


def _classes(kind: Any) -> tuple[type, ...]:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    plain = get_origin(kind) or kind
    if plain is float:
        return (float, int)
    if plain is tuple:
        return (tuple, list)
    if isinstance(plain, type) and issubclass(plain, Enum):
        return (plain, int, str)
    return (plain,)


def _each(kinds: tuple[Any, ...]) -> Check | None:
    """The elements of a tuple, or the values of a dictionary."""
    checks = [found for kind in kinds if (found := _check_of(kind)) is not None]
    if not checks:
        return None
    element = checks[-1]

    def check(value: Any, where: str) -> None:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, one in items:
            element(one, f"{where}[{name!r}]")

    return check


def _struct(
    kind: type[msgspec.Struct], apart: tuple[str, ...] = ()
) -> Callable[..., None]:
    """The fields of a struct, and what its kind is checked for as a whole.

    If all are as by default, those of structs in it included, one look tells so.
    """
    fields: list[_Field] | None = None
    get: Callable[[Any], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    whole = _WHOLE.get(kind)

    def check(value: Any, where: str = "") -> None:
        nonlocal fields, get, defaults
        if fields is None:  # only now: a struct may hold its own kind
            fields = _fields(kind, apart)
            names = [one[0] for one in fields]
            # Of one name alone it would give no tuple.
            get = attrgetter(*names, *names[:1]) if names else _nothing
            defaults = tuple(one[1] for one in fields)
        found = get(value)
        if not all(map(is_, found, defaults)):
            for (name, default, refuse), one in zip(fields, found, strict=False):
                if one is not default:
                    refuse(one, f"{where}.{name}" if where else name)
        if whole is not None:
            try:
                whole(value)
            except (TypeError, ValueError, OverflowError) as error:
                raise _refused(where, f"one that makes sense: {error}") from None

    return check


def _fields(kind: type[msgspec.Struct], apart: tuple[str, ...] = ()) -> list[_Field]:
    """The fields that there is something to check of, by dotted names.

    A struct that is always there stands for its fields.
    """
    found: list[_Field] = []
    for field in msgspec.structs.fields(kind):
        inner: Any = field.type
        if field.name in apart:
            continue
        if _is_struct(inner) and inner not in _WHOLE:
            found += [(f"{field.name}.{n}", d, check) for n, d, check in _fields(inner)]
            continue
        check = _check_of(inner)
        if check is not None:
            found.append((field.name, field.default, check))
    return found


def _nothing(_: object) -> tuple[()]:
    return ()


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _check_moment(attribute: Attribute) -> None:
    value, moment = attribute.value, attribute.kind is AttributeKind.DATETIME
    if moment and isinstance(value, int | float) and not is_datable(value):
        raise ValueError("a moment is of the years 1 to 9999, in UTC")


def _refused(where: str, wanted: str) -> RPCError:
    return invalid(f"{where} must be {wanted}")


_GREATEST: Final = 1.7976931348623157e308
_FINITE: Final = (-_GREATEST, _GREATEST)
_WHOLE: Final[dict[type, Callable[[Any], object]]] = {
    RetryPolicy: checked_policy,
    Attribute: _check_moment,
}
