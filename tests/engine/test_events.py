"""Who an event reaches when runs are busy, leave memory, or ask for what is broken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Registry, RunHandle, Runtime, on_signal, workflow
from everact.runtime.engine.parts import events
from everact.runtime.events import UserEventCondition, wait_for
from tests.features.support import kinds

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def busy(filter: str | None = None) -> list[Any]:
    """Waits, and can be kept from coming to its next wait."""

    async def work(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)

    on_signal("work", work)
    met = await wait_for("first", UserEventCondition("tick", filter=filter))
    again = await wait_for("again", UserEventCondition("tick"))
    return [met["tick"].payload, again["tick"].payload]


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = VirtualClock(loop)
    async with Runtime(tmp_path / "a.db", registry=REGISTRY, clock=clock) as made:
        yield made


async def paused(
    runtime: Runtime, id: str
) -> tuple[RunHandle[Any], asyncio.Future[None]]:
    """A run in the middle of an activation, and the signal that keeps it there."""
    handle = await runtime.start(busy, id=id)
    working = asyncio.ensure_future(handle.signal("work", 90_000))
    (run,) = runtime.engine.runs.values()
    while run.code.paused is None:
        await asyncio.sleep(0)
    return handle, working


async def met_once(handle: RunHandle[Any]) -> None:
    """Wait until the run has met its first wait, and its second one is recorded."""
    while (await kinds(handle))["AwaitEvent"] < 2:
        await asyncio.sleep(1)


async def test_a_run_in_the_middle_of_an_activation_gets_the_first_event(
    runtime: Runtime,
) -> None:
    handle, working = await paused(runtime, "a")
    pushing = [asyncio.ensure_future(runtime.events.push("tick", n)) for n in range(3)]
    await asyncio.gather(working, *pushing)
    await met_once(handle)
    await runtime.events.push("tick", "later")
    assert await handle.result() == [0, "later"]


async def test_a_run_that_is_dropped_in_the_middle_gets_the_first_event(
    runtime: Runtime,
) -> None:
    handle, working = await paused(runtime, "a")
    (run,) = runtime.engine.runs.values()
    pushing = [asyncio.ensure_future(runtime.events.push("tick", n)) for n in range(3)]
    await asyncio.sleep(0)
    runtime.engine.discard(run, None)
    await asyncio.gather(working, *pushing)
    await met_once(handle)
    await runtime.events.push("tick", "later")
    assert await handle.result() == [0, "later"]


async def test_a_wait_whose_filter_cannot_be_read_keeps_nobody_from_an_event(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A grammar may change; what was recorded stays."""
    broken = await runtime.start(busy, "n = 1")
    whole = await runtime.start(busy)

    def parse(text: str) -> Any:
        raise ValueError(f"{text} is not what it was")

    events._filter.cache_clear()
    monkeypatch.setattr(events, "parse", parse)
    for number in (1, 2):
        with caplog.at_level(logging.CRITICAL, "everact.engine"):
            await runtime.events.push("tick", {"n": number})
    assert await whole.result() == [{"n": 1}, {"n": 2}]
    assert (await broken.describe()).pending_events == ("tick",)
    monkeypatch.undo()
    await runtime.events.push("tick", {"n": 1})
    await runtime.events.push("tick", {"n": 3})
    assert await broken.result() == [{"n": 1}, {"n": 3}]


async def test_events_that_wait_for_the_disk_are_given_in_their_order(
    runtime: Runtime,
) -> None:
    """The waits of these runs are not durable when the events come."""
    starting = [asyncio.ensure_future(runtime.start(busy)) for _ in range(20)]
    await asyncio.sleep(0)
    pushed = [asyncio.ensure_future(runtime.events.push("tick", n)) for n in range(5)]
    handles = await asyncio.gather(*starting)
    await asyncio.gather(*pushed)
    assert [await handle.result() for handle in handles] == [[0, 1]] * 20
    assert not runtime.engine.events._waits


async def test_a_worker_that_fails_tries_again(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handle, working = await paused(runtime, "a")
    given, failures = runtime.engine.deliver, [OSError("the disk"), OSError("again")]

    async def deliver(*args: Any, **options: Any) -> None:
        if failures:
            raise failures.pop()
        await given(*args, **options)

    monkeypatch.setattr(runtime.engine, "deliver", deliver)
    await runtime.events.push("tick", 1)
    await working
    await met_once(handle)
    await runtime.events.push("tick", 2)
    assert await handle.result() == [1, 2]
    assert caplog.text.count("could not be given out") == 2
