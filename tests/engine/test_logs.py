"""The log tells an operator what failed, and a developer all of it."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    Registry,
    Runtime,
    WorkflowFailure,
    retry,
    sleep,
    task,
    workflow,
)
from everact.runtime import logger as author
from everact.runtime.errors import RunPutAside

REGISTRY = Registry()


@task(registry=REGISTRY, retry=retry(attempts=2, first=4.0))
async def breaks() -> None:
    raise ValueError("no such\nluck")


@task(registry=REGISTRY)
async def works() -> int:
    author.info("a task works")
    return 1


@workflow(registry=REGISTRY)
async def unlucky() -> None:
    await breaks()


@workflow(registry=REGISTRY)
async def lucky() -> int:
    author.info("before")
    found = await works()
    author.warning("after %d", found, extra={"colour": "red"})
    await sleep(10)
    author.info("at last")
    return found


def opened(path: Path, registry: Registry = REGISTRY, **options: object) -> Runtime:
    loop = asyncio._get_running_loop()
    clock = VirtualClock(loop) if isinstance(loop, VirtualLoop) else None
    return Runtime(path / "a.db", registry=registry, clock=clock)


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == level]


async def test_failed_attempts_and_runs_are_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as runtime:
        handle = await runtime.start(unlucky, id="u")
        with pytest.raises(WorkflowFailure):
            await handle.result()
        which = f"run 'u' ({handle.result_run_id}) of 'unlucky'"
        timed = await runtime.start(lucky, id="t", run_timeout=5)
        with pytest.raises(WorkflowFailure):
            await timed.result()
    attempt = f"task 'breaks' of {which}, attempt"
    other = f"run 't' ({timed.result_run_id}) of 'lucky'"
    assert told(caplog, logging.WARNING) == [
        f"{attempt} 1, failed: ValueError: no such; it is tried again in 4 s",
        f"{attempt} 2, failed: ValueError: no such; it is not tried again",
        f"{which} failed: ValueError: no such",
        "after 1",
        f"{other} timed out: TimedOut: the run timeout of 'lucky' expired",
    ]
    assert told(caplog, logging.DEBUG) == []


async def test_starts_and_ends_are_for_debugging(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "everact.engine"):
        async with opened(tmp_path) as runtime:
            handle = await runtime.start(lucky, id="l")
            assert await handle.result() == 1
    which = f"run 'l' ({handle.result_run_id}) of 'lucky'"
    assert set(told(caplog, logging.DEBUG)) == {
        f"{which} was started",
        f"task 'works' of {which}, attempt 1, begins",
        f"task 'works' of {which}, attempt 1, ended: TaskCompleted",
        f"{which} ended: completed",
    }


@pytest.mark.real_time
async def test_a_run_that_was_put_aside_says_when_it_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def registry(*, mended: bool) -> Registry:
        made = Registry()

        @workflow(registry=made, name="busy")
        async def busy() -> int:
            if not mended:
                time.sleep(60)
            return 1

        return made

    async with opened(tmp_path, registry(mended=False)) as runtime:
        handle = await runtime.start("busy", id="b", task_timeout=0.05)
        with pytest.raises(RunPutAside):
            await handle.result()
    caplog.clear()
    async with opened(tmp_path, registry(mended=True)) as runtime:
        assert await runtime.handle("b").result() == 1
    (line,) = told(caplog, logging.WARNING)
    assert "goes on; it was put aside: its code does not come to a wait" in line


async def test_author_code_logs_once_and_says_who_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "everact.run"):
        async with opened(tmp_path) as runtime:
            handle = await runtime.start(lucky, id="l")
            await asyncio.sleep(5)
        async with opened(tmp_path) as runtime:  # its code is replayed
            assert await runtime.handle("l").result() == 1
        author.info("outside")
    records = [r for r in caplog.records if r.name == "everact.run"]
    run_id = handle.result_run_id
    assert [
        (r.getMessage(), *(getattr(r, n) for n in ("workflow_id", "run_id", "task")))
        for r in records
    ] == [
        ("before", "l", run_id, ""),
        ("a task works", "l", run_id, "works"),
        ("after 1", "l", run_id, ""),
        ("at last", "l", run_id, ""),
        ("outside", "", "", ""),
    ]
    assert getattr(records[2], "colour") == "red"  # noqa: B009
