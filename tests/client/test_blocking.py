"""The blocking form of a client whose engine is elsewhere."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Registry, receive, workflow
from everact.runtime.blocking import BlockingClient
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.door.tokens import TokenFile
from everact.runtime.errors import EngineUnreachable, RPCError, RuntimeStateError
from everact.runtime.search import RunCount
from tests.client.conftest import Place
from tests.client.servers import free_port

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def waiting() -> Any:
    return await receive("go")


@contextmanager
def engine(path: Path) -> Iterator[str]:
    """An engine behind its endpoint, on a thread; its host:port."""
    place, found = Place(path / "everact.db", REGISTRY), [""]

    @asynccontextmanager
    async def hosted() -> AsyncIterator[None]:
        found[0] = await place.up()
        yield
        await place.down()

    thread = LoopThread(hosted)
    thread.start()
    try:
        yield found[0]
    finally:
        thread.close()


@pytest.mark.feature("CX-01", "CX-22", "CT-07")
def test_the_verbs_without_a_loop(tmp_path: Path) -> None:
    with engine(tmp_path) as target:
        threads = threading.active_count()
        with BlockingClient.connect(target, namespace="a") as client:
            handle = client.start(waiting, id="x", rpc_timeout="1m")
            assert [line.workflow_id for line in client.list()] == ["x"]
            event_id = client.events.push("tick", [1], scope="s")
            assert client.events.get(event_id).payload == [1]
            assert [e.event_id for e in client.events.list(key="tick")] == [event_id]
            handle.signal("go", "gone")
            assert handle.result(timeout="1m") == "gone"
            assert next(i.kind for i in handle.follow_history()) == "Started"
            with pytest.raises(RPCError, match="nowhere"):
                client.handle("nowhere").describe()
            assert client.config()["namespace"] == "a"
        client.close()
        assert threading.active_count() == threads
        with pytest.raises(RuntimeStateError, match="client"):
            handle.describe()


@pytest.mark.feature("CX-04", "CX-05", "CX-06", "CX-14")
def test_credentials_and_headers_are_changed_without_a_loop(tmp_path: Path) -> None:
    with engine(tmp_path) as target:
        with BlockingClient.connect(target, lazy=True) as client:
            assert client.lazy
            assert client.count() == RunCount(0)
            assert not client.lazy
            _, secret = TokenFile.for_database(tmp_path / "everact.db").create("x")
            with pytest.raises(RPCError, match="valid token"):
                client.count()
            client.api_key = secret
            assert (client.api_key, client.count()) == (secret, RunCount(0))
            client.rpc_metadata = {"authorization": "Bearer of nobody"}
            with pytest.raises(RPCError, match="not valid"):
                client.count()
            assert client.rpc_metadata == {"authorization": "Bearer of nobody"}
            with pytest.raises(TypeError, match="text"):
                client.rpc_metadata = {"a": 1}


@pytest.mark.feature("CX-22")
def test_a_thread_that_waits_is_told_of_the_closing(tmp_path: Path) -> None:
    told: list[str] = []
    with engine(tmp_path) as target:
        client = BlockingClient.connect(target)
        handle = client.start(waiting)

        def wait() -> None:
            try:
                handle.result()
            except RuntimeStateError as error:
                told.append(str(error))

        waiter = threading.Thread(target=wait)
        waiter.start()
        with pytest.raises(TimeoutError):
            handle.result(timeout=0.05)
        client.close()
        waiter.join()
    assert len(told) == 1
    assert "closed" in told[0]


@pytest.mark.feature("CX-01")
def test_what_prevents_connecting_is_raised_and_no_thread_is_left() -> None:
    threads = threading.active_count()
    target = f"127.0.0.1:{free_port()}"
    with pytest.raises(EngineUnreachable, match=target):
        BlockingClient.connect(target)
    with pytest.raises(ValueError, match="host:port"):
        BlockingClient.connect("http://x:1")
    assert threading.active_count() == threads
