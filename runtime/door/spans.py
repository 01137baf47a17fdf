"""Spans of what the engine does for callers, if OpenTelemetry's SDK is there.

Without it, and without a provider that somebody installed, nothing is done.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

try:
    from opentelemetry import trace
except ImportError:  # then nobody can listen
    trace = None  # type: ignore[assignment]

_NO_SPAN: Final = nullcontext()


def operation_span(name: str) -> AbstractContextManager[Any]:
    """A span of what the engine does for an operation."""
    found = tracer("everact.door")
    if found is None:
        return _NO_SPAN
    span: AbstractContextManager[Any] = found.start_as_current_span(name)
    return span


def tracer(name: str) -> Any:
    """The tracer, if anybody listens: the API alone has a provider that does not."""
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if type(provider).__module__.startswith("opentelemetry.trace"):
        return None
    return provider.get_tracer(name)
