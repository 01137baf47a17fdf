"""The files of the dashboard as they are served."""

from __future__ import annotations

import pytest

from everact.runtime.control.dashboard import PATHS
from tests.control.conftest import Http

pytestmark = pytest.mark.real_time


@pytest.mark.parametrize("path", PATHS)
async def test_each_file_has_its_type_and_the_strict_policy(
    http: Http, path: str
) -> None:
    async with http.session.get(http.base + path) as answer:
        assert answer.status == 200
        body = await answer.read()
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert answer.content_type == kinds.get(path.rpartition(".")[2], "text/html")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    known = {"If-None-Match": answer.headers["ETag"]}
    async with http.session.get(http.base + path, headers=known) as again:
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
    assert body


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/pages/", "/pages/../dashboard.py", "/pages/%2e%2e/guard.py"],
)
async def test_no_other_path_leads_to_a_file(http: Http, path: str) -> None:
    async with http.session.get(http.base + path) as answer:
        assert answer.status == 404
