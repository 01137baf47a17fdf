"""How one value is compared: the operators, and what they mean for plain values.

A value that is not there is nothing to compare with: only ``IS NULL`` holds. A list
equals whatever it contains. Values of different kinds are unequal and have no order.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool


class Operator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    IN = "IN"
    BETWEEN = "BETWEEN"
    STARTS_WITH = "STARTS_WITH"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


def moment(text: str) -> datetime:
    """The moment that `text` names in ISO form, UTC if it says nothing; ValueError."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def satisfied(found: Any, operator: Operator, wanted: Sequence[Scalar]) -> bool:
    """Whether a plain value fulfils a comparison."""
    if operator is Operator.IS_NULL or operator is Operator.IS_NOT_NULL:
        return (found is None) is (operator is Operator.IS_NULL)
    if found is None:
        return False
    if operator is Operator.NOT_EQUAL:
        return not satisfied(found, Operator.EQUAL, wanted)
    if isinstance(found, list | tuple | set | frozenset):
        return any(satisfied(one, operator, wanted) for one in found)
    if operator is Operator.STARTS_WITH:
        prefix = wanted[0]
        return (
            isinstance(found, str)
            and isinstance(prefix, str)
            and (found.startswith(prefix))
        )
    if operator is Operator.BETWEEN:
        return _ordered(found, Operator.AT_LEAST, wanted[0]) and _ordered(
            found, Operator.AT_MOST, wanted[1]
        )
    if operator is Operator.EQUAL or operator is Operator.IN:
        return any(_equal(found, one) for one in wanted)
    return _ordered(found, operator, wanted[0])


def _equal(found: Any, wanted: Scalar) -> bool:
    here, there = _alike(found, wanted)
    return here is not None and bool(here == there)


def _ordered(found: Any, operator: Operator, wanted: Scalar) -> bool:
    here, there = _alike(found, wanted)
    if here is None or isinstance(here, bool):
        return False
    if operator is Operator.LESS:
        return bool(here < there)
    if operator is Operator.AT_MOST:
        return bool(here <= there)
    if operator is Operator.GREATER:
        return bool(here > there)
    return bool(here >= there)


def _alike(found: Any, wanted: Scalar) -> tuple[Any, Any]:
    """Both as values of one kind; (None, None) if they are of different kinds."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        same = isinstance(found, bool) and isinstance(wanted, bool)
    elif isinstance(found, datetime) and isinstance(wanted, str):
        try:
            there = moment(wanted)
        except ValueError:
            return None, None
        return found if found.tzinfo else found.replace(tzinfo=UTC), there
    else:
        same = isinstance(found, str) and isinstance(wanted, str)
        same = same or (
            isinstance(found, int | float) and isinstance(wanted, int | float)
        )
    return (found, wanted) if same else (None, None)
