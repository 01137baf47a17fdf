"""Who a client trusts, and what it shows of itself: certificates, keys, tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from everact.runtime import Call, Client, HttpClient, Registry, Runtime, workflow
from everact.runtime.client.credentials import save_token, settings_file
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.control.tls import ServerTLS
from everact.runtime.door.tokens import TokenFile
from everact.runtime.errors import AuthorizationError, EngineUnreachable, RPCError
from everact.runtime.settings import HttpConnectProxyConfig, TLSConfig
from everact.runtime.statuses import RPCStatus
from tests.client.servers import Proxy

pytestmark = pytest.mark.real_time

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def double(value: int) -> int:
    return 2 * value


@pytest.fixture(autouse=True)
def settings_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERACT_TOKEN", "EVERACT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERACT_SETTINGS", str(tmp_path / "settings"))


@asynccontextmanager
async def engine(
    path: Path, tokens: TokenFile | None = None, **settings: Any
) -> AsyncIterator[str]:
    """An engine behind its endpoint; its host:port."""
    chosen = ControlSettings(port=0, **settings)
    async with Runtime(path / "everact.db", registry=REGISTRY) as runtime:
        async with Control(runtime, settings=chosen, tokens=tokens) as control:
            yield f"127.0.0.1:{control.port}"


# -- certificates ----------------------------------------------------------------------


class Files(NamedTuple):
    authority: Path
    server: ServerTLS
    mutual: ServerTLS
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("127.0.0.1", "engine.example", "client.example"):
        made = authority.issue_cert(name)
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        for part in made.cert_chain_pems:
            part.write_to_path(folder / f"{name}.pem", append=True)
    plain = {
        "certificate": folder / "engine.example.pem",
        "key": folder / "engine.example.key",
    }
    return Files(
        folder / "ca.pem",
        ServerTLS(**plain),
        ServerTLS(**plain, client_ca=folder / "ca.pem"),
        folder / "client.example.pem",
        folder / "client.example.key",
    )


@pytest.mark.feature("CX-11")
async def test_an_engine_with_a_private_root_needs_that_root(
    tmp_path: Path, files: Files
) -> None:
    trusting = TLSConfig(root_certificate=files.authority, server_name="engine.example")
    async with engine(tmp_path, tls=files.server) as target:
        async with await Client.connect(target, tls=trusting) as client:
            assert await client.execute(double, 4) == 8
        other_name = TLSConfig(root_certificate=files.authority)
        for wrong in (True, False, other_name):
            with pytest.raises(EngineUnreachable, match=target):
                await Client.connect(target, tls=wrong)


@pytest.mark.feature("CX-11")
async def test_mutual_tls_needs_the_client_certificate(
    tmp_path: Path, files: Files
) -> None:
    without = TLSConfig(root_certificate=files.authority, server_name="engine.example")
    shown = TLSConfig(
        root_certificate=files.authority,
        server_name="engine.example",
        client_certificate=files.certificate,
        client_key=files.key,
    )
    async with engine(tmp_path, tls=files.mutual) as target:
        async with await Client.connect(target, tls=shown) as client:
            assert await client.execute(double, 4) == 8
        with pytest.raises(EngineUnreachable, match=target):
            await Client.connect(target, tls=without)


@pytest.mark.feature("CX-11", "CX-12")
async def test_tls_goes_through_a_tunnel_too(tmp_path: Path, files: Files) -> None:
    trusting = TLSConfig(root_certificate=files.authority, server_name="engine.example")
    proxy = Proxy()
    async with engine(tmp_path, tls=files.server) as target, proxy.running() as place:
        settings = HttpConnectProxyConfig(target=place)
        async with await Client.connect(
            target, tls=trusting, http_connect_proxy_config=settings
        ) as client:
            assert await client.execute(double, 4) == 8
        with pytest.raises(EngineUnreachable):
            await Client.connect(target, tls=True, http_connect_proxy_config=settings)
    assert set(proxy.asked) == {f"CONNECT {target}"}


# -- tokens ----------------------------------------------------------------------------


@pytest.mark.feature("ST-19", "ER-02", "AU-01")
async def test_a_refusal_for_the_key_says_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = TokenFile.for_database(tmp_path / "everact.db")
    tokens.create("some")
    calls = [Call("double", 1), Call("double", 2)]

    async def told(target: str, **options: Any) -> str:
        async with await Client.connect(target, **options) as client:
            with pytest.raises(AuthorizationError) as caught:
                await client.dispatch(calls)
        assert (caught.value.status, caught.value.code) == (401, "UNAUTHENTICATED")
        assert "bogus" not in str(caught.value)
        return str(caught.value)

    async with engine(tmp_path) as target:
        assert "no key was sent" in await told(target)
        assert "came from api_key" in await told(target, api_key="bogus")
        monkeypatch.setenv("EVERACT_TOKEN", "bogus")
        assert "came from EVERACT_TOKEN" in await told(target)
        monkeypatch.delenv("EVERACT_TOKEN")
        save_token(target, "bogus")
        assert str(settings_file(target)) in await told(target)


@pytest.mark.feature("CX-05", "AU-01")
async def test_a_key_is_rotated_on_a_live_client(tmp_path: Path) -> None:
    tokens = TokenFile.for_database(tmp_path / "everact.db")
    (_, good), (_, bad) = tokens.create("good"), tokens.create("bad")
    tokens.revoke("bad")
    async with engine(tmp_path) as target:
        async with await Client.connect(target, api_key=good) as client:
            assert await client.execute(double, 4) == 8
            for key in (bad, "everact_nonsense", None):
                client.api_key = key
                with pytest.raises(RPCError) as caught:
                    await client.start(double, 1)
                assert caught.value.status is RPCStatus.UNAUTHENTICATED
                assert key is None or key not in str(caught.value)
            client.api_key = good
            assert await client.execute(double, 5) == 10


@pytest.mark.feature("AU-02", "AU-03")
async def test_a_saved_token_is_used_for_its_address_only(tmp_path: Path) -> None:
    tokens = TokenFile.for_database(tmp_path / "everact.db")
    _, secret = tokens.create("saved")
    async with engine(tmp_path) as target:
        save_token(target, secret)
        async with await Client.connect(target) as client:
            assert client.api_key == secret
            assert await client.execute(double, 4) == 8
        other = target.replace("127.0.0.1", "localhost")
        async with await Client.connect(other, lazy=True) as client:
            assert client.api_key is None
        async with HttpClient(api_url=f"http://{target}") as plain:
            assert plain.auth_token() == secret
            await plain.post("api/v1/runs/search")


@pytest.mark.feature("AU-03")
async def test_the_plain_client_saves_its_token(tmp_path: Path) -> None:
    tokens = TokenFile.for_database(tmp_path / "everact.db")
    _, secret = tokens.create("saved")
    async with engine(tmp_path) as target:
        HttpClient(secret, f"http://{target}").save_api_token()
        async with HttpClient(api_url=f"http://{target}/") as plain:
            await plain.post("api/v1/runs/search")
        async with await Client.connect(target) as client:
            assert await client.execute(double, 4) == 8
        with pytest.raises(ValueError, match="API key"):
            HttpClient(api_url="http://127.0.0.1:1")


@pytest.mark.feature("ER-02", "AU-01")
async def test_a_bogus_token_is_an_authorization_error(tmp_path: Path) -> None:
    tokens = TokenFile.for_database(tmp_path / "everact.db")
    tokens.create("some")
    async with engine(tmp_path) as target:
        async with HttpClient("bogus", f"http://{target}") as plain:
            with pytest.raises(AuthorizationError) as caught:
                await plain.post("api/v1/runs/search")
    assert (caught.value.status, caught.value.code) == (401, "UNAUTHENTICATED")
    assert "bogus" not in str(caught.value)
