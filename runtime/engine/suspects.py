"""Suspects: who may have ended the process before, and what this life does about it.

`core/blame.py` decides, `stage.py` remembers; here is what an engine does with it.
While attempts are on trial nobody else gets a slot. Runs, clients and timers go on
meanwhile: a run's own code that ends the process is on the loop then, and gives itself
away.
"""

import asyncio
import logging
from typing import Any

from everact.actors import TimerHandle
from everact.runtime.core import blame, failures, records
from everact.runtime.core.blame import CODE, Place, Plan
from everact.runtime.core.records import RunTask, TaskFailed
from everact.runtime.engine.execution.attempt import TaskActor
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.reasons import WAITING
from everact.runtime.engine.stage import Stage
from everact.runtime.errors import RuntimeStateError
from everact.runtime.store.base import Opened, Store
from everact.runtime.store.scratch import Volatile

logger = logging.getLogger("everact.engine")

NAMED = 3
"""Suspects that the log names."""


def reached(store: Store, key: int) -> int:
    """How far the code of a run has got: where its last commands stand in the journal.

    What only happened to it meanwhile is no progress of its code.
    """
    found = store.load(key)
    if found is None:
        return 0
    for row in reversed(found.rows):
        if records.decode(row.body).commands:
            return row.generation << 32 | row.seq
    saved = found.checkpoint
    return 0 if saved is None else saved.generation << 32 | max(0, saved.seq - 1)


class Suspects:
    """The suspects of one engine; all methods on its loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._plan = blame.plan_of({})
        self._known: frozenset[Place] = frozenset()
        self._paused: dict[int, asyncio.Future[None]] = {}
        self._waiting: dict[Place, TaskActor] = {}
        self._trials: list[tuple[tuple[Place, ...], float]] = []
        self._timer: TimerHandle | None = None
        self._trying: set[TaskActor] = set()
        """Attempts on trial."""

    def open(self, opened: Opened, key: bytes) -> Stage:
        """Judge what the last life left, if it did not end in good order.

        An engine that only looks leaves that to the next one, as it is.
        """
        only_looks = not self._host.recovers
        scratch = Volatile() if only_looks else self._host.store.scratch()
        stage = Stage(scratch, key)
        left = None if opened.clean else stage.read(opened.epoch)
        known = {} if left is None else blame.judge(*left, self._reached)
        stage.begin(opened.epoch, known)
        self._known = frozenset(known)
        plan = self._plan = blame.plan_of(known)
        self._trials = list(plan.trials)
        future = self._host.loop.create_future
        self._paused = {key: future() for key in plan.paused}
        if known:
            self._tell(plan)
        return stage

    def _reached(self, key: int) -> int:
        """As `reached`; 0 of a run that cannot be read, and is kept out by that."""
        try:
            return reached(self._host.store, key)
        except Exception as error:
            logger.warning("how far a run had got cannot be read: %s", error)
            return 0

    def _tell(self, plan: Plan) -> None:
        tasks = [place for place in self._known if place[1] != CODE]
        logger.warning(
            "the process before did not end in good order; %d tasks and the code of %d "
            "runs were executing then",
            len(tasks),
            len(self._known) - len(tasks),
        )

    def begin(self) -> None:
        """Recovery is over: suspects are tried, if there are any, then all begin."""
        for key in (*self._plan.aside, *self._plan.paused):
            self._host.resident(key)  # those who wait for it are told
        self._host.stage.act()
        if self._paused:
            self._host.clock.call_later(blame.PAUSE, self._unpause)
        if not self._waiting:
            self._over()
            return
        silence = self._plan.silence
        logger.warning(
            "%d tasks were executing at %d ends in a row of the process: they are "
            "tried apart after %g s, and all others wait meanwhile; the first: %s",
            len(self._waiting),
            blame.ENDS,
            silence,
            ", ".join(self._first_names()),
        )
        self._timer = self._host.clock.call_later(silence, self._next)

    def _first_names(self) -> list[str]:
        tried = [place for group, _ in self._trials for place in group]
        found = [self._waiting[place] for place in tried if place in self._waiting]
        return [f"{one.about!r} of {one.run}" for one in found[:NAMED]]

    def close(self) -> None:
        """Try nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._paused.values():
            waiting.cancel()

    # -- runs ----------------------------------------------------------------------

    def obstacle(self, key: int) -> str | None:
        """Why the code of a run is not to be run now; None if it may be."""
        ends = self._plan.aside.get(key)
        if ends is not None:
            return (
                f"the process ended {ends} times in a row while the code of this run "
                "was executing; look for a crash in it. It is tried again when the "
                "engine was stopped in good order and is started anew: repair the code "
                "before, or terminate the run"
            )
        if key in self._paused:
            return (
                f"{WAITING}the process ended while its code was executing; it goes on "
                f"in {blame.PAUSE:g} s"
            )
        return None

    async def ready(self, key: int) -> None:
        """Wait until a run goes on that is only kept from its code for a moment.

        RuntimeStateError if the engine closes before.
        """
        waiting = self._paused.get(key)
        if waiting is not None:
            await asyncio.wait((waiting,))
            if waiting.cancelled():
                raise RuntimeStateError("the runtime was closed")

    def _unpause(self) -> None:
        paused, self._paused = self._paused, {}
        for key, waiting in paused.items():
            engine = self._host  # it may have been put away meanwhile
            run = None if engine.stopping else engine.resident(key, begin=False)
            if run is not None and run.state.held:
                engine.go_on(key)
            if not waiting.done():
                waiting.set_result(None)

    # -- attempts ------------------------------------------------------------------

    def convicts(self, run: Run, command: RunTask) -> bool:
        """Whether a task is guilty: then it fails, instead of being dispatched."""
        place = (run.row.key, command.call)
        charges = self._plan.guilty.get(place)
        if charges is None:
            return False
        logger.error(
            "%s: task %r fails: the process ended %d times while it alone executed",
            run,
            command.name,
            charges,
        )
        failed = TaskFailed(command.call, failures.lost_alone(charges))
        reply: asyncio.Future[Any] = self._host.loop.create_future()
        reply.add_done_callback(lambda done: self._convicted(place, done))
        run.post(Envelope(failed, reply))
        return True

    def _convicted(self, place: Place, done: "asyncio.Future[Any]") -> None:
        if not done.cancelled() and done.exception() is None:  # it is durable
            self._plan.guilty.pop(place, None)
            self._host.stage.forget(place)

    def keeps(self, attempt: TaskActor) -> bool:
        """Whether an attempt that asks for a slot is to be tried apart, later."""
        place = (attempt.run.row.key, attempt.command.call)
        if place not in self._known:
            return False
        attempt.suspect, attempt.on_end = True, self._ended
        if not any(place in group for group, _ in self._trials):
            return False
        self._waiting[place] = attempt
        return True

    def _ended(self, attempt: TaskActor) -> None:
        """A suspect is over: if it was the last one on trial the next are tried."""
        if attempt not in self._trying:
            return
        self._trying.discard(attempt)
        if not self._trying and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._host.loop.call_soon(self._next)

    def _next(self) -> None:
        """Try the next ones; who was tried so far is no suspect any more."""
        stage = self._host.stage
        stage.try_alone(None)
        self._trying.clear()
        while self._trials:
            group, longest = self._trials.pop(0)
            kept = (self._waiting.pop(place, None) for place in group)
            found = [one for one in kept if one is not None and not one.gone]
            if not found:
                continue
            self._timer = self._host.clock.call_later(longest, self._next)
            stage.try_alone(group[0] if len(group) == 1 else None)
            self._trying = set(found)
            for attempt in found:
                attempt.stand_in_line(held=False)
                if attempt.worker is None:  # it is over, or waits as all others do
                    self._ended(attempt)
            return
        self._over()

    def _over(self) -> None:
        """Nobody is on trial any more: all begin."""
        self._known = frozenset()
        self._host.admission.let_go()
