"""One crash scenario, played: lives of an engine on one database until it is done."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from everact.actors import VirtualClock
from everact.runtime.core import records
from everact.runtime.definitions.context import context
from everact.runtime.definitions.registry import Registry
from everact.runtime.embedded import Runtime
from everact.runtime.engine.workers import Worker
from everact.runtime.programs.compare import shown
from everact.runtime.store.base import Opened, Outcome, Write
from everact.runtime.store.scratch import Scratch, Volatile
from everact.runtime.store.sqlite.store import SqliteStore
from everact.runtime.testing.environment import START
from everact.runtime.testing.ledger import Broken, Ledger
from everact.runtime.testing.lives import LifeLoop, LifeRuntime
from everact.runtime.testing.remembering import Memory, Remembering
from everact.runtime.testing.replacing import Fakes, Replacing, watched
from everact.runtime.values.converter import DataConverter

TURNS = 1_000_000
"""Turns of the loop in one life after which it is taken for endless."""


class Moment(Enum):
    """When, around a commit, the engine dies."""

    BEFORE = "before it was durable"
    DURABLE = "when it was durable, before anything came of it"
    RELEASED = "when all that it releases had begun"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all plays have in common."""

    scenario: Callable[[Runtime], Awaitable[Any]]
    registry: Registry
    fakes: Fakes | None
    workers: tuple[Worker, ...] | None
    data_converter: DataConverter | None
    before_each: Callable[[], object] | None
    downtime: float

    def new_workers(self) -> list[Worker] | None:
        """Workers as they are when nothing has run yet: every slot is free."""
        if self.workers is None:
            return None
        return [
            Worker(
                known.queues,
                slots=known.slots,
                threads=known.threads,
                name=known.name,
                build_id=known.build_id,
            )
            for known in self.workers
        ]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the scenario ended."""

    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Play:
    """The scenario once, with one crash at most: at `commit`, counted over lives."""

    setting: Setting
    commit: int
    moment: Moment
    commits: int = 0
    crashed: bool = False
    dead: bool = False
    held: str = ""
    outcome: _Outcome | None = None
    broken: Broken | None = None
    standstill: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    _ids: random.Random = field(default_factory=lambda: random.Random(1))
    _loop: LifeLoop = field(init=False)

    @property
    def story(self) -> Any:
        """What must be the same with and without a crash."""
        found = self.outcome
        if self.broken is not None or found is None:
            return self.told
        error = found.error
        return found.value if error is None else (type(error), str(error))

    @property
    def told(self) -> str:
        """The outcome in words."""
        found = self.outcome
        if self.broken is not None:
            return f"broken: {self.broken}"
        if found is None:
            return self.standstill
        return repr(found.value) if found.error is None else f"raised {found.error!r}"

    def run(self) -> None:
        """Play life after life until the scenario is done, or never will be."""
        if self.setting.before_each is not None:
            self.setting.before_each()
        memory, now = Memory(), START.timestamp()
        with tempfile.TemporaryDirectory(prefix="everact-") as folder:
            while True:
                store = _CrashingStore(Path(folder) / "everact.db", self)
                now = self._live(store, memory, now)
                if not self.dead:
                    return
                now += self.setting.downtime

    def _live(self, store: "_CrashingStore", memory: Memory, now: float) -> float:
        """One life, which begins at `now`; when it ended."""
        self.dead = False
        loop = self._loop = LifeLoop(TURNS)
        loop.set_exception_handler(_silent)
        clock = VirtualClock(loop, epoch=now)
        setting = self.setting
        runtime = LifeRuntime(
            store=store,
            clock=clock,
            registry=watched(Replacing(setting.registry, setting.fakes), self._begins),
            workers=setting.new_workers(),
            data_converter=setting.data_converter,
            identity="scenario",
            generator=self._ids,
            retention=None,
            tune_gc=False,
        )
        main = loop.create_task(self._main(runtime, memory))
        main.add_done_callback(lambda _: loop.stop())
        try:
            loop.run_forever()
            now = clock.now()
        finally:
            runtime.die()
            loop.abandon()
            store.abandon()
        if not self.dead and self.outcome is None and self.broken is None:
            if main.done():
                main.result()
            how = "goes on for ever" if loop.endless else "waits for what never comes"
            self.standstill = f"the scenario {how}"
        return now

    async def _main(self, runtime: LifeRuntime, memory: Memory) -> None:
        async with runtime:
            runtime._transport = Remembering(runtime.transport, memory)
            try:
                found = _Outcome(await self.setting.scenario(runtime))
            except Exception as error:
                found = _Outcome(None, error)
            if not self.dead:
                self.outcome = found

    def committing(self, writes: Sequence[Write]) -> bool:
        """Another commit; whether the engine dies at it."""
        self.commits += 1
        dies = self.commits == self.commit
        if dies:
            self.held = _told(writes)
        return dies

    def durable(self, writes: Sequence[Write]) -> None:
        """These have been committed."""
        try:
            self.ledger.durable(writes)
        except Broken as broken:
            self._breaks(broken)

    def _breaks(self, broken: Broken) -> None:
        self.broken = self.broken or broken
        self._loop.stop()

    def die(self) -> None:
        """The process dies now."""
        self.crashed = self.dead = True
        self._loop.stop()

    def _begins(self) -> bool:
        """A task's function is about to be called; whether it may be."""
        attempt = context()
        if not self.dead:
            try:
                self.ledger.executing(attempt.task_id, attempt.attempt_number)
            except Broken as broken:
                self._breaks(broken)
        return not self.dead


def _silent(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop of a dead engine has to complain about is heard by nobody."""


class _CrashingStore(SqliteStore):
    """The store of one life. It commits at once, so that all is played the same way."""

    def __init__(self, path: Path, play: Play) -> None:
        super().__init__(path)
        self._play = play

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        play = self._play
        if play.dead:
            return
        dies = play.committing(writes)
        if dies and play.moment is Moment.BEFORE:
            play.die()
            return
        outcome = self.writer.commit_now(writes)
        if not isinstance(outcome, BaseException):
            refused = outcome or [None] * len(writes)
            pairs = zip(writes, refused, strict=True)
            play.durable([write for write, why in pairs if why is None])
        if dies and play.moment is Moment.DURABLE:
            play.die()
            return
        asyncio.get_running_loop().call_soon(self._tell, done, outcome, dies)

    def _tell(
        self, done: Callable[[Outcome], object], outcome: Outcome, dies: bool
    ) -> None:
        if not self._play.dead:
            done(outcome)
            if dies:
                self._play.die()

    def scratch(self) -> Scratch:
        return Volatile()  # it is a play that ends the life, not what executes in it

    def open(self) -> Opened:
        opened = super().open()
        # What is lost here with the process is never what was committed.
        self.database.writing.execute("pragma synchronous = off")
        return opened

    def abandon(self) -> None:
        """Let go of the file, as the end of the process does."""
        if self.writer.begun:
            self.writer.end()
            self.reads.close()
            self.database.disconnect()


def _told(writes: Sequence[Write]) -> str:
    """What a commit holds, in words."""
    parts = []
    for write in writes:
        if write.row is None:
            continue
        transition = records.decode(write.row.body)
        run = write.insert or write.change
        name = run.workflow_id if run is not None else f"run {write.row.run_key}"
        events = ", ".join(type(event).__name__ for event in transition.events)
        commands = shown(transition.commands, DataConverter.default)
        parts.append(f"{name}: {events or 'nothing'} -> {commands}")
    return "; ".join(parts) or "nothing of a run"
