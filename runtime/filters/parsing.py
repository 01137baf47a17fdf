"""Text of a filter to its tree; every fault is an `InvalidFilter` with its position.

What is accepted is bounded: the database that evaluates it has limits of its own, and
they must never be met.
"""

import math
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from everact.runtime.errors import InvalidFilter
from everact.runtime.filters.operators import Operator, Scalar
from everact.runtime.filters.tree import (
    Both,
    Comparison,
    Condition,
    Either,
    Field,
    Filter,
    Literal,
    Ordering,
)

LENGTH = 20_000
"""Characters of a filter."""
DEPTH = 32
"""Parentheses within parentheses."""
COMPARISONS = 200
"""Comparisons in one filter."""
VALUES = 500
"""Values in one filter."""
FIELDS = 8
"""Fields of an order."""

_NAME = re.compile(r"`([^`]+)`|([^.`]+)")
_ESCAPED = re.compile(r"\\(.)|(['\"])\2", re.DOTALL)
_VALUES = frozenset({"TEXT", "NUMBER", "TRUE", "FALSE"})
_SPOKEN = {
    "FIELD": "a field",
    "OPERATOR": "a comparison",
    "TEXT": "a value",
    "NUMBER": "a value",
    "TRUE": "a value",
    "FALSE": "a value",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}


def parse(text: str) -> Filter:
    """What `text` says, empty text letting everything through; InvalidFilter."""
    if len(text) > LENGTH:
        raise InvalidFilter(f"a filter has at most {LENGTH:,} characters", LENGTH)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidFilter("half of a character", error.start) from None
    reading: Any = _grammar().parse_interactive(text)
    bounds = _Bounds()
    try:
        for token in reading.iter_parse():
            bounds.count(token)
        read: Filter = reading.feed_eof()
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else error.token.start_pos
        found = "the end" if error.token.type == "$END" else repr(str(error.token))
        raise _unexpected(found, at or 0, reading.accepts()) from None
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        if text[at] in "'\"`":
            raise InvalidFilter(f"the quote {text[at]} is not closed", at) from None
        raise _unexpected(repr(text[at]), at, reading.accepts()) from None
    return read


def _unexpected(found: str, at: int, accepted: Iterable[str]) -> InvalidFilter:
    spoken = {_SPOKEN.get(name, name.strip("_")) for name in accepted}
    return InvalidFilter(
        f"{found[:40]} does not fit here; expected {' or '.join(sorted(spoken))}", at
    )


class _Bounds:
    """Counts what a filter consists of while it is read."""

    def __init__(self) -> None:
        self.depth = self.comparisons = self.values = self.fields = 0

    def count(self, token: Token) -> None:
        kind, at = token.type, token.start_pos or 0
        if kind == "LPAR":
            self.depth += 1
        elif kind == "RPAR":
            self.depth -= 1
        elif kind == "FIELD":
            self.fields += 1
        elif kind in _VALUES:
            self.values += 1
        if self.depth > DEPTH:
            raise InvalidFilter(f"parentheses go at most {DEPTH} deep", at)
        if self.fields > COMPARISONS:
            raise InvalidFilter(f"a filter names at most {COMPARISONS} fields", at)
        if self.values > VALUES:
            raise InvalidFilter(f"a filter has at most {VALUES} values", at)


class _Building(Transformer[Token, Filter]):
    """The tree, from the leaves up, while the text is read."""

    def start(self, parts: list[Any]) -> Filter:
        condition, group, order = parts
        return Filter(condition, order or (), group)

    def either(self, parts: list[Condition]) -> Condition:
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self, parts: list[Condition]) -> Condition:
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def compared(self, parts: list[Any]) -> Comparison:
        field, operator, literal = parts
        return Comparison(field, Operator(str(operator)), (literal,))

    def one_of(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], Operator.IN, tuple(parts[1:]))

    def between(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], Operator.BETWEEN, tuple(parts[1:]))

    def starts_with(self, parts: list[Any]) -> Comparison:
        return Comparison(parts[0], Operator.STARTS_WITH, tuple(parts[1:]))

    def is_null(self, parts: list[Field]) -> Comparison:
        return Comparison(parts[0], Operator.IS_NULL)

    def is_not_null(self, parts: list[Field]) -> Comparison:
        return Comparison(parts[0], Operator.IS_NOT_NULL)

    def group(self, parts: list[Field]) -> Field:
        return parts[0]

    def order(self, parts: list[Ordering]) -> tuple[Ordering, ...]:
        if len(parts) > FIELDS:
            at = parts[FIELDS].field.at
            raise InvalidFilter(f"an order has at most {FIELDS} fields", at)
        return tuple(parts)

    def ordering(self, parts: list[Any]) -> Ordering:
        field, direction = parts
        return Ordering(field, direction is not None and direction.type == "DESC")

    def field(self, parts: list[Token]) -> Field:
        path = tuple(quoted or bare for quoted, bare in _NAME.findall(parts[0]))
        return Field(path, parts[0].start_pos or 0)

    def literal(self, parts: list[Token]) -> Literal:
        token = parts[0]
        return Literal(_value(token), token.start_pos or 0)


def _value(token: Token) -> Scalar:
    at = token.start_pos or 0
    if token.type in ("TRUE", "FALSE"):
        return token.type == "TRUE"
    if token.type == "NUMBER":
        return _number(str(token), at)
    return _unquoted(str(token), at)


def _number(text: str, at: int) -> int | float:
    if set(text) <= set("+-0123456789"):
        number: int | float = int(text) if len(text) < 25 else 2**64
        if not -(2**63) <= number < 2**63:
            raise InvalidFilter("an integer has at most 64 bits", at)
        return number
    number = float(text)
    if math.isinf(number):
        raise InvalidFilter("the number is too large", at)
    return number


def _unquoted(text: str, at: int) -> str:
    """A quote within is doubled, or written, as a backslash is, after a backslash."""
    quote = text[0]

    def meant(found: re.Match[str]) -> str:
        escaped, doubled = found.groups()
        if doubled:
            return str(doubled) if doubled == quote else found[0]
        if escaped not in "'\"\\":
            where = at + 1 + found.start()
            raise InvalidFilter(
                f"\\{escaped} stands for nothing; a backslash is written \\\\", where
            )
        return str(escaped)

    return _ESCAPED.sub(meant, text[1:-1])


@cache
def _grammar() -> Lark:
    source = files(__package__).joinpath("filter.lark").read_text(encoding="utf-8")
    return Lark(source, parser="lalr", transformer=_Building(), maybe_placeholders=True)
