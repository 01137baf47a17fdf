"""The filter language: what is read, what holds of plain values, what is refused."""

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everact.runtime.errors import InvalidFilter, RPCError
from everact.runtime.filters import parsing
from everact.runtime.filters.operators import Operator
from everact.runtime.filters.parsing import parse
from everact.runtime.filters.tree import (
    Both,
    Comparison,
    Either,
    Field,
    Filter,
    Literal,
)

ORDER = {
    "kind": "order",
    "total": 12.5,
    "pieces": 3,
    "paid": True,
    "tags": ["new", "vip"],
    "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "note": 'it\'s \\ "quoted"',
    "customer": {"name": "Ada", "address": {"city": "Zürich"}},
    "lines": [{"sku": "a-1"}, {"sku": "b-2"}],
    "odd name": 1,
    "gone": None,
}


@pytest.mark.feature("VS-06")
def test_a_filter_holds_of_plain_values() -> None:
    read = parse("kind = 'order' AND (total > 10 OR tags = 'vip') ORDER BY total DESC")

    assert read.matches({"kind": "order", "total": 11})
    assert read.matches({"kind": "order", "total": 1, "tags": ["vip"]})
    assert not read.matches({"kind": "order", "total": 1})
    assert [(one.field.name, one.descending) for one in read.order] == [("total", True)]


@pytest.mark.feature("VS-06")
@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("  ", True),
        ("kind = 'order'", True),
        ('kind = "order"', True),
        ("Kind = 'order'", False),
        ("kind = 'Order'", False),
        ("kind != 'order'", False),
        ("kind != 'other'", True),
        ("nothing != 'other'", False),
        ("total = 12.5", True),
        ("total = 125e-1", True),
        ("total < 12.5", False),
        ("total <= 12.5", True),
        ("total > 12", True),
        ("total >= 13", False),
        ("total > '1'", False),
        ("pieces in (1, 2, 3)", True),
        ("pieces IN (4)", False),
        ("pieces BETWEEN 3 AND 4", True),
        ("pieces between 4 and 5", False),
        ("pieces = true", False),
        ("paid = TRUE", True),
        ("paid = false", False),
        ("paid > false", False),
        ("kind STARTS_WITH 'or'", True),
        ("kind starts_with ''", True),
        ("kind STARTS_WITH 'rd'", False),
        ("pieces STARTS_WITH '3'", False),
        ("tags = 'vip'", True),
        ("tags != 'vip'", False),
        ("tags IN ('old', 'new')", True),
        ("at > '2026-03-01'", True),
        ("at = '2026-03-01T12:00:00Z'", True),
        ("at = '2026-03-01T13:00:00+01:00'", True),
        ("at < 'yesterday'", False),
        ("gone IS NULL", True),
        ("absent is null", True),
        ("kind IS NULL", False),
        ("kind IS NOT NULL", True),
        ("customer.name = 'Ada'", True),
        ("customer.address.city = 'Zürich'", True),
        ("customer.name.first IS NULL", True),
        ("lines.1.sku = 'b-2'", True),
        ("lines.2.sku IS NULL", True),
        ("`odd name` = 1", True),
        (r"""note = 'it''s \\ "quoted"'""", True),
        (r"""note = "it's \\ \"quoted\"" """, True),
        ("kind = 'x' OR kind = 'y' OR kind = 'order'", True),
        ("kind = 'order' OR kind = 'x' AND pieces = 0", True),
        ("(kind = 'order' OR kind = 'x') AND pieces = 0", False),
        ("kind = 'order'\n  AND\tpieces = 3", True),
        ("GROUP BY kind", True),
        ("kind = 'other' GROUP BY kind ORDER BY kind", False),
    ],
)
def test_each_operator_means_what_it_says(text: str, holds: bool) -> None:
    assert parse(text).matches(ORDER) is holds


@pytest.mark.feature("VS-06")
def test_a_filter_is_read_into_a_tree_that_knows_its_places() -> None:
    found = parse("a.b = 1 AND (c IN ('x') OR d IS NULL) GROUP BY e")

    assert found == Filter(
        Both(
            (
                Comparison(Field(("a", "b"), 0), Operator.EQUAL, (Literal(1, 6),)),
                Either(
                    (
                        Comparison(Field(("c",), 13), Operator.IN, (Literal("x", 19),)),
                        Comparison(Field(("d",), 27), Operator.IS_NULL),
                    )
                ),
            )
        ),
        group=Field(("e",), 47),
    )


@pytest.mark.feature("VS-15")
@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("a", 1, "expected"),
        ("a =", 3, "the end does not fit here; expected a value"),
        ("= 1", 0, "a field"),
        ("a == 1", 3, "'='"),
        ("a = b", 4, "expected a value"),
        ("a = 'x", 4, "is not closed"),
        ("a = 1)", 5, "')' does not fit here"),
        ("(a = 1", 6, "expected ')'"),
        ("a = 1 b = 2", 6, "'b'"),
        ("a = 1 AND", 9, "the end"),
        ("a IN ()", 6, "a value"),
        ("a IN (1,)", 8, "a value"),
        ("a BETWEEN 1", 11, "AND"),
        ("a IS 1", 5, "'1'"),
        ("a = 1; drop table runs", 5, "';'"),
        ("a = 1 -- more", 6, "'-'"),
        ("a = 12abc", 4, "'1'"),
        ("ORDER BY", 8, "a field"),
        ("ORDER BY a LIMIT 3", 11, "'LIMIT'"),
        (r"a = 'new\line'", 8, r"\l stands for nothing"),
        ("a = 9223372036854775808", 4, "64 bits"),
        ("a = 1e999", 4, "too large"),
        ("a = " + "9" * 10_000, 4, "64 bits"),
        ("(" * 10_000, parsing.DEPTH, "deep"),
        ("a = 1 or " * 2_000 + "a = 1", 1800, "at most 200 fields"),
        ("a IN (" + "1," * 5_000 + "1)", 1006, "at most 500 values"),
        ("a" * 30_000, parsing.LENGTH, "characters"),
        ("ORDER BY " + ", ".join("abcdefghi"), 33, "at most 8 fields"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    text: str, position: int, reason: str
) -> None:
    with pytest.raises(InvalidFilter, match="wrong at character") as refused:
        parse(text)
    assert refused.value.position == position
    assert reason in refused.value.reason


def test_a_refusal_is_an_invalid_argument_and_can_be_pickled() -> None:
    error = InvalidFilter("no", 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.position) == (str(error), 3)
    assert isinstance(error, RPCError) and isinstance(error, ValueError)


@given(st.text("ab.'\"`\\()=<>!, 0123456789-+eINORDBYandLTrue\n\x00é", max_size=60))
def test_any_text_is_read_or_cleanly_refused(text: str) -> None:
    position = 0
    try:
        parse(text).matches(ORDER)
    except InvalidFilter as refused:
        position = refused.position
    assert 0 <= position <= len(text)


@given(st.text(max_size=30), st.sampled_from("'\""))
def test_any_text_can_be_quoted(text: str, quote: str) -> None:
    quoted = text.replace("\\", "\\\\").replace(quote, quote * 2)
    values: dict[str, Any] = {"name": text}
    assert parse(f"name = {quote}{quoted}{quote}").matches(values)
