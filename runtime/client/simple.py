"""A client for plain requests: any path of the control endpoint, JSON in and out."""

import asyncio
import json
import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from everact.runtime.client.credentials import find_token, save_token
from everact.runtime.client.derived import Owning, same, waits
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.client.settings import RetryConfig, parse_target
from everact.runtime.core.addresses import Address
from everact.runtime.core.requests import AUTOMATIC
from everact.runtime.definitions.context import current_attempt
from everact.runtime.errors import (
    AuthorizationError,
    ClientError,
    EngineUnreachable,
    RuntimeStateError,
)

if TYPE_CHECKING:  # loading the HTTP library is put off until it is needed
    from everact.runtime.client.connection import Answer, Connection

API_KEY: Final = "EVERACT_API_KEY"
API_URL: Final = "EVERACT_API_URL"
DEFAULT_URL: Final = "http://127.0.0.1:7575"

LIMIT: Final = 30.0
"""Seconds that one request may take."""

REPEATED: Final = frozenset({500, 502, 503, 504})
RETRY: Final = RetryConfig(first=0.1, growth=2.0, retries=6, total=None)


class Plain(TypedDict, total=False):
    """The keyword options of a plain request.

    `server` is the URL to ask (default: the client's), `headers` go with it, `params`
    are its parameters, and `token` is the credential (default: the client's).
    """

    server: str | None
    headers: Mapping[str, str] | None
    params: Mapping[str, Any] | None
    token: str | None


class HttpClient:
    """GET, POST and DELETE on an engine's control endpoint.

    `api_url` defaults to `EVERACT_API_URL` of the environment, then, in a task, to the
    endpoint of the task's own engine, else to the local engine's; `api_key` to
    `EVERACT_TOKEN` or `EVERACT_API_KEY`, then, in a task, to a token that its engine
    gives it for its workspace, then to what was saved for the address. Making one sends
    nothing.
    ValueError for an empty or missing key, and for a URL that is not http or https.

    Use it as ``async with HttpClient() as client:``, on one event loop.
    """

    def __init__(self, api_key: str | None = None, api_url: str | None = None) -> None:
        attempt = current_attempt.get()
        own = attempt.endpoint if attempt is not None else None
        url = os.environ.get(API_URL) if api_url is None else api_url
        if url is None:
            url = own.url if own is not None else DEFAULT_URL
        if not url:
            raise ValueError(f"{API_URL} is set, but empty")
        _, self._address, _ = _parts(url)
        injected = own.token if own is not None and own.url == url else None
        key = find_token(self._address, api_key, injected=injected)
        if not key:
            raise ValueError(f"an API key is needed: give api_key or set {API_KEY}")
        self.api_url = url
        self._api_key = key
        self._attached: dict[str, str] = {}
        self._closed = False
        self._connections: dict[tuple[str, str], Connection] = {}

    def auth_token(self) -> str:
        """The credential of requests that give none."""
        return self._api_key

    def save_api_token(self) -> None:
        """Keep the API key for later clients of this address; durable on return."""
        save_token(self._address, self._api_key)

    def attach_headers(self, headers: Mapping[str, str]) -> None:
        """Send these with every request from now on, in place of any of the name."""
        self._attached |= {name.lower(): value for name, value in headers.items()}

    async def get(self, path: str, **options: Unpack[Plain]) -> Any:
        """The JSON at `path`, with `params` as the query string; {} for nothing.

        ClientError for a refusal, AuthorizationError if it concerns the credential,
        EngineUnreachable if no answer came after six repetitions.
        """
        params = options.get("params")
        query = f"?{urlencode(params, doseq=True)}" if params else ""
        return await self._request("GET", path + query, options)

    async def post(self, path: str, **options: Unpack[Plain]) -> Any:
        """Like `get`, but a POST with `params` as its JSON body.

        All repetitions carry one idempotency key.
        """
        body = json.dumps(options.get("params") or {}).encode()
        return await self._request("POST", path, options, body)

    async def delete(self, path: str, **options: Unpack[Plain]) -> Any:
        """Like `get`, but a DELETE without parameters."""
        return await self._request("DELETE", path, options)

    def _connection(self, url: str) -> tuple["Connection", str]:
        """The connection to the server of `url`, and the path there."""
        from everact.runtime.client.connection import Connection

        if self._closed:
            raise RuntimeStateError("the client is closed")
        scheme, place, prefix = _parts(url)
        found = self._connections.get((scheme, place))
        if found is None:
            found = Connection(parse_target(place), tls=scheme == "https")
            self._connections[scheme, place] = found
        return found, prefix

    async def close(self) -> None:
        """End pending requests and close all sockets; harmless when repeated."""
        self._closed = True
        await asyncio.gather(*(c.close() for c in self._connections.values()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _request(
        self, method: str, path: str, options: Plain, body: bytes | None = None
    ) -> Any:
        unknown = options.keys() - Plain.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
        connection, prefix = self._connection(options.get("server") or self.api_url)
        token = options.get("token") or self._api_key
        sent = {"authorization": f"Bearer {token}"}
        if body is not None:
            sent |= {
                "content-type": "application/json",
                "idempotency-key": AUTOMATIC + uuid4().hex,
            }
        given = options.get("headers") or {}
        sent |= {name.lower(): value for name, value in given.items()}
        sent |= self._attached
        full = f"{prefix}/{path.lstrip('/')}"
        return _content(await _repeated(connection, method, full, body, sent))


class BlockingHttpClient(Owning[HttpClient]):
    """`HttpClient` for programs without a loop: its methods block for their answer.

    Use it as ``with BlockingHttpClient() as client:``; any thread may that runs no
    loop. It has a thread of its own until it is closed.
    """

    def __init__(self, api_key: str | None = None, api_url: str | None = None) -> None:
        client = HttpClient(api_key, api_url)
        super().__init__(client, LoopThread(lambda: client, "client"))
        self._loop_thread.start()

    get = waits(HttpClient.get)
    post = waits(HttpClient.post)
    delete = waits(HttpClient.delete)
    attach_headers = same(HttpClient.attach_headers)
    auth_token = same(HttpClient.auth_token)
    save_api_token = same(HttpClient.save_api_token)


async def _repeated(
    connection: "Connection",
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> "Answer":
    """The last answer; EngineUnreachable if there was none at last."""
    retries = 0
    while True:
        retries += 1
        pause = RETRY.pause(retries, 0.0, random.random())
        try:
            answer = await connection.request(
                method, path, body=body, headers=headers, limit=LIMIT
            )
        except EngineUnreachable:
            if pause is None:
                raise
        else:
            if pause is None or answer.status not in REPEATED:
                return answer
        await connection.pause(pause)


def _content(answer: "Answer") -> Any:
    if 200 <= answer.status < 300:
        return json.loads(answer.body) if answer.body.strip() else {}
    code, message = "", answer.body.decode(errors="replace")[:1000]
    try:
        told = json.loads(answer.body)["error"]
        code, message = str(told["status"]), str(told["message"])
    except (ValueError, TypeError, KeyError):
        pass
    kind = AuthorizationError if answer.status in (401, 403) else ClientError
    raise kind(message or "no reason was given", answer.status, code)


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, host:port and path of a URL; ValueError if there is no such engine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the URL of an engine is http:// or https://, not {url!r}")
    if not parts.hostname or parts.username is not None or parts.query:
        raise ValueError("the URL of an engine is a host, a port and perhaps a path")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    place = Address(parts.hostname, port)
    return parts.scheme, str(place), parts.path.rstrip("/")
