"""Work of the engine that has its moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime.engine.alarm import Alarm


class Worked:
    """An alarm whose work takes `long` seconds, and fails the first `fails` times."""

    def __init__(self, long: float = 0.0, fails: int = 0) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.clock = VirtualClock(loop, epoch=0.0)
        self.host: Any = SimpleNamespace(clock=self.clock, loop=loop, stopping=False)
        self.alarm = Alarm(self.host, self._work, "it did not work", retry=5.0)
        self.began: list[float] = []
        self._long, self._fails = long, fails
        self._start = self.clock.now()

    def at(self, seconds: float) -> None:
        self.alarm.at(self._start + seconds)

    async def _work(self) -> None:
        self.began.append(round(self.clock.now() - self._start, 3))
        await asyncio.sleep(self._long)
        if len(self.began) <= self._fails:
            raise OSError("the disk is gone")


async def test_it_works_at_the_earliest_moment_that_it_was_set_to() -> None:
    one = Worked()
    for moment in (30.0, 10.0, 20.0):
        one.at(moment)
    await asyncio.sleep(60)
    assert one.began == [10.0]
    one.at(100.0)
    await asyncio.sleep(60)
    assert one.began == [10.0, 100.0]


async def test_a_moment_that_comes_while_it_works_counts_when_that_is_done() -> None:
    one = Worked(long=10.0)
    one.at(1.0)
    await asyncio.sleep(2)
    one.at(3.0)
    await asyncio.sleep(60)
    assert one.began == [1.0, 11.0]


async def test_what_fails_is_logged_and_done_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = Worked(fails=2)
    one.at(1.0)
    await asyncio.sleep(60)
    assert one.began == [1.0, 6.0, 11.0]
    assert [record.message for record in caplog.records] == ["it did not work"] * 2


async def test_once_the_engine_closes_nothing_is_begun() -> None:
    one = Worked()
    one.at(1.0)
    one.host.stopping = True
    await asyncio.sleep(10)
    one.at(20.0)
    await asyncio.sleep(60)
    assert one.began == []
