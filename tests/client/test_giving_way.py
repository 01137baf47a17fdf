"""Asking in a row leaves the loop its turns: what is waited for can happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Client, Registry, Runtime, receive, workflow
from everact.runtime.core.statuses import RunStatus
from everact.runtime.errors import RPCError

REGISTRY = Registry()
ENOUGH = 10.0
"""Real seconds of questions, in which something else must have come to its turn."""


@workflow(registry=REGISTRY)
async def waiting() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def quick() -> int:
    return 1


def opened(path: Path) -> Runtime:
    loop = asyncio._get_running_loop()
    clock = VirtualClock(loop) if isinstance(loop, VirtualLoop) else None
    return Runtime(path / "everact.db", registry=REGISTRY, clock=clock)


async def refused(client: Client) -> None:
    with pytest.raises(RPCError):
        await client.handle("nobody").signal("go")


async def listed(client: Client) -> None:
    async for _ in client.list():
        pass


ASKED: dict[str, Callable[[Client], Awaitable[object]]] = {
    "describe": lambda client: client.handle("waits").describe(),
    "history": lambda client: client.handle("waits").history(),
    "count": lambda client: client.count(),
    "list": listed,
    "the result of a closed run": lambda client: client.handle("closed").result(),
    "what is refused": refused,
    "a start that attaches": lambda client: client.start(
        waiting, id="waits", on_conflict="attach"
    ),
}


async def ask_until_another_task_is_done(client: Client, verb: str) -> None:
    await client.start(waiting, id="waits")
    await client.execute(quick, id="closed")
    done = False

    async def another() -> None:
        nonlocal done
        await client.handle("waits").signal("go")
        for _ in range(3):
            await asyncio.sleep(0)
        done = True

    ending = asyncio.create_task(another())
    limit = time.monotonic() + ENOUGH
    while not done:
        await ASKED[verb](client)
        assert time.monotonic() < limit
    await ending


@pytest.mark.parametrize("verb", ASKED)
async def test_a_verb_lets_others_have_their_turn(tmp_path: Path, verb: str) -> None:
    async with opened(tmp_path) as runtime:
        await ask_until_another_task_is_done(runtime, verb)


@pytest.mark.real_time
@pytest.mark.parametrize("verb", ASKED)
async def test_a_verb_lets_others_have_their_turn_in_real_time(
    tmp_path: Path, verb: str
) -> None:
    async with opened(tmp_path) as runtime:
        await ask_until_another_task_is_done(runtime, verb)


async def test_a_poll_without_a_sleep_sees_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(waiting, id="waits")
        sending = asyncio.create_task(handle.signal("go", 7))
        limit = time.monotonic() + ENOUGH
        while (await handle.describe()).status is RunStatus.RUNNING:
            assert time.monotonic() < limit
        await sending
        assert await handle.result() == 7
