"""Spans per request, if OpenTelemetry is installed; without it no work at all."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def tracing() -> Any:
    """A middleware that spans each request, named by its route.

    The caller's trace goes on in it (``traceparent``), and what author code or an
    exporter adds inside hangs below it. Without the API of OpenTelemetry, or without
    an SDK behind it, requests pass through untouched.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return _untouched

    @web.middleware
    async def spanned(request: web.Request, handler: Handler) -> web.StreamResponse:
        provider = trace.get_tracer_provider()
        if type(provider).__module__.startswith("opentelemetry.trace"):
            return await handler(request)  # the API alone: nobody listens
        tracer = trace.get_tracer("everact.control")
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

    return spanned


@web.middleware
async def _untouched(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)
