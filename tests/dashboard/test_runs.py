"""The list of runs: what it shows, how it is filtered, that it lives."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.dashboard.conftest import Site, Visit, serving, visiting

pytestmark = pytest.mark.real_time


def test_runs_of_every_status_are_shown_and_counted(visit: Visit, site: Site) -> None:
    page = visit.go()
    for workflow_id, status in {
        "order-1001": "Running",
        "order-1000": "Completed",
        "order-refused": "Failed",
        "import-cancelled": "Cancelled",
        "import-terminated": "Terminated",
        "import-late": "Timed out",
        "parcel-aside": "Put aside",
    }.items():
        line = page.locator("table.runs tbody tr").filter(has_text=workflow_id)
        expect(line.locator(".pill")).to_have_text(status)
    continued = page.locator(".pill.continued_as_new")
    expect(continued).to_have_count(2)
    tally = site.ask("runs/count", group_by="status")
    for group in tally["groups"]:
        chip = page.locator(f".chip[data-status={group['value'].upper()}] .count")
        expect(chip).to_have_text(str(group["count"]))
    expect(page.locator(".chip[data-status=ASIDE] .count")).to_have_text("1")
    expect(page.locator(".range")).to_contain_text(f"of {tally['count']}")


def test_runs_are_chosen_by_status_id_workflow_and_queue(visit: Visit) -> None:
    page = visit.go()
    ids = page.locator("a.row")
    page.locator(".chip[data-status=ASIDE]").click()
    expect(ids).to_have_text(["parcel-aside"])
    page.locator(".chip[data-status='']").click()
    page.get_by_label("ID begins with").fill("import-")
    expect(ids).to_have_text(["import-late", "import-terminated", "import-cancelled"])
    page.locator(".chip[data-status=TIMED_OUT]").click()
    expect(ids).to_have_text(["import-late"])
    assert "prefix=import-" in page.url and "status=TIMED_OUT" in page.url
    page.reload()
    expect(ids).to_have_text(["import-late"])
    page.go_back()
    expect(ids).to_have_count(3)
    page.get_by_label("ID begins with").fill("import_")
    expect(page.locator(".nothing")).to_have_text("No run matches.")
    page.get_by_label("ID begins with").fill("")
    page.get_by_label("Workflow", exact=True).fill("payment")
    expect(ids).to_have_text(["payment-1001"])
    page.get_by_label("Queue").fill("elsewhere")
    expect(page.locator(".nothing")).to_be_visible()


def test_the_list_is_used_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.go()
    expect(page.locator("a.row").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("ID begins with")).to_be_focused()
    page.keyboard.type("order-10")
    rows = page.locator("a.row")
    expect(rows).to_have_text(["order-1000", "order-1002", "order-1001"])
    expect(page.get_by_label("ID begins with")).to_be_focused()
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("order-1000")
    expect(page.locator("main")).to_be_focused()


def test_a_run_appears_and_ends_without_a_reload(visit: Visit, site: Site) -> None:
    page = visit.go("#/runs?prefix=live-")
    expect(page.locator(".nothing")).to_be_visible()
    page.evaluate("window.same = true")
    site.ask("runs/start", workflow="Order", workflow_id="live-1", args=[7, []])
    line = page.locator("table.runs tbody tr").filter(has_text="live-1")
    expect(line.locator(".pill")).to_have_text("Running")
    expect(page.locator(".chip[data-status=RUNNING] .count")).to_have_text("1")
    line.locator("a.row").focus()
    site.ask("runs/signal", run={"workflow_id": "live-1"}, name="pay")
    expect(line.locator(".pill")).to_have_text("Completed")
    expect(page.locator(".chip[data-status=COMPLETED] .count")).to_have_text("1")
    expect(line.locator("a.row")).to_be_focused()
    assert page.evaluate("window.same")


def test_no_run_is_skipped_when_new_ones_come_before_a_page(
    browser: Browser, tmp_path: Path
) -> None:
    """While the page is not read again: what comes is known from the stream alone."""

    def start(name: str, count: int) -> None:
        starts = [
            {"workflow": "wait_for_ever", "workflow_id": f"{name}-{n:02}"}
            for n in range(count)
        ]
        site.ask("runs/start_batch", starts=starts)

    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with (
        serving(tmp_path / "shop.db", "--empty") as site,
        visiting(browser, site) as visit,
    ):
        start("old", 60)
        page = visit.go()
        rows = page.locator("a.row")
        older = page.get_by_role("link", name="Older")
        expect(page.locator(".range")).to_have_text("1–50 of 60")
        start("probe", 1)
        expect(rows.first).to_have_text("probe-00")
        expect(page.locator(".range")).to_have_text("1–50 of 61")

        page.route("**/runs/search", lambda _: None)
        start("new", 3)
        expect(rows.first).to_have_text("new-02")
        last = rows.last.text_content()
        page.unroute("**/runs/search")
        older.click()
        page.wait_for_url("**after=**")
        expect(page.get_by_role("link", name="Newest")).to_be_visible()
        assert (last, rows.first.text_content()) == ("old-11", "old-10")

        page.get_by_role("link", name="Newest").click()
        expect(rows.first).to_have_text("new-02")
        page.route("**/runs/search", hold)
        start("many", 60)
        expect(rows.first).to_have_text("many-59")
        expect(rows).to_have_count(50)
        expect(older).to_have_count(0)
        page.unroute("**/runs/search")
        for route in held:
            route.continue_()
        expect(older).to_have_count(1)


def test_times_are_relative_and_absolute(visit: Visit) -> None:
    page = visit.go("#/runs?prefix=order-1001")
    started = page.locator("td.started")
    expect(started.locator("time")).to_have_text(re.compile("ago|now"))
    expect(started.locator("small")).to_have_text(re.compile(r"\d{4}, \d\d:\d\d:\d\d"))


def test_the_page_outlasts_its_engine(browser: Browser, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    database = tmp_path / "shop.db"
    with ExitStack() as stack:
        with serving(database, "--address", address, "--empty") as first:
            visit = stack.enter_context(visiting(browser, first))
            page = visit.go()
            expect(page.locator(".nothing")).to_be_visible()
            expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator("#link")).to_have_text("No answer")
        with serving(database, "--address", address) as second:
            expect(page.locator("#link")).to_have_text("Live", timeout=20_000)
            second.ask("runs/start", workflow="echo", workflow_id="after", args=[1])
            expect(page.locator("a.row").first).to_have_text("after", timeout=20_000)


def test_runs_are_found_by_a_filter_that_can_be_kept(visit: Visit, site: Site) -> None:
    page = visit.go()
    ids = page.locator("a.row")
    box = page.get_by_label("Filter", exact=True)
    expect(page.locator("td.ids").filter(has_text="parcel-1")).to_contain_text(
        "Customer bob"
    )
    box.fill("Customer = 'ada' ORDER BY Total")
    page.keyboard.press("Enter")
    expect(ids).to_have_text(["parcel-0", "parcel-2"])
    expect(page.locator("td.ids").first).to_contain_text("Stage packed")
    expect(page.locator(".chip[data-status=''] .count")).to_have_text("2")
    page.locator(".chip[data-status=FAILED]").click()
    expect(page.locator(".nothing")).to_have_text("No run matches.")
    page.locator(".chip[data-status=RUNNING]").click()
    expect(ids).to_have_count(2)
    page.get_by_label("ID begins with").fill("parcel-2")
    expect(ids).to_have_text(["parcel-2"])
    page.reload()
    expect(ids).to_have_text(["parcel-2"])
    expect(box).to_have_value("Customer = 'ada' ORDER BY Total")
    expect(page.locator(".range")).to_have_text("1–1 of 1")


def test_a_wrong_filter_is_told_where(visit: Visit) -> None:
    page = visit.go("#/runs?filter=Customr%20%3D%20'ada'")
    wrong = page.locator(".filter .trouble")
    expect(wrong).to_contain_text("wrong at character 1: there is no field 'Customr'")
    expect(page.locator(".nothing")).to_contain_text("cannot be read")
    box = page.get_by_label("Filter", exact=True)
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".chip[data-status=''] .count")).to_have_text("")
    box.fill("Customer = ")
    page.get_by_role("button", name="Apply").click()
    expect(wrong).to_contain_text("wrong at character 11: the end does not fit")
    visit.picture("filter-wrong", full=False)
    page.get_by_text("What can be written").click()
    expect(page.locator(".help")).to_contain_text("Total (number)")
    expect(page.locator(".help")).to_contain_text("workflow_id")
    visit.picture("filter-help", full=False)
    box.fill("")
    expect(wrong).to_be_hidden()
    expect(page.locator("a.row").first).to_be_visible()


def test_a_filter_goes_with_put_aside_and_stays_live(visit: Visit, site: Site) -> None:
    page = visit.go("#/runs?filter=workflow_id%20STARTS_WITH%20'found-'&status=RUNNING")
    expect(page.locator(".nothing")).to_be_visible()
    site.ask("runs/start", workflow="Order", workflow_id="found-1", args=[7, []])
    site.ask("runs/start", workflow="Order", workflow_id="other-1", args=[7, []])
    expect(page.locator("a.row")).to_have_text(["found-1"])
    site.ask("runs/signal", run={"workflow_id": "found-1"}, name="pay")
    expect(page.locator(".nothing")).to_be_visible()
    expect(page.locator(".chip[data-status=COMPLETED] .count")).to_have_text("1")
    page = visit.go("#/runs?filter=status%20%3D%20'running'&status=ASIDE")
    expect(page.locator("a.row")).to_have_text(["parcel-aside"])
    page = visit.go("#/runs?filter=put_aside%20IS%20NOT%20NULL")
    expect(page.locator("a.row")).to_have_text(["parcel-aside"])
    expect(page.locator(".chip[data-status=ASIDE] .count")).to_have_text("1")


def test_a_filtered_list_is_read_page_by_page(visit: Visit, site: Site) -> None:
    starts = [
        {"workflow": "echo", "workflow_id": f"paged-{n:03}", "args": [n]}
        for n in range(101)
    ]
    site.ask("runs/start_batch", starts=starts)
    where = quote("workflow_id STARTS_WITH 'paged-' ORDER BY workflow_id")
    page = visit.go(f"#/runs?filter={where}")
    ids = page.locator("a.row")
    expect(page.locator(".range")).to_have_text("1–50 of 101")
    page.get_by_role("link", name="Next").click()
    expect(ids.first).to_have_text("paged-050")
    page.get_by_role("link", name="Next").click()
    expect(ids).to_have_text(["paged-100"])
    expect(page.get_by_role("link", name="Next")).to_have_count(0)
    page.get_by_role("link", name="Before").click()
    expect(ids.first).to_have_text("paged-050")
    expect(page.locator(".range")).to_have_text("51–100 of 101")
