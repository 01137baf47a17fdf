"""The OpenAPI document: the routes it names, and that all of them keep to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from everact.runtime import Runtime, wire
from everact.runtime.control.app import make_app
from everact.runtime.control.dashboard import PATHS
from everact.runtime.control.guard import Guard
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door.callers import Callers
from everact.runtime.door.door import Door
from everact.runtime.operations.table import OPERATIONS
from tests.control.conftest import Http

pytestmark = pytest.mark.real_time

ROUTES = """
GET      /healthz
GET      /metrics
GET      /openapi.json
GET      /readyz
POST     /api/v1/actors/ask
GET POST /api/v1/actors/list
POST     /api/v1/actors/spawn
POST     /api/v1/actors/stop
POST     /api/v1/actors/tell
GET POST /api/v1/actors/tree
POST     /api/v1/clock/advance
POST     /api/v1/clock/lock
GET POST /api/v1/clock/now
GET POST /api/v1/engine/definitions
GET POST /api/v1/engine/info
GET POST /api/v1/events/get
GET POST /api/v1/events/list
POST     /api/v1/events/push
POST     /api/v1/runs/cancel
GET POST /api/v1/runs/count
GET POST /api/v1/runs/describe
POST     /api/v1/runs/execute
GET POST /api/v1/runs/follow
GET POST /api/v1/runs/history
GET POST /api/v1/runs/query
GET POST /api/v1/runs/result
POST     /api/v1/runs/signal
POST     /api/v1/runs/start
POST     /api/v1/runs/start_batch
POST     /api/v1/runs/start_together
POST     /api/v1/runs/terminate
GET POST /api/v1/runs/search
GET POST /api/v1/runs/watch
POST     /api/v1/tasks/complete
POST     /api/v1/tasks/fail
POST     /api/v1/tasks/heartbeat
POST     /api/v1/tasks/report_cancelled
GET POST /api/v1/versions/get
GET POST /api/v1/versions/reachability
POST     /api/v1/versions/update
POST     /api/v1/schedules/backfill
POST     /api/v1/schedules/create
POST     /api/v1/schedules/delete
GET POST /api/v1/schedules/describe
GET POST /api/v1/schedules/list
POST     /api/v1/schedules/pause
POST     /api/v1/schedules/resume
POST     /api/v1/schedules/trigger
POST     /api/v1/schedules/update
POST     /api/v1/search_attributes/add
GET POST /api/v1/search_attributes/list
POST     /api/v1/search_attributes/remove
GET POST /api/v1/updates/result
POST     /api/v1/updates/send
POST     /api/v1/updates/send_with_start
"""
"""Written by hand: what is added to the table is added here, with a thought."""


def listed() -> set[tuple[str, str]]:
    found = set()
    for line in ROUTES.strip().splitlines():
        *methods, path = line.split()
        found |= {(method, path) for method in methods}
    return found


@pytest.mark.feature("CT-04")
async def test_the_document_names_exactly_the_routes_that_there_are(
    http: Http,
) -> None:
    status, document = await http.get("/openapi.json")
    assert status == 200 and document["openapi"] == "3.1.0"
    named = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert named == listed()


async def test_every_route_of_the_application_is_listed(runtime: Runtime) -> None:
    callers = Callers(None)
    door = Door(runtime.engine, callers)
    app = make_app(door, Guard(ControlSettings(), callers))
    served = {(r.method, r.resource.canonical) for r in app.router.routes()}  # type: ignore[union-attr]
    assert served == listed() | {("GET", path) for path in PATHS}


async def test_references_lead_somewhere_and_no_python_type_shows(
    http: Http,
) -> None:
    _, document = await http.get("/openapi.json")
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    assert "everact" not in "".join(schemas)


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    if isinstance(part, list):
        return set().union(*map(references, part))
    return set()


def test_every_operation_says_in_a_sentence_what_it_does() -> None:
    for kind, operation in OPERATIONS.items():
        assert operation.request.__doc__, operation.name
        assert wire.path_of(kind).count("/") == 4


@pytest.mark.slow
@pytest.mark.feature("CT-04")
async def test_whatever_is_sent_nothing_ends_in_a_500(runtime: Runtime) -> None:
    """Requests made from the document, good and bad, against a running endpoint."""
    async with Control(runtime, "127.0.0.1:0") as control:
        attack = Attack(f"http://{control.address}")
        await asyncio.to_thread(attack.run)
    assert attack.failures == []
    assert attack.statuses[200] > 100 and attack.statuses[400] > 100


class Attack:
    """Requests to every route that is answered once, made from its schema."""

    ENDLESS = ("/api/v1/runs/watch", "/api/v1/runs/follow")
    EXPECTED = (200, 202, 400, 404, 405, 409, 412, 501, 504)

    def __init__(self, base: str) -> None:
        self.base = base
        self.failures: list[str] = []
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        schema = schemathesis.openapi.from_url(f"{self.base}/openapi.json")
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]
            if operation.path in self.ENDLESS:
                continue
            for mode in GenerationMode:
                self._play(operation.as_strategy(generation_mode=mode))

    def _play(self, strategy: Any) -> None:
        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def send(case: Any) -> None:
            self._send(case)

        with suppress(Unsatisfiable):  # there is no wrong way to ask for nothing
            send()

    def _send(self, case: Any) -> None:
        if case.path.endswith("/execute") and isinstance(case.body, dict):
            case.body.setdefault("wait", 0)  # a run of it may never end
        for part in (case.body, case.query):
            for name in ("wait", "timeout"):
                if isinstance(part, dict) and name in part:
                    part[name] = 0
        answer = case.call(base_url=self.base, timeout=20)
        self.statuses[answer.status_code] += 1
        if answer.status_code not in self.EXPECTED:
            told = f"{case.method} {case.path} {case.query!r} {case.body!r}"
            self.failures.append(f"{told}: {answer.status_code} {answer.text}")
