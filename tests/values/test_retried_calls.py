"""Statuses, policies and failures at work: what an engine makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ApplicationError,
    Call,
    Registry,
    RetryPolicy,
    Runtime,
    WorkflowFailure,
    function,
    retry,
    task,
    workflow,
)
from everact.runtime.core.statuses import RETRIED
from everact.runtime.errors import ClientError, RuntimeStateError
from everact.runtime.functions import Arguments, Status, register_status
from everact.runtime.values import status_of as tables

REGISTRY = Registry()


@pytest.fixture(autouse=True)
def own_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_of_exception", dict(tables._of_exception))


def virtual_clock() -> VirtualClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return VirtualClock(loop)


@pytest_asyncio.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with Runtime(":memory:", registry=REGISTRY, clock=virtual_clock()) as made:
        yield made


attempts: list[float] = []
failing: list[Callable[[], Exception]] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    attempts.clear()
    failing.clear()


async def attempt() -> str:
    """Fails with what `failing` makes, one after the other; then succeeds."""
    attempts.append(asyncio.get_running_loop().time())
    if failing:
        make = failing.pop(0)
        raise make()
    return "done"


@REGISTRY.function
async def called() -> str:
    return await attempt()


@REGISTRY.function
def add(a: int, b: int = 10) -> int:
    return a + b


def with_status(status: Status) -> Callable[[], Exception]:
    """An exception that stands for `status`."""
    kind = type(f"Stands{status.name.title()}", (Exception,), {})
    register_status(kind, status)
    return kind


# -- which statuses are retried ------------------------------------------------------


@pytest.mark.feature("PF-21")
async def test_throttled_twice_succeeds_on_the_third_attempt(runtime: Runtime) -> None:
    failing[:] = [with_status(Status.THROTTLED)] * 2
    assert await called() == "done"
    assert len(attempts) == 3


@pytest.mark.feature("PF-21")
async def test_permission_denied_is_reported_after_one_attempt(
    runtime: Runtime,
) -> None:
    failing[:] = [PermissionError] * 9
    with pytest.raises(PermissionError):
        await called()
    assert len(attempts) == 1


@pytest.mark.feature("PF-21")
@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK], ids=str)
async def test_a_call_is_repeated_for_just_the_retried_statuses(
    runtime: Runtime, status: Status
) -> None:
    failing[:] = [with_status(status)]
    # A status of zero says nothing, which is taken for temporary.
    if status in RETRIED or status is Status.UNSPECIFIED:
        assert await called() == "done"
        assert len(attempts) == 2
    else:
        with pytest.raises(Exception, match=r".*"):
            await called()
        assert len(attempts) == 1


@pytest.mark.feature("PF-21")
async def test_retries_are_bounded_by_the_policy(runtime: Runtime) -> None:
    failing[:] = [with_status(Status.THROTTLED)] * 99
    with pytest.raises(Exception, match=r".*"):
        await called()
    assert len(attempts) == 10


class Overloaded(Exception):
    pass


class Worse(Overloaded):
    pass


@pytest.mark.feature("PF-22")
async def test_an_exception_registered_as_throttled_is_retried(
    runtime: Runtime,
) -> None:
    register_status(Overloaded, Status.PERMANENT_ERROR)
    failing[:] = [Worse]
    with pytest.raises(Overloaded):
        await called()
    register_status(Worse, Status.THROTTLED)
    failing[:] = [Worse]
    assert await called() == "done"


class Reply:
    """What a client library returns instead of raising."""

    def __init__(self, code: int) -> None:
        self.code = code


@pytest.mark.feature("PF-22")
async def test_a_result_registered_with_a_retried_status_is_another_attempt(
    runtime: Runtime,
) -> None:
    register_status(Reply, lambda r: Status.OK if r.code < 429 else Status.THROTTLED)
    replies, registry = [429, 429, 200], runtime.engine.registry

    @function(registry, name="fetch")
    async def fetch() -> Reply:
        return Reply(replies.pop(0))

    assert (await fetch()).code == 200
    assert replies == []


# -- when they are retried -----------------------------------------------------------


def patient(policy: RetryPolicy) -> Any:
    """A workflow that makes one call under `policy`."""
    registry = Registry()
    step = task(retry=policy, registry=registry, name="step")(attempt)

    @workflow(registry=registry, name="patient")
    async def patient() -> str:
        return await step()

    return registry


def gaps() -> list[float]:
    return [b - a for a, b in pairwise(attempts)]


@pytest.mark.feature("RT-01")
@pytest.mark.parametrize(
    ("policy", "failures", "expected"),
    [
        (retry(), 3, [1, 2, 4]),
        (retry(first="100ms", growth=1), 3, [0.1, 0.1, 0.1]),
        (retry(first=2, growth=3, longest=10), 4, [2, 6, 10, 10]),
        (retry(first=0), 2, [0, 0]),
    ],
)
async def test_attempts_follow_the_policys_times(
    policy: RetryPolicy, failures: int, expected: list[float]
) -> None:
    failing[:] = [Overloaded] * failures
    registry = patient(policy)
    async with Runtime(":memory:", registry=registry, clock=virtual_clock()) as made:
        assert await made.execute("patient") == "done"
    assert gaps() == pytest.approx(expected)


@pytest.mark.feature("RT-01")
async def test_a_policy_with_one_attempt_never_repeats() -> None:
    failing[:] = [Overloaded]
    async with Runtime(
        ":memory:", registry=patient(retry(attempts=1)), clock=virtual_clock()
    ) as made:
        with pytest.raises(WorkflowFailure):
            await made.execute("patient")
    assert len(attempts) == 1


@pytest.mark.feature("RT-01")
async def test_a_named_error_type_is_final() -> None:
    failing[:] = [Overloaded, Worse, Overloaded]
    async with Runtime(
        ":memory:", registry=patient(retry(never=[Worse])), clock=virtual_clock()
    ) as made:
        with pytest.raises(WorkflowFailure) as caught:
            await made.execute("patient")
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "Worse"
    assert len(attempts) == 2


# -- calls by description ------------------------------------------------------------


@pytest.mark.feature("PF-14")
@pytest.mark.parametrize(
    ("given", "result"),
    [
        (5, 15),
        (Arguments((1, 2)), 3),
        (Arguments((1,), {"b": 5}), 6),
    ],
    ids=repr,
)
async def test_a_call_built_by_hand_is_run_by_name(
    runtime: Runtime, given: Any, result: int
) -> None:
    identifier = await runtime.dispatch(Call("add", given))
    assert await runtime.handle(identifier).result() == result


@pytest.mark.feature("PF-14")
async def test_a_call_of_an_unknown_name_is_not_found(runtime: Runtime) -> None:
    with pytest.raises(ClientError, match="'nobody'") as caught:
        await runtime.dispatch(Call("nobody"))
    assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")
    assert [line async for line in runtime.list()] == []


# -- failures across the boundary ----------------------------------------------------


class Declined(Exception):
    pass


@REGISTRY.function
async def charge() -> None:
    try:
        raise KeyError("account")
    except KeyError as error:
        raise Declined("no money") from error


@workflow(registry=REGISTRY)
async def catches() -> list[Any]:
    try:
        await once()
    except Declined as error:
        return [type(error).__name__, str(error), repr(error.__cause__)]
    return []


@workflow(registry=REGISTRY)
async def passes_on() -> None:
    await once()


once = task(registry=REGISTRY, name="once")(charge.function)


@pytest.mark.feature("DC-06")
async def test_workflow_code_catches_the_original_error(runtime: Runtime) -> None:
    found = await runtime.execute(catches)
    assert found == ["Declined", "no money", "KeyError('account')"]


@task(registry=REGISTRY)
def opens_an_odd_file() -> None:
    raise FileNotFoundError(2, "no such file", "caf\udce9")


@workflow(registry=REGISTRY)
async def opens() -> str:
    try:
        await opens_an_odd_file()
    except FileNotFoundError as error:
        return ascii(error.filename)
    return ""


async def test_an_error_whose_text_is_no_utf8_is_recorded(runtime: Runtime) -> None:
    assert await runtime.execute(opens) == ascii("caf\udce9")


@pytest.mark.feature("DC-06")
async def test_the_caller_sees_a_failure_whose_chain_shows_both(
    runtime: Runtime,
) -> None:
    with pytest.raises(WorkflowFailure) as caught:
        await runtime.execute(passes_on)
    outer = caught.value.cause
    assert isinstance(outer, ApplicationError)
    assert (outer.type, outer.message) == ("Declined", "no money")
    assert "test_retried_calls.py" in outer.traceback
    inner = outer.cause
    assert isinstance(inner, ApplicationError)
    assert inner.type == "KeyError"


# -- mistakes that need no engine ----------------------------------------------------

MISTAKES: list[tuple[type[Exception], dict[str, Any]]] = [
    (ValueError, {"arg": 1, "args": [1]}),
    (TypeError, {"args": [1, 2, 3]}),
    (TypeError, {}),
    (ValueError, {"arg": 1, "id": ""}),
    (ValueError, {"arg": 1, "queue": ""}),
    (ValueError, {"arg": 1, "on_conflict": "never heard of"}),
    (ValueError, {"arg": 1, "run_timeout": "5"}),
    (ValueError, {"arg": 1, "start_delay": -1}),
    (TypeError, {"arg": 1, "parameters": [1]}),
    (TypeError, {"arg": 1, "parameters": {"k": object()}}),
    (TypeError, {"arg": 1, "no_such_option": 1}),
    (TypeError, {"arg": (n for n in [1])}),
    (ValueError, {"arg": 1, "id": "\ud800"}),
    (ValueError, {"arg": 1, "run_name": "\ud800"}),
    (ValueError, {"arg": 1, "request_id": "\ud800"}),
]


def ids(given: Any) -> str:
    return ascii(sorted(given)) if isinstance(given, dict) else ""


@pytest.mark.feature("ER-03")
@pytest.mark.parametrize(("kind", "options"), MISTAKES, ids=ids)
async def test_a_mistake_is_seen_before_any_request(
    runtime: Runtime, kind: type[Exception], options: dict[str, Any]
) -> None:
    with pytest.raises(kind):
        await runtime.start(add, **options)
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("ER-03")
@pytest.mark.parametrize(("kind", "options"), MISTAKES, ids=ids)
async def test_the_same_mistake_is_seen_with_the_engine_stopped(
    kind: type[Exception], options: dict[str, Any]
) -> None:
    made = Runtime(":memory:", registry=REGISTRY, clock=virtual_clock())
    with pytest.raises(kind):
        await made.start(add, **options)
    async with made:
        pass
    with pytest.raises(kind):
        await made.start(add, **options)
    with pytest.raises(RuntimeStateError):
        await made.start(add, 1)


@pytest.mark.feature("ER-03")
async def test_mistakes_in_messages_are_seen_with_the_engine_stopped() -> None:
    made = Runtime(":memory:", registry=REGISTRY, clock=virtual_clock())
    with pytest.raises(ValueError, match="id must not be empty"):
        made.handle("")
    handle: Any = made.handle("some")
    with pytest.raises(ValueError, match="signal"):
        await handle.signal("")
    with pytest.raises(ValueError, match="cannot be stored"):
        await handle.signal("\ud800")
    with pytest.raises(ValueError, match="reason cannot be stored"):
        await handle.cancel(reason="\ud800")
    with pytest.raises(TypeError, match=r"@workflow\.signal"):
        await handle.signal(add)
    with pytest.raises(ValueError, match="not both"):
        await handle.signal("s", 1, args=(1,))
    with pytest.raises(ValueError, match="reject_condition"):
        await handle.query("q", reject_condition="sometimes")
    with pytest.raises(TypeError, match="is not a workflow"):
        await made.start(print)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must not be empty"):
        await made.start("")
