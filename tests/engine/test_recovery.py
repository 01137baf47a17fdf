"""Open runs are brought back many at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, Runtime, receive, task, workflow

REGISTRY = Registry()


@task(registry=REGISTRY)
async def step(value: int) -> int:
    return value + 1


@task(registry=REGISTRY)
async def gated() -> int:
    if not gate:
        await asyncio.Event().wait()
    return 1


gate: list[bool] = []


@workflow(registry=REGISTRY)
async def stepping(steps: int) -> int:
    done = 0
    for _ in range(steps):
        done = await step(done)
    return done + await gated()


@workflow(registry=REGISTRY)
async def asked() -> int:
    return int(await receive("n"))


def runtime(path: Path) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    return Runtime(path, registry=REGISTRY, clock=clock, grace=0)


async def prepared(path: Path, count: int, steps: int = 3) -> None:
    gate.clear()
    async with runtime(path) as made:
        for number in range(count):
            await made.start(stepping, steps, id=f"r-{number}")
        await asyncio.sleep(1)


async def selects(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """The queries of journals that opening makes, and all its selects."""
    found: list[str] = []

    class Traced(sqlite3.Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.set_trace_callback(found.append)

    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> Any:
        return connect(*args, factory=Traced, **options)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", traced)
        async with runtime(path):
            mine = [text for text in found if "select" in text.partition("\n")[0]]
    return sum("journal" in text for text in mine), mine


async def test_opening_asks_no_more_of_the_database_for_more_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for count in (2, 150):
        path = tmp_path / f"{count}.db"
        await prepared(path, count)
        journals, asked = await selects(path, monkeypatch)
        counts.append((journals, len(asked)))
    assert counts[0] == counts[1]


@pytest.mark.feature("RC-01")
async def test_runs_go_on_whose_journals_do_not_fit_into_memory_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, count = tmp_path / "a.db", 20
    await prepared(path, count, steps=5)
    monkeypatch.setattr("everact.runtime.store.sqlite.questions.RECOVERED_BYTES", 1500)
    gate.append(True)
    async with runtime(path) as made:
        handles = [made.handle(f"r-{number}") for number in range(count)]
        assert [await handle.result() for handle in handles] == [6] * count
