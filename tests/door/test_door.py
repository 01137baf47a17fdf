"""What the door promises to a front, asked without any."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec.structs import replace

from everact.runtime import Runtime
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.opaque import Payload, stands_for
from everact.runtime.core.records import StartOptions
from everact.runtime.door import Callers, Door, NotYet, Scope
from everact.runtime.door.trust import check_payloads
from everact.runtime.errors import EndpointError, RPCError
from everact.runtime.operations.base import Request
from everact.runtime.operations.batches import StartRuns
from everact.runtime.operations.runs import AwaitRun, DescribeRun, ReadHistory, RunRef
from everact.runtime.operations.searching import SearchRuns
from everact.runtime.operations.starting import StartRun
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.operations.tasks import CompleteTask, FailTask, TaskRef
from everact.runtime.statuses import RPCStatus
from everact.runtime.values.coded import OWN
from everact.runtime.values.payloads import JSON_TAG
from tests.door.conftest import Tokens

pytestmark = pytest.mark.real_time

PACKAGE = Path(__file__).parents[2] / "runtime" / "door"


@pytest.fixture
def door(runtime: Runtime, tokens: Tokens) -> Door:
    return Door(runtime.engine, Callers(tokens.file))


def basket(workflow_id: str, request_id: str = "", workspace: str = "a") -> StartRun:
    return StartRun(
        workflow="Basket",
        workflow_id=workflow_id,
        request_id=request_id,
        workspace=workspace,
    )


async def test_while_no_token_was_made_everybody_may_do_everything(door: Door) -> None:
    for bearer in (None, "", "anything"):
        caller = door.caller(bearer)
        assert caller.scope is Scope.ADMIN and caller.reaches("any")


async def test_a_token_that_is_made_is_asked_for_from_then_on(
    door: Door, tokens: Tokens
) -> None:
    door.caller(None)
    text = tokens.new(Scope.USER, "a")
    assert door.caller(text).workspaces == ("a",)
    with pytest.raises(RPCError, match=r"^a valid token is needed$") as refused:
        door.caller(None)
    assert refused.value.status is RPCStatus.UNAUTHENTICATED
    tokens.file.path.unlink()
    with pytest.raises(RPCError, match="unknown, revoked or expired"):
        door.caller(text)


def test_tokens_that_nobody_can_have_are_not_asked_for() -> None:
    with pytest.raises(EndpointError, match="give the endpoint a TokenFile"):
        Callers(None, authentication=True)


async def test_what_a_caller_may_not_ask_is_refused_before_anything_happens(
    door: Door, tokens: Tokens
) -> None:
    runner = door.caller(tokens.new(Scope.RUNNER, "a"))
    elsewhere = door.caller(tokens.new(Scope.USER, "b"))
    with pytest.raises(RPCError) as refused:
        await door.call(runner, basket("w"))
    assert refused.value.status is RPCStatus.PERMISSION_DENIED
    with pytest.raises(RPCError, match="no workspace 'a' is known") as refused:
        await door.call(elsewhere, basket("w"))
    assert refused.value.status is RPCStatus.NOT_FOUND
    everybody = door.caller(tokens.new(Scope.ADMIN))
    assert (await door.call(everybody, SearchRuns(workspace="a"))).runs == ()


async def test_an_id_beside_a_request_counts_only_where_it_has_none(
    door: Door,
) -> None:
    caller = door.caller(None)
    first = await door.call(caller, basket("one"), request_id="r")
    again = await door.call(caller, basket("one", "r"), request_id="ignored")
    assert again.run_id == first.run_id
    ref = RunRef(workflow_id="one", workspace="a")
    found = await door.call(caller, DescribeRun(run=ref), request_id="r")
    assert found.run_id == first.run_id  # what changes nothing has no ID


async def test_a_wait_ends_with_not_yet_and_is_bounded(door: Door) -> None:
    caller = door.caller(None)
    await door.call(caller, basket("one"))
    asked = AwaitRun(run=RunRef(workflow_id="one", workspace="a"))
    with pytest.raises(NotYet):
        await door.call(caller, asked, wait=0.01)
    for wait in (-1, 60.1, math.inf, math.nan):
        with pytest.raises(RPCError, match="0 to 60 seconds") as refused:
            await door.call(caller, asked, wait=wait)
        assert refused.value.status is RPCStatus.INVALID_ARGUMENT


async def test_what_need_not_wait_is_read_whatever_the_wait(door: Door) -> None:
    caller = door.caller(None)
    await door.call(caller, basket("one"))
    ref = RunRef(workflow_id="one", workspace="a")
    assert await door.call(caller, ReadHistory(run=ref), wait=0)
    with pytest.raises(NotYet):
        after = (9, 9)
        asked = ReadHistory(run=ref, after=after, follow=True)
        await door.call(caller, asked, wait=0)


LOADED: list[str] = []


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return LOADED.append, ("loaded",)


def pickled(tag: bytes) -> bytes:
    return tag + pickle.dumps(Trap())


TOKEN = TaskRef(workflow_id="w", task_id="1", workspace="a")


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize("tag", [b"", b"p", b"c", bytes((OWN, 1)) + b"c"])
@pytest.mark.parametrize(
    "asked",
    [
        lambda value: replace(basket("w"), args=(JSON_TAG + b"1", value)),
        lambda value: replace(basket("w"), kwargs={"a": value}),
        lambda value: replace(basket("w"), options=StartOptions(memo={"a": value})),
        lambda value: StartRuns(starts=(replace(basket("w"), args=(value,)),)),
        lambda value: CompleteTask(task=TOKEN, result=value),
        lambda value: FailTask(
            task=TOKEN,
            failure=Failure(
                FailureKind.APPLICATION,
                "E",
                "m",
                cause=Failure(FailureKind.APPLICATION, "E", "m", details=(value,)),
            ),
        ),
    ],
    ids=["args", "kwargs", "memo", "batch", "result", "cause"],
)
async def test_a_front_cannot_hand_over_a_pickle(
    door: Door, tag: bytes, asked: Callable[[bytes], Any]
) -> None:
    """However it came by it: whatever could be one is refused and not loaded."""
    with pytest.raises(RPCError, match="neither data nor") as refused:
        await door.call(door.caller(None), asked(pickled(tag)))
    assert refused.value.status is RPCStatus.INVALID_ARGUMENT
    assert LOADED == []
    found = await door.call(door.caller(None), SearchRuns(workspace="a"))
    assert found.runs == ()


async def test_a_pickled_exception_comes_in_through_no_door(door: Door) -> None:
    failure = Failure(FailureKind.APPLICATION, "E", "m", value=pickled(b""))
    with pytest.raises(RPCError, match="neither data"):
        await door.call(door.caller(None), FailTask(task=TOKEN, failure=failure))
    assert LOADED == []


class Raw(Request[None], frozen=True, kw_only=True):
    raw: bytes = b""
    more: bytes | None = None


@pytest.mark.parametrize("name", ["raw", "more"])
def test_bytes_of_a_request_that_are_no_payload_come_in_through_no_door(
    name: str,
) -> None:
    check_payloads(Raw())
    with pytest.raises(RPCError, match=f"^{name} holds a value that is neither data"):
        check_payloads(Raw(**{name: JSON_TAG + b"1"}))


def unseen(hint: Any, above: tuple[Any, ...] = ()) -> list[str]:
    """Where bytes that stand for nothing are in anything but a field of their own."""
    if stands_for(hint) is not None or hint in above:
        return []
    if hint in (bytes, bytearray, memoryview, msgspec.Raw):
        return [str(above[-1])]
    inside = get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint, include_extras=True).values()
        inside = tuple(inner for inner in hints if inner not in (bytes, bytes | None))
    return [place for inner in inside for place in unseen(inner, (*above, hint))]


class Deep(Request[None], frozen=True, kw_only=True):
    raw: Raw | None = None
    deep: tuple[dict[str, Payload | bytes], ...] = ()
    next: Deep | None = None


def test_no_request_has_bytes_where_the_door_does_not_look() -> None:
    assert unseen(Raw) == [] and len(unseen(Deep)) == 1
    assert len(OPERATIONS) > 40
    found = {kind.__name__: unseen(kind) for kind in OPERATIONS}
    assert {name: places for name, places in found.items() if places} == {}


async def test_a_namespace_is_the_workspace_of_its_name(door: Door) -> None:
    assert door.workspace("orders") == "orders"
    assert door.workspace("") == "default"
    with pytest.raises(RPCError, match="name one"):
        door.workspace("*")


def test_no_word_of_a_protocol_stands_in_the_package() -> None:
    """Its imports are held by a contract in setup.cfg."""
    words = r"(?i:http|header|cookie|\burls?\b|authorization)|\bGET\b|\bPOST\b"
    found = {
        f"{file.name}: {line.strip()}"
        for file in PACKAGE.glob("*.py")
        for line in file.read_text("utf-8").splitlines()
        if re.search(words, line)
    }
    assert found == set()
