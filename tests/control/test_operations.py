"""What the operations promise over HTTP, asked with nothing but HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from everact.runtime import Runtime
from tests.control.conftest import Http

pytestmark = pytest.mark.real_time

ORDER = {
    "id": "7f2d6f0e-5f4a-4d1a-9d43-5f0f0a0c8a11",
    "placed": "2026-01-02T03:04:05Z",
    "size": "small",
    "lines": ["tea"],
}


@pytest.mark.feature("CT-04")
async def test_a_whole_life_needs_nothing_but_http(http: Http) -> None:
    started = await http.ok("runs/start", workflow="squares", args=[6])
    run = {"workflow_id": started["workflow_id"]}
    closed = await http.ok("runs/result", run=run)
    assert closed["status"] == "COMPLETED"
    assert closed["result"] == [0, 1, 4, 9, 16, 25]
    described = await http.ok("runs/describe", run=run)
    assert described["workflow"] == "squares"
    history = await http.ok("runs/history", run=run)
    first = history["items"][0]["events"][0]
    assert first["type"] == "Started" and first["args"] == [6]


@pytest.mark.feature("DC-01", "CT-04")
async def test_arguments_arrive_as_their_type_hints_say(http: Http) -> None:
    started = await http.ok(
        "runs/start", workflow="ship", args=[ORDER], kwargs={"fragile": True}
    )
    closed = await http.ok("runs/result", run={"workflow_id": started["workflow_id"]})
    assert closed["result"] == ORDER | {"lines": ["tea", "SMALL fragile=True"]}


async def test_signals_and_queries_arrive_as_their_hints_say(http: Http) -> None:
    await http.ok("runs/start", workflow="Basket", workflow_id="b")
    run = {"workflow_id": "b"}
    await http.ok("runs/signal", run=run, name="add", args=[ORDER])
    found = await http.ok("runs/query", run=run, name="sizes", args=["small"])
    assert found == {"value": ["small"]}
    found = await http.ok("runs/query", run=run, name="sizes", args=["large"])
    assert found == {"value": []}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"workflow": "squares", "args": ["six"]}, "argument 'n' of squares"),
        ({"workflow": "squares"}, "missing a required argument: 'n'"),
        ({"workflow": "squares", "argz": [6]}, "unknown field `argz`"),
        ({"workflow": "ship", "args": [{"id": 1}]}, "$.id"),
        ({}, "workflow"),
        (b"{", "truncated"),
        (b"\x80\x04", "malformed"),
        (b"[" * 100_000, ""),
    ],
)
@pytest.mark.feature("CT-04")
async def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    http: Http, body: Any, says: str
) -> None:
    status, answer = await http.post("/api/v1/runs/start", body)
    assert status == 400
    assert answer["error"]["status"] == "INVALID_ARGUMENT"
    assert says in answer["error"]["message"]
    assert (await http.ok("runs/search"))["runs"] == []


@pytest.mark.feature("MS-20")
async def test_a_payload_that_no_run_could_read_is_refused(http: Http) -> None:
    deep = b"[" * 900 + b"]" * 900
    for payload in (b"1e999", b'"\xff"', deep, b"1]", b""):
        body = b'{"key": "k", "payload": ' + payload + b"}"
        status, answer = await http.post("/api/v1/events/push", body)
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    for payload in (b"1e99", b'"\\u0000"', b"9" * 100, b'{"a": [null]}'):
        body = b'{"key": "k", "payload": ' + payload + b"}"
        status, _ = await http.post("/api/v1/events/push", body)
        assert status == 200, payload
    assert len((await http.ok("events/list"))["items"]) == 4


@pytest.mark.feature("ER-02")
async def test_a_refusal_tells_class_status_and_data(http: Http) -> None:
    started = await http.ok("runs/start", workflow="Basket", workflow_id="b")
    status, answer = await http.post(
        "/api/v1/runs/start", {"workflow": "Basket", "workflow_id": "b"}
    )
    assert status == 409
    told = answer["error"]
    assert told["type"] == "WorkflowAlreadyStarted"
    assert told["status"] == "ALREADY_EXISTS"
    assert told["data"] == {
        "workflow_id": "b",
        "workflow_type": "Basket",
        "run_id": started["run_id"],
        "closed": False,
    }


async def test_a_wait_is_bounded_and_says_not_yet(http: Http) -> None:
    await http.ok("runs/start", workflow="Basket", workflow_id="b")
    run = {"workflow_id": "b"}
    status, answer = await http.post("/api/v1/runs/result", {"run": run, "wait": 0.01})
    assert (status, answer) == (202, {"not_yet": True})
    status, _ = await http.post("/api/v1/runs/result", {"run": run, "wait": 61})
    assert status == 400


async def test_a_failed_run_tells_its_failure_and_no_pickle(http: Http) -> None:
    started = await http.ok("runs/start", workflow="breaks")
    closed = await http.ok("runs/result", run={"workflow_id": started["workflow_id"]})
    assert closed["status"] == "FAILED"
    assert closed["failure"]["type"] == "ValueError"
    assert closed["failure"]["message"] == "as it should"
    assert "value" not in closed["failure"] and "result" not in closed


async def test_a_value_without_json_form_is_a_marker(http: Http) -> None:
    started = await http.ok("runs/start", workflow="gives_what_json_has_not")
    closed = await http.ok("runs/result", run={"workflow_id": started["workflow_id"]})
    assert closed["result"] == {"$python": "builtins.function"}


async def test_reading_operations_also_take_query_parameters(http: Http) -> None:
    await http.ok("runs/start", workflow="squares", args=[1], workflow_id="s")
    await http.ok("runs/result", run={"workflow_id": "s"})
    status, found = await http.get("/api/v1/runs/describe", **{"run.workflow_id": "s"})
    assert status == 200 and found["workflow_id"] == "s"
    asked = {"page_size": "1", "narrowed.status": "COMPLETED"}
    status, found = await http.get("/api/v1/runs/search", **asked)
    assert status == 200 and [run["workflow_id"] for run in found["runs"]] == ["s"]
    status, found = await http.get("/api/v1/runs/search", page_size="one")
    assert status == 400 and "'page_size'" in found["error"]["message"]
    status, found = await http.get("/api/v1/runs/start", workflow="squares")
    assert status == 405


@pytest.mark.feature("ID-11")
async def test_the_same_request_again_is_the_same_run(http: Http) -> None:
    body = {"workflow": "squares", "args": [1], "request_id": "r1"}
    first = await http.ok("runs/start", **body)
    again = await http.ok("runs/start", **body)
    assert again["run_id"] == first["run_id"]
    assert (await http.ok("runs/count"))["count"] == 1


@pytest.mark.feature("ID-11")
async def test_another_request_under_the_same_id_is_a_conflict(http: Http) -> None:
    start = {"workflow": "Basket", "workflow_id": "b", "request_id": "r1"}
    await http.ok("runs/start", **start)
    other = start | {"workflow_id": "c"}
    status, found = await http.post("/api/v1/runs/start", other)
    assert (status, found["error"]["status"]) == (409, "ALREADY_EXISTS")
    assert found["error"]["type"] == "RequestIdReused"
    assert found["error"]["data"] == {
        "request_id": "r1",
        "first": "runs.start of 'Basket', 'b'",
        "second": "runs.start of 'Basket', 'c'",
    }
    put = {"run": {"workflow_id": "b"}, "name": "put"}
    named = {"Idempotency-Key": "r1"}
    status, found = await http.post("/api/v1/runs/signal", put, **named)
    assert (status, found["error"]["type"]) == (409, "RequestIdReused")
    ours = other | {"request_id": "everact:run:mine"}
    status, found = await http.post("/api/v1/runs/start", ours)
    assert (status, found["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (await http.ok("runs/count"))["count"] == 1


async def test_a_batch_answers_every_start_on_its_own(
    http: Http, runtime: Runtime
) -> None:
    await http.ok("runs/start", workflow="Basket", workflow_id="taken")
    answer = await http.ok(
        "runs/start_batch",
        starts=[
            {"workflow": "squares", "args": [1], "workflow_id": "a"},
            {"workflow": "Basket", "workflow_id": "taken"},
            {"workflow": "squares", "args": ["x"], "workflow_id": "c"},
            {"workflow": "squares", "args": [2], "workflow_id": "d"},
        ],
    )
    first, second, third, fourth = answer["items"]
    assert first["started"]["workflow_id"] == "a" and first["error"] is None
    assert second["error"]["status"] == "ALREADY_EXISTS"
    assert third["error"]["status"] == "INVALID_ARGUMENT"
    assert await runtime.handle("d").result() == [0, 1]
    assert fourth["started"]["created"]


@pytest.mark.feature("CT-04")
async def test_runs_are_tallied_by_status_and_listed_by_how_their_id_begins(
    http: Http,
) -> None:
    for number in (1, 2):
        await http.ok("runs/start", workflow="Basket", workflow_id=f"a-{number}")
    await http.ok("runs/start", workflow="breaks", workflow_id="b-1")
    await http.ok("runs/start", workflow="nobody_knows", workflow_id="b-2")
    await http.ok("runs/result", run={"workflow_id": "b-1"})
    assert await tallied(http) == ({"running": 3, "failed": 1}, 1)
    assert await tallied(http, id_prefix="a-") == ({"running": 2}, 0)
    assert (await http.ok("runs/count", workspace="b"))["count"] == 0
    found = await http.ok("runs/search", narrowed={"id_prefix": "a-"}, newest=True)
    assert [line["workflow_id"] for line in found["runs"]] == ["a-2", "a-1"]
    aside = {"narrowed.put_aside": "true"}
    status, found = await http.get("/api/v1/runs/search", **aside)
    assert status == 200
    assert [line["workflow_id"] for line in found["runs"]] == ["b-2"]


async def tallied(http: Http, query: str = "", **by: Any) -> tuple[dict[str, int], int]:
    """How many runs match by status, and how many of them are put aside."""
    found = await http.ok("runs/count", query=query, narrowed=by, group_by="status")
    groups = {group["value"]: group["count"] for group in found["groups"]}
    assert found["count"] == sum(groups.values())
    by |= {"put_aside": True}
    aside = await http.ok("runs/count", query=query, narrowed=by, group_by="status")
    return groups, aside["count"]


@pytest.mark.feature("VS-11")
async def test_the_newest_runs_come_page_by_page_whatever_became_of_them(
    http: Http,
) -> None:
    for number in range(5):
        await http.ok("runs/start", workflow="Basket", workflow_id=f"n-{number}")
    await http.ok("runs/terminate", run={"workflow_id": "n-3"})
    seen, asked = [], {"newest": True, "page_size": 2}
    while True:
        page = await http.ok("runs/search", **asked)
        seen += [line["workflow_id"] for line in page["runs"]]
        if not page["next_page_token"]:
            break
        asked["next_page_token"] = page["next_page_token"]
    assert seen == ["n-4", "n-3", "n-2", "n-1", "n-0"]
    del asked["newest"]  # the token is of another order
    status, fault = await http.post("/api/v1/runs/search", asked)
    assert status == 400 and "next_page_token" in fault["error"]["message"]


@pytest.mark.feature("VS-07")
async def test_what_a_filter_finds_is_tallied_narrowed_and_shown_with_attributes(
    http: Http,
) -> None:
    await http.ok("search_attributes/add", keys={"Shop": "KEYWORD"})
    shop = {"Shop": {"kind": "KEYWORD", "value": "north"}}
    options = {"extras": {"attributes": shop}}
    for name, workflow in (("a-1", "Basket"), ("a-2", "nobody_knows")):
        start = {"workflow": workflow, "workflow_id": name, "options": options}
        await http.ok("runs/start", **start)
    await http.ok("runs/start", workflow="nobody_knows", workflow_id="b-1")
    query = "Shop = 'north' ORDER BY workflow_id"
    assert await tallied(http, query) == ({"running": 2}, 1)
    assert await tallied(http, query, id_prefix="a-1") == ({"running": 1}, 0)
    for narrowed, expected in (
        ({}, ["a-1", "a-2"]),
        ({"id_prefix": "a-1"}, ["a-1"]),
        ({"put_aside": True}, ["a-2"]),
        ({"put_aside": True, "workflow": "Basket"}, []),
    ):
        found = await http.ok("runs/search", query=query, narrowed=narrowed)
        assert [run["workflow_id"] for run in found["runs"]] == expected
    found = await http.ok("runs/search", query="put_aside != ''")
    reasons = [run["aside"] for run in found["runs"]]
    assert len(reasons) == 2 and all(reasons)
    await http.ok("runs/terminate", run={"workflow_id": "b-1"})
    found = await http.ok("runs/search", query="PutAside IS NOT NULL")
    assert [run["workflow_id"] for run in found["runs"]] == ["a-2"]
    listed = await http.ok("runs/search", newest=True)
    assert [line["attributes"] for line in listed["runs"]] == [{}, shop, shop]
    status, fault = await http.post("/api/v1/runs/count", {"query": "Shop ="})
    assert status == 400 and "wrong at character 7" in fault["error"]["message"]
