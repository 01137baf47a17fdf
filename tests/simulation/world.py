"""One simulation: lives of the engine on one durable image, under one seed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from everact.runtime.core.records import Started
from everact.runtime.engine import engine as engine_module
from everact.runtime.engine.engine import Engine
from everact.runtime.engine.execution import threads
from everact.runtime.store.base import Write
from everact.runtime.testing.ledger import Broken, Ledger
from everact.runtime.testing.lives import LifeLoop, LifeRuntime
from tests.simulation.chance import Chance
from tests.simulation.image import Held, Image
from tests.simulation.loop import (
    SimulatedClock,
    SimulatedThreads,
    SimulatedWatchdog,
)
from tests.simulation.scene import Scene
from tests.simulation.states import compare_live, compare_replays
from tests.simulation.store import Fate, MemoryStore

TURNS = 60_000
"""Turns of the loop in one life after which it is taken for endless."""

SECONDS = 5_000.0
"""Virtual seconds in one life by which everything must have come to its end."""

COMPARED = 5
"""Every so many commits memory is compared with disk, beside at every end of a life."""

EPOCH = 1_700_000_000.0

Script = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One part of the corpus: what clients do, and assert, around some workflows."""

    name: str
    script: Script
    lossy: bool = False


@dataclass(slots=True)
class Plan:
    """What goes wrong, apart from what chance adds.

    `fates` are of commits by their number (from 1, over all lives), `crash_turns` are
    turns of the loop at which a life ends, by life (from 0), `closings` the virtual
    second at which a life is closed in good order. `faults` is how many commits chance
    may spoil, `rate` how probable each is.
    """

    fates: dict[int, Fate] = field(default_factory=dict)
    crash_turns: dict[int, int] = field(default_factory=dict)
    closings: dict[int, float] = field(default_factory=dict)
    jumps: tuple[tuple[float, float], ...] = ()
    faults: int = 0
    rate: float = 0.0
    echoes: float = 0.0
    idle_runs: int = 100


current: ContextVar["World"] = ContextVar("world")


class World:
    """Everything of one simulation; `run` plays it to its end or raises Broken."""

    playing: "World"
    """For workflow code, which sees none of the variables of its engine's context."""

    def __init__(
        self,
        chance: Chance,
        entries: Sequence[Entry],
        plan: Plan,
        registry: Any,
        tracing: bool = False,
    ) -> None:
        self.chance = chance
        self.plan = plan
        self.registry = registry
        self.image = Image()
        self.ledger = Ledger()
        self.scenes = [
            (Scene(self, f"{e.name}{n}"), e.script) for n, e in enumerate(entries)
        ]
        self.tracing = tracing
        self.traced: list[tuple[Any, ...]] = []
        self.broken: BaseException | None = None
        self.crashed = False
        self.crash_after_answer = False
        self.commits = 0
        self.crashes = 0
        self.life = -1
        self.fired: list[Fate] = []
        self.clock: SimulatedClock | None = None
        self.runtime: LifeRuntime | None = None
        self._full = 0
        self._epoch = EPOCH
        self.store = MemoryStore(self, self.image)
        self._loop: LifeLoop

    @property
    def engine(self) -> Engine | None:
        """The engine of this life, from its first moment on."""
        return None if self.runtime is None else self.runtime.life

    # -- lives ---------------------------------------------------------------------

    def run(self) -> None:
        """Play life after life until every script is done and every run closed."""
        token = current.set(self)
        World.playing = self
        try:
            with _Listener(self), _parts_of_real_time_replaced():
                while not self._live():
                    pass
            self._last_checks()
        finally:
            current.reset(token)
            self.image.close()

    def _live(self) -> bool:
        """One life; True if it was the last one."""
        self.life += 1
        self.crashed = self.crash_after_answer = False
        loop = self._loop = LifeLoop(TURNS)
        loop.on_turn = self._turn
        clock = self.clock = SimulatedClock(loop, epoch=self._epoch)
        loop.set_exception_handler(self._unhandled)
        self.runtime = None
        self.trace("life", self.life)
        main = loop.create_task(self._main())
        main.add_done_callback(lambda _: loop.stop())
        try:
            loop.run_forever()
            self._epoch = clock.now() + self.chance.between(0.0, 30.0)
            finished = main.done()
            died = self.crashed
            if finished and not self.crashed and main.exception() is not None:
                self.broke(main.exception())
            if self.broken is None and not finished and not self.crashed:
                self.broke(Broken(self._why_not(loop)))
            if self.crashed and self.broken is None:
                self._compare_all()
        finally:
            self._die(loop)
        if self.broken is not None:
            raise self.broken
        return finished and not died and main.result()

    async def _main(self) -> bool:
        """Open, let scripts act, see every run to its end; False for another life."""
        self.store = MemoryStore(self, self.image)
        runtime = self.runtime = LifeRuntime(
            store=self.store,
            clock=self.clock,
            registry=self.registry,
            generator=self.chance.ids,
            retention=None,
            identity="simulation",
            grace=self.chance.between(0.0, 2.0),
            idle_runs=self.plan.idle_runs,
        )
        loop = self._loop
        await runtime.__aenter__()
        assert self.clock is not None
        for at, seconds in self.plan.jumps:
            loop.call_later(at, self.clock.jump, seconds)
        scripts = []
        for scene, script in self.scenes:
            scene.runtime = runtime
            if not scene.done:
                scripts.append(loop.create_task(self._play(scene, script)))
        closing = self.plan.closings.get(self.life)
        if scripts:
            await asyncio.wait(scripts, timeout=closing)
            for done in scripts:
                if done.done() and done.exception() is not None:
                    raise done.exception()  # type: ignore[misc]
        last = all(scene.done for scene, _ in self.scenes)
        while last and self.image.open:
            await asyncio.sleep(1.0)
            if loop.time() > SECONDS:
                raise Broken(self._why_not(loop))
        if last:
            self._compare_all()
        self.trace("close", "last" if last else "in between")
        for task in scripts:
            task.cancel()
        await runtime.close()
        return last

    async def _play(self, scene: Scene, script: Script) -> None:
        await script(scene)
        scene.done = True

    def _die(self, loop: LifeLoop) -> None:
        """The end of the process, as far as it must be played here."""
        self.crashed = True
        if self.runtime is not None:
            self.runtime.die()
        loop.abandon()

    # -- what goes wrong -----------------------------------------------------------

    def crash(self, why: str) -> None:
        """The process dies now: nothing more that it does is seen."""
        if not self.crashed:
            self.trace("crash", why)
            self.crashed = True
            self.crashes += 1
            self.store.crash()
            self._loop.stop()

    def _turn(self, turn: int) -> None:
        if self.plan.crash_turns.get(self.life) == turn:
            self.crash(f"at turn {turn}")
        if self._loop.time() > SECONDS:
            self.broke(Broken(self._why_not(self._loop)))

    def fate(self, batch: list[Write]) -> Fate:
        """What becomes of the next commit."""
        self.commits += 1
        plan, chance = self.plan, self.chance
        fate = plan.fates.get(self.commits, Fate.DONE)
        if self._full:
            self._full -= 1
            fate = Fate.FULL
        elif fate is Fate.DONE and plan.faults and chance.happens(plan.rate):
            plan.faults -= 1
            fate = chance.pick((Fate.REFUSED, Fate.UNKNOWN, Fate.FAILED, Fate.FULL))
            if fate is Fate.FULL:
                self._full = chance.below(4)
        if fate is not Fate.DONE:
            self.fired.append(fate)
        return fate

    def answered(self) -> None:
        """An answer of the store has reached the engine, and had its effects."""
        if self.commits % COMPARED == 0:
            self._compare_all()
        if self.crash_after_answer:
            self.crash("after the effects of a commit")

    # -- what is noticed -----------------------------------------------------------

    def broke(self, error: BaseException | None) -> None:
        """An invariant does not hold: the simulation ends here."""
        if self.broken is None and error is not None:
            self.trace("broken", repr(error))
            self.broken = error
        self._loop.stop()

    def violated(self, error: BaseException) -> None:
        """The engine wrote what a database would refuse."""
        self.broke(Broken(f"the engine wrote what the schema refuses: {error}"))

    def taken(self, writes: list[Write], held: Held) -> None:
        """The ID of a run was taken: only a start that was asked for may find that."""
        made = [write for write in writes if write.insert is not None]
        for write in made:
            envelope = write.effects[1].envelope
            if envelope is None or type(envelope.event) is not Started:
                self.violated(held)

    def trace(self, *what: Any) -> None:
        """Note something for people."""
        if self.tracing:
            now = self.clock.now() - EPOCH if self.clock is not None else 0.0
            self.traced.append((round(now, 4), self.life, *what))

    def _unhandled(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.crashed or str(context["message"]).endswith("never retrieved"):
            return  # the client that waited for it has given up
        if isinstance(error, Broken):
            self.broke(error)
        else:
            broken = Broken(f"the loop caught {context['message']}: {error!r}")
            broken.__cause__ = error
            self.broke(broken)

    def _compare_all(self) -> None:
        assert self.engine is not None
        for run in list(self.engine.runs.values()):
            if (
                not run.journal.in_flight
                and not run.dropped
                and run.code.paused is None
            ):
                try:
                    compare_live(self.image, run)
                except Broken as broken:
                    self.broke(broken)

    def _last_checks(self) -> None:
        if self.commits % 3 and not self.chance.calm:
            return  # sampled: replaying everything thrice is half of the cost
        for key in self.image.runs:
            compare_replays(self.image, key, self.registry)

    def _why_not(self, loop: LifeLoop) -> str:
        how = "goes on for ever" if loop.endless else "has come to a standstill"
        waiting = [scene.name for scene, _ in self.scenes if not scene.done]
        open_runs = [
            f"{row.workflow_id} ({row.name}, wakes {row.wake_at}, aside {row.aside!r})"
            for row in self.image.runs.values()
            if not row.status
        ]
        return (
            f"life {self.life} {how} at {loop.time():g} s; "
            f"scripts not done: {waiting}; open runs: {open_runs}"
        )


@contextmanager
def _parts_of_real_time_replaced() -> Iterator[None]:
    """The engine's threads and its watchdog, by parts that live in virtual time."""
    parts: tuple[tuple[Any, str, Any], ...] = (
        (threads, "TaskThreads", SimulatedThreads),
        (engine_module, "Watchdog", SimulatedWatchdog),
    )
    real = [getattr(module, name) for module, name, _ in parts]
    for module, name, part in parts:
        setattr(module, name, part)
    try:
        yield
    finally:
        for (module, name, _), part in zip(parts, real, strict=True):
            setattr(module, name, part)


_EXPECTED = (
    "a commit failed",
    "a transition was refused",
    "disk is full",
    "its next transition is refused by the database",
    "cannot act, it tries again",
    "a value cannot be loaded: SystemExit",
    "the process ended",
)


class _Listener(logging.Handler):
    """Hears what the engine logs: an error that no fault explains is a bug."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world
        self._logger = logging.getLogger("everact")

    def __enter__(self) -> None:
        self._before = self._logger.propagate
        self._logger.propagate = False
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._before

    def emit(self, record: logging.LogRecord) -> None:
        world = self._world
        text = record.getMessage()
        world.trace("log", record.levelname, text)
        if world.crashed:
            return
        fault = any(expected in text for expected in _EXPECTED)
        if record.exc_info or (record.levelno >= logging.ERROR and not fault):
            error = record.exc_info[1] if record.exc_info else None
            broken = Broken(f"the engine logged: {text}: {error!r}")
            broken.__cause__ = error
            world.broke(broken)
