"""A user event counts only with its code: what others write into the file does not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import Registry, workflow
from everact.runtime.errors import RPCError
from everact.runtime.events import UserEventCondition, wait_for
from tests.features.support import open_runtime

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def paid(scope: str, filter: str = "") -> Any:
    condition = UserEventCondition("paid", scope=scope, filter=filter, look_back="1h")
    (met,) = (await wait_for("it", condition)).values()
    return met.payload


@workflow(registry=REGISTRY)
async def large(scope: str) -> Any:
    condition = UserEventCondition("paid", scope=scope, filter="amount > 100")
    (met,) = (await wait_for("it", condition)).values()
    return met.payload


def change(path: Path, statement: str) -> None:
    """Do what somebody else does who can write the file and has no key."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


CHANGES = {
    "payload": "update user_events set payload = x'31'",
    "scope": "update user_events set scope = 'b'",
    "key": "update user_events set key = 'paid', scope = 'b' where key = 'other'",
    "moment": "update user_events set at = at + 1, scope = 'b'",
    "metadata": "update user_events set metadata = x'7b7d20'",
    "id": "update user_events set id = 'mine' where key = 'paid'",
    "place": "update user_events set seq = seq + 7",
    "workspace": "update user_events set workspace = 'theirs'",
    "no code": "update user_events set mac = x'', open = 1",
    "copy": "insert into user_events select seq + 9, workspace, id || '2', key, 'b', "
    "payload, metadata, at, 1, mac from user_events",
}


@pytest.mark.parametrize("what", CHANGES)
async def test_an_event_that_was_changed_reaches_nobody(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "everact.db"
    async with open_runtime(path, REGISTRY) as runtime:
        kept = await runtime.events.push("kept", 1)
        await runtime.events.push("other" if what == "key" else "paid", {}, scope="a")
    change(path, CHANGES[what])
    change(path, f"delete from user_events where id = '{kept}'")
    async with open_runtime(path, REGISTRY) as runtime:
        genuine = what == "copy"
        for scope in ("a", "b"):
            handle = await runtime.start(paid, scope, id=scope)
            waiting = asyncio.create_task(handle.result())
            await asyncio.sleep(600)
            assert waiting.done() == (genuine and scope == "a")
            waiting.cancel()
        assert len([e async for e in runtime.events.list(page_size=1)]) == genuine
        with pytest.raises(RPCError, match="no event 'mine'"):
            await runtime.events.get("mine")
    if what != "workspace":
        assert "is not what was written" in caplog.text


async def test_a_wait_is_what_its_run_recorded(tmp_path: Path) -> None:
    """The table of waits is an index, and carries no code: it decides nothing."""
    path = tmp_path / "everact.db"
    async with open_runtime(path, REGISTRY) as runtime:
        await runtime.start(large, "a", id="large")
    change(path, "update event_waits set filter = '', scope = 'b'")
    async with open_runtime(path, REGISTRY, idle_runs=1) as runtime:
        await runtime.events.push("paid", {"amount": 1}, scope="b")
        await asyncio.sleep(600)
        assert (await runtime.handle("large").describe()).status.name == "RUNNING"
