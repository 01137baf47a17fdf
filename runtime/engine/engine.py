"""The engine: what it is made of, how it opens, and how it closes.

Here is nothing but the composition. What the engine does is in the modules that it puts
together: `residency` (which runs are in memory), `making` (new runs), `code` (what
drives them), `held` (those that cannot go on), `failing` (commits that do not go
well), `asking` (what is asked from outside), `run/` (one run), and the parts that stand
beside the journal. They know the engine, and so each other, as `Host`.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from everact.actors import ActorSystem
from everact.runtime import isolation
from everact.runtime.core.admission import Admission
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.definitions.context import EndpointAccess
from everact.runtime.definitions.interceptors import chains_of
from everact.runtime.definitions.registry import Registry
from everact.runtime.engine import branches, garbage, logs
from everact.runtime.engine.asking import Asking
from everact.runtime.engine.code import Code
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.engine.execution.executors import Executors
from everact.runtime.engine.execution.loop import ATTEMPT, TaskStarter
from everact.runtime.engine.failing import Failing, fail_writes
from everact.runtime.engine.held import HeldRuns
from everact.runtime.engine.identifiers import make_ids
from everact.runtime.engine.locks import Locks
from everact.runtime.engine.making import Making
from everact.runtime.engine.parts.base import Part, Parts
from everact.runtime.engine.parts.events import Events
from everact.runtime.engine.parts.retention import Retention
from everact.runtime.engine.parts.schedules import Schedules
from everact.runtime.engine.parts.updates import Updates
from everact.runtime.engine.parts.versions import Versions
from everact.runtime.engine.parts.visibility import Visibility
from everact.runtime.engine.requests import Requests
from everact.runtime.engine.residency import Residency
from everact.runtime.engine.run import steps
from everact.runtime.engine.run.relations import Relations
from everact.runtime.engine.seal import Seal
from everact.runtime.engine.settings import EngineSettings
from everact.runtime.engine.suspects import Suspects
from everact.runtime.engine.task_secrets import TaskSecrets
from everact.runtime.engine.timers import TimerActor
from everact.runtime.engine.waiting import Waiting, copy_of, reply
from everact.runtime.engine.watchdog import Watchdog
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import RPCError, RuntimeStateError, StoreError
from everact.runtime.programs.loop import GeneratorHooks
from everact.runtime.store.base import Store

logger = logging.getLogger("everact.engine")


class Engine:
    """Runs workflows of one store in one process; all methods on its loop.

    When it cannot go on (a lost database: what would be acknowledged could not be found
    again) it takes nothing more, tells everybody, and closes. Whoever serves it waits
    for `failed`, and ends the process with it; embedded, every call raises the error.
    """

    def __init__(self, store: Store, settings: EngineSettings) -> None:
        self.store = store
        self._settings = settings
        self.recovers = settings.recovers
        self.clock = clock = settings.clock
        self.now = clock.now
        self.registry = settings.registry
        self.values = settings.values
        self.interceptors = chains_of(settings.interceptors)
        self.debugs = logs.debugs()
        """Whether starts and ends are logged."""
        self.slow_path = (
            self.values.hinted or bool(self.interceptors.tasks) or self.debugs
        )
        self.admission = Admission(settings.workers)
        self.steps: list[Any] = []
        self.stopping = False
        self.ids: Locks[tuple[str, str]] = Locks()
        """Held over a decision about a workflow ID that reads the database."""
        chance = settings.generator or random.Random(os.urandom(32))
        self.new_id = make_ids(clock.now, chance)
        self.endpoint: Callable[[str], EndpointAccess] | None = None
        self.task_secrets = TaskSecrets()
        self.lost: StoreError | None = None
        """Why it gave up by itself, if it did."""
        self.giving_up: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._undo: list[Callable[[], None]] = []
        self.parts = Parts(self._make_parts(settings))
        self._compose(settings)

    def _make_parts(self, settings: EngineSettings) -> tuple[Part, ...]:
        """The parts, in the order in which they are told; a new one is added here."""
        declares = settings.declare_search_attributes
        self.visibility = Visibility(self, automatic=declares)
        self.relations = Relations(self, self.visibility)
        self.versions = Versions(self, settings.reachability_queues)
        self.updates = Updates(self, self.versions)
        self.schedules = Schedules(self, self.relations.end)
        self.events = Events(self)
        keep = settings.retention
        return (
            self.visibility,
            self.versions,
            self.updates,
            self.schedules,
            self.events,
            Retention(self, keep, looks=settings.forgets or keep is not None),
        )

    def _compose(self, settings: EngineSettings) -> None:
        """Make what the engine consists of, and bind the verbs of `Host` to it.

        They are attributes, not methods that pass the call on: runs ask them all the
        time.
        """
        self.writes, self.after_commit = self.parts.writes, self.parts.after_commit
        self.common = frozenset(steps.COMMON - self.writes.keys())
        self.suspects = Suspects(self)
        self.executors = Executors(self)
        self.executor = self.executors.of

        code = Code(self, self.suspects, self.versions)
        self.code, self.code_of, self.no_code = code.of, code.named, code.missing
        self.build, self.obstacle = code.build, code.obstacle
        self.program, self.unfit = code.program, code.unfit
        self.knows, self.kind_of = code.knows, code.kind_of

        self.residency = residency = Residency(
            self, settings.idle_runs, settings.idle_bytes
        )
        self.runs, self.draining = residency.runs, residency.draining
        self.resident, self.loaded = residency.resident, residency.loaded
        self.present, self.latest = residency.present, residency.latest
        self.idle, self.forget = residency.idle, residency.forget
        self.script = residency.script
        self.run_closed = residency.closed

        self.making = making = Making(self, residency)
        self.start, self.make = making.start, making.make
        self.next_generation = making.next_generation
        self.start_durable, self.open_run = making.start_durable, making.open_run

        self.held = held = HeldRuns(self)
        self.put_aside, self.hold_loaded = held.put, held.hold_loaded
        self.not_held, self.quarantine = held.forget, held.quarantine
        self.stuck, self.held_reason = held.stuck, held.reason
        self.go_on, self.look_again = held.go_on, held.look_again

        self.failing = failing = Failing(self, held)
        self.discard, self.drained = failing.discard, failing.drained
        self.refused, self.refusals = failing.refused, failing.refusals
        self.close_unreadable = failing.close_unreadable

        asking = Asking(self, self.suspects, held, failing)
        self.deliver, self.hand, self.ask = asking.deliver, asking.hand, asking.ask
        self.wait_closed = asking.wait_closed

    # -- opening -----------------------------------------------------------------------

    async def open(self) -> None:
        """Open the store and bring back every run that must be in memory."""
        self.loop = asyncio.get_running_loop()
        self.opened_at = self.clock.monotonic()
        self.failed: asyncio.Future[StoreError] = self.loop.create_future()
        """Done when the engine has given up and is closed."""
        opened = self.store.open()
        self.store.watch(self._give_up)
        self.epoch = opened.epoch
        self.making.open(opened.last_key)
        self._leaves_clean = opened.clean or self.recovers
        self.seal = Seal(self.store.key())
        self.stage = self.suspects.open(opened, self.store.key())
        self.on_loop = self.stage.on_loop
        self.system = ActorSystem("everact", clock=self.clock)
        await self.system.__aenter__()
        self.waiting = Waiting(self.loop)
        self.commits = GroupCommit(
            self.store, self.clock, partial(steps.release, self), self.failing.lost
        )
        self.requests = Requests(self.store, self.commits, self.clock, self.loop)
        self.watchdog = Watchdog(ATTEMPT)
        self.start_task = TaskStarter(self.loop)
        self.timers = self.system.launch(
            TimerActor, self.clock, self._fire, self._holds
        )
        hooks = GeneratorHooks()
        hooks.install()
        self._undo = [hooks.remove, isolation.mark_interrupts()]
        self._undo.append(branches.contain(self.loop))
        self.listen(self.registry)
        if self._settings.tune_gc:
            garbage.ease()
            self._undo.append(garbage.restore)
        self.admission.hold()
        try:
            for part in self.parts.all:
                await part.open(opened)
            if self.recovers:
                await self._recover()
            self.suspects.begin()
        except BaseException:
            await self.close(0.0)
            raise

    async def _recover(self) -> None:
        await self.residency.load_due()
        for (key,) in await self.store.reads.rows("orphans"):
            self.relations.stop_orphan(key)
        self.held.recover()
        for part in self.parts.all:
            part.recover()

    def add_worker(self, worker: Worker) -> None:
        """Let another worker serve; what waited for it goes on."""
        self.admission.add(worker)
        self.versions.worker_added(worker)
        self.look_again()

    def listen(self, registry: Registry) -> None:
        """Look again whether runs can go on whenever `registry` grows."""
        self._undo.append(registry.on_change(self.held.code_changed))

    @property
    def runs_aside(self) -> int:
        """How many runs wait for code that fits them."""
        return len(self.held.reasons)

    def _holds(self, key: int, number: int, due: float) -> bool:
        run = self.runs.get(key)
        return run is not None and run.state.due(number) == due

    def _fire(self, key: int, number: int, due: float) -> None:
        run = self.runs.get(key)
        if run is not None:
            run.moment(number, due)

    # -- closing -----------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise what tells a caller that no new work is taken."""
        if self.lost is not None:
            raise copy_of(self.lost)
        if self.stopping:
            raise RuntimeStateError("the runtime is closed or closing")
        if self.commits.full is not None:
            raise RPCError(str(self.commits.full), RPCStatus.RESOURCE_EXHAUSTED)

    async def close(self, grace: float) -> None:
        """Stop in good order: attempts get `grace` seconds to finish.

        A caller that gives up does not stop the closing; a second one waits for it.
        """
        if self._closing is None:
            self._closing = self.loop.create_task(self._close(grace))
        await asyncio.shield(self._closing)

    async def _close(self, grace: float) -> None:
        self.stopping = self.slow_path = True
        for part in self.parts.all:
            part.stop()
        self.residency.loader.cancel()
        await self.residency.let_finish(grace)
        left = await self.commits.finish()
        not_stored = self.lost or StoreError(
            "the runtime was closed while the disk was full"
        )
        fail_writes(left, not_stored)
        self.residency.close(not_stored)
        self.waiting.close(self.lost)
        for part in self.parts.all:
            part.close()
        while self._undo:
            self._undo.pop()()
        self.suspects.close()
        self.executors.close()
        self.watchdog.stop()
        await self.system.stop()
        self.stage.close()
        self.store.close(clean=not left and self._leaves_clean)

    def _give_up(self, error: StoreError) -> None:
        """Close because of `error`. A second time changes nothing.

        Attempts are cut off: what they would say could not be recorded.
        """
        if self.lost is None:
            self.lost = error
            self.stopping = self.slow_path = True
            logger.critical("the engine gives up: %s", error)
            self.giving_up = self.loop.create_task(self._close_lost(error))

    async def _close_lost(self, error: StoreError) -> None:
        try:
            await self.close(0.0)
        except Exception:
            logger.exception("the engine could not be closed in good order")
        reply(self.failed, error)
