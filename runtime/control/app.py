"""The application: a route for every row of the operation table, and a few fixed ones.

No operation has code of its own here. A body becomes a request struct, arguments get
the types that they are for, the answer becomes JSON, and an error a status by the one
table of them. What waits is bounded: "not yet" is an answer too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from everact.runtime import wire
from everact.runtime.control.dashboard import add_dashboard
from everact.runtime.control.fixed import add_fixed_routes, json_answer
from everact.runtime.control.guard import Guard, Route, check_workspaces
from everact.runtime.control.metrics import Metrics
from everact.runtime.control.parameters import body_of_query
from everact.runtime.control.streams import CLOSING, stream
from everact.runtime.control.tracing import operation_span, tracing
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import EveractError, RPCError, RuntimeStateError
from everact.runtime.isolation import contained, log
from everact.runtime.operations.base import Operation
from everact.runtime.operations.requests import carry_out
from everact.runtime.operations.table import OPERATIONS

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

logger = logging.getLogger("everact.control")

ENGINE: Final = web.AppKey("engine", object)
"""The engine that an application serves."""

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""A header that stands for the request ID of a request that has none."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(engine: "Engine", guard: Guard) -> web.Application:
    """The application that serves `engine`, as far as `guard` lets requests in.

    Only counting is outside: what the guard refuses is counted, but neither traced
    nor looked at.
    """
    metrics = Metrics(engine)
    app = guard.application()
    app.middlewares.insert(0, metrics.middleware)
    app.middlewares.extend((tracing, refusals))
    app[ENGINE] = engine
    app.cleanup_ctx.append(metrics.counting)
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close)
    open_routes, access = add_fixed_routes(app, engine, metrics)
    for operation in OPERATIONS.values():
        answering = _streaming if operation.streams else _answering
        for route in _add(app, operation, answering(engine, operation)):
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


def _answering(engine: "Engine", operation: Operation) -> Handler:
    """The handler of an operation that is answered once."""
    kind = operation.request

    async def answer(request: web.Request) -> web.Response:
        asked = await _asked(request, engine, operation)
        with operation_span(operation.name):
            answering = carry_out(engine, asked.request, operation.typed)
            if not operation.waits:
                found = await answering
            else:
                try:
                    found = await _within(asked.wait, answering)
                except _Expired:
                    return json_answer(wire.NOT_YET, 202)
        return json_answer(wire.encode_answer(kind, found, engine.values))

    return answer


def _streaming(engine: "Engine", operation: Operation) -> Handler:
    """The handler of an operation that is answered item by item."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await _asked(request, engine, operation)
        return await stream(request, engine, operation, asked.request)

    return answer


async def _asked(
    request: web.Request, engine: "Engine", operation: Operation
) -> wire.Ask:
    """What is asked, by the body or by the query parameters, if the caller may."""
    if request.method == "GET":
        body = body_of_query(operation.request, request.query)
    else:
        body = await request.read()
    if engine.lost is not None:
        raise type(engine.lost)(str(engine.lost))
    if engine.stopping:
        raise RuntimeStateError("the runtime is closed or closing")
    asked = wire.decode_request(operation.request, body)
    check_workspaces(request, asked.request, operation.access)
    key = request.headers.get(IDEMPOTENCY_KEY, "")
    if key and getattr(asked.request, "request_id", None) == "":
        named = msgspec.structs.replace(asked.request, request_id=key)
        asked = asked._replace(request=named)
    return asked


class _Expired(Exception):
    """The time that a caller waits is over."""


async def _within(wait: float, answer: Awaitable[Any]) -> Any:
    scope = asyncio.timeout(wait)
    try:
        async with scope:
            return await answer
    except TimeoutError:
        if scope.expired():
            raise _Expired from None
        raise


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON; what is nobody's fault but ours is logged."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        return refused_http(refused)
    except EveractError as error:
        status, body = wire.encode_error(error)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        text = f"{request.path}: {error or 'the JSON is nested too deeply'}"
        status, body = wire.encode_error(RPCError(text, RPCStatus.INVALID_ARGUMENT))
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # whatever it was, others are served
        text = "%s %s failed"
        log(logger, logging.ERROR, contained(error), text, request.method, request.path)
        text = "an error inside the engine; its log tells more"
        status, body = wire.encode_error(RPCError(text, RPCStatus.INTERNAL))
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
