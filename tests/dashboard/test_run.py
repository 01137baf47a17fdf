"""One run: its picture, its journal, what it waits for, and the buttons."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Site, Visit

pytestmark = pytest.mark.real_time


def test_the_picture_shows_attempts_timers_messages_and_children(visit: Visit) -> None:
    page = visit.go("#/run/order-1001")
    lanes = page.locator("g.lane")
    expect(lanes).to_have_count(12)
    flaky = page.locator("g.lane").filter(has_text="flaky(1001)")
    expect(flaky.locator(".mark.failed")).to_have_count(2)
    flaky.hover()
    detail = page.locator(".detail")
    expect(detail).to_contain_text("3 attempts")
    expect(detail).to_contain_text("the shop does not answer (attempt 2)")
    visit.picture("detail", full=False)
    expect(lanes.first).to_have_attribute("aria-label", re.compile("signal note"))
    page.locator(".legend").hover()
    expect(detail).to_be_hidden()
    lanes.first.focus()
    page.keyboard.press("End")
    expect(detail).to_contain_text("timer")
    expect(detail).to_contain_text("due in")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    page.locator("g.lane").filter(has_text="invoice").click()
    expect(page.locator(".facts")).to_contain_text("Parent")
    page.locator(".facts").get_by_role("link", name="order-1001").click()
    expect(page.locator("h1")).to_have_text("order-1001")


def test_a_long_wait_takes_little_room_unless_asked(visit: Visit) -> None:
    page = visit.go("#/run/order-1001")
    expect(page.locator("rect.wait")).to_have_count(1)
    page.get_by_role("button", name="Fold waits").click()
    expect(page.locator("rect.wait")).to_have_count(0)
    page.get_by_role("button", name="Fold waits").click()
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator("g.lane")).to_have_count(12)
    page.get_by_role("button", name="Whole run").click()


def test_many_calls_are_folded_into_a_lane(visit: Visit) -> None:
    page = visit.go("#/run/crawl-large")
    lanes = page.locator("g.lane")
    expect(lanes).to_have_count(2)
    expect(lanes.first).to_contain_text("quick × 500")
    lanes.first.focus()
    page.keyboard.press("Enter")
    expect(lanes).to_have_count(103)
    expect(lanes.nth(101)).to_contain_text("400 more")
    page.keyboard.press("Enter")
    expect(lanes).to_have_count(2)


def test_the_journal_is_read_page_by_page(visit: Visit) -> None:
    page = visit.go("#/run/crawl-large")
    journal = page.locator(".journal")
    expect(journal.locator("td.seq").first).to_have_text("0")
    expect(journal.locator("tbody tr")).to_have_count(50)
    expect(journal.locator(".range")).to_contain_text("Entries 1–50 of")
    journal.get_by_role("button", name="Later").click()
    expect(journal.locator("td.seq").first).to_have_text("50")
    journal.get_by_role("button", name="Last").click()
    expect(journal.locator("tbody tr").last).to_contain_text("Complete")
    journal.get_by_role("button", name="First").click()
    expect(journal.locator("td.seq").first).to_have_text("0")
    journal.locator("summary").first.click()
    expect(journal.locator("details pre").first).to_contain_text('"run_id"')
    journal.get_by_role("button", name="more in this entry").first.click()
    expect(journal.locator("tbody tr").first.locator(".record")).to_have_count(52)


def test_what_a_run_waits_for_is_told_with_the_last_failure(visit: Visit) -> None:
    page = visit.go("#/run/payment-1001")
    pending = page.locator(".pending")
    expect(pending).to_contain_text("charge")
    expect(pending).to_contain_text("retrying")
    expect(pending).to_contain_text("card terminal of order-1001 is off-line")
    expect(pending.locator("time")).to_contain_text(
        re.compile("in (1 hour|5. minutes)")
    )
    expect(page.locator(".bar.waiting").first).to_be_visible()


def test_why_a_run_is_put_aside_how_one_failed_and_what_followed(visit: Visit) -> None:
    page = visit.go("#/run/parcel-aside")
    expect(page.locator(".panel.aside")).to_contain_text("'not_there_yet'")
    visit.picture("aside")
    page = visit.go("#/run/order-refused")
    expect(page.locator(".outcome")).to_contain_text("ValueError: out of stock")
    page = visit.go("#/run/legs")
    expect(page.locator(".outcome pre")).to_have_text("0")
    page.locator(".facts div").filter(has_text="First of its chain").locator(
        "a"
    ).click()
    expect(page.locator(".head .pill")).to_have_text("Continued")
    expect(page.locator(".facts")).to_contain_text("Goes on in")
    page = visit.go("#/run/nobody")
    expect(page.locator(".trouble")).to_contain_text("no run of workflow ID 'nobody'")


def test_a_run_is_signalled_asked_and_followed_to_its_end(
    visit: Visit, site: Site
) -> None:
    site.ask("runs/start", workflow="Order", workflow_id="talk", args=[9, []])
    page = visit.go("#/run/talk")
    page.get_by_role("button", name="Signal").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Signal").fill("note")
    dialog.get_by_label("Arguments").fill("[12345678901234567890]")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".trouble")).to_contain_text("note")  # takes a text
    dialog.get_by_label("Arguments").fill("ring twice")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".trouble")).to_contain_text("not JSON")
    visit.picture("dialog", full=False)
    dialog.get_by_label("Arguments").fill('["ring twice"]')
    dialog.get_by_role("button", name="Send").click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".journal")).to_contain_text('["ring twice"]')

    page.get_by_role("button", name="Query").click()
    dialog.get_by_label("Query").fill("nothing_such")
    dialog.get_by_role("button", name="Ask").click()
    expect(dialog.locator(".trouble")).to_contain_text("nothing_such")
    dialog.get_by_label("Query").fill("all_notes")
    dialog.get_by_role("button", name="Ask").click()
    expect(dialog.locator(".answer pre")).to_have_text('["ring twice"]')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    site.ask("runs/signal", run={"workflow_id": "talk"}, name="pay")
    expect(page.locator(".head .pill")).to_have_text("Completed")
    expect(page.locator(".outcome pre")).to_contain_text('"invoice":"invoice 9"')
    expect(page.get_by_role("button", name="Terminate")).to_have_count(0)


def test_cancel_and_terminate_ask_first(visit: Visit, site: Site) -> None:
    for workflow_id in ("stop-1", "stop-2"):
        site.ask("runs/start", workflow="wait_for_ever", workflow_id=workflow_id)
    page = visit.go("#/run/stop-1")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel this run?")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".head .pill")).to_have_text("Running")
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_label("Reason").fill("no longer wanted")
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".head .pill")).to_have_text("Cancelled")
    page = visit.go("#/run/stop-2")
    page.get_by_role("button", name="Terminate").click()
    dialog = page.get_by_role("dialog", name="Terminate this run?")
    dialog.get_by_label("Reason").fill("by mistake")
    site.ask("runs/cancel", run={"workflow_id": "stop-2"})
    expect(page.locator(".head .pill")).to_have_text("Cancelled")
    dialog.get_by_role("button", name="Terminate the run").click()
    expect(dialog.locator(".trouble")).to_contain_text("is cancelled, not open")


def test_what_was_open_when_a_run_was_closed_is_told_so(visit: Visit) -> None:
    page = visit.go("#/run/import-terminated")
    expect(page.locator(".bar.left")).to_have_count(1)
    page.locator("g.lane").filter(has_text="timer").hover()
    expect(page.locator(".detail")).to_contain_text("still open when the run closed")


def test_of_a_very_long_journal_the_end_is_drawn(visit: Visit, site: Site) -> None:
    run = {"workflow_id": "very-long"}
    site.ask("runs/start", workflow="crawl", args=[6000], **run)
    assert site.ask("runs/result", run=run, wait=60)["result"] == 6000
    length = site.ask("runs/describe", run=run)["history_length"]
    assert length > 5000
    page = visit.go("#/run/very-long")
    left_out = f"leaves out the first {length - 5000:,} entries"
    expect(page.locator(".timeline .note")).to_contain_text(left_out)
    expect(page.locator("g.lane").filter(has_text="fetch × 8")).to_be_visible()
    expect(page.locator(".range")).to_contain_text(f"of {length:,}")


def test_what_a_run_is_for_and_where_it_stands_is_told(visit: Visit) -> None:
    page = visit.go("#/run/parcel-1")
    about = page.locator(".panel.summary")
    for text in (
        "A parcel for bob",
        "Two cups and a pot.",
        "waits for the courier,",
        "Customer bob",
        "Tags fragile, gift",
        "Stage packed",
        '{"gift":true}',
        '"region":"north"',
    ):
        expect(about).to_contain_text(text)
    expect(page.locator(".facts")).to_contain_text("Priority3")
    page = visit.go("#/run/cron-echo")
    expect(page.locator(".facts")).to_contain_text("Cron*/5 * * * *")
    page = visit.go("#/run/printing")
    expect(page.locator(".facts")).to_contain_text("Build ID2.1")


def test_a_run_leads_to_its_schedule(visit: Visit, site: Site) -> None:
    # Triggered once; a quarter of an hour may have passed as well.
    taken = site.ask("schedules/describe", id="stock")["recent"][0]
    page = visit.go(f"#/run/{taken['workflow_id']}")
    expect(page.locator(".facts")).to_contain_text("For")
    page.locator(".facts").get_by_role("link", name="stock").click()
    expect(page.locator("h1")).to_have_text("stock")
    page.locator(".facts").get_by_role("link", name="all that it started").click()
    started = page.locator("a.row").filter(has_text=taken["workflow_id"])
    expect(started).to_have_count(1)
    assert "schedule_id" in page.get_by_label("Filter", exact=True).input_value()


def test_updates_and_waits_for_events_are_told(visit: Visit) -> None:
    page = visit.go("#/run/parcel-1")
    updates = page.locator(".updates tbody tr")
    expect(updates).to_have_count(2)
    expect(updates.first).to_contain_text("insure-1")
    expect(updates.first).to_contain_text("accepted")
    expect(updates.last).to_contain_text("completed")
    expect(updates.last.locator("code")).to_have_text("1")
    expect(page.locator(".pending")).to_contain_text("Waits for the event courier.")
    lanes = page.locator("g.lane")
    expect(lanes.filter(has_text="update insure").locator(".bar.open")).to_have_count(1)
    lanes.filter(has_text="event courier").hover()
    expect(page.locator(".detail")).to_contain_text("waiting, for")


def test_an_update_is_sent_answered_and_refused(visit: Visit, site: Site) -> None:
    site.ask("runs/start", workflow="Parcel", workflow_id="updated", args=[7])
    page = visit.go("#/run/updated")
    page.get_by_role("button", name="Update").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Update").fill("add_stop")
    dialog.get_by_label("Arguments").fill('[""]')
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".trouble")).to_contain_text("a stop has a name")
    dialog.get_by_label("Arguments").fill('["Bruges"]')
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".answer pre")).to_have_text("1")
    dialog.get_by_role("button", name="Send").click()  # the same: joins the first
    expect(dialog.locator(".answer pre")).to_have_text("1")
    visit.picture("update-dialog", full=False)
    dialog.get_by_label("Update").fill("insure")
    dialog.get_by_label("Arguments").fill("[5]")
    dialog.get_by_label("Wait until").select_option("accepted")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog.locator(".told")).to_contain_text("It is accepted.")
    page.keyboard.press("Escape")
    updates = page.locator(".updates tbody tr")
    expect(updates).to_have_count(2)
    site.ask("events/push", key="courier", scope="parcel-7")
    expect(page.locator(".head .pill")).to_have_text("Completed")
    expect(updates.first).to_contain_text("insured at 5")
    expect(page.locator(".journal")).to_contain_text("Event matched")


def test_a_task_is_completed_from_outside(visit: Visit, site: Site) -> None:
    site.ask("runs/start", workflow="contract", workflow_id="deed", args=["deed"])
    page = visit.go("#/run/deed")
    pending = page.locator(".pending")
    expect(pending).to_contain_text("to be completed from outside")
    expect(pending.locator("code")).to_contain_text("/0/1")
    expect(page.locator("g.lane .bar.waiting")).to_have_count(1)
    visit.picture("elsewhere")
    dialog = page.get_by_role("dialog")
    pending.get_by_role("button", name="Complete").click()
    dialog.get_by_label("Result").fill("Ada")
    dialog.get_by_role("button", name="Complete").click()
    expect(dialog.locator(".trouble")).to_contain_text("not JSON")
    dialog.get_by_label("Result").fill('"Ada"')
    dialog.get_by_role("button", name="Complete").click()
    expect(page.locator(".outcome pre")).to_have_text('"signed by Ada"')
    expect(page.locator("g.lane .bar.done")).to_have_count(1)
    site.ask("runs/start", workflow="contract", workflow_id="will", args=["will"])
    page = visit.go("#/run/will")
    pending.get_by_role("button", name="Fail").click()
    dialog.get_by_label("Reason").fill("nobody signs it")
    dialog.get_by_role("button", name="Fail the attempt").click()
    expect(page.locator("article")).to_contain_text("nobody signs it")


def test_records_that_the_page_does_not_know_do_not_break_it(visit: Visit) -> None:
    page = visit.go()
    found = page.evaluate(
        """async () => {
            const { Spans } = await import("/pages/spans.js");
            const spans = new Spans();
            const entry = { generation: 0, seq: 0, time: 1, run_id: "" };
            spans.add({ ...entry, events: [{ type: "Teleported", call: 7 }],
                        commands: [{ type: "Levitate", call: 1, name: "x" }] });
            return [spans.closed, spans.list(new Map()).length];
        }"""
    )
    assert found == [None, 0]
