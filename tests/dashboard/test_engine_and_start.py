"""The engine's view, and the form that starts a run."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Visit

pytestmark = pytest.mark.real_time


def test_the_tree_of_actors_is_folded_and_stays_so(visit: Visit) -> None:
    page = visit.go("#/actors")
    tree = page.locator(".tree")
    counter = tree.locator("summary").filter(has_text="Counter")
    below = tree.locator("li li").filter(has_text="visitors.tally")
    expect(below).to_be_visible()
    counter.click()
    expect(below).to_be_hidden()
    # What is asked for every two seconds does not open it again.
    with page.expect_response("**/api/v1/actors/tree"):
        pass
    with page.expect_response("**/api/v1/actors/tree"):
        pass
    expect(below).to_be_hidden()
    counter.focus()
    page.keyboard.press("Enter")
    expect(below).to_be_visible()


def test_a_run_in_the_tree_leads_to_its_page(visit: Visit) -> None:
    page = visit.go("#/actors")
    page.locator(".tree").get_by_role("link", name="approval-1").click()
    expect(page.locator("h1")).to_have_text("approval-1")


def test_queues_workers_and_counts_are_told(visit: Visit) -> None:
    page = visit.go("#/actors")
    expect(page.locator(".facts")).to_contain_text("Runs put aside1")
    expect(page.locator("table").first).to_contain_text("worker-default")
    page.locator("table").nth(1).get_by_role("link", name="default").click()
    expect(page.get_by_label("Queue")).to_have_value("default")


def test_builds_and_search_attributes_are_told(visit: Visit) -> None:
    page = visit.go("#/actors")
    line = page.locator("table").nth(1).locator("tr").filter(has_text="press")
    expect(line.locator(".sets li")).to_have_text(["2.1, 2.0 for new runs", "1.0"])
    worker = page.locator("table").first.locator("tr").filter(has_text="press")
    expect(worker).to_contain_text("2.1")
    keys = page.locator("table.keys tr")
    expect(keys.filter(has_text="Tags")).to_contain_text("keyword list")
    expect(keys.filter(has_text="onerror")).to_contain_text("text")


def test_a_run_is_started_and_shown(visit: Visit) -> None:
    page = visit.go("#/start")
    page.get_by_label("Workflow", exact=True).select_option("crawl")
    expect(page.locator(".about")).to_contain_text("count: 'int'")
    page.get_by_label("Arguments").fill('{"count": 50}')
    page.get_by_label("Workflow ID").fill("order-1001")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator(".trouble")).to_contain_text("order-1001")
    page.get_by_label("Workflow ID").fill("a/b ?#%")
    page.get_by_label("Arguments").fill('{"number": 50}')
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator(".trouble")).to_contain_text(
        "missing a required argument: 'count'"
    )
    page.get_by_label("Arguments").fill('{"count": 50}')
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("h1")).to_have_text("a/b ?#%")
    expect(page.locator(".outcome pre")).to_have_text("50")
    expect(page.locator(".input pre")).to_have_text('{"count":50}')


def test_large_integers_keep_their_digits(visit: Visit) -> None:
    page = visit.go("#/start")
    page.get_by_label("Workflow", exact=True).select_option("echo")
    page.get_by_label("Arguments").fill("[[9007199254740993, 0.1]]")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator(".outcome pre")).to_have_text("[9007199254740993,0.1]")
