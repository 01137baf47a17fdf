"""What a filter says, as values: nobody but the parser knows its text.

Every part keeps the position of its first character in the text, so that whoever finds
a fault in it later (an unknown field, a value of the wrong type) can point at it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from everact.runtime.filters.operators import Operator, Scalar, satisfied


class Field(msgspec.Struct, frozen=True):
    """A field, by the names on the way to it."""

    path: tuple[str, ...]
    at: int = 0

    @property
    def name(self) -> str:
        """As it is shown: the names joined by dots."""
        return ".".join(self.path)

    def of(self, values: Mapping[str, Any]) -> Any:
        """Its value in `values`, in mappings and lists within; None if not there."""
        found: Any = values
        for name in self.path:
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list | tuple) and name.isdecimal():
                found = found[int(name)] if int(name) < len(found) else None
            else:
                return None
        return found


class Literal(msgspec.Struct, frozen=True):
    """A value as it was written; a moment is text until its field says otherwise."""

    value: Scalar
    at: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """One field held against as many values as the operator takes."""

    field: Field
    operator: Operator
    values: tuple[Literal, ...] = ()

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is so in `values`."""
        wanted = [literal.value for literal in self.values]
        return satisfied(self.field.of(values), self.operator, wanted)


class Both(msgspec.Struct, frozen=True):
    """Every part holds."""

    parts: tuple["Condition", ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is so in `values`."""
        return all(part.holds(values) for part in self.parts)


class Either(msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple["Condition", ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is so in `values`."""
        return any(part.holds(values) for part in self.parts)


Condition: TypeAlias = Comparison | Both | Either


class Ordering(msgspec.Struct, frozen=True):
    """One field of an order."""

    field: Field
    descending: bool = False


class Filter(msgspec.Struct, frozen=True):
    """All that a filter says; `condition` None lets everything through."""

    condition: Condition | None = None
    order: tuple[Ordering, ...] = ()
    group: Field | None = None

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether plain values (of an event, of a schedule) pass it."""
        return self.condition is None or self.condition.holds(values)


def comparisons(condition: Condition | None) -> Sequence[Comparison]:
    """Every comparison of a condition, in the order of its text."""
    if condition is None:
        return ()
    if isinstance(condition, Comparison):
        return (condition,)
    return [one for part in condition.parts for one in comparisons(part)]
