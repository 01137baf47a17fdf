"""The routes that are no operations: health, readiness, metrics, documentation."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from everact.runtime.control.guard import Route
from everact.runtime.control.metrics import Metrics
from everact.runtime.control.openapi import document
from everact.runtime.door.door import Door
from everact.runtime.errors import EveractError
from everact.runtime.operations.access import Access

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_fixed_routes(
    app: web.Application, door: Door, metrics: Metrics
) -> tuple[list[Route], dict[Route, Access]]:
    """Add them; returns the ones that are open, and what the others need."""

    async def healthz(_: web.Request) -> web.Response:
        return _health("ok")

    async def readyz(_: web.Request) -> web.Response:
        try:
            door.engine.check_open()
        except EveractError as error:
            return _health("unready", str(error))
        return _health("ready")

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def openapi(_: web.Request) -> web.Response:
        return json_answer(document())

    def get(path: str, handler: Handler) -> Route:
        return app.router.add_get(path, handler, allow_head=False)

    access = {
        get("/metrics", show_metrics): Access.INFO,
        get("/openapi.json", openapi): Access.INFO,
    }
    return [get("/healthz", healthz), get("/readyz", readyz)], access


def json_answer(body: bytes, status: int = 200) -> web.Response:
    """An answer of JSON text."""
    return web.Response(body=body, status=status, content_type="application/json")


def _health(status: str, reason: str = "") -> web.Response:
    body = {"status": status} | ({"reason": reason} if reason else {})
    return json_answer(msgspec.json.encode(body), 503 if reason else 200)
