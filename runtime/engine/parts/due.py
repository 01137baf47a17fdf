"""When schedules are due: one timer for all of them, and what is done when it fires."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from everact.runtime.engine import logs
from everact.runtime.engine.host import Host

Place: TypeAlias = tuple[str, str]
"""Workspace and ID of a schedule."""

CROWD = 1000
"""Schedules that are looked at together when they are due."""

RETRY = 1.0
"""Seconds until a change that was not stored is tried again."""


class DueTimer:
    """Has every schedule act that is due, and sleeps until the next one is.

    `act` brings one up to the present, or a slice nearer to it; it says whether that
    could be stored. `spawn` runs a coroutine that nobody awaits.
    """

    def __init__(
        self,
        host: Host,
        act: Callable[[Place], Awaitable[bool]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._host = host
        self._act = act
        self._spawn = spawn
        self._handle: Any = None
        self._acting = False
        self._at = float("inf")

    def at(self, moment: float) -> None:
        """A schedule is due at `moment`."""
        if moment >= self._at or self._host.stopping:
            return
        self.cancel()
        self._at = moment
        self._handle = self._host.clock.call_at(moment, self._fire)

    def cancel(self) -> None:
        """Fire no more; what is under way goes on."""
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        self._handle, self._at = None, float("inf")
        if not (self._host.stopping or self._acting):
            self._acting = True
            self._spawn(self._act_on_due())

    async def _act_on_due(self) -> None:
        """Bring every schedule that is due up to the present, or a slice nearer to it.

        What is left is due again: each schedule has one slice in its line at a time.
        """
        try:
            await self._act_on_crowd()
        except Exception as error:
            what = "which schedules are due cannot be read; trying again"
            logs.background(self._host, error, what)
            self.at(self._host.clock.now() + RETRY)

    async def _act_on_crowd(self) -> None:
        now, reads = self._host.clock.now(), self._host.store.reads
        try:
            due = await reads.rows("due_schedules", now, CROWD)
            done = await asyncio.gather(*map(self._act, due))
        finally:
            self._acting = False
        if self._host.stopping:
            return
        troubled = {place for place, did in zip(due, done, strict=True) if not did}
        left = await reads.rows("due_schedules", now, CROWD)
        if len(due) == CROWD or not troubled.issuperset(left):
            self.at(now)
        elif troubled:
            self.at(self._host.clock.now() + RETRY)
        ((following,),) = await reads.rows("next_schedule", now)
        if following is not None:
            self.at(following)
