"""Requests that no client makes: one random source, every kind of wrong.

What is drawn here is meant to be refused. A few requests are right by chance; they
address few IDs, so that what they leave in the engine is bounded.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from everact.runtime import wire
from everact.runtime.operations.table import OPERATIONS

FIELDS = {
    wire.path_of(kind): wire.codec_of(kind).request.__struct_fields__
    for kind in OPERATIONS
}
FIXED = ("/", "/healthz", "/readyz", "/metrics", "/openapi.json")
ELSEWHERE = ("/api/v1/runs", "/api/v1/runs/start/", "/%00", "//", "/../x", "/api/%ff")
ROUTES = (*FIELDS, *FIXED)
WAITS = ("wait", "timeout")
ONE = {"workflow_id": "one"}
START = {
    "workflow": "echo",
    "args": [1],
    "workflow_id": "one",
    "on_conflict": "attach",
    "options": {"queue": "default", "memo": {"a": 1}, "retry": None},
}
RIGHT: dict[str, dict[str, Any]] = {
    "runs/start": START,
    "runs/execute": {"start": START, "wait": 0},
    "runs/start_batch": {"starts": [START]},
    "runs/result": {"run": ONE, "wait": 0},
    "runs/describe": {"run": ONE},
    "runs/history": {"run": ONE, "limit": 10},
    "runs/follow": {"run": ONE},
    "runs/signal": {"run": ONE, "name": "add", "args": [1], "headers": {"a": "b"}},
    "runs/query": {"run": ONE, "name": "sizes", "kwargs": {"only": "small"}},
    "runs/cancel": {"run": ONE, "reason": "no"},
    "runs/terminate": {"run": ONE, "details": [1]},
    "runs/search": {"narrowed": {"status": "COMPLETED"}, "page_size": 1},
    "tasks/complete": {"task": {**ONE, "task_id": "1"}, "result": 1},
    "tasks/fail": {
        "task": {"token": "AAAA"},
        "failure": {"kind": "APPLICATION", "type": "No", "message": "no"},
    },
    "tasks/heartbeat": {"task": {**ONE, "task_id": "1"}, "details": [1]},
    "tasks/report_cancelled": {"task": {**ONE, "task_id": "1"}},
    "versions/update": {
        "queue": "q",
        "operation": {"type": "AddNewDefault", "build_id": "1"},
    },
    "versions/get": {"queue": "q", "max_sets": 1},
    "versions/reachability": {"build_ids": ["1"], "queues": ["q"]},
    "actors/spawn": {"class_name": "Counter", "args": [1], "name": "one"},
    "actors/tell": {"actor": "one", "message": 1},
    "actors/ask": {"actor": "one", "message": 1, "timeout": 0.05},
    "actors/stop": {"actor": "one"},
    "actors/tree": {"limit": 10},
}
"""What would be carried out, by route."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW")
TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/json; charset=utf-16",
    "application/json;;;==",
    "\x7f",
    "",
)
TEXTS = (
    "",
    "squares",
    "one",
    "no-such-thing",
    "\0",
    "\u202e",
    "é" * 300,
    "x" * 70_000,
    "../../etc/passwd",
    "{}",
    "-1",
    "'; drop table runs; --",
)
NUMBERS = (0, -1, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e308, 1e-320, True)
RAW = (
    b"",
    b"{",
    b"nul",
    b"[]",
    b'"text"',
    b"NaN",
    b'{"a":Infinity}',
    b'{"a":1e999999}',
    b'{"a":1,"a":2}',
    b'{"workflow":"\\ud800"}',
    b'{"workflow":"\xff\xfe"}',
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00.",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"args":' * 20_000,
    b'{"args":[' + b"[" * 900 + b"]" * 900 + b"]}",
    b'{"limit":' + b"9" * 100_000 + b"}",
)


@dataclass(frozen=True)
class Wrong:
    """A request: well-formed HTTP, whatever it may mean."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Garbage:
    """Draws requests; the same seed draws the same ones."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def request(self, route: str) -> Wrong:
        """Something wrong for the route."""
        kinds: tuple[Callable[[str], Wrong], ...] = (
            self._nearly_right,
            self._nearly_right,
            self._nearly_right,
            self._mistyped,
            self._mistyped,
            self._no_json,
            self._mutilated,
            self._wrong_query,
            self._wrong_type,
            self._wrong_method,
            self._wrong_headers,
        )
        return self._chance.choice(kinds)(route)

    def stream(self) -> bytes:
        """Bytes that are no HTTP, or HTTP that does not hold what it says."""
        route = self._chance.choice(ROUTES)
        head = f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
        head += b"Content-Type: application/json\r\n"
        return self._chance.choice(
            (
                self._chance.randbytes(self._chance.choice((1, 100, 20_000))),
                b"\x16\x03\x01\x02\x00" + self._chance.randbytes(100),
                head[: self._chance.randrange(1, len(head))] + b"\r\n\r\n",
                head + b"Content-Length: -5\r\n\r\n{}",
                head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}",
                head + b"Content-Length: 99999999999999999999\r\n\r\n{}",
                head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
                head + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                head
                + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
                head + b"Transfer-Encoding: gzip, bogus\r\n\r\n{}",
                head + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
                head + b"X: y\r\n" * 200 + b"\r\n",
                head + b"Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}",
                b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
            )
        )

    def value(self, depth: int = 0) -> Any:
        """Any JSON value; seldom what is wanted where it is put."""
        chance = self._chance
        kind = chance.randrange(8 if depth < 4 else 5)
        if kind < 2:
            return chance.choice(TEXTS)
        if kind < 4:
            return chance.choice(NUMBERS)
        if kind == 4:
            return None
        count = chance.randrange(4)
        if kind < 7:
            return [self.value(depth + 1) for _ in range(count)]
        return {chance.choice(TEXTS): self.value(depth + 1) for _ in range(count)}

    def _object(self, route: str) -> dict[str, Any]:
        """An object with fields of the route's request, and wrong values in them."""
        names = [*FIELDS.get(route, ()), "type"]
        chosen = self._chance.sample(names, self._chance.randrange(len(names) + 1))
        made = {name: self.value() for name in chosen}
        if self._chance.random() < 0.3:
            made["run"] = {"workflow_id": "one", "run_id": self.value()}
        for name in WAITS:  # a right one would be waited for
            if name in made:
                made[name] = self._chance.choice((0, -1, 1e300, "soon", None))
        return made

    def _nearly_right(self, route: str) -> Wrong:
        """A request that would be carried out, but for one field somewhere in it."""
        made = deepcopy(RIGHT.get(route.removeprefix("/api/v1/"), {}))
        more = [n for n in FIELDS.get(route, ()) if n not in WAITS] or ["type"]
        place: Any = made
        while True:
            names = [*place, *(more if place is made else ("options", "headers"))]
            name = self._chance.choice(names)
            inner = place.get(name)
            if isinstance(inner, list) and inner and isinstance(inner[0], dict):
                inner = inner[0]
            if not isinstance(inner, dict) or not inner or self._chance.random() < 0.3:
                break
            place = inner
        place[name] = self.value()
        return _posted(route, json.dumps(made).encode())

    def _mistyped(self, route: str) -> Wrong:
        return _posted(route, json.dumps(self._object(route)).encode())

    def _no_json(self, route: str) -> Wrong:
        random_bytes = self._chance.randbytes(self._chance.choice((1, 50, 5_000)))
        return _posted(route, self._chance.choice((*RAW, random_bytes)))

    def _mutilated(self, route: str) -> Wrong:
        body = bytearray(json.dumps(self._object(route)).encode())
        for _ in range(3):
            body[self._chance.randrange(len(body))] = self._chance.randrange(256)
        return _posted(route, bytes(body[: self._chance.randrange(1, len(body) + 1)]))

    def _wrong_query(self, route: str) -> Wrong:
        pairs = []
        for name, value in self._object(route).items():
            text = value if isinstance(value, str) else json.dumps(value)
            deeper = name + self._chance.choice(("", ".", ".workflow_id", ".a.b" * 50))
            pairs.append(f"{quote(deeper)}={quote(text[:500])}")
        return Wrong("GET", f"{route}?{'&'.join(pairs)[:6_000]}")

    def _wrong_type(self, route: str) -> Wrong:
        kind = self._chance.choice(TYPES)
        return Wrong("POST", route, b"{}", {"Content-Type": kind})

    def _wrong_method(self, route: str) -> Wrong:
        path = self._chance.choice((route, *ELSEWHERE))
        return Wrong(self._chance.choice(METHODS), path, headers=_JSON)

    def _wrong_headers(self, route: str) -> Wrong:
        name, value = self._chance.choice(
            (
                ("Last-Event-ID", "\u00ff" * 50),
                ("Last-Event-ID", "9" * 5_000),
                ("Idempotency-Key", "k" * 8_000),
                ("Authorization", "Bearer " + "x" * 5_000),
                ("Authorization", "Basic ?"),
                ("Content-Encoding", "gzip"),
                ("Host", "elsewhere"),
                ("Origin", "null"),
                ("traceparent", "00-zz-zz-99"),
                ("Accept", ",;q=,"),
                ("Cookie", "=;=;"),
                ("Range", "bytes=5-1"),
            )
        )
        body = json.dumps(self._object(route)).encode()
        return Wrong("POST", route, body, _JSON | {name: value})


_JSON = {"Content-Type": "application/json"}


def _posted(route: str, body: bytes) -> Wrong:
    return Wrong("POST", route, body, _JSON)
