"""The largest filters that are read are ones that the database takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from everact.runtime.core.records import AttributeKind
from everact.runtime.errors import InvalidFilter
from everact.runtime.filters import parsing
from everact.runtime.filters.parsing import parse
from everact.runtime.store.base import Search
from everact.runtime.store.sqlite.store import SqliteStore

DECLARED = {
    "Word": AttributeKind.KEYWORD,
    "Text": AttributeKind.TEXT,
    "List": AttributeKind.KEYWORD_LIST,
    **{f"Int{n}": AttributeKind.INT for n in range(parsing.FIELDS)},
}
ORDER = "ORDER BY " + ", ".join(f"Int{n} DESC" for n in range(parsing.FIELDS))


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteStore]:
    store = SqliteStore(":memory:")
    store.open()
    yield store
    store.close(clean=True)


def nested(leaf: str) -> str:
    """As deep as it may be, AND and OR in turn."""
    text = leaf
    for depth in range(parsing.DEPTH):
        text = f"({leaf} {'AND' if depth % 2 else 'OR'} {text})"
    return text


@pytest.mark.feature("VS-15")
@pytest.mark.parametrize(
    "text",
    [
        *(nested(leaf) for leaf in ("Word != 'x'", "Text = 'a b'", "List != 'q'")),
        nested("status = 'failed'"),
        " OR ".join(["Word != 'x'"] * parsing.COMPARISONS),
        f"Word IN ({', '.join(['1'.join(chr(39) * 2)] * parsing.VALUES)})",
        f"Text IN ({', '.join([repr('a b c d e f g h i j')] * 5)})",
        "",
    ],
    ids=lambda text: text[:12],
)
def test_the_largest_filters_are_taken(store: SqliteStore, text: str) -> None:
    read = parse(text)
    assert store.database.questions.count(Search("default", read, DECLARED)) == [
        (None, 0)
    ]
    usual: tuple[Any, ...] = (1, 2.0, 3.0, 4)
    for after in (None, usual):
        assert (
            store.database.questions.search(Search("default", read, DECLARED, after))
            == []
        )
    if len(text) + len(ORDER) > 1_000:
        return
    place: tuple[Any, ...] = (*([0, 1] * parsing.FIELDS), 5)
    for last in (None, place):
        wanted = Search("default", parse(f"{text} {ORDER}"), DECLARED, last)
        assert store.database.questions.search(wanted) == []


@pytest.mark.feature("VS-15")
def test_a_text_of_too_many_words_is_refused(store: SqliteStore) -> None:
    text = f"Word = 'x' AND Text = '{' '.join(f'w{n}' for n in range(1000))}'"
    with pytest.raises(InvalidFilter, match="at most 50 words") as refused:
        store.database.questions.search(Search("default", parse(text), DECLARED))
    assert refused.value.position == text.index("Text")
