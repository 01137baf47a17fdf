"""HTTP to one engine: what is noticed, what is dropped, what is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from everact.runtime.client.connection import SIGN_OF_LIFE, Connection
from everact.runtime.client.settings import parse_target
from everact.runtime.errors import EngineUnreachable, RuntimeStateError
from everact.runtime.settings import HttpConnectProxyConfig, KeepAliveConfig
from everact.runtime.statuses import RPCStatus
from tests.client.servers import Proxy, free_port, serving

pytestmark = pytest.mark.real_time


class Peer:
    """A server that answers, or is silent, as it is told; it notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sockets: set[Any] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.noticed = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.path)
        assert request.transport is not None
        self.sockets.add(request.transport.get_extra_info("peername"))
        self.noticed.set()
        if request.path == "/never":
            await asyncio.Event().wait()
        await self.answering.wait()
        return web.json_response({"path": request.path})

    async def next_request(self) -> None:
        self.noticed.clear()
        await self.noticed.wait()


@asynccontextmanager
async def connected(peer: Peer, **settings: Any) -> AsyncIterator[Connection]:
    async with serving(peer) as target:
        connection = Connection(parse_target(target), **settings)
        try:
            yield connection
        finally:
            await connection.close()


async def ask(connection: Connection, path: str = "/") -> bytes:
    return (await connection.request("GET", path, headers={})).body


QUICK = KeepAliveConfig(interval=0.05, timeout=0.05)


@pytest.mark.feature("CX-01")
async def test_an_unreachable_target_is_named_in_the_error() -> None:
    target = f"127.0.0.1:{free_port()}"
    connection = Connection(parse_target(target))
    with pytest.raises(EngineUnreachable, match=target) as caught:
        await ask(connection)
    assert caught.value.target == target
    assert caught.value.status is RPCStatus.UNAVAILABLE
    assert not caught.value.sent
    assert isinstance(caught.value, ConnectionError)
    await connection.close()


async def test_a_connection_that_breaks_may_have_carried_the_request_out() -> None:
    async def cut(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(cut) as target:
        connection = Connection(parse_target(target))
        with pytest.raises(EngineUnreachable, match="broke") as caught:
            await connection.request("POST", "/", body=b"", headers={})
        assert caught.value.sent
        await connection.close()


async def test_requests_that_wait_do_not_hold_up_others() -> None:
    peer = Peer()
    async with connected(peer) as connection:
        waiting = [asyncio.create_task(ask(connection, "/never")) for _ in range(200)]
        while len(peer.asked) < 200:
            await peer.next_request()
        assert await ask(connection, "/x")
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


@pytest.mark.feature("CX-10")
async def test_a_frozen_peer_is_noticed_by_what_waits() -> None:
    peer = Peer()
    async with connected(peer, keep_alive=QUICK) as connection:
        await ask(connection)
        peer.answering.clear()
        with pytest.raises(EngineUnreachable, match="no sign of life") as caught:
            await ask(connection, "/slow")
        assert caught.value.sent
        assert SIGN_OF_LIFE in peer.asked
        sockets = set(peer.sockets)
        peer.answering.set()
        assert await ask(connection, "/again")
        assert peer.sockets > sockets  # on a new connection


@pytest.mark.feature("CX-10")
async def test_a_probe_that_is_answered_drops_nothing() -> None:
    peer = Peer()
    async with connected(peer, keep_alive=QUICK) as connection:
        await ask(connection)
        waiting = asyncio.create_task(ask(connection, "/never"))
        while peer.asked.count(SIGN_OF_LIFE) < 3:
            await peer.next_request()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


@pytest.mark.feature("CX-10")
async def test_without_keep_alive_nothing_is_probed() -> None:
    peer = Peer()
    probed = Peer()
    async with (
        connected(peer, keep_alive=None) as connection,
        connected(probed, keep_alive=QUICK) as watched,
    ):
        for each in (connection, watched):
            await ask(each)
        waiting = [asyncio.create_task(ask(c, "/never")) for c in (connection, watched)]
        while probed.asked.count(SIGN_OF_LIFE) < 3:
            await probed.next_request()
        assert peer.asked == ["/", "/never"]
        peer.answering.clear()
        slow = asyncio.create_task(ask(connection, "/slow"))
        while probed.asked.count(SIGN_OF_LIFE) < 6:
            await probed.next_request()
        assert not slow.done()  # a frozen peer is waited for
        peer.answering.set()
        assert await slow
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert peer.asked == ["/", "/never", "/slow"]


@pytest.mark.feature("CX-22")
async def test_closing_ends_what_waits_and_leaves_nothing() -> None:
    peer = Peer()
    async with serving(peer) as target:
        threads = threading.active_count()
        connection = Connection(parse_target(target), keep_alive=QUICK)
        await ask(connection)
        session = connection._session
        waiting = asyncio.create_task(ask(connection, "/never"))
        pausing = asyncio.create_task(connection.pause(1000))
        while "/never" not in peer.asked:
            await peer.next_request()
        await connection.close()
        for task in (waiting, pausing):
            with pytest.raises(RuntimeStateError, match="closed meanwhile"):
                await task
        with pytest.raises(RuntimeStateError, match="is closed"):
            await ask(connection)
        await connection.close()
        assert session is not None
        assert session.closed
        assert connection._watch is not None
        assert connection._watch.done()
        assert threading.active_count() == threads


@pytest.mark.feature("CX-18")
async def test_it_is_refused_on_another_loop_and_works_through_its_own() -> None:
    peer = Peer()
    async with connected(peer) as connection:
        await ask(connection)
        told: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(ask(connection))
            except RuntimeStateError as error:
                told.append(error)

        await asyncio.to_thread(elsewhere)
        assert "another event loop" in str(told[0])
        loop = asyncio.get_running_loop()

        def through() -> bytes:
            return asyncio.run_coroutine_threadsafe(ask(connection), loop).result()

        assert await asyncio.to_thread(through)


@pytest.mark.feature("CX-12")
async def test_everything_passes_through_the_proxy() -> None:
    peer, proxy = Peer(), Proxy(credentials="dXNlcjpzZWNyZXQ=")
    async with proxy.running() as place:
        settings = HttpConnectProxyConfig(target=place, basic_auth=("user", "secret"))
        async with connected(peer, proxy=settings) as connection:
            for _ in range(3):
                assert await ask(connection, "/through")
            assert proxy.asked == [f"CONNECT {connection.target}"]
            assert peer.asked == ["/through"] * 3
            assert proxy.passed > 300


@pytest.mark.feature("CX-12")
async def test_a_refusal_of_the_proxy_is_a_connection_error() -> None:
    peer, proxy = Peer(), Proxy(credentials="other")
    async with proxy.running() as place:
        settings = HttpConnectProxyConfig(target=place, basic_auth=("user", "secret"))
        async with connected(peer, proxy=settings) as connection:
            with pytest.raises(EngineUnreachable, match="407") as caught:
                await ask(connection)
            assert not caught.value.sent
            assert "secret" not in str(caught.value)
    assert peer.asked == []


@pytest.mark.feature("CX-12")
async def test_a_proxy_that_is_not_there_is_a_connection_error() -> None:
    settings = HttpConnectProxyConfig(target=f"127.0.0.1:{free_port()}")
    async with connected(Peer(), proxy=settings) as connection:
        with pytest.raises(EngineUnreachable):
            await ask(connection)
