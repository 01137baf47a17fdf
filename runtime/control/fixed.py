"""The routes that are no operations: health, readiness, metrics, documentation."""

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from everact.runtime.control.metrics import Metrics
from everact.runtime.control.openapi import document
from everact.runtime.errors import EveractError

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


def add_fixed_routes(app: web.Application, engine: "Engine", metrics: Metrics) -> None:
    """Add them to `app`."""

    async def healthz(request: web.Request) -> web.Response:
        return _health("ok")

    async def readyz(request: web.Request) -> web.Response:
        try:
            engine.check_open()
        except EveractError as error:
            return _health("unready", str(error))
        return _health("ready")

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def openapi(request: web.Request) -> web.Response:
        return json_answer(document())

    for path, handler in (
        ("/healthz", healthz),
        ("/readyz", readyz),
        ("/metrics", show_metrics),
        ("/openapi.json", openapi),
    ):
        app.router.add_get(path, handler, allow_head=False)


def json_answer(body: bytes, status: int = 200) -> web.Response:
    """An answer of JSON text."""
    return web.Response(body=body, status=status, content_type="application/json")


def _health(status: str, reason: str = "") -> web.Response:
    body = {"status": status} | ({"reason": reason} if reason else {})
    return json_answer(msgspec.json.encode(body), 503 if reason else 200)
