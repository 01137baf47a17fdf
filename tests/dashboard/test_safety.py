"""Tokens, hostile values, colours and labels: what a page must not get wrong."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from everact.runtime.control import dashboard
from tests.dashboard.conftest import ROOT, Site, Visit, visiting
from tests.dashboard.site import HOSTILE

FOLDER = ROOT / "runtime" / "control" / "pages"


@pytest.mark.real_time
def test_the_token_is_typed_kept_in_the_tab_and_sent_as_a_header(
    browser: Browser, guarded: Site
) -> None:
    with visiting(browser, guarded) as visit:
        sent: list[Any] = []
        visit.page.on("request", lambda request: sent.append(request))  # noqa: PLW0108
        page = visit.go()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("This engine asks for a token.")
        visit.picture("token", full=False)
        dialog.get_by_label("Token").fill("everact_wrong")
        dialog.get_by_role("button", name="Use").click()
        expect(dialog.locator(".trouble")).to_contain_text("not valid")
        dialog.get_by_label("Token").fill(guarded.token)
        dialog.get_by_role("button", name="Use").click()
        expect(dialog).to_be_hidden()
        expect(page.locator(".nothing")).to_have_text("No run was started yet.")
        guarded.ask("runs/start", workflow="echo", workflow_id="seen", args=[1])
        expect(page.locator("a.row")).to_have_text(["seen"])  # told by the stream
        page.reload()
        expect(page.locator("a.row")).to_have_text(["seen"])
        assert page.evaluate("Object.values(localStorage)") == []
        assert guarded.token in page.evaluate("Object.values(sessionStorage)")
        assert not any(guarded.token in request.url for request in sent)
        bearing = {r.headers.get("authorization") for r in sent if "/api/" in r.url}
        assert f"Bearer {guarded.token}" in bearing
        files = [r for r in sent if "/api/" not in r.url]
        assert files and not any("authorization" in r.headers for r in files)


@pytest.mark.real_time
def test_what_looks_like_html_is_shown_as_text(visit: Visit, site: Site) -> None:
    page = visit.go(f"#/runs?prefix={quote('parcel <')}")
    expect(page.locator("td.ids .attributes")).to_contain_text(HOSTILE)
    page = visit.go(f"#/runs?prefix={quote(HOSTILE)}")
    expect(page.locator("a.row").last).to_have_text(HOSTILE)
    page = visit.go(f"#/run/{quote(HOSTILE, safe='')}")
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator(".outcome")).to_contain_text(HOSTILE)
    expect(page.locator(".input")).to_contain_text("onerror")
    expect(page.locator(".journal")).to_contain_text("onerror")
    visit.picture("hostile")
    page = visit.go(f"#/run/{quote(f'parcel {HOSTILE}', safe='')}")
    expect(page.locator(".summary .said").first).to_have_text(HOSTILE)
    assert page.locator("main img, main script").count() == 0
    for place in (
        "#/start",
        "#/actors",
        f"#/{quote(HOSTILE)}",
        f"#/runs?prefix={quote(HOSTILE)}",
    ):
        visit.go(place)
        expect(page.locator("main > *").first).to_be_visible()
        assert page.locator("main img, main script").count() == 0
    site.ask(
        "runs/start", workflow="echo", workflow_id="javascript:alert(1)", args=[HOSTILE]
    )
    page = visit.go(f"#/run/{quote('javascript:alert(1)', safe='')}")
    expect(page.locator(".outcome pre")).to_contain_text("onerror")
    links = page.locator("main a").evaluate_all(
        "all => all.map((a) => a.getAttribute('href'))"
    )
    assert all(link.startswith("#/") for link in links)
    assert page.evaluate("window.hacked") is None


@pytest.mark.real_time
def test_the_browser_refuses_scripts_and_styles_in_the_page(
    browser: Browser, site: Site
) -> None:
    with visiting(browser, site) as visit:
        page = visit.go()
        expect(page.locator("a.row").first).to_be_visible()
        page.evaluate(
            """() => {
                const made = document.createElement("div");
                made.innerHTML = '<img src="data:," onerror="window.hacked = 1">';
                const script = document.createElement("script");
                script.textContent = "window.hacked = 2";
                document.body.append(made, script);
            }"""
        )
        page.wait_for_function("() => true")
        assert page.evaluate("window.hacked") is None
        assert any("Content Security Policy" in text for text in visit.wrong)
        visit.wrong.clear()


@pytest.mark.real_time
def test_light_and_dark_follow_the_system_until_one_is_chosen(
    browser: Browser, site: Site
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with visiting(browser, site, color_scheme="dark") as visit:
        page = visit.go()
        dark = page.evaluate(background)
        page.emulate_media(color_scheme="light")
        light = page.evaluate(background)
        assert light != dark
        page.get_by_role("button", name="Use dark colours").click()
        assert page.evaluate(background) == dark
        page.reload()
        assert page.evaluate(background) == dark
        page.get_by_role("button", name="Use light colours").click()
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(background) == light


@pytest.mark.real_time
def test_nothing_moves_for_who_asked_for_that(browser: Browser, site: Site) -> None:
    with visiting(browser, site, reduced_motion="reduce") as visit:
        page = visit.go("#/run/payment-1001")
        expect(page.locator("g.lane").first).to_be_visible()
        assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.real_time
def test_every_control_has_a_name(visit: Visit) -> None:
    nameless = """() =>
        [...document.querySelectorAll("input, select, textarea, button, a")]
        .filter((e) => !e.labels?.length && !e.textContent.trim())
        .filter((e) => !e.getAttribute("aria-label"))
        .map((e) => e.outerHTML)"""
    for place, awaited in (
        ("#/runs", "a.row"),
        ("#/run/order-1001", "g.lane"),
        ("#/schedules", "table.schedules a.row"),
        ("#/schedule/stock", ".recent td"),
        ("#/actors", ".tree summary"),
        ("#/start", "select"),
    ):
        page = visit.go(place)
        expect(page.locator(awaited).first).to_be_visible()
        assert page.evaluate(nameless) == []
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == 1


def colours(scheme: str) -> dict[str, tuple[float, ...]]:
    """What the names of colours stand for, by the style sheet."""
    text = (FOLDER / "style.css").read_text()
    block = text.split(':root[data-theme="dark"] {')[scheme == "dark"]
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block.split("}")[0])
    return {
        name: tuple(int(hexed[i : i + 2], 16) / 255 for i in (0, 2, 4))
        for name, hexed in found
    }


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """As WCAG 2 defines it."""

    def light(colour: tuple[float, ...]) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    brighter, darker = sorted((light(one), light(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_what_is_behind_it(scheme: str) -> None:
    found = colours(scheme)
    texts = ("text", "muted", "accent", "danger", "running", "done", "failed")
    weak = [
        (text, behind)
        for text in (*texts, "cancelled", "warned", "child")
        for behind in ("page", "card", "raised")
        if contrast(found[text], found[behind]) < 4.5
    ]
    assert weak == []
    assert contrast(found["accent-text"], found["accent"]) >= 4.5


def test_both_ways_to_be_dark_are_the_same() -> None:
    text = (FOLDER / "style.css").read_text()
    _, chosen, system = re.split(r"color-scheme: dark;", text)
    assert chosen.split("}")[0].split() == system.split("}")[0].split()


def test_the_files_are_listed_and_take_nothing_from_elsewhere() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(dashboard.FILES)
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.findall(r"https?:(//)", text), path.name
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            "document.write",
            "cookie",
        ):
            assert word not in text, path.name
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|style=|<script>|\son\w+=", page)
