"""The guard around the real endpoint: every route of the table, with a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
import pytest_asyncio

from everact.runtime import Runtime
from everact.runtime.control import dashboard
from everact.runtime.control.app import make_app
from everact.runtime.control.guard import Guard
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door.callers import Callers
from everact.runtime.door.door import Door
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.errors import AddressInUse, EndpointError
from everact.runtime.operations.access import Access
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.wire import path_of
from everact.runtime.wire.shapes import shape_of
from tests.control.safety.wire import Answer, ask
from tests.control.works import REGISTRY

pytestmark = pytest.mark.real_time

PATHS = sorted(path_of(kind) for kind in OPERATIONS)


class Site:
    """A runtime with its endpoint, and tokens for it."""

    def __init__(self, control: Control, tokens: TokenFile) -> None:
        self.port = control.port
        self.tokens = tokens

    def token(self, scope: Scope = Scope.USER, *workspaces: str) -> str:
        name = f"{scope.value} of {','.join(workspaces)}"
        return self.tokens.create(name, scope=scope, workspaces=workspaces)[1]

    async def post(self, path: str, body: object, token: str = "") -> Answer:
        content = msgspec.json.encode(body)
        return await ask(self.port, "POST", path, body=content, token=token)


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with Runtime(tmp_path / "everact.db", registry=REGISTRY) as runtime:
        yield runtime


@pytest_asyncio.fixture
async def site(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Site]:
    """An endpoint that was open until its first token was made."""
    async with Control(runtime, "127.0.0.1:0") as control:
        made = Site(control, TokenFile.for_database(tmp_path / "everact.db"))
        made.token(Scope.ADMIN, "elsewhere")
        yield made


def test_every_operation_says_who_may_ask_for_it() -> None:
    unsaid = [
        operation.name
        for operation in OPERATIONS.values()
        if operation.access is Access.ADMIN
    ]
    assert sorted(unsaid) == [
        "clock.advance",
        "clock.lock",
        "search_attributes.add",
        "search_attributes.remove",
    ]


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_no_bytes_of_a_request_become_bytes_inside(kind: type) -> None:
    """They might be a pickle: user values come as JSON, and are marked as that."""
    assert bytes not in leaves(shape_of(kind, True).twin, set())


def leaves(kind: Any, seen: set[Any]) -> set[Any]:
    """Every type that JSON can become when it is decoded as `kind`."""
    if kind in seen:
        return set()
    seen.add(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        inner = list(get_type_hints(kind).values())
    else:
        inner = [option for option in get_args(kind) if not isinstance(option, str)]
    found = {kind, get_origin(kind)}
    return found.union(*(leaves(option, seen) for option in inner))


def test_what_belongs_to_no_workspace_and_shows_runs_is_not_for_every_token() -> None:
    """INFO is for all tokens: only what tells nothing of any run may be that."""
    told = {
        operation.name
        for operation in OPERATIONS.values()
        if operation.access is Access.INFO
    }
    assert told == {"clock.now", "engine.definitions", "engine.info"}


@pytest.mark.feature("AU-01")
async def test_actors_are_not_told_to_a_token_of_one_workspace(site: Site) -> None:
    """They belong to none, and their names tell what is going on in others."""
    one = await site.post("/api/v1/actors/list", {}, site.token(Scope.ADMIN, "a"))
    assert (one.status, one.error["status"]) == (403, "PERMISSION_DENIED")
    every = await site.post("/api/v1/actors/list", {}, site.token(Scope.ADMIN))
    assert every.status == 200


@pytest.mark.feature("CT-05", "AU-01")
@pytest.mark.parametrize("path", PATHS)
async def test_no_operation_is_reached_without_a_token_or_by_another_name(
    site: Site, path: str
) -> None:
    ours = f"127.0.0.1:{site.port}"
    for method in ("GET", "POST"):
        body = b"{}" if method == "POST" else b""
        bare = await ask(site.port, method, path, body=body)
        rebound = await ask(site.port, method, path, body=body, host="evil.example")
        crossed = await ask(
            site.port, method, path, {"Origin": "https://evil.example"}, body
        )
        bogus = await ask(site.port, method, path, body=body, token="everact_bogus")
        statuses = [answer.status for answer in (bare, rebound, crossed, bogus)]
        assert statuses == [401, 421, 403, 401]
        assert bare.error["status"] == "UNAUTHENTICATED"
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"):
        assert (await ask(site.port, method, path, host=ours)).status == 405


async def test_only_health_and_the_files_of_the_page_need_no_token(site: Site) -> None:
    """Every route that the application has, compared with a list of the open ones."""
    callers = Callers(None)
    guard = Guard(ControlSettings(), callers)
    async with Runtime(":memory:", registry=REGISTRY) as other:
        app = make_app(Door(other.engine, callers), guard)
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else ""
        answer = await ask(site.port, route.method, path, body=b"")
        if answer.status != 401:
            found.add((route.method, path))
    files = {("GET", path) for path in dashboard.PATHS}
    assert found == files | {("GET", "/healthz"), ("GET", "/readyz")}


@pytest.mark.parametrize("scope", [s for s in Scope if s is not Scope.TASK])
async def test_metrics_and_the_document_are_for_every_token(
    site: Site, scope: Scope
) -> None:
    token = site.token(scope, "a")
    for path in ("/metrics", "/openapi.json", "/api/v1/engine/info"):
        assert (await ask(site.port, "GET", path, token=token)).status == 200
    answer = await ask(site.port, "GET", "/api/v1/actors/tree", token=token)
    assert answer.status == 403


async def test_refused_requests_are_counted_by_route_and_not_by_what_was_typed(
    site: Site,
) -> None:
    for path in ("/nowhere", "/api/v1/runs/search"):
        await ask(site.port, "GET", path)
    token = site.token()
    text = (await ask(site.port, "GET", "/metrics", token=token)).body.decode()
    label = 'method="GET",route="%s",status="401"'
    assert label % "/api/v1/runs/search" in text
    assert label % "unknown" in text
    assert "nowhere" not in text


@pytest.mark.feature("AU-10")
async def test_only_an_administrator_moves_the_clock(site: Site) -> None:
    for scope, status in ((Scope.USER, 403), (Scope.RUNNER, 403), (Scope.ADMIN, 501)):
        token = site.token(scope)
        answer = await site.post("/api/v1/clock/advance", {"seconds": 1}, token)
        assert answer.status == status  # this engine's clock is not one for tests


@pytest.mark.feature("AU-01")
async def test_a_run_is_started_and_found_with_a_token(site: Site) -> None:
    token = site.token()
    start = {"workflow": "squares", "args": [3], "workflow_id": "w"}
    assert (await site.post("/api/v1/runs/start", start)).status == 401
    assert (await site.post("/api/v1/runs/start", start, token)).status == 200
    await_it = {"run": {"workflow_id": "w"}}
    answer = await site.post("/api/v1/runs/result", await_it, token)
    assert msgspec.json.decode(answer.body)["result"] == [0, 1, 4]


@pytest.mark.feature("AU-01")
async def test_a_runner_may_look_but_not_start(site: Site) -> None:
    token = site.token(Scope.RUNNER)
    start = {"workflow": "squares", "args": [3]}
    answer = await site.post("/api/v1/runs/start", start, token)
    assert (answer.status, answer.error["status"]) == (403, "PERMISSION_DENIED")
    listed = await site.post("/api/v1/runs/search", {}, token)
    assert (listed.status, b"squares" in listed.body) == (200, False)


@pytest.mark.feature("AU-01")
async def test_a_run_of_another_workspace_is_as_if_it_did_not_exist(
    site: Site,
) -> None:
    ours, theirs = site.token(Scope.USER, "a"), site.token(Scope.USER, "b")
    start = {"workflow": "Basket", "workflow_id": "w", "workspace": "b"}
    assert (await site.post("/api/v1/runs/start", start, theirs)).status == 200
    started = (await site.post("/api/v1/runs/start", start, ours)).error
    assert started["status"] == "NOT_FOUND"

    for verb, more in (
        ("describe", {}),
        ("history", {}),
        ("signal", {"name": "add", "args": ["x"]}),
        ("query", {"name": "sizes", "args": ["small"]}),
        ("cancel", {}),
        ("terminate", {}),
        ("result", {"wait": 0}),
        ("follow", {}),
    ):
        for workspace in ("b", "never-made"):
            ref = {"workflow_id": "w", "workspace": workspace}
            answer = await site.post(f"/api/v1/runs/{verb}", {"run": ref} | more, ours)
            assert answer.status == 404, verb
            assert answer.error["message"] == f"no workspace {workspace!r} is known"
    for verb in ("search", "count", "watch"):
        answer = await site.post(f"/api/v1/runs/{verb}", {"workspace": "b"}, ours)
        assert answer.status == 404
    ref = {"workflow_id": "w", "workspace": "b"}
    found = await site.post("/api/v1/runs/describe", {"run": ref}, theirs)
    assert msgspec.json.decode(found.body)["status"] == "RUNNING"


@pytest.mark.feature("CT-02")
async def test_the_address_comes_from_the_argument_the_environment_or_the_default(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Control(runtime).settings
    assert (settings.host, settings.port) == ("127.0.0.1", 7575)
    monkeypatch.setenv("EVERACT_CONTROL_ADDRESS", "127.0.0.1:0")
    async with Control(runtime) as control:
        assert control.address == f"127.0.0.1:{control.port}"
        with pytest.raises(AddressInUse, match="another port"):
            await Control(runtime, control.address).__aenter__()
        assert (await ask(control.port, "GET", "/nowhere")).status == 404
    explicit = Control(runtime, "[::1]:1", settings=ControlSettings(body_limit=5))
    assert (explicit.settings.host, explicit.settings.port) == ("::1", 1)
    assert explicit.settings.body_limit == 5


@pytest.mark.feature("CT-05")
async def test_a_database_without_tokens_is_not_served_to_the_network(
    runtime: Runtime,
) -> None:
    with pytest.raises(EndpointError, match="token"):
        await Control(runtime, "0.0.0.0:0").__aenter__()


async def test_an_engine_in_memory_is_served_to_this_machine() -> None:
    async with Runtime(":memory:", registry=REGISTRY) as runtime:
        assert runtime.database_file is None
        async with Control(runtime, "127.0.0.1:0") as control:
            answer = await ask(control.port, "POST", "/api/v1/runs/search", body=b"{}")
            assert answer.status == 200


async def test_tokens_that_nobody_can_have_are_not_asked_for(tmp_path: Path) -> None:
    asking = ControlSettings(authentication=True)
    async with Runtime(":memory:", registry=REGISTRY) as runtime:
        with pytest.raises(EndpointError, match="TokenFile"):
            await Control(runtime, "127.0.0.1:0", settings=asking).__aenter__()
        tokens = TokenFile(tmp_path / "tokens")
        control = Control(runtime, "127.0.0.1:0", settings=asking, tokens=tokens)
        async with control:
            answer = await ask(control.port, "GET", "/api/v1/engine/info")
            assert answer.status == 401
