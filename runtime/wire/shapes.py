"""The JSON shape of a request or an answer, derived from its type.

A struct becomes an object with the same field names, an enumeration its members'
names, one of several records an object whose `type` names the record. User values
stand in place as plain JSON. Bytes that are none (pickled exceptions) do not travel:
the field has its default on the other side.

For every type there is a twin that msgspec validates JSON against, and from which it
writes the schema; what the core and the engine know is never changed by how it looks.
"""

from collections.abc import Callable
from enum import Enum
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import asdict

from everact.runtime.core.opaque import DOCUMENT, PAYLOAD, stands_for
from everact.runtime.core.records import StartOptions
from everact.runtime.operations.base import Request
from everact.runtime.wire.markers import received

Show: TypeAlias = Callable[[bytes], Raw]
"""A payload as JSON."""

Inward: TypeAlias = Callable[[Any], Any]
"""What was decoded as the value that it stands for."""

_INT64: Final = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_SIMPLE = (str, int, float, bool, NoneType)
_SHARED: Final = (StartOptions,)
"""Of these equal ones come in many requests in a row."""


class Shape(NamedTuple):
    """How values of one type travel.

    `twin` is the type of the JSON; `outward` makes what msgspec encodes, `inward`
    makes the value from what it decoded; None changes nothing. `absent` says that an
    empty value is left out.
    """

    twin: Any
    outward: Callable[[Any, Show], Any] | None = None
    inward: Inward | None = None
    absent: bool = False


@cache
def shape_of(kind: Any, strict: bool) -> Shape:
    """The shape of a type; `strict` refuses unknown fields."""
    return _Compiler.of(strict).shape(kind)


class _Compiler:
    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._open: set[Any] = set()
        self._structs: dict[Any, Shape] = {}

    @classmethod
    @cache
    def of(cls, strict: bool) -> "_Compiler":
        """One for all types: a struct has one twin, wherever it stands."""
        return cls(strict)

    def shape(self, kind: Any) -> Shape:
        origin = get_origin(kind)
        if origin is Annotated:
            return self._annotated(kind)
        if origin in (Union, UnionType):
            return self._union(get_args(kind))
        if origin is tuple:
            return self._tuple(get_args(kind))
        if origin is dict:
            return self._dict(get_args(kind)[1])
        if kind is int:
            return Shape(_INT64)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _enumeration(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._nested(kind)
        return Shape(kind)

    def _annotated(self, kind: Any) -> Shape:
        opaque = _OPAQUE.get(stands_for(kind) or "")
        if opaque is not None:
            return opaque
        inner = get_args(kind)[0]
        if inner is int:
            return Shape(kind)
        shape = self.shape(inner)
        return shape._replace(twin=Annotated[(shape.twin, *kind.__metadata__)])

    def _union(self, kinds: tuple[Any, ...]) -> Shape:
        members = [self.shape(kind) for kind in kinds if kind is not NoneType]
        optional = len(members) < len(kinds)
        if len(members) > 1:
            named = {kind: self.shape(kind) for kind in kinds if kind is not NoneType}
            return _one_of(named, optional)
        (one,) = members
        if not optional or one.absent:
            return one
        outward, inward = one.outward, one.inward
        return Shape(
            one.twin | None,
            outward
            and (lambda value, show: None if value is None else outward(value, show)),
            inward and (lambda found: None if found is None else inward(found)),
        )

    def _tuple(self, kinds: tuple[Any, ...]) -> Shape:
        if kinds[-1] is not Ellipsis:
            return Shape(tuple[tuple(self.shape(kind).twin for kind in kinds)])  # type: ignore[misc]
        twin, outward, inward, _ = self.shape(kinds[0])
        whole: Any = tuple
        return Shape(
            whole[twin, ...],
            outward and (lambda value, show: [outward(item, show) for item in value]),
            inward and (lambda found: tuple([inward(item) for item in found])),
        )

    def _dict(self, kind: Any) -> Shape:
        twin, outward, inward, _ = self.shape(kind)
        whole: Any = dict
        return Shape(
            whole[str, twin],
            outward
            and (lambda value, show: {k: outward(v, show) for k, v in value.items()}),
            inward and (lambda found: {k: inward(v) for k, v in found.items()}),
        )

    def _nested(self, kind: type[msgspec.Struct]) -> Shape:
        if kind in self._open:
            return _again(kind, self._strict)
        if kind not in self._structs:
            self._open.add(kind)
            try:
                self._structs[kind] = self._struct(kind)
            finally:
                self._open.remove(kind)
        return self._structs[kind]

    def _struct(self, kind: type[msgspec.Struct]) -> Shape:
        hints = get_type_hints(kind, include_extras=True)
        sent: list[tuple[str, Shape | None]] = []
        received: list[tuple[str, Inward | None]] = []
        twin_fields: list[Any] = []
        for field in msgspec.structs.fields(kind):
            hint = hints[field.name]
            if hint in (bytes, bytes | None):
                sent.append((field.name, None))
                continue
            shape = self.shape(hint)
            if shape.outward is not None or shape.absent:
                sent.append((field.name, shape))
            twin_field = _twin_field(field, shape)
            twin_fields.append(twin_field)
            if shape.inward is not None or twin_field[-1] is UNSET:
                received.append((field.name, shape.inward))
        tag = kind.__struct_config__.tag
        twin = msgspec.defstruct(
            _twin_name(kind, self._strict),
            twin_fields,
            module=kind.__module__,
            namespace={"__doc__": kind.__doc__},
            kw_only=True,
            forbid_unknown_fields=self._strict,
            tag_field=None if tag is None else "type",
            tag=None if tag is None else kind.__name__,
        )
        head = {} if tag is None else {"type": kind.__name__}
        return Shape(twin, _sending(head, sent), _receiving(kind, received))


def _sending(head: dict[str, Any], special: list[tuple[str, Shape | None]]) -> Any:
    """What makes an object of a struct; fields that are no `special` ones go as they
    are, and those without a shape do not go.
    """

    def outward(value: Any, show: Show) -> Any:
        made = head | asdict(value) if head else asdict(value)
        for name, shape in special:
            if shape is None or (shape.absent and not made[name]):
                del made[name]
            elif shape.outward is not None:
                made[name] = shape.outward(made[name], show)
        return made

    return outward


def _receiving(
    kind: type[msgspec.Struct], special: list[tuple[str, Inward | None]]
) -> Inward:
    """What makes a struct of its twin; `special` fields may be missing, or change."""
    waiting = issubclass(kind, Request) and "wait" not in kind.__struct_fields__

    def inward(found: Any) -> Any:
        given = asdict(found)
        if waiting:  # how long its sender waits is no field of it
            given.pop("wait", None)
        for name, change in special:
            value = given[name]
            if value is UNSET:
                del given[name]
            elif change is not None:
                given[name] = change(value)
        return kind(**given)

    return (
        _sharing(inward, [name for name, _ in special]) if kind in _SHARED else inward
    )


def _sharing(inward: Inward, special: list[str]) -> Inward:
    """`inward` that makes one object of equal ones in a row, if they are plain.

    Those are plain that have nothing in the fields that are `special`: of numbers in
    what users give, 1 and true are equal and not the same.
    """
    seen: Any = None
    made: Any = None

    def shared(found: Any) -> Any:
        nonlocal seen, made
        if found == seen:
            return made
        new = inward(found)
        if not any(getattr(found, name) for name in special):
            seen, made = found, new
        return new

    return shared


def _twin_name(kind: type[msgspec.Struct], strict: bool) -> str:
    """What the schema calls it: records, and what goes in and out, are kept apart."""
    if kind.__struct_config__.tag is not None:
        return f"{kind.__name__}Record"
    if strict and not issubclass(kind, Request):
        return f"{kind.__name__}Input"
    return kind.__name__


def _twin_field(field: Any, shape: Shape) -> Any:
    if field.required:
        return (field.name, shape.twin)
    if type(field.default) in _SIMPLE and not shape.absent:
        return (field.name, shape.twin, field.default)
    return (field.name, shape.twin | UnsetType, UNSET)


def _enumeration(kind: type[Enum]) -> Shape:
    names = tuple(kind.__members__)
    return Shape(
        Literal[names],
        lambda value, _: kind(value).name,
        lambda found: kind[found],
    )


def _one_of(shapes: dict[Any, Shape], optional: bool) -> Shape:
    """One of several structs, told apart by their tags, or of several plain types."""
    twin: Any = reduce(or_, (shape.twin for shape in shapes.values()))
    inwards = {shape.twin: shape.inward for shape in shapes.values()}

    def outward(value: Any, show: Show) -> Any:
        shape = shapes.get(type(value))
        return shape.outward(value, show) if shape and shape.outward else value

    def inward(found: Any) -> Any:
        change = inwards.get(type(found))
        return change(found) if change else found

    return Shape(twin | None if optional else twin, outward, inward)


def _again(kind: Any, strict: bool) -> Shape:
    """A struct inside one of its own kind, such as the cause of a failure."""

    def outward(value: Any, show: Show) -> Raw:
        change = shape_of(kind, strict).outward
        assert change is not None
        return Raw(msgspec.json.encode(change(value, show)))

    def inward(found: Raw) -> Any:
        shape = shape_of(kind, strict)
        assert shape.inward is not None
        twin = msgspec.json.decode(found, type=shape.twin | None)
        return None if twin is None else shape.inward(twin)

    return Shape(Raw, outward, inward, absent=True)


_VALUE: Final = Shape(
    Raw,
    lambda payload, show: show(payload),
    received,
    absent=True,
)
_DOCUMENT: Final = Shape(
    dict[str, Any],
    lambda document, _: Raw(document or b"{}"),
    lambda found: msgspec.json.encode(found) if found else b"",
)
_OPAQUE: Final = {PAYLOAD: _VALUE, DOCUMENT: _DOCUMENT}
