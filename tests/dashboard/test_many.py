"""The list with 100,000 runs: only a page of them is ever in the window."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.conftest import serving, visiting
from tests.store.many import MANY

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

PATIENCE = 2.0
"""Seconds that any step may take on a busy machine; see docs/dashboard.md."""


def test_a_hundred_thousand_runs_are_listed_filtered_and_paged(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "many.db", "--many") as site,
        visiting(browser, site) as visit,
    ):
        took: dict[str, float] = {}

        def timed(what: str, begun: float) -> None:
            took[what] = time.monotonic() - begun

        begun = time.monotonic()
        page = visit.go()
        rows = page.locator("a.row")
        expect(rows).to_have_count(50)
        timed("first page", begun)
        expect(rows.first).to_have_text("import-100000")
        expect(page.locator(".range")).to_have_text("1–50 of 100,000")

        page.locator("#filter-size").select_option("200")
        expect(rows).to_have_count(200)
        for number in range(1, 6):
            begun = time.monotonic()
            page.get_by_role("link", name="Older").click()
            expect(rows.first).to_have_text(f"import-{MANY - 200 * number:06}")
            timed(f"older page {number}", begun)
        expect(page.locator(".range")).to_have_text("1,001–1,200 of 100,000")
        page.get_by_role("link", name="Newer").click()
        expect(rows.first).to_have_text(f"import-{MANY - 800:06}")
        assert rows.count() == 200
        page.mouse.wheel(0, 20_000)
        page.wait_for_function("scrollY > 1000")
        page.get_by_role("link", name="Newest").click()
        expect(rows.first).to_have_text("import-100000")

        begun = time.monotonic()
        page.locator(".chip[data-status=FAILED]").click()
        expect(page.locator(".range")).to_have_text("1–200 of 2,000")
        timed("one status", begun)
        page.locator(".chip[data-status='']").click()
        begun = time.monotonic()
        page.get_by_label("ID begins with").fill("import-00001")
        expect(rows).to_have_count(10)
        timed("an old ID", begun)
        begun = time.monotonic()
        page.get_by_label("ID begins with").fill("nothing such")
        expect(page.locator(".nothing")).to_be_visible()
        timed("an unknown ID", begun)
        visit.picture("many", full=False)
        assert max(took.values()) < PATIENCE, took
        print({what: round(seconds, 2) for what, seconds in took.items()})
