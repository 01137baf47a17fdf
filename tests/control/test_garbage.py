"""Whatever is sent, the engine neither breaks nor grows, and answers the next one.

`EVERACT_LONG=1` sends five times as much, `EVERACT_SEED` what an earlier run sent.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.control.engine import Engine, engine
from tests.control.garbage import ROUTES, Garbage, Wrong

pytestmark = pytest.mark.real_time

ROUNDS = 500 if os.environ.get("EVERACT_LONG") else 100
"""Requests to each route after the warm-up; the warm-up is half as long."""
STREAMS = 20
"""Connections of a round that speak no HTTP."""
GROWTH = 24 * 1024 * 1024
"""Bytes by which the engine may grow after the warm-up: the allocator's own waste, and
what requests leave that are right by chance."""
ANSWER_SECONDS = 20.0
OURS = re.compile(r"^[A-Z]+ /\S* failed$|^Error handling request", re.MULTILINE)
"""What the log of the engine says when an answer failed inside of it."""
SILENCE_SECONDS = 0.05
"""How long an answer to what is no HTTP is waited for."""


@pytest.mark.slow
@pytest.mark.feature("CT-04")
async def test_garbage_on_every_route_is_refused_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    seed = os.environ.get("EVERACT_SEED") or f"{random.SystemRandom().getrandbits(32)}"
    async with engine(tmp_path) as served, aiohttp.ClientSession() as session:
        thrower = Thrower(served, session, Garbage(seed))
        await thrower.rounds(max(1, ROUNDS // 2))
        before = served.resident()
        await thrower.rounds(ROUNDS)
        grown = served.resident() - before
        await thrower.ask_properly()
    told = f"seed {seed}, {dict(thrower.statuses)}, grown by {grown / 1e6:.1f} MB"
    print(told)
    assert thrower.failures == [], told
    assert not OURS.search(served.log.read_text()), served.log.read_text()[-5000:]
    assert grown < GROWTH, told
    assert thrower.statuses.total() > len(ROUTES) * ROUNDS
    for status in (400, 403, 404, 405, 415):
        assert thrower.statuses[status], told


async def test_a_body_beyond_the_limit_is_refused_on_every_route(
    tmp_path: Path,
) -> None:
    """Announced or not: 4 MiB are the default limit."""
    large = b'{"args":["' + b"x" * 5 * 1024 * 1024 + b'"]}'
    async with engine(tmp_path) as served, aiohttp.ClientSession() as session:
        thrower = Thrower(served, session, Garbage(""))
        before = served.resident()
        for route in ROUTES:
            await thrower.throw(Wrong("POST", route, large, JSON))
        grown = served.resident() - before
        await thrower.ask_properly()
    assert thrower.failures == []
    assert set(thrower.statuses) <= {404, 405, 413, 200}
    assert thrower.statuses[413] > 20
    assert grown < 2 * GROWTH


JSON = {"Content-Type": "application/json"}


class Thrower:
    """Sends garbage and writes down what came back."""

    def __init__(
        self, served: Engine, session: aiohttp.ClientSession, garbage: Garbage
    ) -> None:
        self._served = served
        self._session = session
        self._garbage = garbage
        self.failures: list[str] = []
        self.statuses: Counter[int] = Counter()

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            thrown = [self.throw(self._garbage.request(route)) for route in ROUTES]
            spoken = [self.speak(self._garbage.stream()) for _ in range(STREAMS)]
            await asyncio.gather(*thrown, *spoken)

    async def throw(self, wrong: Wrong) -> None:
        """An answer below 500 (501: no such method) or a closed connection is right."""
        told = f"{wrong.method} {wrong.path[:200]} {wrong.body!r:.500} {wrong.headers}"
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._session.request(
                    wrong.method,
                    URL(self._served.base + wrong.path, encoded=True),
                    data=None if wrong.body is None else io.BytesIO(wrong.body),
                    headers=wrong.headers,
                ) as answer,
            ):
                self.statuses[answer.status] += 1
                if answer.content_type == "text/event-stream":
                    return
                body = await answer.read()
                if answer.status >= 500 and answer.status not in (501, 504):
                    self.failures.append(f"{told}: {answer.status} {body!r:.300}")
        except TimeoutError:
            self.failures.append(f"{told}: no answer in {ANSWER_SECONDS:g} s")
        except (aiohttp.ClientError, ValueError):
            self.statuses[0] += 1  # closed without an answer, or could not be sent

    async def speak(self, said: bytes) -> None:
        """A connection that says this and no more; a 500 would be wrong here too."""
        reader, writer = await asyncio.open_connection(
            self._served.host, self._served.port
        )
        line = b""
        with suppress(OSError, TimeoutError):  # the engine may wait for the rest
            writer.write(said)
            await writer.drain()
            line = await asyncio.wait_for(reader.readline(), SILENCE_SECONDS)
        writer.close()
        status = int(line.split()[1]) if line.startswith(b"HTTP/") else 0
        self.statuses[status] += 1
        if status == 500:
            self.failures.append(f"{said[:200]!r}: {line!r}")

    async def ask_properly(self) -> None:
        """The engine does its work as if nothing had been."""
        post, base = self._session.post, self._served.base + "/api/v1/runs"
        start = {"workflow": "squares", "args": [4], "workflow_id": "at-the-end"}
        async with post(f"{base}/start", json=start) as answer:
            assert answer.status == 200, await answer.text()
        asked = {"run": {"workflow_id": "at-the-end"}}
        async with post(f"{base}/result", json=asked) as answer:
            assert (await answer.json())["result"] == [0, 1, 4, 9]
