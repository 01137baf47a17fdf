"""A client of an engine elsewhere: what it sends, repeats, survives, and says."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest
from msgspec.structs import replace

from everact.runtime import (
    Client,
    EveractError,
    HttpClient,
    Registry,
    RunStatus,
    Worker,
    WorkflowFailure,
    receive,
    workflow,
)
from everact.runtime.client.connection import Answer
from everact.runtime.errors import (
    EngineUnreachable,
    RPCError,
    RuntimeStateError,
    WorkflowAlreadyStarted,
)
from everact.runtime.operations import runs
from everact.runtime.operations.batches import StartRuns
from everact.runtime.operations.executing import ExecuteRun
from everact.runtime.operations.starting import StartRun
from everact.runtime.schedules import Schedule, ScheduleSpec, StartWorkflow
from everact.runtime.search import RunCount
from everact.runtime.settings import KeepAliveConfig, RetryConfig
from everact.runtime.statuses import RPCStatus
from everact.runtime.wire import status_of
from tests.client.conftest import Place
from tests.client.servers import Front, free_port

pytestmark = pytest.mark.real_time

REGISTRY = Registry()
START = "/api/v1/runs/start"
EXECUTE = "/api/v1/runs/execute"
RESULT = "/api/v1/runs/result"
SIGNAL = "/api/v1/runs/signal"
DESCRIBE = "/api/v1/runs/describe"
QUICK = RetryConfig(first=0.001, longest=0.01)


@workflow(registry=REGISTRY)
async def waiting() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def waits_for_two() -> None:
    try:
        await receive("never")
    finally:
        await receive("never either")  # so that cancelled it is still open


@workflow(registry=REGISTRY)
async def double(value: int) -> int:
    return 2 * value


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
async def collecting(count: int) -> list[int]:
    return [await receive("item") for _ in range(count)]


# -- connecting ------------------------------------------------------------------------


@pytest.mark.feature("CX-01", "CT-07")
async def test_it_has_the_verbs_of_the_embedded_client(client: Client) -> None:
    assert await client.execute(double, 4, id="x") == 8
    handle = await client.start(waiting, id="y")
    with pytest.raises(WorkflowAlreadyStarted) as caught:
        await client.start(waiting, id="y")
    assert caught.value.run_id == handle.result_run_id
    await handle.signal("go", "gone")
    assert await handle.result() == "gone"
    assert [line.workflow_id async for line in client.list()] == ["y", "x"]
    assert (await handle.describe()).status is RunStatus.COMPLETED
    with pytest.raises(WorkflowFailure, match="nowhere"):
        await client.execute(failing)
    with pytest.raises(TypeError, match="double"):
        await client.start(double, args=[1, 2])


@pytest.mark.feature("CX-01", "CX-14")
async def test_a_closed_port_is_an_error_of_connecting_unless_lazy() -> None:
    target = f"127.0.0.1:{free_port()}"
    with pytest.raises(EngineUnreachable, match=target):
        await Client.connect(target)
    async with await Client.connect(target, lazy=True, retry_config=QUICK) as client:
        with pytest.raises(EngineUnreachable, match=target):
            await client.start(waiting)


@pytest.mark.feature("CX-14")
async def test_a_lazy_client_connects_with_its_first_call(front: Front) -> None:
    async with await Client.connect(front.target, lazy=True) as client:
        assert front.asked == []
        assert await client.execute(double, 1) == 2


@pytest.mark.feature("CX-14")
async def test_no_worker_is_made_from_a_lazy_client(front: Front) -> None:
    async with await Client.connect(front.target, lazy=True) as client:
        with pytest.raises(TypeError, match="lazy Client"):
            Worker(client)  # type: ignore[arg-type]
        await client.execute(double, 1)
        with pytest.raises(TypeError, match="made from a Client"):
            Worker(client)  # type: ignore[arg-type]


@pytest.mark.feature("ER-01")
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"key": "no number"}', b"\xff"])
async def test_an_answer_that_is_none_is_an_error_of_the_family(
    client: Client, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    async def foreign(*_: Any, **__: Any) -> Answer:
        return Answer(200, body, "application/json")

    transport: Any = client.transport
    monkeypatch.setattr(transport.connection, "request", foreign)
    with pytest.raises(RPCError, match="not as an engine does"):
        await client.start(waiting)


@pytest.mark.feature("CX-01")
async def test_what_is_no_engine_is_refused(place: Place) -> None:
    front = Front(await place.up())

    async with front.running() as target:
        front.behind = f"127.0.0.1:{free_port()}"
        with pytest.raises(EngineUnreachable, match="HTTP status 500"):
            await Client.connect(target)


@pytest.mark.feature("CX-01", "CT-03")
async def test_the_target_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("EVERACT_ADDRESS", target)
    with pytest.raises(EngineUnreachable, match=target):
        await Client.connect()


@pytest.mark.feature("CX-03", "CX-16")
async def test_clients_share_one_connection(front: Front, client: Client) -> None:
    config = client.config()
    config["namespace"] = "b"
    twin = Client(**config)
    for one in (client, twin, client, twin):
        await one.execute(double, 1)
    assert len(front.sockets) == 1
    await twin.close()
    assert await client.execute(double, 2) == 4


@pytest.mark.feature("CX-02")
async def test_namespaces_do_not_cross(client: Client) -> None:
    other = Client(**(client.config() | {"namespace": "b"}))
    yearly = Schedule(
        StartWorkflow(waiting, id="made"),
        ScheduleSpec(cron_expressions=["@yearly"]),
    )
    for one in (client, other):
        handle = await one.start(waiting, id="x", memo={"of": one.namespace})
        assert [line.run_id async for line in one.list()] == [handle.result_run_id]
        assert await one.count() == RunCount(1)
        assert (await one.handle("x").describe()).memo == {"of": one.namespace}
        await one.schedules.create(f"of {one.namespace}", yearly)
        listed = [line.id async for line in await one.schedules.list()]
        assert listed == [f"of {one.namespace}"]
        await one.events.push("key", one.namespace)
        assert [e.payload async for e in one.events.list()] == [one.namespace]
    only = await client.start(waiting, id="only")
    mine = await client.events.push("other", 1)
    there = other.handle("only"), other.schedules.handle("of default")
    for use in (
        there[0].describe,
        there[0].cancel,
        there[0].terminate,
        there[0].history,
        lambda: there[0].signal("go"),
        lambda: other.handle("only", run_id=only.result_run_id).result(),
        there[1].describe,
        there[1].pause,
        there[1].delete,
        lambda: other.events.get(mine),
    ):
        with pytest.raises(RPCError) as refused:
            await use()
        assert refused.value.status is RPCStatus.NOT_FOUND
    await other.handle("x").signal("go", "gone")
    assert await other.handle("x").result() == "gone"
    for handle in (client.handle("x"), client.handle("only")):
        assert (await handle.describe()).status is RunStatus.RUNNING
    untouched = await client.schedules.handle("of default").describe()
    assert not untouched.schedule.state.paused


@pytest.mark.feature("CX-13")
async def test_writes_carry_the_identity(front: Front) -> None:
    kinds = ("Started", "SignalReceived", "CancelRequested", "TerminateRequested")

    async def written(client: Client) -> list[tuple[str, str]]:
        handle = await client.start(waits_for_two)
        await handle.signal("go", "gone")
        await handle.cancel()
        await handle.terminate()
        assert (await handle.describe()).identity == client.identity
        history = await handle.history()
        found = [item for item in history if item.kind in kinds]
        written = [item.data.get("options", item.data) for item in found]
        return [(i.kind, w["identity"]) for i, w in zip(found, written, strict=True)]

    async with await Client.connect(front.target, identity="alice") as client:
        assert await written(client) == [(kind, "alice") for kind in kinds]
    async with await Client.connect(front.target) as client:
        assert await written(client) == [(kind, client.identity) for kind in kinds]
        for part in (version("everact"), str(os.getpid()), socket.gethostname()):
            assert part in client.identity


# -- headers ---------------------------------------------------------------------------


@pytest.mark.feature("CX-04", "CX-05")
async def test_the_api_key_is_the_bearer_credential_unless_a_header_is(
    front: Front,
) -> None:
    def sent() -> str | None:
        return front.asked[-1][1].get("authorization")

    async with await Client.connect(front.target, api_key="one") as client:
        await client.execute(double, 1)
        assert sent() == "Bearer one"
        client.api_key = "two"
        await client.execute(double, 1)
        assert (sent(), client.api_key) == ("Bearer two", "two")
        await client.start(double, 1, rpc_metadata={"Authorization": "mine"})
        assert sent() == "mine"
        client.rpc_metadata = {"AUTHORIZATION": "ours"}
        await client.execute(double, 1)
        assert sent() == "ours"
        client.rpc_metadata = {}
        client.api_key = None
        await client.execute(double, 1)
        assert sent() is None
        assert len(front.sockets) == 1
        for wrong in (7, "a\nb", "é"):
            with pytest.raises((TypeError, ValueError), match="api_key") as caught:
                client.api_key = wrong  # type: ignore[assignment]
            assert str(wrong) not in str(caught.value)
    lazy = await Client.connect(front.target, lazy=True)
    lazy.api_key = "three"
    await lazy.execute(double, 1)
    assert sent() == "Bearer three"
    await lazy.close()


@pytest.mark.feature("CX-06", "CX-07")
async def test_headers_of_a_call_replace_those_of_the_client(
    front: Front, client: Client
) -> None:
    def sent() -> tuple[str | None, str | None]:
        headers = front.asked[-1][1]
        return headers.get("k"), headers.get("other")

    client.rpc_metadata = {"k": "1", "other": "x"}
    handle = await client.start(waiting, rpc_metadata={"K": "2"})
    assert sent() == ("2", "x")
    await handle.describe()
    assert sent() == ("1", "x")
    client.rpc_metadata = {"k": "3"}
    await handle.describe()
    assert sent() == ("3", None)


@pytest.mark.feature("CX-07", "CX-08")
async def test_each_request_of_a_wait_carries_the_headers(
    front: Front, client: Client
) -> None:
    handle = await client.start(waiting)
    metadata, limit = {"k": "2"}, timedelta(seconds=0.2)
    result = asyncio.create_task(
        handle.result(rpc_metadata=metadata, rpc_timeout=limit)
    )
    await front.until(RESULT, 4)
    await handle.signal("go", "gone")
    assert await result == "gone"
    assert {headers["k"] for path, headers in front.asked if path == RESULT} == {"2"}


@pytest.mark.feature("CX-08")
async def test_a_start_may_miss_its_deadline(client: Client) -> None:
    with pytest.raises(RPCError, match=r"runs\.start") as caught:
        await client.start(waiting, rpc_timeout=timedelta(milliseconds=0.01))
    assert caught.value.status is RPCStatus.DEADLINE_EXCEEDED


# -- repeating -------------------------------------------------------------------------


@pytest.mark.feature("CX-09", "ID-11")
@pytest.mark.parametrize("failure", ["unavailable", "lost", "cut"])
async def test_a_repeated_start_takes_effect_once(front: Front, failure: str) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        front.plan = [failure, failure]
        handle = await client.start(collecting, 2)
        assert front.count(START) == 3
        assert len([line async for line in client.list()]) == 1
        for number in (1, 2):
            front.plan = [failure, failure]
            await handle.signal("item", number)
        assert front.count(SIGNAL) == 6
        assert await handle.result() == [1, 2]


@pytest.mark.feature("CX-09", "ID-11")
@pytest.mark.parametrize("failure", ["unavailable", "lost", "cut"])
async def test_a_run_is_executed_in_one_request_whose_repetition_takes_effect_once(
    front: Front, failure: str
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        assert await client.execute(double, 2) == 4
        assert [path for path, _ in front.asked if "/runs/" in path] == [EXECUTE]
        front.plan = [failure, failure]
        assert await client.execute(double, 3) == 6
        assert (front.count(EXECUTE), front.count(RESULT)) == (4, 0)
        assert await client.count() == RunCount(2)


@pytest.mark.feature("RQ-08", "ID-11")
async def test_a_repeated_plain_request_takes_effect_once(
    front: Front, client: Client
) -> None:
    async with HttpClient("key", f"http://{front.target}") as plain:
        front.plan = ["lost", "unavailable"]
        path, params = START.removeprefix("/"), {"workflow": "waiting"}
        await plain.post(path, params=params)
        assert (front.count(START), await client.count()) == (3, RunCount(1))
        await plain.post(path, params=params)
        assert await client.count() == RunCount(2)


@pytest.mark.feature("CX-09", "ID-11")
async def test_a_repeated_batch_takes_effect_once(front: Front) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        front.plan = ["lost", "unavailable"]
        starts = tuple(StartRun(workflow="waiting") for _ in range(5))
        outcomes = await client.workflow_service.call(
            StartRuns(starts=starts), retry=True
        )
        assert all(outcome.started is not None for outcome in outcomes)
        assert await client.count(workflow=waiting) == RunCount(5)
        assert await client.count() == RunCount(5)
        assert await client.count(status=RunStatus.COMPLETED) == RunCount(0)


@pytest.mark.feature("CX-09", "ID-11")
async def test_a_repeated_cancel_or_terminate_finds_its_own_effect(
    front: Front,
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        handle = await client.start(waiting)
        front.plan = ["lost", "unavailable"]
        await handle.terminate("for good", reason="enough")
        assert (await handle.describe()).status is RunStatus.TERMINATED
        handle = await client.start(waiting)
        front.plan = ["lost", "cut"]
        await handle.cancel()
        with pytest.raises(WorkflowFailure, match="cancelled"):
            await handle.result()


REPEATED = {
    RPCStatus.UNAVAILABLE,
    RPCStatus.RESOURCE_EXHAUSTED,
    RPCStatus.ABORTED,
    RPCStatus.INTERNAL,
    RPCStatus.UNKNOWN,
    RPCStatus.DATA_LOSS,
    RPCStatus.OUT_OF_RANGE,
}


@pytest.mark.feature("CX-09", "ID-11")
@pytest.mark.parametrize("status", RPCStatus, ids=str)
async def test_only_transient_answers_of_an_engine_are_asked_for_again(
    front: Front, status: RPCStatus
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        front.plan = [status.name, status.name]
        if status in REPEATED:
            assert await client.execute(double, 2, id="x") == 4
            assert front.count(EXECUTE) == 3
            assert await client.count() == RunCount(1)
            return
        with pytest.raises(EveractError) as refused:
            await client.start(double, 2, id="x")
        assert front.count(START) == 1
        assert status_of(refused.value) is status
        front.plan = []
        assert await client.count() == RunCount(0)


@pytest.mark.feature("CX-09")
async def test_a_definite_answer_is_not_asked_for_again(
    front: Front, client: Client
) -> None:
    with pytest.raises(RPCError) as caught:
        await client.handle("nowhere").describe()
    assert caught.value.status is RPCStatus.NOT_FOUND
    assert front.count(DESCRIBE) == 1


@pytest.mark.feature("CX-09")
async def test_it_is_given_up_after_the_last_retry(front: Front) -> None:
    config = RetryConfig(first=0.001, retries=2)
    async with await Client.connect(front.target, retry_config=config) as client:
        front.plan = ["unavailable"] * 9
        with pytest.raises(RPCError) as caught:
            await client.start(double, 1)
        assert caught.value.status is RPCStatus.UNAVAILABLE
        assert front.count(START) == 3


@pytest.mark.feature("CX-17")
async def test_raw_requests_are_repeated_only_on_request(front: Front) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        handle = await client.start(waiting, id="x")
        request = runs.DescribeRun(run=runs.RunRef(workflow_id="x"))
        front.plan = ["unavailable"]
        with pytest.raises(RPCError):
            await client.workflow_service.call(request)
        front.plan = ["unavailable"]
        found = await client.workflow_service.call(request, retry=True)
        assert found.status == (await handle.describe()).status


async def test_a_raw_request_waits_for_as_long_as_it_says(client: Client) -> None:
    request = ExecuteRun(start=StartRun(workflow="waiting"), wait=0.05)
    found = await asyncio.wait_for(client.workflow_service.call(request), 10)
    assert (found.closed, found.run.created) == (None, True)
    with pytest.raises(RPCError) as refused:
        await client.workflow_service.call(replace(request, wait=-1.0))
    assert refused.value.status is RPCStatus.INVALID_ARGUMENT


@pytest.mark.feature("ID-11")
async def test_the_same_raw_start_gives_the_same_run(client: Client) -> None:
    request = StartRun(workflow="waiting", request_id="once")
    one = await client.workflow_service.call(request)
    two = await client.workflow_service.call(request)
    assert one.run_id == two.run_id
    assert len([line async for line in client.list()]) == 1


# -- surviving -------------------------------------------------------------------------


@pytest.mark.feature("HN-06")
async def test_waiting_survives_a_restart_of_the_engine(
    place: Place, front: Front
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        handle = await client.start(waiting, id="x")
        waiters = [asyncio.create_task(handle.result()) for _ in range(2)]
        following = asyncio.create_task(_kinds(handle))
        await front.until(RESULT, 2)
        await place.down()
        await front.until(RESULT, 30)  # well beyond the retries of other calls
        front.behind = await place.up()
        await handle.signal("go", "gone")
        assert await asyncio.gather(*waiters) == ["gone", "gone"]
        assert await handle.result() == "gone"
        kinds = await following
        assert kinds[-1] == "Complete"
        assert kinds.count("Started") == 1


@pytest.mark.feature("HN-06")
async def test_what_is_executed_survives_a_restart_of_the_engine(
    place: Place, front: Front
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        executing = asyncio.create_task(client.execute(waiting, id="x"))
        while await client.count() == RunCount(0):
            await asyncio.sleep(0.01)
        await place.down()
        await front.until(EXECUTE, 30)
        front.behind = await place.up()
        await client.handle("x").signal("go", "gone")
        assert await executing == "gone"
        assert await client.count() == RunCount(1)


@pytest.mark.feature("CX-09", "HN-06")
async def test_a_start_that_may_have_been_carried_out_is_asked_for_until_it_is_told(
    front: Front,
) -> None:
    async with await Client.connect(front.target, retry_config=QUICK) as client:
        front.plan = ["lost", *["unavailable"] * 30]
        assert await client.execute(double, 2) == 4
        assert (front.count(EXECUTE), await client.count()) == (32, RunCount(1))
        front.plan = ["unavailable"] * 30
        with pytest.raises(RPCError) as given_up:  # nobody took it
            await client.execute(double, 2)
        assert given_up.value.status is RPCStatus.UNAVAILABLE
        assert front.count(EXECUTE) == 32 + 11


async def _kinds(handle: Any) -> list[str]:
    return [item.kind async for item in handle.follow_history()]


@pytest.mark.feature("CX-10")
async def test_an_engine_that_freezes_is_noticed_and_reached_again(
    front: Front,
) -> None:
    keep = KeepAliveConfig(interval=0.1, timeout=0.1)
    async with await Client.connect(
        front.target, keep_alive_config=keep, retry_config=QUICK
    ) as client:
        handle = await client.start(waiting)
        result = asyncio.create_task(handle.result())
        await front.until(RESULT, 1)
        front.freeze()
        await front.until(RESULT, 2)
        front.thaw()
        await handle.signal("go", "gone")
        assert await result == "gone"


@pytest.mark.feature("CX-22")
async def test_closing_fails_what_waits(front: Front) -> None:
    client = await Client.connect(front.target)
    handle = await client.start(waiting)
    result = asyncio.create_task(handle.result())
    await front.until(RESULT, 1)
    await client.close()
    with pytest.raises(RuntimeStateError, match="closed"):
        await result
    with pytest.raises(RuntimeStateError, match="closed"):
        await handle.describe()
    await client.close()


@pytest.mark.feature("CX-22")
async def test_closing_fails_what_is_about_to_be_repeated(front: Front) -> None:
    slow = RetryConfig(first=1000, longest=1000, total=None)
    client = await Client.connect(front.target, retry_config=slow)
    front.plan = ["unavailable"]
    starting = asyncio.create_task(client.start(waiting))
    await front.until(START, 1)
    await client.close()
    with pytest.raises(RuntimeStateError, match="closed"):
        await starting
