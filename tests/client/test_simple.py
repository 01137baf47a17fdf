"""Plain requests: where they go, what they carry, and what comes of the answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web

from everact.runtime import HttpClient
from everact.runtime.blocking import BlockingHttpClient
from everact.runtime.client import simple
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.client.settings import RetryConfig
from everact.runtime.errors import (
    AuthorizationError,
    ClientError,
    EngineUnreachable,
    RuntimeStateError,
)
from tests.client.servers import free_port, serving

QUICK = RetryConfig(first=0.001, growth=1.1, retries=6, total=None)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (simple.API_KEY, simple.API_URL):
        monkeypatch.delenv(name, raising=False)


class Endpoint:
    """A server that notes what it is asked and answers as it is told."""

    def __init__(self, *statuses: int, body: str = '{"ok": true}') -> None:
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self._statuses = list(statuses)
        self._body = body

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        sent = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.path_qs, sent, await request.text()))
        status = self._statuses.pop(0) if self._statuses else 200
        return web.Response(status=status, text=self._body)


@asynccontextmanager
async def client_of(endpoint: Endpoint, path: str = "") -> AsyncIterator[HttpClient]:
    async with serving(endpoint) as place:
        async with HttpClient("key", f"http://{place}{path}") as client:
            yield client


@pytest.mark.feature("CX-20", "CT-03")
def test_key_and_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="EVERACT_API_KEY"):
        HttpClient()
    monkeypatch.setenv("EVERACT_API_KEY", "")
    with pytest.raises(ValueError, match="EVERACT_API_KEY"):
        HttpClient()
    monkeypatch.setenv("EVERACT_API_KEY", "key")
    assert HttpClient().api_url == "http://127.0.0.1:7575"
    monkeypatch.setenv("EVERACT_API_URL", "https://engine.example:8000")
    assert HttpClient().api_url == "https://engine.example:8000"
    assert HttpClient(api_url="http://other").api_url == "http://other"
    monkeypatch.setenv("EVERACT_API_URL", "")
    with pytest.raises(ValueError, match="EVERACT_API_URL is set, but empty"):
        HttpClient()
    for url in ("ftp://x", "localhost:7575", "http://", "http://u:p@x", "/path"):
        with pytest.raises(ValueError, match="URL of an engine"):
            HttpClient(api_url=url)


@pytest.mark.real_time
@pytest.mark.feature("RQ-01")
async def test_get_gives_the_json_at_a_path() -> None:
    endpoint = Endpoint()
    async with client_of(endpoint, "/base") as client:
        assert await client.get("/healthz") == {"ok": True}
        assert await client.get("x", params={"n": 1, "m": ["a", "b c"]}) == {"ok": True}
        await client.get("x", token="other", headers={"K": "v"})
    (_, first, sent, _), (_, second, _, _), (_, _, third, _) = endpoint.asked
    assert (first, second) == ("/base/healthz", "/base/x?n=1&m=a&m=b+c")
    assert sent["authorization"] == "Bearer key"
    assert (third["authorization"], third["k"]) == ("Bearer other", "v")


@pytest.mark.real_time
@pytest.mark.feature("RQ-01", "RQ-02")
async def test_nothing_comes_as_an_empty_dictionary() -> None:
    async with client_of(Endpoint(body="")) as client:
        assert await client.get("x") == {}
        assert await client.post("x") == {}
        assert await client.delete("x") == {}


@pytest.mark.real_time
@pytest.mark.feature("RQ-01")
async def test_another_server_can_be_asked() -> None:
    other = Endpoint()
    async with client_of(Endpoint()) as client, serving(other) as place:
        await client.get("x", server=f"http://{place}")
        assert [path for _, path, _, _ in other.asked] == ["/x"]


@pytest.mark.real_time
@pytest.mark.feature("RQ-02")
async def test_post_sends_its_parameters_as_json() -> None:
    endpoint = Endpoint()
    async with client_of(endpoint) as client:
        await client.post("a/b", params={"workflow": "squares", "args": [6]})
    ((method, path, sent, body),) = endpoint.asked
    assert (method, path) == ("POST", "/a/b")
    assert sent["content-type"] == "application/json"
    assert json.loads(body) == {"workflow": "squares", "args": [6]}


@pytest.mark.real_time
@pytest.mark.feature("RQ-03")
async def test_attached_headers_add_up_and_win() -> None:
    endpoint = Endpoint()
    async with client_of(endpoint) as client:
        client.attach_headers({"A": "1", "B": "1"})
        client.attach_headers({"b": "2"})
        await client.get("x", headers={"a": "0", "C": "3"})
    sent = endpoint.asked[0][2]
    assert (sent["a"], sent["b"], sent["c"]) == ("1", "2", "3")


@pytest.mark.real_time
@pytest.mark.feature("ER-02", "RQ-01")
async def test_a_refusal_carries_status_code_and_message() -> None:
    told = json.dumps({"error": {"status": "NOT_FOUND", "message": "no such run"}})
    async with client_of(Endpoint(404, body=told)) as client:
        with pytest.raises(ClientError, match="no such run") as caught:
            await client.get("x")
    found = caught.value
    assert (found.status, found.code) == (404, "NOT_FOUND")
    assert not isinstance(found, AuthorizationError)


@pytest.mark.real_time
@pytest.mark.feature("ER-02")
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_an_error_of_its_own(status: int) -> None:
    async with client_of(Endpoint(status, body="not json")) as client:
        with pytest.raises(AuthorizationError) as caught:
            await client.get("x")
    assert caught.value.status == status
    assert isinstance(caught.value, ClientError)
    assert "key" not in str(caught.value)


@pytest.mark.real_time
@pytest.mark.feature("RQ-08")
@pytest.mark.parametrize("method", ["get", "post", "delete"])
async def test_what_fails_for_a_moment_is_repeated(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple, "RETRY", QUICK)
    endpoint = Endpoint(503, 500, 502, 504, 503, 503)
    async with client_of(endpoint) as client:
        assert await getattr(client, method)("x") == {"ok": True}
    assert len(endpoint.asked) == 7
    keys = {sent.get("idempotency-key") for _, _, sent, _ in endpoint.asked}
    assert len(keys) == 1


@pytest.mark.real_time
@pytest.mark.feature("RQ-08")
async def test_it_is_given_up_after_six_repetitions_and_at_once_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simple, "RETRY", QUICK)
    endpoint = Endpoint(*[503] * 7)
    async with client_of(endpoint) as client:
        with pytest.raises(ClientError) as caught:
            await client.get("x")
        assert (caught.value.status, len(endpoint.asked)) == (503, 7)
    endpoint = Endpoint(501, 429)
    async with client_of(endpoint) as client:
        for count in (1, 2):
            with pytest.raises(ClientError):
                await client.get("x")
            assert len(endpoint.asked) == count


@pytest.mark.real_time
@pytest.mark.feature("RQ-08")
async def test_a_server_that_is_not_there_is_named_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simple, "RETRY", QUICK)
    async with HttpClient("key", f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(EngineUnreachable, match=r"127\.0\.0\.1"):
            await client.get("x")


@pytest.mark.real_time
@pytest.mark.feature("CX-22")
async def test_a_closed_one_says_so() -> None:
    async with client_of(Endpoint()) as client:
        await client.get("x")
        await client.close()
        with pytest.raises(RuntimeStateError, match="closed"):
            await client.get("x")
        with pytest.raises(RuntimeStateError, match="closed"):
            await client.get("x", server="http://127.0.0.1:1")
    assert len(asyncio.all_tasks()) == 1


def test_growing_waits() -> None:
    waits = [simple.RETRY.pause(n, 0.0, 0.5) for n in range(1, 8)]
    assert waits == [pytest.approx(0.1 * 2**n) for n in range(6)] + [None]


@pytest.mark.feature("RQ-01", "RQ-02", "CX-22")
def test_the_blocking_form_has_the_same_methods() -> None:
    with listening_thread() as (endpoint, place):
        threads = threading.active_count()
        with BlockingHttpClient("key", f"http://{place}") as client:
            client.attach_headers({"a": "1"})
            assert client.get("x", params={"n": 1}) == {"ok": True}
            assert client.post("x", params={"n": 1}) == {"ok": True}
            assert client.delete("x", token="t") == {"ok": True}
            assert client.auth_token() == "key"
        client.close()
        assert threading.active_count() == threads
        with pytest.raises(RuntimeStateError, match="client"):
            client.get("x")
    assert [method for method, _, _, _ in endpoint.asked] == ["GET", "POST", "DELETE"]
    assert {sent["a"] for _, _, sent, _ in endpoint.asked} == {"1"}
    assert verbs(BlockingHttpClient) == verbs(HttpClient)


def verbs(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@contextmanager
def listening_thread() -> Iterator[tuple[Endpoint, str]]:
    endpoint, places = Endpoint(), list[str]()

    @asynccontextmanager
    async def hosted() -> AsyncIterator[None]:
        async with serving(endpoint) as place:
            places.append(place)
            yield

    thread = LoopThread(hosted)
    thread.start()
    try:
        yield endpoint, places[0]
    finally:
        thread.close()
