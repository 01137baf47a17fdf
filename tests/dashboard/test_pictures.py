"""Every view, light and dark, wide and narrow, kept as pictures for whoever looks."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.conftest import Site, Visit, visiting

pytestmark = pytest.mark.real_time

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 400, "height": 800}
VIEWS = {
    "runs": ("#/runs", "table.runs a.row"),
    "run": ("#/run/order-1001", "g.lane"),
    "closed": ("#/run/order-1000", ".outcome pre"),
    "failed": ("#/run/order-refused", ".outcome .failed"),
    "pending": ("#/run/payment-1001", ".pending .failed"),
    "large": ("#/run/crawl-large", "g.lane"),
    "schedules": ("#/schedules", "table.schedules a.row"),
    "schedule": ("#/schedule/nightly-import", ".upcoming td"),
    "parcel": ("#/run/parcel-1", "g.lane"),
    "found": ("#/runs?filter=Customer%20IS%20NOT%20NULL", "table.runs a.row"),
    "engine": ("#/actors", ".tree summary"),
    "start": ("#/start", "select[name=workflow]"),
}


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_its_window(
    browser: Browser, site: Site, scheme: Any, width: str
) -> None:
    size = WIDE if width == "wide" else NARROW
    with visiting(browser, site, color_scheme=scheme, viewport=size) as visit:
        for name, (place, awaited) in VIEWS.items():
            page = visit.go(place)
            expect(page.locator(awaited).first).to_be_visible()
            if "#/run/" in place:
                expect(page.locator(".journal td").first).to_be_visible()
            visit.picture(f"{name}-{scheme}-{width}")
            assert wider(visit) == [], name


def wider(visit: Visit) -> list[str]:
    """What makes the page wider than its window."""
    found: list[str] = visit.page.evaluate(
        """() => {
            const room = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= room) return [];
            return [...document.querySelectorAll("main *")]
                .filter((e) => e.getBoundingClientRect().right > room + 0.5)
                .map((e) => `${e.tagName}.${e.getAttribute("class")}`);
        }"""
    )
    return found
