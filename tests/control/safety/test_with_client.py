"""The client of this project against the guarded endpoint: tokens, workspaces, TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from everact.runtime import Client, Runtime
from everact.runtime.client.credentials import save_token
from everact.runtime.client.settings import TLSConfig
from everact.runtime.control.serving import Control
from everact.runtime.control.settings import ControlSettings
from everact.runtime.door.tokens import Scope, TokenFile
from everact.runtime.errors import RPCError
from everact.runtime.statuses import RPCStatus
from tests.control.safety.certificates import Files
from tests.control.works import REGISTRY

pytestmark = pytest.mark.real_time


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERACT_TOKEN", "EVERACT_API_KEY", "EVERACT_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERACT_SETTINGS", str(tmp_path / "settings"))


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile.for_database(tmp_path / "everact.db")


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with Runtime(tmp_path / "everact.db", registry=REGISTRY) as runtime:
        yield runtime


async def squares(client: Client, n: int) -> object:
    return await client.execute("squares", n)


def refused_with(error: pytest.ExceptionInfo[RPCError]) -> RPCStatus:
    return error.value.status


@pytest.mark.feature("AU-03", "CX-04")
async def test_a_saved_token_is_used_for_its_address_and_for_no_other(
    runtime: Runtime, tokens: TokenFile
) -> None:
    _, text = tokens.create("mine")
    async with Control(runtime, "127.0.0.1:0") as one:
        async with Control(runtime, "127.0.0.1:0") as other:
            save_token(one.address, text)
            async with await Client.connect(one.address) as client:
                assert await squares(client, 3) == [0, 1, 4]
            async with await Client.connect(other.address, lazy=True) as client:
                with pytest.raises(RPCError) as refused:
                    await squares(client, 3)
                assert refused_with(refused) is RPCStatus.UNAUTHENTICATED


@pytest.mark.feature("AU-01")
async def test_a_token_that_does_not_count_is_unauthenticated_and_not_repeated(
    runtime: Runtime, tokens: TokenFile
) -> None:
    _, text = tokens.create("mine")
    async with Control(runtime, "127.0.0.1:0") as control:
        async with await Client.connect(control.address, api_key=text) as client:
            assert await squares(client, 2) == [0, 1]
            tokens.revoke("mine")
            with pytest.raises(RPCError) as refused:
                await squares(client, 2)
    assert refused_with(refused) is RPCStatus.UNAUTHENTICATED
    assert text not in str(refused.value)


@pytest.mark.feature("AU-01")
async def test_scopes_and_workspaces_are_refused_as_errors_of_the_family(
    runtime: Runtime, tokens: TokenFile
) -> None:
    _, runner = tokens.create("runner", scope=Scope.RUNNER)
    _, theirs = tokens.create("theirs", workspaces=("b",))
    async with Control(runtime, "127.0.0.1:0") as control:
        async with await Client.connect(control.address, api_key=runner) as client:
            with pytest.raises(RPCError) as refused:
                await squares(client, 2)
            assert refused_with(refused) is RPCStatus.PERMISSION_DENIED
        async with await Client.connect(control.address, api_key=theirs) as client:
            with pytest.raises(RPCError) as refused:
                await squares(client, 2)
            assert refused_with(refused) is RPCStatus.NOT_FOUND
        async with await Client.connect(
            control.address, api_key=theirs, namespace="b"
        ) as client:
            assert await squares(client, 2) == [0, 1]


@pytest.mark.feature("CX-11")
@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
async def test_runs_are_started_over_tls(
    runtime: Runtime, files: Files, tmp_path: Path, mutual: bool
) -> None:
    root, own = tmp_path / "ca.pem", tmp_path / "own.pem"
    files.authority.cert_pem.write_to_path(root)
    shown = files.authority.issue_cert("client.example")
    shown.private_key_and_cert_chain_pem.write_to_path(own)
    tls = TLSConfig(
        root_certificate=root,
        client_certificate=own if mutual else None,
        client_key=own if mutual else None,
    )
    settings = ControlSettings(tls=files.mutual if mutual else files.tls)
    async with Control(runtime, "127.0.0.1:0", settings=settings) as control:
        async with await Client.connect(control.address, tls=tls) as client:
            assert await squares(client, 3) == [0, 1, 4]
