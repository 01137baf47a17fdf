"""The safety table: whoever asks, by whichever front, is told the same.

What HTTP adds to it (hosts, pages, methods, heads) is in `tests/control/safety`.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Runtime
from everact.runtime.door import Scope, TokenFile, callers
from everact.runtime.door.tokens import PREFIX
from everact.runtime.operations.base import OPERATIONS
from everact.runtime.operations.searching import SearchRuns
from everact.runtime.operations.table import OPERATIONS as ALL
from tests.control.garbage import RAW
from tests.door.conftest import Tokens
from tests.door.fronts import KINDS, LARGEST, Front, opened

pytestmark = pytest.mark.real_time

NAMES = sorted(operation.name for operation in ALL.values())
REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")

# -- who may do what -------------------------------------------------------------------

EVERYBODY = {"user", "runner", "admin", "task"}
MAY = {
    "engine.info": EVERYBODY,
    "engine.definitions": EVERYBODY,
    "runs.search": EVERYBODY,
    "runs.describe": EVERYBODY,
    "runs.result": EVERYBODY,
    "runs.query": EVERYBODY,
    "runs.follow": EVERYBODY,
    "runs.start": {"user", "admin", "task"},
    "runs.execute": {"user", "admin", "task"},
    "runs.signal": {"user", "admin", "task"},
    "runs.cancel": {"user", "admin", "task"},
    "runs.terminate": {"user", "admin", "task"},
    "events.push": {"user", "admin", "task"},
    "schedules.create": {"user", "admin", "task"},
    "tasks.heartbeat": {"runner", "admin", "task"},
    "search_attributes.add": {"admin"},
    "search_attributes.remove": {"admin"},
    "clock.advance": {"admin"},
}
"""Which scopes are let in; an empty request then is right, or wrong in itself."""


@pytest.mark.feature("AU-10")
async def test_every_front_of_an_engine_knows_its_tasks(
    front: Front, runtime: Runtime
) -> None:
    secret = front.token_of_tasks("default")
    assert (await front.ask("runs.count", {}, secret)).status == "OK"
    for kind in reversed(KINDS):  # what HTTP gave is gone with it
        async with opened(kind, runtime) as other:
            assert other.token_of_tasks("default") == secret
            assert (await other.ask("runs.count", {}, secret)).status == "OK"
            assert (await front.ask("runs.count", {}, secret)).status == "OK"


@pytest.mark.feature("AU-01", "AU-10")
@pytest.mark.parametrize("operation", MAY)
async def test_each_scope_may_do_what_it_is_for(
    front: Front, tokens: Tokens, operation: str
) -> None:
    shown = {
        scope.value: tokens.new(scope) for scope in Scope if scope is not Scope.TASK
    }
    shown["task"] = front.token_of_tasks("default")
    let_in = set()
    for scope, token in shown.items():
        told = await front.ask(operation, {}, token)
        if told.status not in REFUSED:
            let_in.add(scope)
            continue
        assert told.status == "PERMISSION_DENIED"
        assert told.body["message"] == f"a token of scope {scope!r} does not allow this"
    assert let_in == MAY[operation]


@pytest.mark.feature("AU-01")
async def test_no_operation_is_reached_without_a_token_that_counts(
    front: Front, tokens: Tokens
) -> None:
    expired = TokenFile(tokens.file.path, clock=lambda: 0.0)
    old = expired.create("old", expires_in=1.0)[1]
    revoked = tokens.file.create("gone")[1]
    tokens.file.revoke("gone")
    right = tokens.new(Scope.ADMIN)
    for operation in NAMES:
        told = await front.ask(operation, {})
        assert told.status == "UNAUTHENTICATED"
        assert told.body["message"].startswith("a valid token is needed")
    for wrong in (
        old,
        revoked,
        right[:-1],
        right[:-1] + ("a" if right[-1] != "a" else "b"),
        right + "a",
        right.upper(),
        f"{PREFIX}{'0' * 12}_{'x' * 43}",
        PREFIX,
        "é",
        "x" * 5_000,
        "*",
    ):
        told = await front.ask("runs.search", {}, wrong)
        assert told.status == "UNAUTHENTICATED", wrong
        assert "unknown, revoked or expired" in told.body["message"]
        assert wrong not in told.body["message"] or len(wrong) < 3
    assert (await front.ask("runs.search", {}, right)).status == "OK"


@pytest.mark.feature("AU-01")
async def test_a_file_of_tokens_that_others_can_read_lets_nobody_in(
    front: Front, tokens: Tokens
) -> None:
    token = tokens.new()
    tokens.file.path.chmod(0o644)
    told = await front.ask("runs.search", {}, token)
    assert told.status == "UNAVAILABLE"
    assert str(tokens.file.path.parent) not in told.body["message"]
    assert (await front.ask("runs.search", {})).status == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["runs.nothing", "nothing", "runs", "runs.start.x"])
async def test_an_unknown_operation_is_not_found_by_those_who_may_know(
    front: Front, tokens: Tokens, name: str
) -> None:
    assert (await front.ask(name, {})).status == "UNAUTHENTICATED"
    told = await front.ask(name, {}, tokens.new(Scope.ADMIN))
    assert told.status == "NOT_FOUND"


# -- what a token reaches --------------------------------------------------------------

REF = {"workflow_id": "w", "workspace": "b"}
REACHING: list[tuple[str, dict[str, Any]]] = [
    ("runs.start", {"workflow": "Basket", "workflow_id": "w", "workspace": "b"}),
    ("runs.execute", {"start": {"workflow": "Basket", "workspace": "b"}, "wait": 0}),
    ("runs.describe", {"run": REF}),
    ("runs.history", {"run": REF}),
    ("runs.signal", {"run": REF, "name": "add", "args": ["x"]}),
    ("runs.query", {"run": REF, "name": "sizes"}),
    ("runs.cancel", {"run": REF}),
    ("runs.terminate", {"run": REF}),
    ("runs.result", {"run": REF, "wait": 0}),
    ("runs.follow", {"run": REF}),
    ("runs.watch", {"workspace": "b"}),
    ("runs.search", {"workspace": "b"}),
    ("runs.count", {"workspace": "b"}),
    ("runs.start_batch", {"starts": [{"workflow": "Basket", "workspace": "b"}]}),
    ("events.push", {"key": "k", "workspace": "b"}),
]


@pytest.mark.feature("AU-01")
@pytest.mark.parametrize(("operation", "body"), REACHING, ids=[r[0] for r in REACHING])
async def test_another_workspace_is_as_if_it_did_not_exist(
    front: Front, tokens: Tokens, operation: str, body: dict[str, Any]
) -> None:
    ours, theirs = tokens.new(Scope.USER, "a"), tokens.new(Scope.USER, "b")
    start = {"workflow": "Basket", "workflow_id": "w", "workspace": "b"}
    assert (await front.ask("runs.start", start, theirs)).status == "OK"
    told = await front.ask(operation, body, ours)
    assert told.status == "NOT_FOUND"
    assert told.body["message"] == "no workspace 'b' is known"
    of_tasks = await front.ask(operation, body, front.token_of_tasks("a"))
    assert of_tasks == told
    text = pickle.dumps(body).replace(
        b"workspace\x94\x8c\x01b", b"workspace\x94\x8c\x01c"
    )
    never_made = await front.ask(operation, pickle.loads(text), ours)
    assert never_made.body["message"] == "no workspace 'c' is known"
    found = await front.ask("runs.describe", {"run": REF}, theirs)
    assert found.body["status"] == "RUNNING"


@pytest.mark.feature("AU-01")
async def test_what_belongs_to_no_workspace_is_for_tokens_of_every_workspace(
    front: Front, tokens: Tokens
) -> None:
    one, every = tokens.new(Scope.ADMIN, "a"), tokens.new(Scope.ADMIN)
    assert (await front.ask("actors.list", {}, one)).status == "PERMISSION_DENIED"
    assert (await front.ask("actors.list", {}, every)).status == "OK"
    assert (await front.ask("engine.info", {}, one)).status == "OK"


# -- what a request may be -------------------------------------------------------------


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.trace,)


@pytest.mark.feature("CT-04", "CT-05")
async def test_hostile_bodies_are_refused_and_leave_nothing(
    front: Front, tokens: Tokens, tmp_path: Path
) -> None:
    token = tokens.new()
    pickled = pickle.dumps(Trap(tmp_path / "trace"))
    assert b"trace" in pickled
    wrong: list[Any] = [raw for raw in RAW if raw and len(raw) < LARGEST // 2]
    wrong += [
        pickled.replace(b"\n", b"\x0b"),
        {"workflow": "echo", "nothing": 1},
        {"workflow": 1},
        {"workflow": "squares", "args": ["six"]},
        {"workflow": "echo", "options": {"queue": ""}},
        {"workflow": "echo", "options": {"run_timeout": -1}},
        {"workflow": "echo", "options": {"run_timeout": 1e300}},
        [],
    ]
    for body in wrong:
        sent = b"[]" if body == [] else body
        told = await front.ask("runs.start", sent, token)
        assert told.status == "INVALID_ARGUMENT", body
    assert (await front.ask("runs.search", {}, token)).body["runs"] == []
    coded = {"$encoded": "x", "data": ""}
    for args in ([coded], [{"$python": "os.system"}]):
        await front.ask("runs.start", {"workflow": "echo", "args": args}, token)
    assert not (tmp_path / "trace").exists()


@pytest.mark.feature("CT-05")
async def test_a_request_beyond_the_limit_is_refused_and_the_next_is_answered(
    front: Front, tokens: Tokens
) -> None:
    token = tokens.new()
    start = {"workflow": "echo", "workflow_id": "large", "args": ["x" * LARGEST]}
    told = await front.ask("runs.start", start, token)
    assert told.status == "INVALID_ARGUMENT"
    assert told.body["message"] == f"the body is larger than {LARGEST} bytes"
    assert (await front.ask("runs.search", {}, token)).body["runs"] == []
    start["args"] = ["x" * (LARGEST // 2)]
    assert (await front.ask("runs.start", start, token)).status == "OK"


async def test_a_wait_is_bounded_and_ends_with_not_yet(
    front: Front, tokens: Tokens
) -> None:
    token = tokens.new()
    await front.ask("runs.start", {"workflow": "Basket", "workflow_id": "b"}, token)
    asked = {"run": {"workflow_id": "b"}}
    told = await front.ask("runs.result", asked | {"wait": 0.01}, token)
    assert told == ("NOT_YET", {"not_yet": True})
    for wait in (-1, 61, 1e300):
        told = await front.ask("runs.result", asked | {"wait": wait}, token)
        assert told.status == "INVALID_ARGUMENT"


async def test_what_is_executed_is_told_of_when_the_wait_is_over(
    front: Front, tokens: Tokens
) -> None:
    token = tokens.new()
    asked = {"start": {"workflow": "Basket", "workflow_id": "b"}}
    for wait in (-1, 61, 1e300, None):
        told = await front.ask("runs.execute", asked | {"wait": wait}, token)
        assert told.status == "INVALID_ARGUMENT"
    assert (await front.ask("runs.count", {}, token)).body["count"] == 0
    for _ in range(2):
        told = await front.ask("runs.execute", asked | {"wait": 0.01}, token, key="r")
        assert (told.status, told.body["closed"]) == ("OK", None)
    assert (await front.ask("runs.count", {}, token)).body["count"] == 1
    short = {"start": {"workflow": "echo", "args": [5]}}
    told = await front.ask("runs.execute", short, token)
    assert told.body["closed"]["result"] == 5


# -- request IDs -----------------------------------------------------------------------


@pytest.mark.feature("ID-11")
@pytest.mark.parametrize("place", ["in the request", "beside it"])
async def test_a_request_under_a_known_id_is_not_carried_out_again(
    front: Front, tokens: Tokens, place: str
) -> None:
    token, elsewhere = tokens.new(), tokens.new(Scope.USER, "a")

    async def start(name: str, token: str = token, **more: str) -> Any:
        body = {"workflow": "Basket", "workflow_id": name} | more
        if place == "in the request":
            return await front.ask("runs.start", body | {"request_id": "r"}, token)
        return await front.ask("runs.start", body, token, key="r")

    first = await start("one")
    assert (first.status, first.body["created"]) == ("OK", True)
    again = await start("one")
    assert (again.status, again.body["run_id"]) == ("OK", first.body["run_id"])
    other = await start("two")
    assert (other.status, other.body["type"]) == ("ALREADY_EXISTS", "RequestIdReused")
    apart = await start("two", elsewhere, workspace="a")
    assert apart.status == "OK"  # IDs of another workspace are others
    put = {"run": {"workflow_id": "one"}, "name": "put", "request_id": "r"}
    told = await front.ask("runs.signal", put, token)
    assert told.body["type"] == "RequestIdReused"
    assert (await front.ask("runs.count", {}, token)).body["count"] == 1


@pytest.mark.feature("ID-11")
async def test_an_id_of_a_refused_request_stays_free_and_ours_are_refused(
    front: Front, tokens: Tokens
) -> None:
    token, runner = tokens.new(), tokens.new(Scope.RUNNER)
    start = {"workflow": "squares", "workflow_id": "s", "request_id": "r"}
    told = await front.ask("runs.start", start | {"args": [1]}, runner)
    assert told.status == "PERMISSION_DENIED"
    told = await front.ask("runs.start", start | {"args": ["x"]}, token)
    assert told.status == "INVALID_ARGUMENT"
    assert (await front.ask("runs.start", start | {"args": [1]}, token)).status == "OK"
    ours = start | {"request_id": "everact:run:mine"}
    told = await front.ask("runs.start", ours, token)
    assert told.status == "INVALID_ARGUMENT"


# -- how an answer ends ----------------------------------------------------------------


@pytest.mark.feature("AU-01")
@pytest.mark.parametrize("end", ["revoked", "readable", "gone"])
@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("runs.watch", {}),
        ("runs.follow", {"run": {"workflow_id": "b"}}),
        ("runs.result", {"run": {"workflow_id": "b"}, "wait": 60}),
        ("runs.execute", {"start": {"workflow": "Basket"}, "wait": 60}),
    ],
)
async def test_an_answer_that_takes_its_time_ends_soon_after_its_token(
    front: Front,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    body: dict[str, Any],
    end: str,
) -> None:
    monkeypatch.setattr(callers, "LOOK_AGAIN_SECONDS", 0.05)
    start = {"workflow": "Basket", "workflow_id": "b"}
    assert (await front.ask("runs.start", start, tokens.new())).status == "OK"
    token = tokens.file.create("watcher")[1]
    reading = asyncio.ensure_future(front.read_all(operation, body, token))
    done, _ = await asyncio.wait((reading,), timeout=0.3)
    assert not done  # several looks later it is still there
    if end == "revoked":
        tokens.file.revoke("watcher")
    elif end == "readable":
        tokens.file.path.chmod(0o644)
    else:
        tokens.file.path.unlink()
    said = await reading
    if operation in ("runs.result", "runs.execute"):
        assert b"the token no longer counts" in said and b"UNAUTHENTICATED" in said
    else:
        assert b"error" not in said and b"not_yet" not in said


async def test_an_engine_that_is_closed_takes_nothing_more(
    front: Front, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens.new()
    monkeypatch.setattr(front.runtime.engine, "stopping", True)
    for operation in ("runs.search", "runs.start", "runs.watch"):
        told = await front.ask(operation, {"workflow": "echo"}, token)
        assert told.status == "UNAVAILABLE"
        assert told.body["message"] == "the runtime is closed or closing; ask again"


async def test_a_fault_of_ours_is_told_without_details(
    front: Front,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("a mistake of ours")

    row = OPERATIONS[SearchRuns]._replace(handler=broken)
    monkeypatch.setitem(OPERATIONS, SearchRuns, row)
    token = tokens.new()
    with caplog.at_level(logging.ERROR):
        told = await front.ask("runs.search", {}, token)
    assert told.status == "INTERNAL"
    assert "mistake" not in told.body["message"]
    assert "ZeroDivisionError: a mistake of ours" in caplog.text
    assert token not in caplog.text
    assert (await front.ask("runs.count", {}, token)).status == "OK"
