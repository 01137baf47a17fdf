"""`execute`: a run is started and its end waited for, in one request."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from everact.runtime import (
    Client,
    Registry,
    RunStatus,
    Runtime,
    WorkflowFailure,
    continue_as_new,
    receive,
    sleep,
    workflow,
)
from everact.runtime.errors import (
    RequestIdReused,
    RPCError,
    WorkflowAlreadyStarted,
)
from everact.runtime.interceptors import ClientInterceptor
from everact.runtime.operations.executing import ExecuteRun
from everact.runtime.operations.starting import StartRun, StartSignal
from everact.runtime.search import RunCount
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def double(value: int) -> int:
    return 2 * value


@workflow(registry=REGISTRY)
async def sleeping(seconds: float) -> float:
    await sleep(seconds)
    return seconds


@workflow(registry=REGISTRY)
async def counting(down: int) -> str:
    if down:
        await sleep(20)
        continue_as_new(down - 1)
    return "zero"


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
async def taking() -> Any:
    return await receive("item")


def plain(workflow: str, *, wait: float = 30.0, **given: Any) -> ExecuteRun:
    """A request as another program would send it, whose arguments are JSON."""
    return ExecuteRun(start=StartRun(workflow=workflow, **given), wait=wait)


async def test_the_result_or_how_else_the_run_ended_is_given(runtime: Client) -> None:
    assert await runtime.execute(double, 4, id="x") == 8
    assert await runtime.execute("double", 5) == 10
    with pytest.raises(WorkflowFailure, match="nowhere"):
        await runtime.execute(failing)
    with pytest.raises(WorkflowFailure, match="timed out"):
        await runtime.execute(sleeping, 10.0, run_timeout=1)
    assert await runtime.count() == RunCount(4)


async def test_it_waits_for_as_long_as_the_run_takes(runtime: Client) -> None:
    day = 86400.0
    assert await runtime.execute(sleeping, 30 * day) == 30 * day
    assert await runtime.execute(counting, 9) == "zero"  # each within one request


@pytest.mark.feature("ID-11")
async def test_what_comes_too_late_tells_of_the_run(runtime: Client) -> None:
    call = runtime.transport.call
    started = replace(plain("taking", wait=1.0).start, request_id="r")
    late = await call(ExecuteRun(start=started, wait=1.0))
    assert (late.closed, late.run.created) == (None, True)
    handle = runtime.handle(late.run.workflow_id)
    assert (await handle.describe()).status is RunStatus.RUNNING
    again = asyncio.create_task(call(ExecuteRun(start=started, wait=60.0)))
    await asyncio.sleep(1)
    await handle.signal("item", 3)
    found = await again
    assert found.run.run_id == late.run.run_id
    assert found.closed is not None
    assert found.closed.status is RunStatus.COMPLETED


@pytest.mark.feature("ID-11")
async def test_a_request_id_is_that_of_the_start(site: Site) -> None:
    async with site.up() as runtime:
        found = await asyncio.gather(
            *(runtime.execute(double, 2, id="x", request_id="r") for _ in range(3)),
            runtime.execute(double, 2, id="x", request_id="r"),
        )
        assert found == [4] * 4
        assert await runtime.count() == RunCount(1)
        handle = await runtime.start(double, 2, id="x", request_id="r")
        assert await handle.result() == 4
        with pytest.raises(RequestIdReused):
            await runtime.execute(double, 2, id="y", request_id="r")
        with pytest.raises(RPCError, match="everact's own") as refused:
            await runtime.execute(double, 2, request_id="everact:auto:x")
        assert refused.value.status is RPCStatus.INVALID_ARGUMENT
    async with site.up() as runtime:
        assert await runtime.execute(double, 7, id="x", request_id="r") == 4
        assert await runtime.count() == RunCount(1)


@pytest.mark.feature("ID-11")
async def test_one_that_gives_up_has_started_its_run_all_the_same(
    site: Site,
) -> None:
    async with site.up() as runtime:
        giving_up = asyncio.create_task(runtime.execute(taking, id="x", request_id="r"))
        while await runtime.count() == RunCount(0):
            await asyncio.sleep(0.01)
        giving_up.cancel()
        await asyncio.wait([giving_up])
    async with site.up() as runtime:
        again = asyncio.create_task(runtime.execute(taking, id="x", request_id="r"))
        await runtime.handle("x").signal("item", 5)
        assert await again == 5
        assert await runtime.count() == RunCount(1)


@pytest.mark.feature("ST-06")
async def test_the_policies_of_a_start_are_kept(runtime: Client) -> None:
    await runtime.start(taking, id="x")
    with pytest.raises(WorkflowAlreadyStarted):
        await runtime.execute(taking, id="x")
    joining = asyncio.create_task(
        runtime.execute(taking, id="x", on_conflict="use_existing")
    )
    await asyncio.sleep(1)
    assert await runtime.execute(
        taking, id="x", start_signal="item", start_signal_args=[1]
    ) in (1, 1)
    assert await joining == 1
    assert await runtime.count() == RunCount(1)
    await runtime.start(taking, id="x")
    replacing = plain(
        "taking",
        workflow_id="x",
        on_conflict="terminate_existing",
        signal=StartSignal(name="item", args=(b"j2",)),
    )
    found = await runtime.transport.call(replacing)
    assert found.closed is not None
    assert found.closed.status is RunStatus.COMPLETED


@pytest.mark.feature("DC-07")
async def test_interceptors_see_a_start_and_a_result(site: Site) -> None:
    seen: list[str] = []

    class Noting(ClientInterceptor):
        async def call(self, call: Any, proceed: Any) -> Any:
            seen.append(call.name)
            return await proceed(call)

    async with site.up(interceptors=[Noting()]) as runtime:
        assert await runtime.execute(double, 1) == 2
    assert seen == ["runs.start", "runs.result"]


async def test_what_cannot_be_found_before_its_start_is_durable_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runtime(tmp_path / "e.db", registry=REGISTRY) as runtime:
        wait_closed = runtime.engine.wait_closed

        async def unknown(key: int, wait: float) -> Any:
            monkeypatch.setattr(runtime.engine, "wait_closed", wait_closed)
            raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)

        monkeypatch.setattr(runtime.engine, "wait_closed", unknown)
        assert await runtime.execute(double, 3) == 6


@pytest.mark.feature("CX-08")
async def test_a_deadline_limits_the_start_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same process as elsewhere: each request has it, and the wait goes on."""
    async with Runtime(tmp_path / "e.db", registry=REGISTRY) as runtime:
        assert await runtime.execute(sleeping, 90.0, rpc_timeout=2) == 90.0
        commits = runtime.engine.commits
        flush = commits._flush
        monkeypatch.setattr(commits, "_flush", lambda: None)  # the disk hangs
        with pytest.raises(RPCError) as refused:
            await asyncio.wait_for(
                runtime.execute(double, 4, id="x", rpc_timeout=2), timeout=60
            )
        monkeypatch.undo()
        flush()
        assert refused.value.status is RPCStatus.DEADLINE_EXCEEDED
        while await runtime.count() == RunCount(0):
            await asyncio.sleep(0.01)
        assert await runtime.handle("x").result() == 8  # done all the same


async def test_only_a_program_may_wait_without_a_limit(runtime: Client) -> None:
    """Over a wire the client's long polls are bounded, whatever is asked."""
    endless = plain("double", args=(b"j1",), wait=math.inf)
    found = await runtime.transport.call(endless)
    assert found.closed is not None
