"""Runs are declared, found and counted by commands alone."""

from __future__ import annotations

import pytest

from everact.runtime.cli.exits import Exit
from tests.cli.conftest import Shell

pytestmark = pytest.mark.real_time


@pytest.mark.feature("VS-03", "VS-06", "VS-10", "VS-14", "VS-15")
def test_runs_are_found_by_a_query(engine: Shell) -> None:
    engine.json("search-attributes", "add", "Shop", "keyword")
    listed = engine.json("search-attributes", "list")["search_attributes"]
    assert listed["Shop"] == "keyword"
    for number in range(3):
        engine.json("start", "Basket", "--id", f"found-{number}")
    query = "workflow_id STARTS_WITH 'found-' AND Shop IS NULL ORDER BY start_time"
    page = engine.json("list", query, "--limit", "2")
    rest = engine.json("list", query, "--limit", "2", "--after", page["next"])
    found = [run["workflow_id"] for run in page["runs"] + rest["runs"]]
    assert found == ["found-0", "found-1", "found-2"]
    assert page["runs"][0]["search_attributes"] == {}
    counted = engine.json("count", "workflow_id STARTS_WITH 'found-' GROUP BY status")
    assert counted == {"count": 3, "groups": [{"value": "running", "count": 3}]}
    wrong = engine("list", "Shop >")
    assert (wrong.code, "character 7" in wrong.err) == (Exit.REFUSED, True)
    engine.json("search-attributes", "remove", "Shop")
    assert engine("list", "Shop = 'a'").code == Exit.REFUSED
