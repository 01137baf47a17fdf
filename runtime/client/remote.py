"""The transport to an engine in another process: requests as JSON over HTTP.

A request is repeated after a transient failure, under one request ID, so that it takes
effect once; one that could take effect twice is repeated only if it was not carried
out. What waits for a run asks again and again, for as long as the run takes and across
restarts of the engine, once the engine has been reached at all.
"""

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from secrets import token_hex
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import replace

from everact.runtime import wire
from everact.runtime.client.connection import SIGN_OF_LIFE, Answer, Connection
from everact.runtime.client.rpc import NO_METADATA, RPC, checked_metadata, checked_rpc
from everact.runtime.client.settings import TRANSIENT, RetryConfig
from everact.runtime.client.transport import Usual, deadline_exceeded, waits
from everact.runtime.core.durations import optional_seconds
from everact.runtime.core.requests import AUTOMATIC, KEPT
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import (
    EngineUnreachable,
    EveractError,
    RPCError,
    RuntimeStateError,
)
from everact.runtime.operations.base import OPERATIONS, Request
from everact.runtime.operations.batches import StartRuns, StartTogether
from everact.runtime.operations.executing import ExecuteRun
from everact.runtime.operations.requests import check_id, id_of, takes_id, with_id
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.json_payloads import JsonConverter

A = TypeVar("A")

_BATCHES: Final = (StartRuns, StartTogether)
"""Requests that hold others, each with a request ID of its own."""

REMOTE: Final = DataConverter(JsonConverter())
"""What a client of a remote engine converts with unless told otherwise."""

POLL: Final = 30.0
"""Seconds that an engine is asked to wait before it says "not yet"."""

POLL_GRACE: Final = 30.0
"""Seconds beyond that until its answer counts as lost."""

_START_REPEATABLE: Final = KEPT / 2
"""Seconds for which a start that may have been carried out is sent again: until then
its request ID is surely remembered.
"""


class HttpTransport:
    """Carries requests to the engine behind `connection`. For one event loop."""

    def __init__(
        self,
        connection: Connection,
        *,
        api_key: str | None = None,
        key_place: str = "api_key",
        rpc_metadata: Mapping[str, str] = NO_METADATA,
        retry: RetryConfig,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.connection = connection
        self.usual = Usual(REMOTE)
        self.rpc_metadata = checked_metadata(rpc_metadata)
        self.api_key = api_key
        self._key_place = key_place
        self._retry = retry
        self._clock = clock
        self._chance = chance

    @property
    def api_key(self) -> str | None:
        """The bearer credential of requests whose headers hold none."""
        return self._api_key

    @api_key.setter
    def api_key(self, key: str | None) -> None:
        if key is not None and not isinstance(key, str):
            raise TypeError(f"api_key must be text, not {type(key).__name__}")
        if key is not None and (not key.isascii() or not key.isprintable()):
            raise ValueError("api_key must be printable ASCII")  # and is not shown
        self._api_key = key
        self._key_place = "api_key"

    async def reach(self) -> None:
        """Ask for a sign of life; EngineUnreachable without one."""
        answer = await self.connection.request("GET", SIGN_OF_LIFE, headers={})
        if answer.status != 200:
            target = str(self.connection.target)
            raise EngineUnreachable(
                f"no engine at {target}: it was asked for a sign of life and answered "
                f"with HTTP status {answer.status}",
                target,
            )

    async def call(
        self, request: Request[A], rpc: RPC | None = None, *, retry: bool = True
    ) -> A:
        """As the port says. RPCError DEADLINE_EXCEEDED, EngineUnreachable, and
        RuntimeStateError if the client is closed or on another loop.
        """
        rpc = checked_rpc(rpc or {})
        headers = self._headers(rpc)
        limit = optional_seconds(rpc.get("rpc_timeout"), what="rpc_timeout")
        request = identified(request)
        began, retries, sent = self._clock(), 0, False
        while True:
            try:
                answer = await self._once(request, headers, limit)
            except EveractError as error:
                if not (retry and _may_repeat(request, error)):
                    raise
                retries += 1
                sent = sent or getattr(error, "sent", False)
                elapsed = self._clock() - began
                endless = self._outlasts(request, error)
                if isinstance(request, ExecuteRun):
                    endless = endless and sent and elapsed < _START_REPEATABLE
                pause = self._pause(retries, elapsed, endless)
                if pause is None:
                    raise
                await self.connection.pause(pause)
            else:
                if not isinstance(answer, wire.NotYet):
                    return answer
                began, retries = self._clock(), 0

    async def _once(
        self, request: Request[A], headers: Mapping[str, str], limit: float | None
    ) -> A | wire.NotYet:
        """The answer to one HTTP request, or the error that it tells of."""
        wait, expired = min(POLL, getattr(request, "wait", POLL)), None
        if limit is not None:
            wait = min(wait, limit / 2)
            expired = partial(deadline_exceeded, request, limit)
        elif waits(request):
            limit = POLL + POLL_GRACE
        found = await self.connection.request(
            "POST",
            wire.path_of(type(request)),
            body=wire.encode_request(request, wait),
            headers=headers,
            limit=limit,
            expired=expired,
        )
        if found.status not in (200, 202):
            raise self._refusal(found)
        try:
            answer: A | wire.NotYet = wire.decode_answer(type(request), found.body)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise self._no_engine(found.status) from error
        return answer

    def _refusal(self, answer: Answer) -> Exception:
        """The error that an answer tells of."""
        error = wire.decode_error(answer.body)
        if type(error) is RPCError and error.status in _OF_KEYS:
            text = f"{error.message}; {self._key_told()}"
            return RPCError(text, error.status, error.details)
        if error is not None:
            return error
        return self._no_engine(answer.status)

    def _no_engine(self, http_status: int) -> RPCError:
        """An answer is not one that an engine gives."""
        target = str(self.connection.target)
        text = f"{target} answered with HTTP status {http_status}, and not as an engine"
        status = _FOREIGN.get(http_status)
        if status is None and http_status >= 500:  # what the engine did is not known
            return EngineUnreachable(f"{text} does", target, sent=True)
        return RPCError(f"{text} does", status or RPCStatus.FAILED_PRECONDITION)

    def _key_told(self) -> str:
        """Where the key that was not enough came from, never the key."""
        if self._api_key is None:
            return "no key was sent: give api_key, set EVERACT_TOKEN, or save one"
        return f"the key came from {self._key_place}"

    async def close(self) -> None:
        """As the port says."""
        await self.connection.close()

    def _outlasts(self, request: Request[Any], error: EveractError) -> bool:
        """Whether a request waits on however long the engine is away."""
        away = wire.status_of(error) is RPCStatus.UNAVAILABLE
        return away and waits(request) and self.connection.established

    def _pause(self, retries: int, elapsed: float, endless: bool) -> float | None:
        chance = self._chance()
        if endless and self._retry.retries:
            return self._retry.endless_pause(retries, chance)
        return self._retry.pause(retries, elapsed, chance)

    def _headers(self, rpc: RPC) -> dict[str, str]:
        given = checked_metadata(rpc.get("rpc_metadata", NO_METADATA))
        merged = {name.lower(): value for name, value in self.rpc_metadata.items()}
        merged |= {name.lower(): value for name, value in given.items()}
        merged["content-type"] = "application/json"
        if self._api_key is not None:
            merged.setdefault("authorization", f"Bearer {self._api_key}")
        return merged


def _may_repeat(request: Request[Any], error: EveractError) -> bool:
    """Whether another try may help, and cannot take effect a second time."""
    if isinstance(error, RuntimeStateError):  # ours: what the engine says is none
        return False
    status = wire.status_of(error)
    if status not in TRANSIENT:
        return False
    if isinstance(error, EngineUnreachable):
        refused = not error.sent
    else:
        refused = status in _REFUSED
    once = takes_id(request) or isinstance(request, _BATCHES)
    return refused or once or OPERATIONS[type(request)].reads


_FOREIGN: Final = {
    401: RPCStatus.UNAUTHENTICATED,
    403: RPCStatus.PERMISSION_DENIED,
    404: RPCStatus.UNIMPLEMENTED,
    413: RPCStatus.INVALID_ARGUMENT,
    429: RPCStatus.RESOURCE_EXHAUSTED,
    501: RPCStatus.UNIMPLEMENTED,
    503: RPCStatus.UNAVAILABLE,
}
"""What an answer without an error of ours is taken for, by its HTTP status."""

_OF_KEYS: Final = (RPCStatus.UNAUTHENTICATED, RPCStatus.PERMISSION_DENIED)

_REFUSED: Final = frozenset({RPCStatus.UNAVAILABLE, RPCStatus.RESOURCE_EXHAUSTED})


def identified(request: Request[A]) -> Request[A]:
    """`request` with a request ID of its own, if it takes one and has none.

    RPCError for one that is not a user's to give.
    """
    request_id = id_of(request)
    if request_id:
        check_id(request_id)
        return request
    if isinstance(request, _BATCHES):
        batch: Any = request
        starts = tuple(identified(one) for one in request.starts)
        return cast("Request[A]", replace(batch, starts=starts))
    if takes_id(request):
        return with_id(request, AUTOMATIC + token_hex(16))
    return request
