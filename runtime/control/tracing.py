"""Spans per request and per operation, if OpenTelemetry's SDK is there.

Without it, and without a provider that somebody installed, nothing is done.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

try:
    from opentelemetry import propagate, trace
except ImportError:  # then nobody can listen
    trace = None  # type: ignore[assignment]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def tracing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span of each request, named by its route, in the caller's ``traceparent``."""
    tracer = _tracer()
    if tracer is None:
        return await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    with tracer.start_as_current_span(
        f"{request.method} {route}",
        context=propagate.extract(request.headers),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": request.method, "http.route": route},
    ) as span:
        answer = await handler(request)
        span.set_attribute("http.response.status_code", answer.status)
        if answer.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        return answer


@contextmanager
def operation_span(name: str) -> Iterator[None]:
    """A span of what the engine does for an operation."""
    tracer = _tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name):
        yield


def _tracer() -> Any:
    """The tracer, if anybody listens: the API alone has a provider that does not."""
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if type(provider).__module__.startswith("opentelemetry.trace"):
        return None
    return provider.get_tracer("everact.control")
