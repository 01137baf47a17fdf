"""Work of the engine that has its moment, and that nobody awaits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from everact.actors import TimerHandle
from everact.runtime.engine import logs
from everact.runtime.engine.host import Host


class Alarm:
    """Does `work` at the earliest moment that it is set to; it is set anew after that.

    It is done once at a time: a moment that comes meanwhile counts when it is done. If
    it fails, `trouble` is logged and it is done again, `retry` seconds later. Once the
    engine closes nothing is begun any more.
    """

    def __init__(
        self,
        host: Host,
        work: Callable[[], Coroutine[Any, Any, None]],
        trouble: str,
        retry: float,
    ) -> None:
        self._host = host
        self._work = work
        self._trouble = trouble
        self._retry = retry
        self._moment = float("inf")
        self._handle: TimerHandle | None = None
        self._working: asyncio.Task[None] | None = None

    def at(self, moment: float) -> None:
        """There is work at `moment`, epoch seconds."""
        if moment < self._moment and not self._host.stopping:
            self.cancel()
            self._moment = moment
            self._handle = self._host.clock.call_at(moment, self._ring)

    def cancel(self) -> None:
        """Begin no work; what is under way goes on."""
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        self._handle = None
        if self._working is None and not self._host.stopping:
            self._moment = float("inf")
            self._working = self._host.loop.create_task(self._do())

    async def _do(self) -> None:
        try:
            await self._work()
        except Exception as error:
            logs.background(self._host, error, self._trouble)
            self.at(self._host.clock.now() + self._retry)
        self._working = None
        if self._handle is None:  # its moment has come, or there is none
            missed, self._moment = self._moment, float("inf")
            self.at(missed)
