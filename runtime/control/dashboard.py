"""The dashboard: a page at ``/``, and the files that it is made of.

They need no token, for they hold nothing of any run: the page asks for the token and
sends it with what it asks of the API. Each file is a route of its own, by its exact
path, and is read once, when the application is made.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

from everact.runtime.control.guard import Route

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

FILES: Final = (
    "index.html",
    "style.css",
    "icon.svg",
    "theme.js",
    "app.js",
    "api.js",
    "dom.js",
    "dialogs.js",
    "filter.js",
    "runs.js",
    "run.js",
    "schedules.js",
    "schedule.js",
    "scheduling.js",
    "words.js",
    "scale.js",
    "spans.js",
    "timeline.js",
    "journal.js",
    "actors.js",
    "start.js",
)
PATHS: Final = {"/": "index.html"} | {f"/pages/{name}": name for name in FILES[1:]}
"""The file that is served at each path."""


def add_dashboard(app: web.Application) -> list[Route]:
    """Add the routes; all of them are open."""
    return [
        app.router.add_get(path, _serving(name), allow_head=False)
        for path, name in PATHS.items()
    ]


def _serving(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = (files(__package__) / "pages" / name).read_bytes()
    kind = _TYPES[name[name.rindex(".") :]]
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    # A browser keeps a file, and asks whether it is still the one.
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "no-cache"}

    async def serve(request: web.Request) -> web.Response:
        if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=body, content_type=kind, charset="utf-8", headers=headers
        )

    return serve
