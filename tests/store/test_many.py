"""Lists and counts among 100,000 runs: which index is read, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from everact.runtime.core.statuses import RunStatus
from everact.runtime.filters.parsing import parse
from everact.runtime.operations.searching import Narrowed, narrowed
from everact.runtime.store.base import Hit, Search
from everact.runtime.store.sqlite import filters
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.many import KEYS, MANY, many_runs


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    store = SqliteStore(many_runs(tmp_path_factory.mktemp("many")))
    store.open()
    yield store
    store.close(clean=True)


def wanted(text: str, limit: int = 100, after: Any = None) -> Search:
    return Search("default", parse(text), KEYS, after, limit)


def listed(store: SqliteStore, text: str, after: Any = None) -> list[Hit]:
    return store.database.questions.search(wanted(text, after=after))


def plan(store: SqliteStore, queries: list[filters.Query]) -> str:
    """How SQLite would go about it, one step a line."""
    return "\n".join(
        row[3]
        for sql, given in queries
        for row in store.database.questions.connection.execute(
            f"explain query plan {sql}", {**given, "limit": 1}
        )
    )


ALONG = "SEARCH runs USING COVERING INDEX runs_listed (workspace=? AND status=?"
SORTED = "USE TEMP B-TREE FOR ORDER BY"


@pytest.mark.feature("VS-07", "VS-11")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "status = 'failed'",
        "status = 'running'",
        "workflow = 'import_3'",
        "queue = 'slow'",
        "start_time > '2026-09-22'",
        "close_time IS NULL",
        "workflow = 'import_3' AND status = 'completed' AND start_time < '2026-09-22'",
        "Customer != 'c1'",
    ],
)
def test_the_usual_order_is_read_along_its_index(store: SqliteStore, text: str) -> None:
    found = plan(store, filters.page(wanted(text), store.database.questions.number))
    assert ALONG in found
    assert SORTED not in found
    assert "SCAN" not in found


@pytest.mark.feature("VS-10", "VS-11")
def test_a_later_page_begins_where_the_one_before_ended(store: SqliteStore) -> None:
    first = listed(store, "")
    second = listed(store, "", first[-1].place)
    keys = [hit.run.key for hit in first + second]
    opened = [key for key in range(MANY, MANY - 100, -1) if key % 2]
    closed = [key for key in range(MANY, 0, -1) if key not in opened]
    assert keys == [*opened, *closed[: 200 - len(opened)]]
    page = filters.page(
        wanted("", after=second[-1].place), store.database.questions.number
    )
    assert plan(store, page).count("(closed_at,started_at)<(?,?)") == 6


@pytest.mark.feature("VS-04")
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("Customer = 'c7'", "attributes_by_value (name=? AND kind=? AND value=?)"),
        (
            "Level BETWEEN 10 AND 12",
            "attributes_by_value (name=? AND kind=? AND value>",
        ),
        ("Customer = 'c7' AND status = 'failed'", "attributes_by_value"),
        ("workflow_id = 'import-000007'", "runs_by_id (workspace=? AND workflow_id=?)"),
        ("workflow_id STARTS_WITH 'import-00001'", "runs_by_id"),
    ],
)
def test_what_few_runs_have_is_looked_up(
    store: SqliteStore, text: str, index: str
) -> None:
    found = plan(store, filters.page(wanted(text), store.database.questions.number))
    assert index in found
    assert "SEARCH runs USING INTEGER PRIMARY KEY" in found


@pytest.mark.feature("VS-13")
@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", MANY),
        ("status = 'failed'", 2000),
        ("Customer = 'c7'", 100),
        ("Customer = 'c7' AND queue = 'slow'", 0),
        ("workflow_id STARTS_WITH 'import-00001'", 10),
        ("status = 'failed' GROUP BY queue", 2000),
        ("GROUP BY status", MANY),
    ],
)
def test_counts_read_an_index_and_no_row(
    store: SqliteStore, text: str, most: int
) -> None:
    assert (
        sum(count for _, count in store.database.questions.count(wanted(text))) == most
    )
    found = plan(store, [filters.count(wanted(text), store.database.questions.number)])
    assert "SCAN runs" not in found
    assert "COVERING INDEX runs_listed (workspace=?" in found or "PRIMARY KEY" in found


def test_the_counts_of_the_dashboard_read_that_index(store: SqliteStore) -> None:
    for narrow, expected in (
        (Narrowed(), MANY),
        (Narrowed(workflow="import_3"), 14_286),
        (Narrowed(status=RunStatus.FAILED), 2000),
        (Narrowed(put_aside=True), 0),
    ):
        chosen = narrowed(parse("GROUP BY status"), narrow)
        search = wanted("")._replace(filter=chosen)
        found = plan(store, [filters.count(search, store.database.questions.number)])
        assert "runs_listed" in found
        assert (
            sum(count for _, count in store.database.questions.count(search))
            == expected
        )


def test_the_newest_runs_are_read_along_their_keys(store: SqliteStore) -> None:
    search = wanted("")._replace(newest=True, limit=3)
    found = plan(store, filters.page(search, store.database.questions.number))
    assert "SCAN runs" in found or "SEARCH runs USING INTEGER PRIMARY KEY" in found
    assert "TEMP B-TREE" not in found
    keys = []
    for _ in range(2):
        page = store.database.questions.search(search)
        keys += [run.key for run, _ in page]
        search = search._replace(after=page[-1].place)
    assert keys == [*range(keys[0], keys[0] - 6, -1)]
