"""Retention: closed runs and request IDs leave the database, a few at a time."""

from everact.runtime.engine.alarm import Alarm
from everact.runtime.engine.host import Host
from everact.runtime.engine.parts.base import Part
from everact.runtime.store.base import Opened

INTERVAL = 600.0
"""Seconds between two looks for what to delete."""

BATCH = 200
"""Runs, events and request IDs deleted in one transaction, of each."""


class Retention(Part):
    """Deletes runs closed, and user events stored, longer than `keep` seconds ago.

    None keeps those; request IDs go after a day, whatever it is. A run stays while its
    parent, or a later run of its chain, is open. The first look is one interval after
    the start. Without `looks` there is none: a timer that comes again for ever would
    keep a testing kit's time going where nothing else ever happens.
    """

    def __init__(self, host: Host, keep: float | None, *, looks: bool) -> None:
        self._host = host
        self._keep = keep
        self._looks = looks
        trouble = "closed runs could not be deleted; trying again later"
        self._look = Alarm(host, self._delete, trouble, INTERVAL)

    async def open(self, opened: Opened) -> None:
        if self._looks:
            self._look.at(self._host.clock.now() + INTERVAL)

    def stop(self) -> None:
        """Look no more."""
        self._look.cancel()

    async def run(self) -> int:
        """Delete one batch of what is due; `Store.retire` says how many it were."""
        if self._host.stopping:
            return 0
        now, keep = self._host.clock.now(), self._keep
        before = None if keep is None else now - keep
        return await self._host.store.retire(before, now, BATCH)

    async def _delete(self) -> None:
        pause = 0.05 if await self.run() == BATCH else INTERVAL
        self._look.at(self._host.clock.now() + pause)
