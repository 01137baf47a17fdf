"""A real Chromium on a real engine in another process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "screenshots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Other tests keep the machine busy meanwhile; what comes sooner is seen sooner.
expect.set_options(timeout=20_000)


def chromium() -> str | None:
    """The browser of this machine; `EVERACT_CHROMIUM` names another."""
    given = os.environ.get("EVERACT_CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium():
        return
    reason = (
        "THE DASHBOARD WAS NOT TESTED: there is no Chromium here; "
        "`apt-get install chromium`, or name one in EVERACT_CHROMIUM"
    )
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))


class Site(NamedTuple):
    """An engine in a child process."""

    base: str
    token: str

    def ask(self, operation: str, **body: Any) -> Any:
        """The answer of the API, as curl would get it."""
        request = urllib.request.Request(
            f"{self.base}/api/v1/{operation}",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.token}",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@contextmanager
def serving(database: Path, *options: str) -> Iterator[Site]:
    """`tests.dashboard.site` on a database, until this is left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.dashboard.site", str(database), *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin and child.stdout
    try:
        told = json.loads(child.stdout.readline())
        yield Site(f"http://{told['address']}", told["token"])
    finally:
        child.stdin.close()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An engine with runs in every status that asks for no token."""
    with serving(tmp_path_factory.mktemp("site") / "shop.db") as made:
        yield made


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An engine that asks for a token."""
    with serving(tmp_path_factory.mktemp("guarded") / "shop.db", "--token") as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless, with a fresh profile.

    Playwright keeps a loop running in this thread, so it must be gone before any
    asynchronous test runs: the scope is this folder, not the session.
    """
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium(), args=list(FLAGS), headless=True
        )
        yield found
        found.close()


class Visit:
    """A window, and whatever went wrong in it."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.context = context
        self.base = base
        self.wrong: list[str] = []
        self.foreign: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._told)
        self.page.on("request", self._asked)

    def _told(self, message: Any) -> None:
        # A refused request is told by the page itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.base):
            self.foreign.append(request.url)

    def go(self, place: str = "") -> Page:
        """Open a view."""
        self.page.goto(f"{self.base}/{place}")
        return self.page

    def picture(self, name: str, *, full: bool = True) -> None:
        """Keep how it looks now."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(
            path=PICTURES / f"{name}.png", full_page=full, animations="disabled"
        )


@contextmanager
def visiting(browser: Browser, site: Site, **options: Any) -> Iterator[Visit]:
    """A window on a site; nothing may go wrong in it, nor come from elsewhere."""
    given = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options
    context = browser.new_context(**given)
    try:
        visit = Visit(context, site.base)
        yield visit
        assert visit.wrong == []
        assert visit.foreign == []
        assert visit.context.cookies() == []
    finally:
        context.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """A window on the engine that asks for no token."""
    with visiting(browser, site) as made:
        yield made
