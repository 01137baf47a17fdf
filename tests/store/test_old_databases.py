"""Databases that earlier versions wrote are opened, migrated and gone on with.

`old/schema-N.sql` is what a version with schema N left behind: a run that is done, and
one that sleeps for an hour and has a signal that it has not read. From schema 3 on the
start, the signal and an event have request IDs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, RunStatus, Runtime, receive, sleep, task, workflow
from everact.runtime.events import UserEventCondition, wait_for
from everact.runtime.store import catalogue
from tests.store import old_rules

OLD = Path(__file__).parent / "old"
WRITTEN = 1_795_982_400.0
"""About when they were written, in epoch seconds."""
REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(number: int) -> int:
    return 2 * number


@workflow(registry=REGISTRY)
async def patient(number: int) -> int:
    first = await double(number)
    await sleep(3600)
    added: int = await receive("add")
    return await double(first) + added


@workflow(registry=REGISTRY)
async def quick(number: int) -> int:
    return await double(number)


@workflow(registry=REGISTRY)
async def paid() -> Any:
    condition = UserEventCondition("paid", scope="order-1", look_back="1h")
    (met,) = (await wait_for("it", condition)).values()
    return met.payload


def restored(name: str, path: Path) -> None:
    """Make the database that an earlier version left behind."""
    script = (OLD / f"{name}.sql").read_text(encoding="utf-8")
    key = script.partition("\n")[0].rpartition(" ")[2]
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    file = Path(f"{path}.key")
    file.touch(0o600)
    file.write_text(key + "\n", encoding="ascii")


def test_there_is_a_database_of_every_earlier_schema() -> None:
    numbers = sorted(int(p.stem.rpartition("-")[2]) for p in OLD.glob("schema-*.sql"))
    assert numbers == list(range(1, len(catalogue.migrations("sqlite"))))


@pytest.mark.parametrize("number", range(1, len(catalogue.migrations("sqlite"))))
async def test_runs_of_an_earlier_schema_go_on(number: int, tmp_path: Path) -> None:
    restored(f"schema-{number}", tmp_path / "everact.db")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        tmp_path / "everact.db",
        registry=REGISTRY,
        clock=VirtualClock(loop, epoch=WRITTEN),
    ) as runtime:
        done = await runtime.handle("quick-1").describe()
        assert (done.status, done.memo) == (RunStatus.COMPLETED, {"for": "ada"})
        assert await runtime.handle("quick-1").result() == 8
        found = [run.workflow_id async for run in runtime.list("status = 'completed'")]
        assert found == ["quick-1"]
        assert await runtime.handle("patient-1").result() == 21
        assert (await runtime.count("workflow = 'patient'")).count == 1


async def test_events_of_an_earlier_version_get_their_code_once(tmp_path: Path) -> None:
    """They are accepted as they were found; what comes in later without one is not."""
    path = tmp_path / "everact.db"
    restored("schema-2", path)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    for life in range(3):
        clock = VirtualClock(loop, epoch=WRITTEN + 60)
        async with Runtime(path, registry=REGISTRY, clock=clock) as runtime:
            (found,) = [event async for event in runtime.events.list()]
            assert (found.key, found.scope, found.payload) == (
                "paid",
                "order-1",
                {"amount": 12},
            )
            handle = await runtime.start(paid, id=f"late-{life}")
            assert await handle.result() == {"amount": 12}
        with closing(sqlite3.connect(path)) as connection:  # as if there were no code
            connection.execute(
                "insert or replace into user_events select 90, workspace, 'forged', "
                "key, scope, x'7b7d', metadata, at - 30, 0, x'' from user_events"
            )
            connection.commit()


@pytest.mark.feature("ID-11", "RC-01")
async def test_a_request_that_an_earlier_version_served_is_not_served_again(
    tmp_path: Path,
) -> None:
    restored("schema-3", tmp_path / "everact.db")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop, epoch=WRITTEN + 60)
    async with Runtime(
        tmp_path / "everact.db", registry=REGISTRY, clock=clock
    ) as runtime:
        again = await runtime.start(quick, 4, id="quick-1", request_id="start-1")
        (first,) = [line async for line in runtime.list("workflow = 'quick'")]
        assert again.result_run_id == first.run_id
        await runtime.handle("patient-1").signal("add", 100, request_id="add-1")
        pushed = await runtime.events.push("tick", {"n": 1}, request_id="push-1")
        assert [event.event_id async for event in runtime.events.list()] == [pushed]
        assert await runtime.handle("patient-1").result() == 21


@pytest.mark.feature("ST-06", "CH-01")
async def test_runs_go_on_by_the_rules_that_they_began_by(tmp_path: Path) -> None:
    """`old/rules-0.sql` was written when the code began before async handlers, and a
    cancelled await of a child raised at once: both are in the order of its commands.
    """
    restored("rules-0", tmp_path / "everact.db")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Runtime(
        tmp_path / "everact.db",
        registry=old_rules.REGISTRY,
        clock=VirtualClock(loop, epoch=WRITTEN + 10),
    ) as runtime:
        for id in ("diary", "parent"):
            assert (await runtime.handle(id).describe()).aside is None
            await runtime.handle(id).signal("close")
        assert await runtime.handle("diary").result() == ["code", "signal"]
        assert await runtime.handle("parent").result() == "given up"
        waiting = runtime.handle("waiting")  # it had not begun: by today's rules
        await waiting.signal("close")
        assert await waiting.result() == ["signal", "code"]
