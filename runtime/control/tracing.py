"""Spans of requests over HTTP, if OpenTelemetry's SDK is there."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from everact.runtime.door.spans import tracer

try:
    from opentelemetry import propagate, trace
except ImportError:  # then nobody can listen
    trace = None  # type: ignore[assignment]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def tracing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span of each request, named by its route, in the caller's ``traceparent``."""
    found = tracer("everact.control")
    if found is None:
        return await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    with found.start_as_current_span(
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
