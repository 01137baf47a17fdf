"""A client of an engine in the same process: what it shares, and what is its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Client, Registry, Runtime, receive, sleep, workflow
from everact.runtime.errors import RPCError, RuntimeStateError
from everact.runtime.operations import runs
from everact.runtime.statuses import RPCStatus

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def waiting() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def sleeping(seconds: float) -> float:
    await sleep(seconds)
    return seconds


def opened(path: Path) -> Runtime:
    loop = asyncio._get_running_loop()
    clock = VirtualClock(loop) if isinstance(loop, VirtualLoop) else None
    return Runtime(path / "everact.db", registry=REGISTRY, clock=clock)


@pytest.mark.feature("CX-01", "CX-15", "CT-07")
async def test_without_a_target_it_is_the_engine_of_this_process(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        client = await Client.connect(namespace="other")
        assert await client.execute(sleeping, 1.0) == 1.0
        assert [line.workflow async for line in client.list()] == ["sleeping"]
        assert [line async for line in runtime.list()] == []


@pytest.mark.feature("CX-15")
async def test_stopping_a_runtime_affects_its_own_clients_only(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    async with opened(tmp_path) as one, opened(tmp_path / "b") as two:
        of_one = await Client.connect(runtime=one)
        of_two = await Client.connect(runtime=two)
        await one.close()
        with pytest.raises(RuntimeStateError, match="closed"):
            await of_one.start(waiting)
        assert await of_two.execute(sleeping, 1.0) == 1.0


@pytest.mark.feature("CX-01")
async def test_with_nothing_to_connect_to_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EVERACT_ADDRESS", raising=False)
    with pytest.raises(RuntimeStateError, match=r"host:port.*EVERACT_ADDRESS"):
        await Client.connect()
    with pytest.raises(ValueError, match="without a scheme"):
        await Client.connect("http://localhost:7575")
    with pytest.raises(TypeError, match="no_such"):
        await Client.connect("localhost:7575", no_such=1)  # type: ignore[call-arg]


@pytest.mark.feature("CX-02", "CX-03", "CX-16")
async def test_a_twin_shares_the_connection_and_has_a_namespace_of_its_own(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        config = runtime.config()
        config["namespace"] = "b"
        twin = Client(**config)
        assert runtime.config()["namespace"] == "default"
        assert (runtime.namespace, twin.namespace) == ("default", "b")
        assert twin.transport is runtime.transport
        for client in (runtime, twin):
            await client.start(waiting, id="x")
            assert len([line async for line in client.list()]) == 1
        with pytest.raises(AttributeError):
            twin.namespace = "c"  # type: ignore[misc]


@pytest.mark.feature("CX-22")
async def test_a_closed_client_says_so_and_leaves_what_it_shares(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        async with await Client.connect() as client:
            handle = await client.start(waiting)
        await client.close()
        with pytest.raises(RuntimeStateError, match="client is closed"):
            await handle.describe()
        await runtime.handle(handle.id).signal("go", "gone")
        assert await runtime.handle(handle.id).result() == "gone"


@pytest.mark.feature("CX-06")
async def test_headers_change_only_as_a_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as runtime:
        given = {"k": "1"}
        runtime.rpc_metadata = given
        given["k"] = "2"
        assert runtime.rpc_metadata == {"k": "1"}
        shown: Any = runtime.rpc_metadata
        with pytest.raises(TypeError):
            shown["k"] = "3"
        wrong: list[Any] = [{"k": 1}, {1: "k"}, [("k", "v")]]
        for metadata in wrong:
            with pytest.raises(TypeError, match="rpc_metadata"):
                runtime.rpc_metadata = metadata
            with pytest.raises(TypeError, match="rpc_metadata"):
                await runtime.start(waiting, rpc_metadata=metadata)
        for name, value in [("a b", "x"), ("", "x"), ("ok", "x\r\ny"), ("é", "x")]:
            with pytest.raises(ValueError, match="rpc_metadata") as caught:
                runtime.rpc_metadata = {name: value}
            assert "\r" not in str(caught.value)
        assert runtime.rpc_metadata == {"k": "1"}


@pytest.mark.feature("CX-08")
async def test_a_deadline_bounds_a_request_and_not_the_wait_for_a_result(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(sleeping, 5.0, rpc_timeout=timedelta(seconds=1))
        assert await handle.result(rpc_timeout=timedelta(seconds=1)) == 5.0
        again = await runtime.execute(sleeping, 6.0, rpc_timeout=1, rpc_metadata={})
        assert again == 6.0
        with pytest.raises(RPCError, match=r"runs\.start") as caught:
            await runtime.start(waiting, rpc_timeout=0)
        assert caught.value.status is RPCStatus.DEADLINE_EXCEEDED
        with pytest.raises(ValueError, match="rpc_timeout"):
            await handle.describe(rpc_timeout="5")


@pytest.mark.feature("CX-17")
async def test_the_services_take_requests_as_they_are_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(waiting, id="x")
        request = runs.DescribeRun(run=runs.RunRef(workflow_id="x"))
        found = await runtime.workflow_service.call(request, rpc_timeout=60)
        assert found.status == (await handle.describe()).status
        assert (await runtime.transport.call(request)).run_id == found.run_id
        for service in (runtime.operator_service, runtime.test_service):
            with pytest.raises(TypeError, match="workflow service"):
                await service.call(request)


FORKING = """
import asyncio, os
from everact.runtime import Client, Runtime, workflow
from everact.runtime.errors import RuntimeStateError

@workflow
async def double(n: int) -> int:
    return 2 * n

async def fresh():
    async with Runtime(":memory:") as runtime:
        return await (await Client.connect(runtime=runtime)).execute(double, 1)

loop = asyncio.new_event_loop()
runtime = loop.run_until_complete(Runtime(":memory:").__aenter__())
client = loop.run_until_complete(Client.connect())
child = os.fork()
if child == 0:
    for used in (client, runtime):
        try:
            loop.run_until_complete(used.execute(double, 1))
        except RuntimeStateError as error:
            print("before a fork" in str(error))
    print(asyncio.run(fresh()), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(loop.run_until_complete(client.execute(double, 2)))
loop.run_until_complete(runtime.close())
loop.close()
"""


@pytest.mark.feature("CX-19")
def test_a_client_from_before_a_fork_is_refused_in_the_child() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "True", "2", "4"], done.stderr
