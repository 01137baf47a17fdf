"""A small application inside the guard: one route of each kind, and what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from everact.runtime.control.guard import CALLER, Guard
from everact.runtime.control.listening import Listener, listening
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door.callers import Callers
from everact.runtime.door.rights import check_workspaces
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.errors import RPCError
from everact.runtime.operations.access import Access
from everact.runtime.operations.runs import DescribeRun, RunRef
from everact.runtime.operations.searching import SearchRuns


class Small(NamedTuple):
    port: int
    listener: Listener
    tokens: TokenFile
    guard: Guard
    reached: list[str]
    """What got as far as a handler: method and path."""

    def token(self, scope: Scope = Scope.USER, *workspaces: str) -> str:
        name = f"{scope.value} of {','.join(workspaces)}"
        return self.tokens.create(name, scope=scope, workspaces=workspaces)[1]


def guard_of(settings: ControlSettings, tokens: TokenFile | None) -> Guard:
    """The guard that an endpoint with these settings and tokens has."""
    callers = Callers(tokens, authentication=settings.authentication)
    return Guard(settings, callers)


@asynccontextmanager
async def small(folder: Path, **settings: Any) -> AsyncIterator[Small]:
    """The application, listening on a free port of this machine."""
    tokens = TokenFile.for_database(folder / "small.db")
    guard = guard_of(ControlSettings(port=0, **settings), tokens)
    app, reached = guard.application(), []
    add = app.router.add_route

    async def plain(request: web.Request) -> web.Response:
        reached.append(f"{request.method} {request.path}")
        body = await request.read()
        return web.json_response({"length": len(body)})

    async def events(request: web.Request) -> web.StreamResponse:
        reached.append(f"{request.method} {request.path}")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b"data: 1\n\n")
        return stream

    async def broken(request: web.Request) -> web.Response:
        raise ZeroDivisionError("a mistake of ours")

    async def describe(request: web.Request) -> web.Response:
        message = msgspec.json.decode(await request.read(), type=DescribeRun)
        return _answered(request, message, Access.READ)

    async def listed(request: web.Request) -> web.Response:
        message = msgspec.json.decode(await request.read(), type=SearchRuns)
        return _answered(request, message, Access.READ)

    async def info(request: web.Request) -> web.Response:
        return _answered(request, None, Access.INFO)

    async def actors(request: web.Request) -> web.Response:
        return _answered(request, None, Access.READ)

    (folder / "app.js").write_text("1")

    async def script(request: web.Request) -> web.StreamResponse:
        reached.append(f"{request.method} {request.path}")
        return web.FileResponse(
            folder / "app.js", headers={"Cache-Control": "max-age=60"}
        )

    open_routes = [
        add("GET", "/healthz", plain),
        add("GET", "/readyz", plain),
        add("GET", "/", plain),
        add("GET", "/static/app.js", script),
    ]
    access = {
        add("GET", "/api/v1/runs/search", plain): Access.READ,
        add("POST", "/api/v1/runs/search", listed): Access.READ,
        add("POST", "/api/v1/runs/describe", describe): Access.READ,
        add("POST", "/api/v1/runs/start", plain): Access.WRITE,
        add("POST", "/api/v1/tasks/report", plain): Access.WORK,
        add("GET", "/api/v1/runs/events", events): Access.READ,
        add("GET", "/runs/{id:.+}", plain): Access.READ,
        add("GET", "/api/v1/engine/info", info): Access.INFO,
        add("GET", "/api/v1/actors/list", actors): Access.READ,
        add("GET", "/broken", broken): Access.READ,
    }
    add("POST", "/api/v1/limits/set", plain)  # says nothing: for administrators
    guard.permit(open=open_routes, access=access)
    async with listening(app, guard) as listener:
        yield Small(listener.port, listener, tokens, guard, reached)
        await asyncio.sleep(0)


def _answered(request: web.Request, message: Any, access: Access) -> web.Response:
    try:
        check_workspaces(request[CALLER], message, access)
    except RPCError as error:
        return web.json_response({"error": str(error), "status": str(error.status)})
    return web.json_response({})


def describing(workspace: str) -> bytes:
    """A request that names the workspace."""
    ref = RunRef(workflow_id="w", workspace=workspace)
    return msgspec.json.encode(DescribeRun(run=ref))
