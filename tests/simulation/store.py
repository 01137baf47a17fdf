"""The store port over an `Image`, answering when and how the plan says.

A batch travels: it waits, is decided (done, refused, failed, lost with the process),
and waits again before the engine hears of it. A refusal concerns one transition and
all that must not be without it; whatever follows on the same run in that batch is
refused with it, because its journal would have a gap.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from everact.runtime.errors import StoreError, StoreFull
from everact.runtime.store.base import (
    Groups,
    Hits,
    IdTaken,
    JournalRow,
    Opened,
    Outcome,
    Refused,
    RunRow,
    Search,
    Stored,
    Write,
)
from everact.runtime.store.scratch import Volatile
from tests.simulation.image import Held, Image, Violated

if TYPE_CHECKING:
    from tests.simulation.world import World

KEY = b"simulated" * 4

T = TypeVar("T")

RECOVERED = 3
"""Runs that are read back at once: a few, so that there are further ones."""


class Fate(Enum):
    """What becomes of one batch."""

    DONE = "done"
    REFUSED = "one transition refused"
    UNKNOWN = "done, answer lost"
    FAILED = "not done, answer lost"
    FULL = "disk full"
    CRASH_BEFORE = "crash before it is done"
    CRASH_AFTER = "crash after it is done"
    CRASH_ANSWERED = "crash after its effects"


class MemoryStore:
    """One life of the store; the image outlives it."""

    def __init__(self, world: "World", image: Image) -> None:
        self.world = world
        self.image = image
        self.notes = Volatile(image.notes)

    # -- opening and closing -------------------------------------------------------

    def open(self) -> Opened:
        image = self.image
        opened = Opened(max(image.runs, default=0), image.clean, image.epoch + 1)
        image.clean, image.epoch = False, image.epoch + 1
        return opened

    def watch(self, lost: Callable[[StoreError], object]) -> None: ...

    def key(self) -> bytes:
        return KEY

    def scratch(self) -> Volatile:
        self.notes = Volatile(self.image.notes)
        return self.notes

    def crash(self) -> None:
        """The process ends: what it noted last stays, whatever its remains still do."""
        self.image.notes = self.notes.content()

    def close(self, *, clean: bool) -> None:
        if not self.world.crashed:
            self.image.notes = self.notes.content()
            self.image.clean = self.image.clean or clean

    # -- writing -------------------------------------------------------------------

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        world, batch = self.world, list(writes)
        fate = world.fate(batch)
        delay = world.chance.commit_delay()
        self._later(delay, lambda: self._decide(batch, fate, done))

    def _decide(
        self, batch: list[Write], fate: Fate, done: Callable[[Outcome], object]
    ) -> None:
        world = self.world
        if world.crashed:
            return
        world.trace("commit", fate.value, [w.row and tuple(w.row[:3]) for w in batch])
        if fate is Fate.CRASH_BEFORE:
            world.crash("before a commit was done")
            return
        outcome = self._outcome(batch, fate)
        if fate is Fate.CRASH_AFTER:
            world.crash("before the answer of a commit")
            return
        self._later(world.chance.commit_delay(), lambda: self._answer(outcome, done))
        if fate is Fate.CRASH_ANSWERED:
            world.crash_after_answer = True

    def _answer(self, outcome: Outcome, done: Callable[[Outcome], object]) -> None:
        world = self.world
        if world.crashed:
            return
        done(outcome)
        world.answered()

    def _outcome(self, batch: list[Write], fate: Fate) -> Outcome:
        if fate is Fate.FULL:
            return StoreFull("the simulated disk is full")
        if fate is Fate.FAILED:
            return StoreError("simulated I/O error")
        victim = self.world.chance.pick(batch) if fate is Fate.REFUSED else None
        outcome = self._apply(batch, victim)
        if fate is Fate.UNKNOWN:
            return StoreError("simulated loss of the answer")
        return outcome

    def _apply(self, batch: list[Write], victim: Write | None) -> Outcome:
        """Write the batch whole if it can be, else one transition after another."""
        try:
            if victim is None and not any(write.requires for write in batch):
                self._write(batch)
                return []
        except Violated:
            pass
        refusals: dict[int, BaseException] = {}
        broken: dict[int, BaseException] = {}
        for group in together(batch):
            why: BaseException | None = next(
                (broken[w.subject] for w in group if w.subject in broken), None
            )
            if why is None and victim in group:
                why = StoreError("simulated refusal of a transition")
            if why is None:
                try:
                    for write in group:
                        self.image.require(write)
                    self._write(group)
                    continue
                except Refused as refused:
                    why = refused
                except Held as held:
                    why = IdTaken(held.holder)
                    self.world.taken(group, held)
                except Violated as violated:
                    why = StoreError(f"refused: {violated}")
                    self.world.violated(violated)
            for write in group:
                refusals[id(write)] = why
                broken[write.subject] = why
        return [refusals.get(id(write)) for write in batch]

    def _write(self, writes: list[Write]) -> None:
        self.image.check(writes)
        self.image.apply(writes)
        self.world.ledger.durable(writes)

    def _later(self, delay: float, then: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if delay:
            loop.call_later(delay, then)
        else:
            loop.call_soon(then)

    async def retire(self, closed_before: float | None, now: float, limit: int) -> int:
        return 0

    # -- reading -------------------------------------------------------------------

    @property
    def reads(self) -> "MemoryReads":
        return MemoryReads(self.world, self.image)

    def load(self, key: int) -> Stored | None:
        return self.image.load(key)

    def recover(self, keys: Sequence[int], *, closed: bool = False) -> list[Stored]:
        return recovered(self.image, keys, closed)

    def ending(self, key: int) -> Stored | None:
        return self.image.ending(key)

    def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        return self.image.find(workspace, workflow_id, run_id, first)

    def select(self, what: str, *args: Any) -> list[Any]:
        return self.image.select(what, *args)

    def rows(self, what: str, *args: Any) -> list[Any]:
        return self.image.beside(what, args)


class MemoryReads:
    """The awaited reads of an image: what is read may be old when it is there."""

    def __init__(self, world: "World", image: Image) -> None:
        self._world = world
        self._image = image

    async def _read(self, look: Callable[[], T]) -> T:
        """What `look` finds, as long before and after as chance says."""
        await self._travel()
        found = look()
        await self._travel()
        return found

    async def _travel(self) -> None:
        chance = self._world.chance
        for _ in range(chance.turns()):
            await asyncio.sleep(0)
        if delay := chance.read_delay():
            await asyncio.sleep(delay)

    async def load(self, key: int) -> Stored | None:
        return await self._read(lambda: self._image.load(key))

    async def recover(
        self,
        keys: Sequence[int],
        make: Callable[[Stored], T],
        *,
        closed: bool = False,
    ) -> list[T]:
        return await self._read(
            lambda: [make(stored) for stored in recovered(self._image, keys, closed)]
        )

    async def ending(self, key: int) -> Stored | None:
        return await self._read(lambda: self._image.ending(key))

    async def find(
        self, workspace: str, workflow_id: str, run_id: str = "", first: str = ""
    ) -> RunRow | None:
        return await self._read(
            lambda: self._image.find(workspace, workflow_id, run_id, first)
        )

    async def rows(self, what: str, *args: Any) -> list[Any]:
        return await self._read(lambda: self._image.rows(what, args))

    async def history(
        self, key: int, after: tuple[int, int], limit: int
    ) -> list[JournalRow]:
        return await self._read(lambda: self._image.history(key, after, limit))

    async def runs(self, keys: Sequence[int]) -> list[RunRow]:
        raise NotImplementedError("no scene watches runs")

    async def search(self, wanted: Search) -> Hits:
        raise NotImplementedError("no scene lists runs")

    async def count(self, wanted: Search) -> Groups:
        raise NotImplementedError("no scene counts runs")


def recovered(image: Image, keys: Sequence[int], closed: bool) -> list[Stored]:
    """Runs with all their rows, a few of them at once."""
    found = (image.recover(key) for key in keys)
    known = (stored for stored in found if stored is not None)
    return list(islice((s for s in known if closed or not s.run.status), RECOVERED))


def together(batch: Sequence[Write]) -> list[list[Write]]:
    """The writes of a batch by transaction: each with those that it must not be
    without, in the order of their first members.
    """
    groups: dict[int, list[Write]] = {}
    root_of: dict[int, int] = {}
    for write in batch:
        root = id(write)
        if write.within is not None:
            root = root_of.get(id(write.within), root)
        root_of[id(write)] = root
        groups.setdefault(root, []).append(write)
    return list(groups.values())
