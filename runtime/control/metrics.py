"""Metrics for Prometheus, in a registry of the application's own.

What the engine knows anyway is read when somebody asks; only what happens between two
readings is counted as it happens, by a watcher of the index and a middleware.
"""

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from everact.runtime.core.statuses import RunStatus
from everact.runtime.operations.engines import everact_version

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Tally:
    """Counts what happens in an engine from now on: a watcher of runs and commits."""

    def __init__(self) -> None:
        self.runs = dict.fromkeys(RunStatus, 0)
        self.commits = 0
        self.transitions = 0
        self.seconds = 0.0
        self._since = 0.0

    def changed(self, key: int, status: RunStatus | None) -> None:
        if status is not None:
            self.runs[status] += 1

    def closed(self) -> None:
        """What was counted stays."""

    def began(self, transitions: int) -> None:
        self.transitions += transitions
        self._since = time.perf_counter()

    def ended(self) -> None:
        self.commits += 1
        self.seconds += time.perf_counter() - self._since


class Metrics:
    """The metrics of one application."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._tally = Tally()
        self.registry = CollectorRegistry()
        self.registry.register(_EngineMetrics(engine, self._tally))
        self._answered = Answered()
        self.registry.register(self._answered)

    async def counting(self, app: web.Application) -> AsyncIterator[None]:
        """Count for as long as the application lives."""
        engine, tally = self._engine, self._tally
        engine.waiting.watchers.add(tally)
        engine.commits.observer = tally
        yield
        engine.waiting.watchers.discard(tally)
        engine.commits.observer = None

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Count requests by route, as declared: never by what somebody typed."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        began = time.perf_counter()
        answer = await handler(request)
        method = request.method if request.method in hdrs.METH_ALL else "unknown"
        seconds = time.perf_counter() - began
        self._answered.count(route, method, answer.status, seconds)
        return answer

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)


class Answered(Collector):
    """How many requests were answered, and how long that took, by route.

    A route has a row of numbers: requests by the bucket of their seconds, and the sum
    of these. Buckets add up when they are shown.
    """

    BUCKETS: Final = (*Histogram.DEFAULT_BUCKETS[:-1], math.inf)

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, list[float]] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One more."""
        self._requests[route, method, status] += 1
        row = self._seconds.get(route)
        if row is None:
            row = self._seconds[route] = [0] * (len(self.BUCKETS) + 1)
        row[bisect_left(self.BUCKETS, seconds)] += 1
        row[-1] += seconds

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "everact_http_requests",
            "HTTP requests answered.",
            labels=["route", "method", "status"],
        )
        for (route, method, status), number in self._requests.items():
            requests.add_metric([route, method, str(status)], number)
        yield requests
        seconds = HistogramMetricFamily(
            "everact_http_request_seconds",
            "Seconds until a request was answered; long polls and streams included.",
            labels=["route"],
        )
        for route, (*numbers, total) in self._seconds.items():
            names = map(floatToGoString, self.BUCKETS)
            buckets = list(zip(names, accumulate(numbers), strict=True))
            seconds.add_metric([route], buckets, total)
        yield seconds


class _EngineMetrics(Collector):
    """What the engine counts, read when it is asked for."""

    def __init__(self, engine: "Engine", tally: Tally) -> None:
        self._engine = engine
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        engine = self._engine
        info = GaugeMetricFamily(
            "everact_info", "Always 1; the label tells the version.", labels=["version"]
        )
        info.add_metric([everact_version()], 1)
        yield info
        for name, text, value in (
            ("runs_in_memory", "Open runs in memory.", len(engine.runs)),
            ("runs_aside", "Open runs whose code cannot run now.", engine.runs_aside),
            ("actors", "Live actors.", len(engine.system.registry)),
            (
                "disk_full",
                "1 while work is held.",
                int(engine.commits.full is not None),
            ),
            ("uptime_seconds", "Age.", engine.clock.monotonic() - engine.opened_at),
        ):
            yield GaugeMetricFamily(f"everact_{name}", text, value=value)
        yield from _of_tally(self._tally)
        yield from _of_workers(engine)


def _of_tally(tally: Tally) -> Iterator[Metric]:
    runs = CounterMetricFamily(
        "everact_runs", "Runs that began or ended, by status.", labels=["status"]
    )
    for status, number in tally.runs.items():
        runs.add_metric([str(status)], number)
    yield runs
    for name, text, value in (
        ("commits", "Transactions of the group commit.", tally.commits),
        ("transitions", "Transitions in them.", tally.transitions),
        ("commit_seconds", "Seconds that they took in all.", tally.seconds),
    ):
        yield CounterMetricFamily(f"everact_{name}", text, value=value)


def _of_workers(engine: "Engine") -> Iterator[Metric]:
    workers = engine.admission.all
    depths = engine.admission.depths().items()
    busy = [(worker.name, worker.busy) for worker in workers]
    slots = [(worker.name, worker.slots) for worker in workers]
    for name, text, label, values in (
        ("worker_busy_slots", "Slots in use.", "worker", busy),
        ("worker_slots", "Slots.", "worker", slots),
        ("queue_depth", "Tasks that wait for a slot.", "queue", depths),
    ):
        family = GaugeMetricFamily(f"everact_{name}", text, labels=[label])
        for labelled, value in values:
            family.add_metric([labelled], value)
        yield family
