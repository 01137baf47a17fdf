"""Health, readiness, metrics, spans, and what is refused before any operation."""

from __future__ import annotations

import io
from typing import Any

import pytest

from everact.runtime import Runtime
from tests.control.conftest import Http

pytestmark = pytest.mark.real_time


@pytest.mark.feature("CT-04")
async def test_health_answers_and_readiness_tells_why_not(
    http: Http, runtime: Runtime
) -> None:
    assert await http.get("/healthz") == (200, {"status": "ok"})
    assert await http.get("/readyz") == (200, {"status": "ready"})
    await runtime.close()
    assert await http.get("/healthz") == (200, {"status": "ok"})
    status, answer = await http.get("/readyz")
    assert (status, answer["status"]) == (503, "unready")
    assert "closed" in answer["reason"]


async def test_requests_to_a_closed_runtime_say_to_ask_again(
    http: Http, runtime: Runtime
) -> None:
    await runtime.close()
    for path, body in (
        ("runs/start", {"workflow": "squares", "args": [1]}),
        ("runs/signal", {"run": {"workflow_id": "s"}, "name": "add"}),
        ("runs/search", {}),
        ("runs/follow", {"run": {"workflow_id": "s"}}),
    ):
        status, answer = await http.post(f"/api/v1/{path}", body)
        assert (status, answer["error"]["status"]) == (503, "UNAVAILABLE")


async def test_metrics_count_runs_commits_and_requests(http: Http) -> None:
    started = await http.ok("runs/start", workflow="squares", args=[2])
    await http.ok("runs/result", run={"workflow_id": started["workflow_id"]})
    await http.get("/nowhere/at/all")
    async with http.session.get(f"{http.base}/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert lines['everact_runs_total{status="running"}'] == "1.0"
    assert lines['everact_runs_total{status="completed"}'] == "1.0"
    assert float(lines["everact_commits_total"]) >= 1
    assert float(lines["everact_transitions_total"]) >= 2
    assert float(lines["everact_commit_seconds_total"]) > 0
    assert lines['everact_queue_depth{queue="default"}'] == "0.0"
    counted = 'everact_http_requests_total{method="POST",route="%s",status="200"}'
    assert lines[counted % "/api/v1/runs/start"] == "1.0"
    assert "nowhere" not in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/runs/nothing", 404),
        ("GET", "/api/v1/runs/start", 405),
        ("PUT", "/api/v1/runs/start", 405),
        ("HEAD", "/api/v1/runs/search", 405),
        ("TRACE", "/api/v1/runs/search", 405),
    ],
)
async def test_what_no_route_takes_is_refused_as_json(
    http: Http, method: str, path: str, status: int
) -> None:
    async with http.session.request(method, http.base + path) as answer:
        assert answer.status == status
        assert answer.content_type == "application/json"


async def test_a_body_over_the_limit_is_refused(http: Http) -> None:
    async with http.session.post(
        f"{http.base}/api/v1/runs/start",
        data=io.BytesIO(b" " * (5 * 1024 * 1024)),
        headers={"Content-Type": "application/json"},
    ) as answer:
        assert answer.status == 413
        told = (await answer.json())["error"]
    assert told["status"] == "INVALID_ARGUMENT"


async def test_an_engine_on_the_real_clock_lets_nobody_set_it(http: Http) -> None:
    for path, body in (("lock", {}), ("advance", {"seconds": 1})):
        status, answer = await http.post(f"/api/v1/clock/{path}", body)
        assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert (await http.ok("clock/now"))["locked"] is False


async def test_the_engine_describes_itself_and_what_it_can_run(http: Http) -> None:
    info = await http.ok("engine/info")
    assert info["database"] == "everact.db"
    assert info["workers"][0]["queues"] == ["default"]
    known = await http.ok("engine/definitions")
    (basket,) = [w for w in known["workflows"] if w["name"] == "Basket"]
    assert basket["signals"] == ["add"] and basket["queries"] == ["sizes"]
    assert known["actors"] == ["Counter"]


async def test_a_mistake_of_ours_is_logged_and_told_without_details(
    http: Http, runtime: Runtime, monkeypatch: Any, caplog: Any
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(runtime.engine.store.reads, "search", broken)
    status, answer = await http.post("/api/v1/runs/search", {})
    assert (status, answer["error"]["status"]) == (500, "INTERNAL")
    assert "secret" not in answer["error"]["message"]
    assert "ZeroDivisionError" in caplog.text


async def test_with_an_sdk_every_request_is_a_span_in_the_callers_trace(
    http: Http, monkeypatch: Any
) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    header = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    await http.post("/api/v1/runs/count", {}, **header)
    spans = {span.name: span for span in kept.get_finished_spans()}
    assert set(spans) == {"POST /api/v1/runs/count", "runs.count"}
    outer = spans["POST /api/v1/runs/count"]
    assert f"{outer.context.trace_id:032x}" == trace_id
    parent, attributes = spans["runs.count"].parent, outer.attributes
    assert parent is not None and attributes is not None
    assert parent.span_id == outer.context.span_id
    assert attributes["http.response.status_code"] == 200
