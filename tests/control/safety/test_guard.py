"""The guard, one class of incident after the other, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import random
import zlib
from pathlib import Path

import pytest

from everact.runtime.control.guard import METHODS
from everact.runtime.control.refusals import SECURITY_HEADERS
from everact.runtime.door.tokens import PREFIX, Scope
from tests.control.safety.small import Small, describing, small
from tests.control.safety.wire import Answer, ask, exchange, parse

pytestmark = pytest.mark.real_time

ROUTES = [
    ("GET", "/healthz"),
    ("GET", "/"),
    ("GET", "/static/app.js"),
    ("GET", "/api/v1/runs/search"),
    ("GET", "/api/v1/runs/events"),
    ("POST", "/api/v1/runs/start"),
    ("GET", "/nowhere"),
    ("POST", "/nowhere"),
]
"""One of each kind: open, static, API, event stream, unknown."""


def secured(answer: Answer) -> bool:
    wanted = {name.lower(): value for name, value in SECURITY_HEADERS.items()}
    return wanted.items() <= answer.headers.items()


# -- DNS rebinding ---------------------------------------------------------------------


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_name_that_is_not_ours_gets_nothing(
    open_site: Small, method: str, path: str
) -> None:
    for host in (
        "evil.example",
        f"evil.example:{open_site.port}",
        f"127.0.0.1.evil.example:{open_site.port}",
        f"evil-localhost:{open_site.port}",
        "127.0.0.1:1",
        "127.0.0.1",
        "",
    ):
        answer = await ask(open_site.port, method, path, host=host)
        assert (answer.status, secured(answer)) == (421, True), host
    assert open_site.reached == []


async def test_several_hosts_none_and_a_host_in_the_target_are_refused(
    open_site: Small,
) -> None:
    ours = f"127.0.0.1:{open_site.port}"
    twice = [("Host", ours), ("Host", "evil.example")]
    assert (await ask(open_site.port, "GET", "/healthz", twice)).status in (400, 421)
    none = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert parse(await exchange(open_site.port, none)).status in (400, 421)
    old = b"GET /healthz HTTP/1.0\r\n\r\n"
    assert parse(await exchange(open_site.port, old)).status == 421
    target = "http://evil.example/healthz"
    assert (await ask(open_site.port, "GET", target)).status == 421
    assert open_site.reached == []


async def test_our_own_names_are_known(open_site: Small) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        given = f"{host}:{open_site.port}"
        assert (await ask(open_site.port, "GET", "/healthz", host=given)).status == 200


async def test_names_that_were_allowed_are_known_exactly(tmp_path: Path) -> None:
    options = {
        "allowed_hosts": frozenset({"flows.internal:80"}),
        "public_address": "https://flows.example/base",
    }
    async with small(tmp_path, **options) as site:
        answers = {
            host: (await ask(site.port, "GET", "/healthz", host=host)).status
            for host in (
                "flows.internal:80",
                "flows.internal",
                "flows.example",
                "flows.example:443",
                "flows.example:444",
                "a.flows.example",
            )
        }
    assert list(answers.values()) == [200, 421, 200, 200, 421, 421]


# -- pages of others -------------------------------------------------------------------


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_page_of_another_origin_gets_nothing(
    open_site: Small, method: str, path: str
) -> None:
    port = open_site.port
    for origin in (
        "https://evil.example",
        "null",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1",
        f"http://127.0.0.1:{port}.evil.example",
        f"http://127.0.0.1:{port}/",
        "",
    ):
        answer = await ask(port, method, path, {"Origin": origin})
        assert answer.status == 403, origin
        assert "access-control-allow-origin" not in answer.headers
    for site in ("cross-site", "same-site"):
        answer = await ask(port, method, path, {"Sec-Fetch-Site": site})
        assert answer.status == 403, site
    assert open_site.reached == []


async def test_our_own_page_may_ask(open_site: Small) -> None:
    port = open_site.port
    for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        sent = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        answer = await ask(port, "POST", "/api/v1/runs/start", sent, b"{}")
        assert answer.status == 200


async def test_a_link_from_elsewhere_leads_to_the_page_but_not_to_data(
    open_site: Small,
) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await ask(open_site.port, "GET", "/", link)).status == 200
    answer = await ask(open_site.port, "GET", "/api/v1/runs/search", link)
    assert answer.status == 403


async def test_an_allowed_origin_may_ask(tmp_path: Path) -> None:
    ours = frozenset({"https://ours.example"})
    async with small(tmp_path, allowed_origins=ours) as site:
        sent = {"Origin": "https://ours.example"}
        assert (await ask(site.port, "GET", "/healthz", sent)).status == 200
        sent = {"Origin": "https://ours.example:444"}
        assert (await ask(site.port, "GET", "/healthz", sent)).status == 403


# -- methods ---------------------------------------------------------------------------


@pytest.mark.feature("CT-05")
@pytest.mark.parametrize(("_", "path"), ROUTES)
async def test_other_methods_than_get_and_post_get_nothing(
    open_site: Small, _: str, path: str
) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"):
        answer = await ask(open_site.port, method, path)
        assert (answer.status, secured(answer)) == (405, True), method
        assert answer.headers["allow"] == ", ".join(METHODS)
    for method in ("get", "FOO", "CONNECT"):
        answer = await ask(open_site.port, method, path)
        assert answer.status in (400, 405, 421), method
    assert open_site.reached == []


async def test_a_method_cannot_be_smuggled_in_a_header(guarded: Small) -> None:
    token = guarded.token()
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = await ask(
            guarded.port, "GET", "/api/v1/runs/start", {name: "POST"}, token=token
        )
        assert answer.status == 405
    assert guarded.reached == []


# -- who it is -------------------------------------------------------------------------


@pytest.mark.feature("AU-01", "CT-05")
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/runs/search",
        "/api/v1/runs/events",
        "/runs/a",
        "/nowhere",
        # Not the open routes, only spelled like them.
        "/healthz/",
        "/healthz/x",
        "/healthz/../api/v1/runs/search",
        "/healthz/..%2fapi/v1/runs/search",
        "/healthz%2f..%2fapi/v1/runs/search",
        "/healthz;/api/v1/runs/search",
        "/%2e/healthz",
        "/./healthz",
        "//healthz",
        "//evil.example/healthz",
        "/healthz%00",
        "/healthz%20",
        "/HEALTHZ",
        "/api/v1/runs/search/healthz",
        "/api/v1/runs/search;/healthz",
        "/api/v1/runs/search?/healthz",
        "/api/v1/runs/search?path=/healthz",
        "/api/v1/runs/search%3f/healthz",
        "/api/v1/runs/search%23/healthz",
        "/runs/%2fhealthz",
        "/runs//healthz",
        "/runs/healthz",
        "/runs/a/../../healthz/../runs/a",
        "/static/",
        "/static/other.js",
        "/static/../api/v1/runs/search",
        "/static/%2e%2e/api/v1/runs/search",
        "/static/app.js/../../api/v1/runs/search",
        "/api/v1/runs/search/static/app.js",
        "/api/v1/runs/search.js",
        "/index.html",
        "/readyz/..;/api/v1/runs/search",
        "/\\healthz",
    ],
)
async def test_without_a_token_no_spelling_of_a_path_gets_in(
    guarded: Small, path: str
) -> None:
    for method, body in (("GET", b""), ("POST", b"{}")):
        answer = await ask(guarded.port, method, path, body=body)
        assert (answer.status, secured(answer)) == (401, True)
        assert answer.headers["www-authenticate"] == 'Bearer realm="everact"'
        assert answer.error["status"] == "UNAUTHENTICATED"
    assert guarded.reached == []


PIECES = [
    "/",
    "//",
    "healthz",
    "readyz",
    "static",
    "app.js",
    "api",
    "v1",
    "runs",
    "search",
    "events",
    ".",
    "..",
    "%2e",
    "%2f",
    "%00",
    "%3f",
    ";",
    "?",
    "#",
    "\\",
    "@",
    ":",
    "%25",
    "%c0%af",
    "healthz/..",
    "x",
]


@pytest.mark.parametrize("seed", range(5))
async def test_paths_put_together_by_chance_get_in_nowhere(
    guarded: Small, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        path = "/" + "".join(chance.choices(PIECES, k=chance.randint(1, 7)))
        method = chance.choice(["GET", "POST"])
        answer = await ask(guarded.port, method, path)
        assert answer.status in (200, 400, 401), path
    assert set(guarded.reached) <= {
        "GET /healthz",
        "GET /readyz",
        "GET /",
        "GET /static/app.js",
    }


async def test_the_open_routes_are_open_for_their_method_only(guarded: Small) -> None:
    for path in ("/healthz", "/readyz", "/", "/static/app.js", "/healthz?a=b"):
        assert (await ask(guarded.port, "GET", path)).status == 200
        assert (await ask(guarded.port, "POST", path)).status == 401
    assert {line.split()[0] for line in guarded.reached} == {"GET"}


@pytest.mark.feature("AU-01", "CX-04")
async def test_a_valid_token_gets_in_and_every_other_credential_does_not(
    guarded: Small,
) -> None:
    token = guarded.token()

    async def status(*values: str) -> int:
        lines = [("Authorization", value) for value in values]
        return (await ask(guarded.port, "GET", "/api/v1/runs/search", lines)).status

    assert await status(f"Bearer {token}") == 200
    assert await status(f"bearer {token}") == 200
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        token,
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        f"Bearer {token} {token}",
        f"Bearer {PREFIX}",
        "Bearer null",
        "Bearer \xe9\xff",
    ):
        assert await status(wrong) == 401, wrong
    assert await status(f"Bearer {token}", f"Bearer {token}") == 401
    for elsewhere in ({"Cookie": f"token={token}"}, {"X-API-Key": token}):
        answer = await ask(guarded.port, "GET", "/api/v1/runs/search", elsewhere)
        assert answer.status == 401
    query = f"/api/v1/runs/search?token={token}&access_token={token}"
    assert (await ask(guarded.port, "GET", query)).status == 401


async def test_an_unknown_path_is_not_found_only_with_a_token(guarded: Small) -> None:
    token = guarded.token()
    assert (await ask(guarded.port, "GET", "/nowhere")).status == 401
    answer = await ask(guarded.port, "GET", "/nowhere", token=token)
    assert (answer.status, secured(answer)) == (404, True)


async def test_a_token_made_or_revoked_meanwhile_counts_at_the_next_request(
    guarded: Small,
) -> None:
    path = "/api/v1/runs/search"
    _, text = guarded.tokens.create("new")
    assert (await ask(guarded.port, "GET", path, token=text)).status == 200
    guarded.tokens.revoke("new")
    answer = await ask(guarded.port, "GET", path, token=text)
    assert answer.status == 401
    assert text not in answer.body.decode()


async def test_the_first_token_closes_an_open_endpoint_for_good(
    open_site: Small,
) -> None:
    path = "/api/v1/runs/search"
    assert (await ask(open_site.port, "GET", path)).status == 200
    _, text = open_site.tokens.create("first")
    assert (await ask(open_site.port, "GET", path)).status == 401
    assert (await ask(open_site.port, "GET", path, token=text)).status == 200
    open_site.tokens.path.unlink()
    assert (await ask(open_site.port, "GET", path)).status == 401
    assert (await ask(open_site.port, "GET", path, token=text)).status == 401


async def test_a_file_that_others_can_read_lets_nobody_in(guarded: Small) -> None:
    token = guarded.token()
    guarded.tokens.path.chmod(0o644)
    for given in ("", token):
        answer = await ask(guarded.port, "GET", "/api/v1/runs/search", token=given)
        # Without a token there is nothing to look up in the file.
        assert answer.status == (503 if given else 401)
        assert str(guarded.tokens.path.parent) not in answer.body.decode()
    assert guarded.reached == []


@pytest.mark.feature("AU-01", "AU-10")
async def test_each_scope_may_do_what_it_is_for_and_the_unsaid_is_for_administrators(
    guarded: Small,
) -> None:
    asked = {
        "read": ("GET", "/api/v1/runs/search"),
        "stream": ("GET", "/api/v1/runs/events"),
        "write": ("POST", "/api/v1/runs/start"),
        "work": ("POST", "/api/v1/tasks/report"),
        "admin": ("POST", "/api/v1/limits/set"),
    }
    allowed = {}
    for scope in (Scope.USER, Scope.RUNNER, Scope.ADMIN):  # those of tasks are not kept
        token = guarded.token(scope)
        for name, (method, path) in asked.items():
            body = b"{}" if method == "POST" else b""
            answer = await ask(guarded.port, method, path, body=body, token=token)
            allowed[scope.value, name] = answer.status
            if answer.status == 403:
                assert answer.error["status"] == "PERMISSION_DENIED"
                assert token not in answer.body.decode()
    refused = {key for key, status in allowed.items() if status == 403}
    assert refused == {
        ("user", "work"),
        ("user", "admin"),
        ("runner", "write"),
        ("runner", "admin"),
    }
    assert {allowed[key] for key in allowed.keys() - refused} == {200}
    assert guarded.reached.count("POST /api/v1/limits/set") == 1


@pytest.mark.feature("AU-01")
async def test_another_workspace_is_as_if_it_did_not_exist(guarded: Small) -> None:
    token = guarded.token(Scope.USER, "a")

    async def describe(workspace: str) -> bytes:
        answer = await ask(
            guarded.port,
            "POST",
            "/api/v1/runs/describe",
            body=describing(workspace),
            token=token,
        )
        return answer.body.replace(workspace.encode(), b"W")

    assert await describe("a") == b"{}"
    assert b"NOT_FOUND" in await describe("b")
    assert await describe("b") == await describe("never-made")
    listed = await ask(
        guarded.port, "POST", "/api/v1/runs/search", body=b"{}", token=token
    )
    assert b"NOT_FOUND" in listed.body  # the default workspace is another one, too


@pytest.mark.feature("AU-01")
async def test_what_belongs_to_no_workspace_is_for_tokens_of_every_workspace(
    guarded: Small,
) -> None:
    one, every = guarded.token(Scope.ADMIN, "a"), guarded.token(Scope.ADMIN)
    answers = [
        (await ask(guarded.port, "GET", f"/api/v1/{path}", token=token)).body
        for token in (one, every)
        for path in ("engine/info", "actors/list")
    ]
    assert b"PERMISSION_DENIED" in answers.pop(1)
    assert answers == [b"{}"] * 3


async def test_many_bad_tokens_leave_nothing_behind(guarded: Small) -> None:
    guarded.token()
    await ask(guarded.port, "GET", "/nowhere", token="x")
    state = (guarded.guard, guarded.tokens)
    before = [pickle_size(vars(thing)) for thing in state]
    for n in range(100):
        bad = f"{PREFIX}{n:012x}_{'x' * 43}"
        answer = await ask(guarded.port, "GET", "/nowhere", token=bad)
        assert answer.status == 401
    assert [pickle_size(vars(thing)) for thing in state] == before


def pickle_size(state: dict[str, object]) -> int:
    return len(repr(state))


# -- what it brings --------------------------------------------------------------------

START = "/api/v1/runs/start"


@pytest.mark.feature("CT-05")
async def test_a_body_over_the_limit_is_refused_however_it_is_sent(
    tmp_path: Path,
) -> None:
    async with small(tmp_path, body_limit=100_000) as site:
        fits = b" " * 100_000
        assert (await ask(site.port, "POST", START, body=fits)).status == 200
        declared = await ask(
            site.port, "POST", START, {"Content-Length": "100001"}, b"never sent"
        )
        assert (declared.status, secured(declared)) == (413, True)
        sent = await ask(site.port, "POST", START, body=b" " * 1_000_000)
        assert sent.status == 413
        chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        chunked = await ask(
            site.port, "POST", START, {"Transfer-Encoding": "chunked"}, chunk * 1_000
        )
        assert chunked.status == 413
        fits_chunked = await ask(
            site.port,
            "POST",
            START,
            {"Transfer-Encoding": "chunked"},
            chunk * 20 + b"0\r\n\r\n",
        )
        assert fits_chunked.status == 200
        assert site.reached == [f"POST {START}"] * 2


async def test_lengths_that_lie_reach_no_handler(open_site: Small) -> None:
    for headers in (
        [("Content-Length", "-1")],
        [("Content-Length", "2"), ("Content-Length", "3")],
        [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "0x2")],
        [("Content-Length", "9" * 40)],
        [("Transfer-Encoding", "gzip")],
    ):
        answer = await ask(open_site.port, "POST", START, headers, b"{}")
        assert answer.status in (400, 413), headers
    chunked = {"Transfer-Encoding": "chunked"}
    answer = await ask(open_site.port, "POST", START, chunked, b"zz\r\n{}\r\n")
    assert answer.status == 400
    assert open_site.reached == []


async def test_compressed_bodies_are_not_taken(open_site: Small) -> None:
    bomb = zlib.compress(b" " * 50_000_000)
    for encoding in ("deflate", "gzip", "br", "identity, deflate"):
        sent = {"Content-Encoding": encoding}
        answer = await ask(open_site.port, "POST", START, sent, bomb)
        assert answer.status == 415
    assert open_site.reached == []


async def test_only_json_is_taken(open_site: Small) -> None:
    for wrong in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/jsonp",
        "",
    ):
        sent = {"Content-Type": wrong}
        answer = await ask(open_site.port, "POST", START, sent, b"{}")
        assert answer.status == 415, wrong
    sent = {"Content-Type": "application/json; charset=utf-8"}
    assert (await ask(open_site.port, "POST", START, sent, b"{}")).status == 200
    get = await ask(open_site.port, "GET", "/api/v1/runs/search", body=b"{}")
    assert get.status == 400
    assert len(open_site.reached) == 1


@pytest.mark.feature("CT-05")
async def test_a_pickle_in_a_body_is_never_loaded(
    guarded: Small, tmp_path: Path
) -> None:
    trace = tmp_path / "loaded"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(trace),))

    body = pickle.dumps(Payload())
    known = guarded.token()
    for path in (START, "/nowhere", "/healthz"):
        for kind in ("application/json", "application/python-pickle"):
            for token in ("", known):
                sent = {"Content-Type": kind}
                await ask(guarded.port, "POST", path, sent, body, token=token)
    assert not trace.exists()
    pickle.loads(body)
    assert trace.exists()  # so it would have left its trace


# -- slow and large heads --------------------------------------------------------------


@pytest.mark.feature("CT-05")
async def test_heads_that_are_too_large_are_refused(tmp_path: Path) -> None:
    async with small(tmp_path, header_limit=2_000, header_count=20) as site:
        for path, headers in (
            ("/healthz?" + "x" * 3_000, []),
            ("/healthz", [("X-Long", "x" * 3_000)]),
            ("/healthz", [("X" * 3_000, "x")]),
            ("/healthz", [(f"X-{n}", "x") for n in range(30)]),
        ):
            answer = await ask(site.port, "GET", path, headers)
            assert (answer.status, secured(answer)) == (400, True)
            assert answer.error["status"] == "INVALID_ARGUMENT"
            assert b"xxx" not in answer.body
        assert site.reached == []


async def dripping(port: int, head: bytes, drop: bytes) -> bytes:
    """What comes back to a client that never finishes, until it is cut off."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            while True:
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(0.02)

        writer.write(head)
        task = asyncio.ensure_future(drip())
        received = b""
        try:
            while part := await reader.read(65536):
                received += part
        except ConnectionError:
            pass
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.close()
        return received


@pytest.mark.feature("CT-05")
async def test_a_head_that_drips_in_is_cut_off(tmp_path: Path) -> None:
    async with small(tmp_path, idle_timeout=0.3, header_count=10_000) as site:
        head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n".encode()
        assert await dripping(site.port, head, b"X-Drop: y\r\n") == b""
        assert site.reached == []
        first = head + b"\r\n"
        assert parse(await dripping(site.port, first, b"")).status == 200
        # The second head on the connection has no more time than the first.
        received = await dripping(site.port, first + head, b"X-Drop: y\r\n")
        assert received.count(b"HTTP/1.1 200") == 1
        assert await dripping(site.port, b"", b"") == b""
        assert set(site.reached) == {"GET /healthz"}


@pytest.mark.feature("CT-05")
async def test_a_body_that_drips_in_is_cut_off(tmp_path: Path) -> None:
    async with small(tmp_path, body_timeout=0.3) as site:
        head = (
            f"POST {START} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            "Content-Type: application/json\r\n"
        ).encode()
        length = head + b"Content-Length: 100000\r\n\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
        for start, drop in ((length, b" "), (length, b""), (chunked, b"1\r\n \r\n")):
            answer = parse(await dripping(site.port, start, drop))
            assert (answer.status, secured(answer)) == (408, True)
        assert site.reached == []


async def test_a_body_that_ends_early_reaches_no_handler(open_site: Small) -> None:
    head = (
        f"POST {START} HTTP/1.1\r\nHost: 127.0.0.1:{open_site.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{}"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", open_site.port)
    writer.write(head.encode())
    writer.write_eof()
    writer.close()
    await writer.wait_closed()
    assert (await ask(open_site.port, "GET", "/healthz")).status == 200
    assert open_site.reached == ["GET /healthz"]


# -- every answer, and the log ---------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/broken")])
async def test_every_answer_carries_the_security_headers(
    open_site: Small, method: str, path: str
) -> None:
    body = b"{}" if method == "POST" else b""
    answer = await ask(open_site.port, method, path, body=body)
    assert secured(answer)
    cached = "max-age=60" if path == "/static/app.js" else "no-store"
    assert answer.headers["cache-control"] == cached
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers


async def test_what_is_not_http_is_answered_without_repeating_it(
    open_site: Small,
) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01 a TLS greeting\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer se\x00cret\r\n\r\n",
        b"GET / HTTP/1.1\r\n: secret\r\n\r\n",
    ):
        answer = parse(await exchange(open_site.port, sent))
        assert (answer.status, secured(answer)) == (400, True)
        assert b"cret" not in answer.body
    assert open_site.reached == []


async def test_a_mistake_of_ours_is_an_error_without_details(
    open_site: Small, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(open_site.port, "GET", "/broken")
    assert (answer.status, answer.error["status"]) == (500, "INTERNAL")
    assert b"mistake of ours" not in answer.body
    assert "ZeroDivisionError: a mistake of ours" in caplog.text


@pytest.mark.feature("AU-01")
async def test_no_token_query_or_body_is_in_any_log(
    guarded: Small, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = guarded.token(Scope.ADMIN)
    secret = token.split("_", 2)[2]  # which may hold one, too
    revoked = guarded.tokens.create("old")[1]
    guarded.tokens.revoke("old")
    bad = f"{PREFIX}{'0' * 12}_{'B' * 43}"
    answers = []
    for given in (token, revoked, bad):
        for method, path in [*ROUTES, ("GET", "/broken"), ("PUT", "/")]:
            body = b'{"password": "hunter2"}' if method == "POST" else b""
            answers.append(
                await ask(
                    guarded.port,
                    method,
                    f"{path}?key=hunter2&token={given}",
                    body=body,
                    token=given,
                )
            )
        path = f"/nowhere/{given}"
        answers.append(await ask(guarded.port, "GET", path, token=given))
        malformed = (
            f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {given}\x00\r\n\r\n"
        )
        answers.append(parse(await exchange(guarded.port, malformed.encode())))
        origin = {"Origin": f"http://{given}"}
        answers.append(await ask(guarded.port, "GET", "/", origin, token=given))
    guarded.tokens.path.chmod(0o644)
    answers.append(await ask(guarded.port, "GET", "/nowhere", token=token))
    written = caplog.text + repr([record.__dict__ for record in caplog.records])
    assert "everact.control.access" in written
    assert "GET /nowhere/everact_… 401" in written
    for text in (token, secret, revoked, bad, "B" * 43, "hunter2"):
        assert text not in written
        assert not any(text.encode() in answer.body for answer in answers)
