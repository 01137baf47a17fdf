"""Where the endpoint may listen, and TLS, with certificates made here."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme

from everact.runtime.control.listening import listen, listening
from everact.runtime.control.settings import ControlSettings
from everact.runtime.control.tls import ServerTLS
from everact.runtime.door.tokens import TokenFile
from everact.runtime.errors import AddressInUse, EndpointError
from tests.control.safety.certificates import Files
from tests.control.safety.small import guard_of, small
from tests.control.safety.wire import ask

pytestmark = pytest.mark.real_time

ANYWHERE = "0.0.0.0"


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.0.2.1"])
async def test_another_bind_than_this_machine_is_refused_without_authentication(
    host: str,
) -> None:
    settings = ControlSettings(host=host, port=0)
    with pytest.raises(EndpointError, match="everact token create"):
        await listen(settings, authenticated=False)


@pytest.mark.feature("CT-05")
async def test_a_file_of_tokens_or_force_opens_the_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    tokens = TokenFile(tmp_path / "t")
    settings = ControlSettings(host=ANYWHERE, port=0)
    guard = guard_of(settings, tokens)
    with pytest.raises(EndpointError):
        async with listening(guard.application(), guard):
            pass
    tokens.create("first")
    guard = guard_of(settings, tokens)
    async with listening(guard.application(), guard) as found:
        assert (await ask(found.port, "GET", "/nowhere")).status == 401
    assert "speaks plain HTTP" in caplog.text
    forced = ControlSettings(
        host=ANYWHERE, port=0, authentication=False, open_to_network=True
    )
    guard = guard_of(forced, tokens)
    async with listening(guard.application(), guard) as found:
        assert (await ask(found.port, "GET", "/nowhere")).status == 404
    assert "without authentication" in caplog.text


@pytest.mark.feature("CT-02")
async def test_port_zero_takes_a_free_one_that_can_be_read(tmp_path: Path) -> None:
    async with small(tmp_path) as one, small(tmp_path) as other:
        assert one.port != other.port
        assert one.listener.url == f"http://127.0.0.1:{one.port}"
        assert one.listener.address == f"127.0.0.1:{one.port}"


async def test_every_address_of_a_name_has_the_same_port(tmp_path: Path) -> None:
    async with small(tmp_path, host="localhost") as site:
        hosts = {f"localhost:{site.port}", f"127.0.0.1:{site.port}"}
        for host in hosts:
            answer = await ask(site.port, "GET", "/healthz", host=host)
            assert answer.status == 200


@pytest.mark.feature("CT-02")
async def test_an_address_in_use_is_said_so(tmp_path: Path) -> None:
    async with small(tmp_path) as site:
        guard = guard_of(ControlSettings(port=site.port), None)
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{site.port} is in use"):
            async with listening(guard.application(), guard):
                pass
        assert (await ask(site.port, "GET", "/healthz")).status == 200


@pytest.mark.parametrize("host", ["no-such-name.invalid", "192.0.2.1", "a" * 300])
async def test_an_address_that_is_not_ours_is_said_so(host: str) -> None:
    settings = ControlSettings(host=host, port=0)
    with pytest.raises(EndpointError, match="cannot listen on"):
        await listen(settings, authenticated=True)


async def test_the_port_is_free_again_after_the_end(tmp_path: Path) -> None:
    async with small(tmp_path) as site:
        port = site.port
        assert (await ask(port, "GET", "/healthz")).status == 200
    with socket.create_server(("127.0.0.1", port)):
        pass


# -- TLS -------------------------------------------------------------------------------


async def get(url: str, context: ssl.SSLContext) -> int:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(url, ssl=context) as answer:
            return answer.status


async def test_tls_is_spoken_and_plain_http_is_not(
    tmp_path: Path, files: Files
) -> None:
    async with small(tmp_path, tls=files.tls) as site:
        assert site.listener.url.startswith("https://")
        assert await get(f"{site.listener.url}/healthz", files.client()) == 200
        with pytest.raises((ConnectionError, IndexError)):
            await ask(site.port, "GET", "/healthz")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(f"{site.listener.url}/healthz", ssl.create_default_context())
        old = files.client()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await get(f"{site.listener.url}/healthz", old) == 200
        assert len(site.reached) == 2


async def test_the_origin_of_our_page_is_https_with_tls(
    tmp_path: Path, files: Files
) -> None:
    async with small(tmp_path, tls=files.tls) as site:
        for scheme, status in (("https", 200), ("http", 403)):
            headers = {"Origin": f"{scheme}://127.0.0.1:{site.port}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                url = f"{site.listener.url}/healthz"
                async with session.get(url, ssl=files.client()) as answer:
                    assert answer.status == status


async def test_with_mutual_tls_a_client_needs_a_certificate_of_that_authority(
    tmp_path: Path, files: Files
) -> None:
    async with small(tmp_path, tls=files.mutual) as site:
        url = f"{site.listener.url}/healthz"
        assert await get(url, files.client(files.authority)) == 200
        for wrong in (files.client(), files.client(trustme.CA())):
            with pytest.raises(aiohttp.ClientError):
                await get(url, wrong)
        assert len(site.reached) == 1


async def test_a_client_certificate_does_not_replace_a_token(
    tmp_path: Path, files: Files
) -> None:
    async with small(tmp_path, tls=files.mutual, authentication=True) as site:
        url = f"{site.listener.url}/api/v1/runs/search"
        assert await get(url, files.client(files.authority)) == 401


@pytest.mark.parametrize("what", ["missing", "no PEM", "encrypted", "of another"])
async def test_files_that_cannot_be_used_are_said_so_and_nothing_listens(
    tmp_path: Path, files: Files, what: str
) -> None:
    key = tmp_path / "key.pem"
    if what == "no PEM":
        key.write_text("nonsense")
    elif what == "encrypted":
        from cryptography.hazmat.primitives import serialization as forms

        made = forms.load_pem_private_key(Path(files.tls.key).read_bytes(), None)
        sealed = made.private_bytes(
            forms.Encoding.PEM,
            forms.PrivateFormat.PKCS8,
            forms.BestAvailableEncryption(b"secret"),
        )
        key.write_bytes(sealed)
    elif what == "of another":
        trustme.CA().issue_cert("x").private_key_pem.write_to_path(key)
    tls = ServerTLS(certificate=files.tls.certificate, key=key)
    with pytest.raises(EndpointError, match="cannot be used"):
        async with small(tmp_path, tls=tls):
            pass


async def test_a_stranger_who_only_connects_is_cut_off(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everact.runtime.control.listening.HANDSHAKE_SECONDS", 0.2)
    async with small(tmp_path, tls=files.tls) as site, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await reader.read() == b""
        writer.close()
