"""Group commit: every transition that waits goes into one transaction.

Writes gather while a commit is in flight and at the end of a turn of the loop; they
are acknowledged in the order in which they came. The rule kept here: what a write
would release is released only by its `done`, and a write that is not known to be
durable never is.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from everact.actors import Clock
from everact.runtime.engine.waiting import fail, reply
from everact.runtime.errors import RuntimeStateError, StoreFull
from everact.runtime.store.base import (
    JournalRow,
    Outcome,
    Remembered,
    Statement,
    Store,
    Write,
)

logger = logging.getLogger("everact.engine")

WORTH_IT = 64
"""Writes that need not wait for the end of a turn: the writer can begin with them."""

FULL_RETRY = 1.0
"""Seconds between two tries while the disk is full."""


class CommitObserver(Protocol):
    """Is told of every transaction of the group commit."""

    def began(self, transitions: int) -> None:
        """One begins that holds so many transitions."""

    def ended(self) -> None:
        """It is answered, whatever the answer."""


class GroupCommit:
    """The one way to the store for transitions; lives on the engine's loop.

    `release` is given the writes of a commit that is durable, in order; `lost` is told
    the writes of one whose outcome is unknown.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        release: Callable[[list[Write]], None],
        lost: Callable[[list[Write], BaseException], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._release = release
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Write] = []
        self._in_flight: list[Write] = []
        self._announced = False
        self._idle: asyncio.Future[None] | None = None
        self.full: StoreFull | None = None
        self.answered = 0
        """Commits that were answered; each answer was a turn of the loop."""
        self.stopped = False
        self.observer: CommitObserver | None = None

    def add(self, write: Write) -> None:
        """Commit `write` with the next batch; its `done` tells when."""
        self._waiting.append(write)
        if not self._announced and not self._in_flight:
            self._announced = True
            self._loop.call_soon(self._flush)

    def extend(self, writes: list[Write]) -> None:
        """Commit `writes` with the next batch, in order."""
        self._waiting += writes
        if not self._announced and not self._in_flight:
            self._announced = True
            self._loop.call_soon(self._flush)

    def save(
        self, *statements: Statement, request: Remembered | None = None
    ) -> "tuple[Write, asyncio.Future[None]]":
        """Commit statements that belong to no run, and an ID that was used.

        The future is done when they are durable, or refused; RuntimeStateError if
        nothing is committed any more. What must not be without them is written `within`
        the write, in the same turn of the loop.
        """
        saved: asyncio.Future[None] = self._loop.create_future()

        def done(_: Write, error: BaseException | None) -> None:
            if error is None:
                reply(saved, None)
            else:
                fail(saved, error)

        write = Write(None, done, statements=statements, request=request)
        if self.stopped:  # whoever asks has read something while the engine closed
            fail(saved, RuntimeStateError("the runtime was closed"))
        else:
            self.add(write)
        return write, saved

    def hurry(self) -> None:
        """Commit what waits, if it is worth a commit of its own and none is under way.

        Only between two transitions: what belongs together must have been added.
        """
        if len(self._waiting) >= WORTH_IT and not self._in_flight:
            self._flush()

    def rows_of(self, key: int) -> list[JournalRow]:
        """The journal rows of a run that are not known to be durable, in order."""
        writes = self._in_flight + self._waiting
        rows = [write.row for write in writes if write.row is not None]
        return [row for row in rows if row.run_key == key]

    async def idle(self) -> None:
        """Wait until everything that was added is answered, or never will be."""
        while (self._waiting or self._in_flight) and not self.stopped:
            if self._idle is None:
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    async def finish(self) -> list[Write]:
        """Commit what waits and then nothing more; what a full disk did not take."""
        while (self._waiting or self._in_flight) and self.full is None:
            if self._idle is None:
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)
        self.stopped = True
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        return [*self._in_flight, *self._waiting]

    def _flush(self) -> None:
        self._announced = False
        if self._in_flight or not self._waiting or self.stopped:
            return
        self._in_flight, self._waiting = self._waiting, []
        self._clock.hold()
        if self.observer is not None:
            self.observer.began(len(self._in_flight))
        self._store.commit(self._in_flight, self._committed)

    def _committed(self, outcome: Outcome) -> None:
        self.answered += 1
        self._clock.release()
        if self.observer is not None:
            self.observer.ended()
        if isinstance(outcome, StoreFull):
            self._held(outcome)
            return
        writes, self._in_flight = self._in_flight, []
        self.full = None
        self._announced = True  # what is added meanwhile waits for the end of this
        try:
            self._tell(writes, outcome)
        finally:
            self._announced = False
            if self._waiting:
                self._flush()
            elif self._idle is not None and not self._in_flight:
                self._idle.set_result(None)
                self._idle = None

    def _tell(
        self, writes: list[Write], outcome: list[BaseException | None] | BaseException
    ) -> None:
        if isinstance(outcome, BaseException):
            waiting, self._waiting = self._waiting, []
            self._lost(writes + waiting, outcome)
        elif not outcome:
            self._release(writes)
        else:
            for write, refusal in zip(writes, outcome, strict=True):
                write.done(write, refusal)
            self._refuse_followers(writes, outcome)

    def _refuse_followers(
        self, writes: list[Write], outcome: list[BaseException | None]
    ) -> None:
        """Refuse what waits on a refused transition: its journal would have a gap."""
        refused = {
            write.subject: refusal
            for write, refusal in zip(writes, outcome, strict=True)
            if refusal is not None
        }
        waiting, self._waiting = self._waiting, []
        gone: set[int] = set()
        for group in _together(waiting):
            found = (refused.get(write.subject) for write in group)
            refusal = next((why for why in found if why is not None), None)
            if refusal is None:
                continue
            for write in group:
                refused[write.subject] = refusal
                gone.add(id(write))
                write.done(write, refusal)
        kept = [write for write in waiting if id(write) not in gone]
        self._waiting = kept + self._waiting

    def _held(self, full: StoreFull) -> None:
        """Keep the batch and try again: it was refused whole, nothing is in doubt."""
        if self.full is None:
            logger.error("%s", full)
        self.full = full
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None
        self._clock.call_later(FULL_RETRY, self._again)

    def _again(self) -> None:
        if not self.stopped:
            self._clock.hold()
            self._store.commit(self._in_flight, self._committed)


def _together(writes: list[Write]) -> list[list[Write]]:
    """Writes by transition: each with those that must not be without it, in order."""
    groups: dict[int, list[Write]] = {}
    roots: dict[int, int] = {}
    for write in writes:
        above = id(write) if write.within is None else id(write.within)
        root = roots[id(write)] = roots.get(above, above)
        groups.setdefault(root, []).append(write)
    return list(groups.values())
