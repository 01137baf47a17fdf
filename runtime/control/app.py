"""The application: a route for every row of the operation table, and a few fixed ones.

No operation has code of its own here. A body becomes a request struct that goes to the
door with its caller; the answer becomes JSON, and an error a status by the one table of
them. What waits is bounded: "not yet" is an answer too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from everact.runtime import wire
from everact.runtime.control.dashboard import add_dashboard
from everact.runtime.control.fixed import add_fixed_routes, json_answer
from everact.runtime.control.guard import CALLER, Guard, Route
from everact.runtime.control.metrics import Metrics
from everact.runtime.control.parameters import body_of_query
from everact.runtime.control.refusals import refused
from everact.runtime.control.streams import CLOSING, stream
from everact.runtime.control.tracing import tracing
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.door import Door
from everact.runtime.door.refusals import (
    MALFORMED,
    NotYet,
    TokenEnded,
    fault_of_ours,
    malformed,
)
from everact.runtime.errors import EveractError, RPCError
from everact.runtime.operations.base import Operation
from everact.runtime.operations.table import OPERATIONS

logger = logging.getLogger("everact.control")

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""A header that stands for the request ID of a request that has none."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(door: Door, guard: Guard) -> web.Application:
    """The application that leads to `door`, as far as `guard` lets requests in.

    Only counting is outside: what the guard refuses is counted, but neither traced
    nor looked at.
    """
    metrics = Metrics(door.engine)
    app = guard.application()
    app.middlewares.insert(0, metrics.middleware)
    app.middlewares.extend((tracing, refusals))
    app.cleanup_ctx.append(metrics.counting)
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close)
    open_routes, access = add_fixed_routes(app, door, metrics)
    for operation in OPERATIONS.values():
        answering = _streaming if operation.streams else _answering
        for route in _add(app, operation, answering(door, operation)):
            access[route] = operation.access
    guard.permit(open=[*open_routes, *add_dashboard(app)], access=access)
    return app


async def _close(app: web.Application) -> None:
    app[CLOSING].set()


def _add(app: web.Application, operation: Operation, handler: Handler) -> list[Route]:
    path = wire.path_of(operation.request)
    routes: list[Route] = [app.router.add_post(path, handler)]
    if operation.reads:
        routes.append(app.router.add_get(path, handler, allow_head=False))
    return routes


def _answering(door: Door, operation: Operation) -> Handler:
    """The handler of an operation that is answered once."""
    kind = operation.request

    async def answer(request: web.Request) -> web.Response:
        asked = await _asked(request, door, operation)
        key = request.headers.get(IDEMPOTENCY_KEY, "")
        try:
            found = await door.call(
                request[CALLER], asked.request, wait=asked.wait, request_id=key
            )
        except NotYet:
            return json_answer(wire.NOT_YET, 202)
        except TokenEnded as ended:
            return refused(ended).response()
        return json_answer(wire.encode_answer(kind, found, door.values))

    return answer


def _streaming(door: Door, operation: Operation) -> Handler:
    """The handler of an operation that is answered item by item."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await _asked(request, door, operation)
        return await stream(request, door, operation, asked.request)

    return answer


async def _asked(request: web.Request, door: Door, operation: Operation) -> wire.Ask:
    """What is asked, by the body or by the query parameters."""
    if request.method == "GET":
        body = body_of_query(operation.request, request.query)
    else:
        body = await request.read()
    door.check_serving()
    return wire.decode_request(operation.request, body)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON; what is nobody's fault but ours is logged."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        return refused_http(refused)
    except TokenEnded as ended:  # of a stream: nothing else can be said in it
        raise ConnectionResetError(str(ended)) from None
    except EveractError as error:
        status, body = wire.encode_error(error)
    except MALFORMED as error:
        status, body = wire.encode_error(malformed(error, request.path))
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # whatever it was, others are served
        asked = f"{request.method} {request.path}"
        status, body = wire.encode_error(fault_of_ours(error, asked, logger))
    return json_answer(body, status)


def refused_http(refused: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses, in the same form as everything else."""
    code = {
        404: RPCStatus.NOT_FOUND,
        405: RPCStatus.UNIMPLEMENTED,
    }.get(refused.status, RPCStatus.INVALID_ARGUMENT)
    text = {
        404: "no such route; GET /openapi.json lists them",
    }.get(refused.status, refused.reason)
    _, body = wire.encode_error(RPCError(text, code))
    answer = json_answer(body, refused.status)
    if "Allow" in refused.headers:
        answer.headers["Allow"] = refused.headers["Allow"]
    return answer
