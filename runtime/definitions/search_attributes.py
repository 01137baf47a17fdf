"""Search attributes: typed names and values by which runs are found.

A key is a name and a type; a pair is a key and a value of that type, checked when it is
made. Workflows and clients use the same keys.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

from everact.runtime.core.bounds import is_datable, moment_of
from everact.runtime.core.records import Attribute, AttributeKind
from everact.runtime.values.payloads import checked_text

T = TypeVar("T")
U = TypeVar("U")

LONGEST_NAME = 200
"""Characters of a name."""
LONGEST_TEXT = 4_000
"""Characters of a text or keyword."""
MOST = 100
"""Attributes of a run, and elements of a list."""


class SearchAttributeKey(Generic[T]):
    """A name by which runs are found, and the type of its values.

    Two keys of one name and type are equal. ValueError for a name that cannot be one.
    """

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: AttributeKind) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of an attribute is text, not {name!r}")
        checked_text(name, "the name of an attribute")
        if not name or len(name) > LONGEST_NAME or name[0] == "#" or "`" in name:
            raise ValueError(
                f"{name[:40]!r} is no name of an attribute: 1 to {LONGEST_NAME} "
                "characters, no backtick, and no # at the beginning"
            )
        self.name = name
        self.kind = kind

    @staticmethod
    def for_text(name: str) -> "SearchAttributeKey[str]":
        """A key of texts, which are found by the words in them."""
        return SearchAttributeKey(name, AttributeKind.TEXT)

    @staticmethod
    def for_keyword(name: str) -> "SearchAttributeKey[str]":
        """A key of texts that are found as a whole."""
        return SearchAttributeKey(name, AttributeKind.KEYWORD)

    @staticmethod
    def for_int(name: str) -> "SearchAttributeKey[int]":
        """A key of integers of 64 bits."""
        return SearchAttributeKey(name, AttributeKind.INT)

    @staticmethod
    def for_float(name: str) -> "SearchAttributeKey[float]":
        """A key of finite numbers."""
        return SearchAttributeKey(name, AttributeKind.FLOAT)

    @staticmethod
    def for_bool(name: str) -> "SearchAttributeKey[bool]":
        """A key of truth values."""
        return SearchAttributeKey(name, AttributeKind.BOOL)

    @staticmethod
    def for_datetime(name: str) -> "SearchAttributeKey[datetime]":
        """A key of moments; a naive one counts as UTC."""
        return SearchAttributeKey(name, AttributeKind.DATETIME)

    @staticmethod
    def for_keyword_list(name: str) -> "SearchAttributeKey[Sequence[str]]":
        """A key of lists of keywords, each of which the run is found by."""
        return SearchAttributeKey(name, AttributeKind.KEYWORD_LIST)

    def value_set(self, value: T) -> "SearchAttributePair[T]":
        """The change that sets the attribute."""
        return SearchAttributePair(self, value)

    def value_unset(self) -> "SearchAttributeUnset":
        """The change that takes the attribute away."""
        return SearchAttributeUnset(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchAttributeKey):
            return NotImplemented
        return (self.name, self.kind) == (other.name, other.kind)

    def __hash__(self) -> int:
        return hash((self.name, self.kind))

    def __repr__(self) -> str:
        return f"SearchAttributeKey.for_{self.kind.name.lower()}({self.name!r})"


class SearchAttributePair(Generic[T]):
    """A key with a value. TypeError or ValueError if the value is not of its type."""

    __slots__ = ("key", "value")

    def __init__(self, key: SearchAttributeKey[T], value: T) -> None:
        self.key = key
        self.value = cast("T", _checked(key, value))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchAttributePair):
            return NotImplemented
        return (self.key, self.value) == (other.key, other.value)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"SearchAttributePair({self.key!r}, {self.value!r})"


class SearchAttributeUnset:
    """A key whose attribute is to be taken away."""

    __slots__ = ("key",)

    def __init__(self, key: SearchAttributeKey[Any]) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"{self.key!r}.value_unset()"


SearchAttributeUpdate: TypeAlias = SearchAttributePair[Any] | SearchAttributeUnset


class TypedSearchAttributes:
    """Pairs of keys and values, sorted by name; nothing in it can be changed.

    ValueError if a name is there twice.
    """

    __slots__ = ("_pairs",)

    empty: "TypedSearchAttributes"

    def __init__(self, pairs: Iterable[SearchAttributePair[Any]] = ()) -> None:
        found = sorted(pairs, key=lambda pair: pair.key.name)
        for one, other in pairwise(found):
            if one.key.name == other.key.name:
                raise ValueError(f"search attribute {one.key.name!r} is given twice")
        if len(found) > MOST:
            raise ValueError(f"a run has at most {MOST} search attributes")
        self._pairs = {pair.key: pair for pair in found}

    @property
    def pairs(self) -> tuple[SearchAttributePair[Any], ...]:
        """The pairs, by name."""
        return tuple(self._pairs.values())

    @overload
    def get(self, key: SearchAttributeKey[T]) -> T | None: ...
    @overload
    def get(self, key: SearchAttributeKey[T], default: U) -> T | U: ...
    def get(self, key: SearchAttributeKey[T], default: Any = None) -> Any:
        """The value of a key of that name and type, or the default."""
        return self[key] if key in self._pairs else default

    def updated(self, *changes: SearchAttributeUpdate) -> "TypedSearchAttributes":
        """A copy with other values for these keys; ValueError if one is there twice."""
        TypedSearchAttributes(c for c in changes if isinstance(c, SearchAttributePair))
        names = {change.key.name for change in changes}
        kept = [pair for pair in self.pairs if pair.key.name not in names]
        new = [c for c in changes if isinstance(c, SearchAttributePair)]
        return TypedSearchAttributes([*kept, *new])

    def __getitem__(self, key: SearchAttributeKey[T]) -> T:
        value = self._pairs[key].value
        return cast("T", list(value) if isinstance(value, list) else value)

    def __contains__(self, key: object) -> bool:
        return key in self._pairs

    def __iter__(self) -> Iterator[SearchAttributePair[Any]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypedSearchAttributes):
            return NotImplemented
        return self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(tuple(self._pairs))

    def __repr__(self) -> str:
        return f"TypedSearchAttributes({list(self.pairs)!r})"


TypedSearchAttributes.empty = TypedSearchAttributes()

SearchAttributes: TypeAlias = TypedSearchAttributes | Mapping[str, Sequence[Any]]
"""What a start takes: typed attributes, or by name a list of values of one kind."""


def attributes_of(given: SearchAttributes | None) -> dict[str, Attribute]:
    """What is recorded of search attributes; TypeError, ValueError if it cannot be."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        given = _inferred(given)
    if not isinstance(given, TypedSearchAttributes):
        raise TypeError(f"search_attributes takes TypedSearchAttributes, not {given!r}")
    return {pair.key.name: attribute_of(pair) for pair in given}


def attribute_of(pair: SearchAttributePair[Any]) -> Attribute:
    """What is recorded of one attribute."""
    value = pair.value
    if isinstance(value, datetime):
        value = value.timestamp()
    elif isinstance(value, list):
        value = tuple(value)
    return Attribute(pair.key.kind, value)


def typed_attributes(found: Mapping[str, Attribute]) -> TypedSearchAttributes:
    """Recorded attributes as they were given."""
    if not found:
        return TypedSearchAttributes.empty
    return TypedSearchAttributes(_pair(name, one) for name, one in found.items())


def old_form(given: Any) -> str | None:
    """What is to be said of search attributes in the form that will go, if they are."""
    if not isinstance(given, Mapping):
        return None
    return (
        "search attributes as a dictionary are deprecated: give "
        "TypedSearchAttributes([SearchAttributePair(key, value)])"
    )


def _pair(name: str, found: Attribute) -> SearchAttributePair[Any]:
    value: Any = found.value
    if found.kind is AttributeKind.DATETIME:
        value = moment_of(value)
    key: SearchAttributeKey[Any] = SearchAttributeKey(name, found.kind)
    return SearchAttributePair(key, value)


def _checked(key: SearchAttributeKey[Any], value: Any) -> Any:
    """`value` as it is kept."""
    kind = key.kind
    fits = isinstance(value, _TYPES[kind])
    if isinstance(value, bool):
        fits = kind is AttributeKind.BOOL
    if kind is AttributeKind.KEYWORD_LIST:
        fits = fits and not isinstance(value, str)
        fits = fits and all(isinstance(one, str) for one in value)
    if not fits:
        raise TypeError(f"{key!r} does not take {value!r}")
    if isinstance(value, str):
        return _text(key, value)
    if isinstance(value, datetime):
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        if not is_datable(value.timestamp()):
            raise ValueError(f"{key!r} takes moments of the years 1 to 9999, in UTC")
        return value
    if kind is AttributeKind.KEYWORD_LIST:
        if not 0 < len(value) <= MOST:
            raise ValueError(
                f"{key!r} takes 1 to {MOST} keywords; value_unset for none"
            )
        return [_text(key, one) for one in value]
    if kind is AttributeKind.INT and not -(2**63) <= value < 2**63:
        raise ValueError(f"{key!r} takes integers of 64 bits")
    if kind is AttributeKind.FLOAT:
        value = float(value) if abs(value) < 2**1023 else math.inf
        if not math.isfinite(value):
            raise ValueError(f"{key!r} takes finite numbers, not {value}")
    return value


def _text(key: SearchAttributeKey[Any], value: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{key!r} takes at most {LONGEST_TEXT:,} characters")
    return checked_text(value, f"the value of attribute {key.name!r}")


_TYPES: dict[AttributeKind, Any] = {
    AttributeKind.TEXT: str,
    AttributeKind.KEYWORD: str,
    AttributeKind.INT: int,
    AttributeKind.FLOAT: (int, float),
    AttributeKind.BOOL: bool,
    AttributeKind.DATETIME: datetime,
    AttributeKind.KEYWORD_LIST: Sequence,
}


def _inferred(given: Mapping[str, Sequence[Any]]) -> TypedSearchAttributes:
    """The old form with the types that its values have."""
    pairs = []
    for name, values in given.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise TypeError(f"search attribute {name!r} takes a list of values")
        kind = _KINDS.get(type(values[0]))
        if kind is None or any(type(v) is not type(values[0]) for v in values):
            raise TypeError(f"search attribute {name!r} takes values of one kind")
        value: Any = values[0]
        if len(values) > 1:
            if kind is not AttributeKind.KEYWORD:
                raise ValueError(f"search attribute {name!r} takes one value")
            kind, value = AttributeKind.KEYWORD_LIST, list(values)
        key: SearchAttributeKey[Any] = SearchAttributeKey(name, kind)
        pairs.append(SearchAttributePair(key, value))
    return TypedSearchAttributes(pairs)


_KINDS = {
    str: AttributeKind.KEYWORD,
    int: AttributeKind.INT,
    float: AttributeKind.FLOAT,
    bool: AttributeKind.BOOL,
    datetime: AttributeKind.DATETIME,
}
