"""The schedules: what each does when, and what can be done with it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.conftest import Site, Visit, visiting
from tests.dashboard.site import HOSTILE

pytestmark = pytest.mark.real_time


def made(site: Site, schedule_id: str, **more: Any) -> None:
    """A schedule that no other test looks at."""
    action = {"workflow": "echo", "args": [1], "workflow_id": schedule_id}
    site.ask("schedules/create", id=schedule_id, schedule={"action": action, **more})


def test_schedules_are_listed_with_their_next_times_and_notes(
    browser: Browser, site: Site
) -> None:
    with visiting(browser, site, timezone_id="America/New_York") as visit:
        page = visit.go("#/schedules")
        line = page.locator("table.schedules tbody tr").filter(
            has_text="nightly-import"
        )
        expect(line.locator(".pill")).to_have_text("Active")
        expect(line).to_contain_text("as agreed with the warehouse")
        expect(line).to_contain_text("at 02:00 (Europe/Berlin), Monday to Friday")
        expect(line.locator(".next")).to_contain_text(
            re.compile(r"(19|20|21):00:00.* 0[01]:00:00 UTC")
        )
        paused = page.locator("table.schedules tbody tr").filter(has_text="reports")
        expect(paused.locator(".pill")).to_have_text("Paused")
        expect(paused).to_contain_text("until the printer is repaired")
        line.get_by_role("link", name="nightly-import").click()
        expect(page.locator("h1")).to_have_text("nightly-import")
        expect(page.locator(".upcoming tbody tr")).to_have_count(10)
        heads = page.locator(".upcoming th")
        expect(heads).to_have_text(
            ["Due", "Here (America/New_York)", "UTC", "Europe/Berlin"]
        )
        first = page.locator(".upcoming tbody tr").first.locator("td")
        expect(first.nth(3)).to_contain_text("02:00:00")
        expect(page.locator(".summary")).to_contain_text("Takes in what the shops sent")
        expect(page.locator(".summary .attributes")).to_contain_text("Customer ada")
        expect(page.locator(".definition pre")).to_contain_text('"BUFFER_ONE"')


def test_what_a_schedule_does_is_told_in_words(visit: Visit) -> None:
    page = visit.go("#/schedule/stock")
    expect(page.locator(".when li")).to_have_text(
        [
            "every 15 min, 1 min 30 s late",
            "but not all of hours 0 to 5 (UTC)",
            "up to 20.0 s late, to spread the load",
        ]
    )
    page = visit.go("#/schedule/reports")
    expect(page.locator(".when li")).to_have_text("at minute 0 of hours 9 to 17 (UTC)")
    expect(page.locator(".upcoming")).to_contain_text("pass without an action")


def test_schedules_are_filtered_and_a_wrong_filter_is_told_where(visit: Visit) -> None:
    page = visit.go("#/schedules")
    ids = page.locator("table.schedules a.row")
    page.get_by_label("Filter", exact=True).fill("Paused = true")
    page.get_by_role("button", name="Apply").click()
    expect(ids).to_have_text(["reports"])
    assert "filter=Paused" in page.url
    page.get_by_label("Filter", exact=True).fill("Paused = tru")
    page.keyboard.press("Enter")
    expect(page.locator(".filter .trouble")).to_contain_text("wrong at character 10")
    expect(page.locator("mark")).to_have_text("t")
    expect(page.get_by_label("Filter", exact=True)).to_be_focused()
    page.go_back()
    expect(ids).to_have_text(["reports"])


def test_a_schedule_is_triggered_paused_and_resumed(visit: Visit, site: Site) -> None:
    made(site, "by-hand")
    page = visit.go("#/schedule/by-hand")
    dialog = page.get_by_role("dialog")
    expect(page.locator(".when")).to_contain_text("only when it is triggered")
    page.get_by_role("button", name="Trigger").click()
    dialog.get_by_label("If a run of it is open").select_option("ALLOW_ALL")
    dialog.get_by_role("button", name="Trigger").click()
    recent = page.locator(".recent tbody tr")
    expect(recent).to_have_count(1)
    expect(recent.locator(".pill")).to_have_text(re.compile("Completed|Running"))
    page.get_by_role("button", name="Pause").click()
    dialog.get_by_label("Note").fill("too early")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.locator(".head .pill")).to_have_text("Paused")
    expect(page.locator(".facts")).to_contain_text("too early")
    page.get_by_role("button", name="Resume").click()
    dialog.get_by_role("button", name="Resume").click()
    expect(page.locator(".head .pill")).to_have_text("Active")
    recent.get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("by-hand-")


def test_past_times_are_made_up_for(browser: Browser, site: Site) -> None:
    spec = {"intervals": [{"every": 3600}]}
    made(site, "hourly", spec=spec, policy={"overlap": "ALLOW_ALL"})
    with visiting(browser, site, timezone_id="Asia/Tokyo") as visit:
        page = visit.go("#/schedule/hourly")
        page.get_by_role("button", name="Backfill").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Asia/Tokyo")
        dialog.get_by_label("After").fill("2024-05-01T09:00:00")
        dialog.get_by_label("Up to and with").fill("2024-05-01T08:00:00")
        dialog.get_by_role("button", name="Backfill").click()
        expect(dialog.locator(".trouble")).to_contain_text("must not end before")
        dialog.get_by_label("Up to and with").fill("2024-05-01T12:00:00")
        dialog.get_by_role("button", name="Backfill").click()
        expect(page.locator(".recent tbody tr")).to_have_count(3)
    found = site.ask("schedules/describe", id="hourly")
    assert sorted(one["nominal_time"] for one in found["recent"]) == [
        1714525200 + 3600 * n for n in range(3)
    ]


def test_a_schedule_is_made_changed_and_deleted(visit: Visit, site: Site) -> None:
    page = visit.go("#/schedules")
    page.get_by_role("button", name="New schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Schedule ID").fill("a/b ?#%")
    dialog.get_by_label("Workflow").fill("echo")
    dialog.get_by_label("Arguments").fill("[9007199254740993]")
    dialog.get_by_label("Cron").fill("0 25 * * *")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".trouble")).to_contain_text("hour")
    dialog.get_by_label("Cron").fill("30 6 1 * *")
    dialog.get_by_role("button", name="Create").click()
    expect(page.locator("h1")).to_have_text("a/b ?#%")
    expect(page.locator(".when")).to_contain_text("at 06:30 (UTC), on day 1")
    page.get_by_role("button", name="Change").click()
    definition = dialog.get_by_label("Definition")
    definition.fill('{"spec": {"crons": ["@hourly"]}, "note": "more often"}')
    visit.picture("schedule-dialog", full=False)
    dialog.get_by_role("button", name="Change").click()
    expect(page.locator(".facts")).to_contain_text("more often")
    action = site.ask("schedules/describe", id="a/b ?#%")["schedule"]["action"]
    assert action["args"] == [9007199254740993]
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator("h1")).to_have_text("a/b ?#%")
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete the schedule").click()
    expect(page.locator("h1")).to_have_text("Schedules")
    expect(page.locator("a.row").first).to_be_visible()
    expect(page.locator("a.row").filter(has_text="a/b")).to_have_count(0)
    page = visit.go(f"#/schedule/{quote('a/b ?#%', safe='')}")
    expect(page.locator(".trouble")).to_contain_text("a/b ?#%")


def test_a_change_that_somebody_else_made_is_not_lost(visit: Visit, site: Site) -> None:
    made(site, "shared")
    page = visit.go("#/schedule/shared")
    page.get_by_role("button", name="Change").click()
    site.ask("schedules/pause", id="shared", note="by another")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.locator(".trouble")).to_contain_text("has changed")
    page.keyboard.press("Escape")
    expect(page.locator(".head .pill")).to_have_text("Paused")


def test_names_of_schedules_are_shown_as_text(visit: Visit) -> None:
    page = visit.go("#/schedules")
    line = page.locator("a.row").filter(has_text="onerror")
    expect(line).to_have_text(HOSTILE)
    line.click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator(".when")).to_contain_text(HOSTILE)
    expect(page.locator(".summary")).to_contain_text(HOSTILE)
    expect(page.locator(".recent tbody tr")).to_have_count(1)
    visit.picture("schedule-hostile")
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.hacked") is None
