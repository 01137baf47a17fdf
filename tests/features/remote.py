"""The remote site: the engine in another process, reached by its endpoint alone.

Both processes have virtual time, and one time: whenever the test's loop has nothing
left to do, the engine's may jump, but not beyond the test's next timer; the test's
clock follows. So a test that waits for thirty days waits for none, as embedded.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import selectors
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import Client, Registry, Worker
from everact.runtime.client import remote
from tests.features import host
from tests.features.stage import stage

_OF_CLIENT = {
    "namespace",
    "data_converter",
    "identity",
    "default_query_reject_condition",
    "interceptors",
}


class RemoteClock(VirtualClock):
    """The test's clock; a jump of it is one of the engine's clock as well."""

    connection: Connection | None = None

    def jump(self, seconds: float) -> None:
        super().jump(seconds)
        if self.connection is not None:
            self.connection.send(("jump", seconds))


class RemoteSite:
    """Engine there, client here."""

    process: Connection

    def __init__(self, path: Path, clock: VirtualClock, registry: Registry) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._loop = loop
        self.path = path
        self.clock: VirtualClock = RemoteClock(loop, epoch=clock.now() - loop.time())
        self.module = ""
        self.client: dict[str, Any] = {}
        self._registry = registry
        self._settling = False

    @asynccontextmanager
    async def up(
        self,
        *,
        workers: Sequence[Worker] | None = None,
        registry: Registry | None = None,
        **options: Any,
    ) -> AsyncIterator[Client]:
        if registry is not None or options.keys() - _OF_CLIENT:
            pytest.skip("what the engine is made of here cannot be sent to a process")
        opening = host.Opening(
            self.module,
            self.path,
            None if workers is None else list(workers),
            self.clock.now(),
        )
        self.process.send(opening)
        _, address = self._wait_for("opened")
        try:
            with self._together():
                async with await Client.connect(
                    address, keep_alive_config=None, **(self.client | options)
                ) as client:
                    yield client
        finally:
            self.process.send(("close",))
            _, passed = self._wait_for("closed")
        await asyncio.sleep(max(0.0, passed + self._began - self._loop.time()))

    @contextmanager
    def _together(self) -> Iterator[None]:
        """The two loops share one time for as long as this is entered."""
        loop, clock = self._loop, self.clock
        assert isinstance(clock, RemoteClock)
        self._began = loop.time()
        selector = loop._selector  # type: ignore[attr-defined]
        jump_alone = loop.jump_to_next_timer

        def jump() -> bool:
            if not self._settling:
                self._settling = True
                self.process.send(("settle",))
            if not self._settled():
                return False  # it is busy, and may want an answer meanwhile
            if selectors.DefaultSelector.select(selector, 0):
                return True  # an answer, or a note: it comes before any timer
            scheduled = loop._scheduled  # type: ignore[attr-defined]
            mine = scheduled[0].when() if scheduled else math.inf
            self.process.send(("step", mine - self._began))
            _, there, moved = self._wait_for("stepped")
            if moved:
                loop._virtual_time = max(loop.time(), there + self._began)
                return True
            return jump_alone()

        loop.jump_to_next_timer = jump  # type: ignore[method-assign]
        loop.add_reader(self.process.fileno(), self._hear)
        clock.connection = self.process
        try:
            yield
        finally:
            clock.connection = None
            loop.remove_reader(self.process.fileno())
            loop.jump_to_next_timer = jump_alone  # type: ignore[method-assign]

    def _wait_for(self, kind: str) -> Any:
        while True:
            said = self.process.recv()
            if said[0] == kind:
                return said
            self._noted(said)

    def _settled(self) -> bool:
        """Whether the engine has nothing left to do; it gets a moment to say so."""
        while self._settling and self.process.poll(0.05):
            self._noted(self.process.recv())
        return not self._settling

    def _hear(self) -> None:
        if self.process.poll():
            self._noted(self.process.recv())

    def _noted(self, said: Any) -> None:
        if said[0] == "settled":
            self._settling = False
            return
        assert said[0] == "noted", said
        stage.note(said[1])


@contextmanager
def hosting() -> Iterator[Connection]:
    """A process for the engines of remote sites."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=host.main, args=(there,), daemon=True)
    process.start()
    there.close()
    polled = remote.POLL_GRACE
    remote.POLL_GRACE = math.inf  # type: ignore[misc]
    try:
        yield here
    finally:
        remote.POLL_GRACE = polled  # type: ignore[misc]
        here.close()
        process.join(10)
        process.kill()
