"""The engine: the runs in memory, how they come and go, and what they share.

Runs are looked up by key. One that only waits may be put away: its row says when it
must be in memory again, so leaving writes nothing and coming back is a load and a
replay. Everything that a run may ask of another run, or of the outside, is here.
"""

import asyncio
import logging
import os
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from everact.actors import ActorSystem, Clock
from everact.runtime import isolation
from everact.runtime.core import chain, failures, records
from everact.runtime.core.blame import CODE
from everact.runtime.core.records import (
    Began,
    CancelTask,
    Held,
    Started,
    TaskCompleted,
    TaskFailed,
    TerminateRequested,
)
from everact.runtime.core.state import RunState
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.definitions.context import EndpointAccess
from everact.runtime.definitions.interceptors import around
from everact.runtime.definitions.registry import Registry
from everact.runtime.engine import branches, garbage, outside, steps, telling
from everact.runtime.engine.attempt import ATTEMPT, Outcome, TaskStarter
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.engine.events import Events
from everact.runtime.engine.giving_up import give_up
from everact.runtime.engine.identifiers import make_ids
from everact.runtime.engine.lending import slot_lent
from everact.runtime.engine.loading import closing_of, load_state
from everact.runtime.engine.ranks import Line
from everact.runtime.engine.relations import Relations
from everact.runtime.engine.requests import Requests
from everact.runtime.engine.restarting import begins_anew
from everact.runtime.engine.run import (
    WAITING,
    Question,
    RunActor,
)
from everact.runtime.engine.schedules import Schedules
from everact.runtime.engine.seal import Seal
from everact.runtime.engine.stage import on_stage
from everact.runtime.engine.suspects import Suspects
from everact.runtime.engine.threads import TaskThreads
from everact.runtime.engine.timers import TimerActor
from everact.runtime.engine.turn import Asked
from everact.runtime.engine.updates import Updates
from everact.runtime.engine.versions import SCANNED, Versions
from everact.runtime.engine.visibility import Visibility
from everact.runtime.engine.waiting import Closed, Waiting, fail
from everact.runtime.engine.waiting import reply as settle
from everact.runtime.engine.watchdog import OVERRUNS, Overran, Watchdog
from everact.runtime.engine.workers import Worker, Workers
from everact.runtime.errors import (
    EveractError,
    QueryFailed,
    RPCError,
    RunPutAside,
    RuntimeStateError,
    StoreError,
    StoreLost,
    WorkflowAlreadyStarted,
)
from everact.runtime.programs.attended import make_program
from everact.runtime.programs.coroutine import CoroutineProgram
from everact.runtime.programs.loop import GeneratorHooks
from everact.runtime.store.base import Remembered, RunRow, Statement, Store, Write
from everact.runtime.values.converter import DataConverter

logger = logging.getLogger("everact.engine")

HORIZON = 5.0
"""Seconds before its moment that a run that was put away is loaded."""

LOAD_BATCH = 200
"""Runs loaded in one turn of the loop."""

NESTED = 10
"""Runs that begin in the transition that starts them, one started by the other."""

REFUSALS = 3
"""Refused transitions in a row after which a run is left alone for a while."""

REFUSED_RETRY = 60.0
"""Seconds until a run that was refused so often is tried again."""

_OUTCOMES = frozenset({Outcome, TaskCompleted, TaskFailed})

Beside: TypeAlias = Callable[[RunActor, Any], tuple[Statement, ...]]
"""What an event or command writes beside the journal, told before it is folded."""

IDLE_RUNS = 10_240
"""Waiting runs kept in memory, unless told otherwise."""


class _Held(NamedTuple):
    """A run that is held, in line to go on."""

    key: int
    workflow: str
    priority: int
    gone: bool = False


class Engine:
    """Runs workflows of one store in one process; all methods on its loop.

    One that does not recover answers from a store that is otherwise at rest: it brings
    nothing back by itself, and leaves to the next one how the last one ended.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        registry: Registry,
        workers: tuple[Worker, ...],
        values: DataConverter | None = None,
        generator: random.Random | None = None,
        idle_runs: int = IDLE_RUNS,
        tune_gc: bool = True,
        reachability_queues: int = SCANNED,
        interceptors: Iterable[object] = (),
        declare_search_attributes: bool = False,
        recovers: bool = True,
    ) -> None:
        self.store = store
        self.recovers = recovers
        self.clock = clock
        self.now = clock.now
        self.registry = registry
        self.values = values or DataConverter.default
        self.around = around(interceptors)
        self.debugs = telling.debugs()
        """Whether starts and ends are logged."""
        self.long_way = self.values.hinted or bool(self.around.tasks) or self.debugs
        self.workers = Workers(workers)
        self.runs: dict[int, RunActor] = {}
        self.steps: list[Any] = []  # taken, and recorded before the turn is over
        self.stopping = False
        self.new_id = make_ids(clock.now, generator or random.Random(os.urandom(32)))
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._idle_runs = max(1, idle_runs)  # whoever loads a run must find it there
        self._opening: dict[tuple[str, str], RunActor] = {}
        self._aside: dict[int, str] = {}
        self.relations = Relations(self)
        self.versions = Versions(self, reachability_queues)
        self.schedules = Schedules(self)
        self.beside: dict[type, Beside] = {}
        self.visibility = Visibility(self, automatic=declare_search_attributes)
        self.released: dict[type, Callable[[RunActor, Any], None]] = {}
        self.released[CancelTask] = outside.released
        """Who is told of commands of a kind once they are durable."""
        self.updates = Updates(self)
        self.events = Events(self)
        self.leaving: set[int] = set()
        """Runs that were dropped, and whose last transitions are not durable yet."""
        self._asking: set[asyncio.Task[None]] = set()
        self._next_key = 1
        self._nested = 0
        self.refusals: dict[int, int] = {}
        self.suspects = Suspects(self)
        self._loader: Any = None
        self._loader_at = float("inf")
        self._tune_gc = tune_gc
        self._closing: asyncio.Task[None] | None = None
        self.lost: StoreError | None = None
        """Why it gave up by itself, if it did; see `giving_up`."""
        self.giving_up: asyncio.Task[None] | None = None
        self.endpoint: Callable[[str], EndpointAccess] | None = None
        self._undo: list[Callable[[], None]] = []

    # -- starting and stopping -----------------------------------------------------

    async def open(self) -> None:
        """Open the store and bring back every run that must be in memory."""
        self.loop = asyncio.get_running_loop()
        self.opened_at = self.clock.monotonic()
        self.failed: asyncio.Future[StoreError] = self.loop.create_future()
        """Done when the engine has given up and is closed."""
        opened = self.store.open()
        self.store.watch(partial(give_up, self))
        self.epoch = opened.epoch
        self._next_key = opened.last_key + 1
        self._leaves_clean = opened.clean or self.recovers
        self.seal = Seal(self.store.key())
        self.stage = self.suspects.open(opened, self.store.key())
        self.on_loop = self.stage.on_loop
        self.system = ActorSystem("everact", clock=self.clock)
        await self.system.__aenter__()
        self.waiting = Waiting(self.loop)
        self.requests = Requests(self)
        self.commits = GroupCommit(
            self.store, self.clock, partial(steps.release, self), self._lost
        )
        self.watchdog = Watchdog(ATTEMPT)
        self.threads = TaskThreads()
        self.start_task = TaskStarter(self.loop)
        self.timers = self.system.launch(
            TimerActor, self.clock, self._fire, self._holds
        )
        hooks = GeneratorHooks()
        hooks.install()
        self._undo = [hooks.remove, isolation.mark_interrupts()]
        self._undo.append(branches.contain(self.loop))
        self.listen(self.registry)
        self.beside[Began] = self.versions.bind
        self.versions.open()
        if self._tune_gc:
            garbage.ease()
            self._undo.append(garbage.restore)
        self.workers.hold()
        try:
            await self.events.open(opened.unsigned)
            if self.recovers:
                await self._recover()
            self.suspects.begin()
        except BaseException:
            await self.close(0.0)
            raise

    async def close(self, grace: float) -> None:
        """Stop in good order: attempts get `grace` seconds to finish.

        A caller that gives up does not stop the closing; a second one waits for it.
        """
        if self._closing is None:
            self._closing = self.loop.create_task(self._close(grace))
        await asyncio.shield(self._closing)

    async def _close(self, grace: float) -> None:
        self.stopping = self.long_way = True
        self.schedules.close()
        self.events.stop()
        if self._loader is not None:
            self._loader.cancel()
        await self._let_finish(grace)
        left = await self.commits.finish()
        not_stored = self.lost or StoreError(
            "the runtime was closed while the disk was full"
        )
        for write in left:
            if write.row is None:
                write.done(write, _copy_error(not_stored))
                continue
            asked = write.effects[2] if write.tasks is None else None
            if asked is not None:
                asked.fail(_copy_error(not_stored))
        for run in list(self.runs.values()):
            self._fail_replies(run, not_stored)
            self._forget(run)
        self.waiting.close(self.lost)
        self.updates.close()
        while self._undo:
            self._undo.pop()()
        self.suspects.close()
        self.threads.close()
        self.watchdog.stop()
        await self.system.stop()
        self.stage.close()
        self.store.close(clean=not left and self._leaves_clean)

    async def _let_finish(self, grace: float) -> None:
        """Wait for attempts; those that are left then are cut off, not lost."""
        deadline = self.clock.monotonic() + grace
        waiting = self.loop.create_future()
        handle = self.clock.call_later(grace, settle, waiting, None)
        try:
            while any(run.attempts for run in self.runs.values()):
                if self.clock.monotonic() >= deadline or waiting.done():
                    break
                self._on_idle = self.loop.create_future()
                await asyncio.wait(
                    (waiting, self._on_idle), return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            handle.cancel()
            self._on_idle = None
        for run in self.runs.values():
            attempts, run.attempts = run.attempts, {}  # nothing they say counts now
            for attempt in attempts.values():
                attempt.stop_now()
        await asyncio.sleep(0)

    _on_idle: "asyncio.Future[None] | None" = None

    async def _recover(self) -> None:
        await self._load_due(self.clock.now() + HORIZON)
        for key in self.store.select("orphans"):
            self.relations.bury(key)
        for key in self.store.select("aside"):
            self._aside.setdefault(key, "")
        self._retry_aside()
        self.schedules.open()
        self.events.recover()

    async def _load_due(self, until: float) -> None:
        """Load every run due by `until`, earliest first, in bounded batches."""
        after = (-1.0, 0)
        while not self.stopping:
            found = self.store.due(until, after, LOAD_BATCH)
            for _, key in found:
                self.resident(key)
            if len(found) < LOAD_BATCH:
                break
            after = (found[-1][0], found[-1][1])
            await asyncio.sleep(0)
        self._schedule_loader(until)

    def _schedule_loader(self, loaded_until: float) -> None:
        found = self.store.select("next_due", loaded_until)
        if found:
            self._load_at(found[0] - HORIZON)

    def _load_at(self, when: float) -> None:
        if when >= self._loader_at or self.stopping:
            return
        if self._loader is not None:
            self._loader.cancel()
        self._loader_at = when
        self._loader = self.clock.call_at(when, self._load_now)

    def _load_now(self) -> None:
        self._loader_at = float("inf")
        self._loader = None
        if not self.stopping:
            self._loading = self.loop.create_task(self._load_soon())

    async def _load_soon(self) -> None:
        try:
            await self._load_due(self.clock.now() + 2 * HORIZON)
        except Exception:
            logger.exception("runs that are due could not be loaded; trying again")
            self._load_at(self.clock.now() + HORIZON)

    # -- runs in memory --------------------------------------------------------------

    async def loaded(self, key: int) -> RunActor | None:
        """The run in memory, as it is durable; None if it is closed or unknown."""
        if key in self.leaving:
            await self.commits.idle()
        return self.resident(key)

    def resident(self, key: int, *, begin: bool = True) -> RunActor | None:
        """The run, loaded if it is not in memory; None if it is closed or unknown.

        One that was held goes on when it is loaded, if it can, unless told otherwise.
        """
        run = self.runs.get(key)
        if run is not None:
            if key in self._idle:
                self._idle.move_to_end(key)
            return run
        if key in self.leaving:
            return None  # what it did last is not durable yet
        stored = self.store.load(key)
        if stored is None or stored.run.status:
            return None
        try:
            loaded = load_state(self.seal, stored)
        except Exception as error:  # whatever a checkpoint of the past may raise
            self._quarantine(stored.run, error)
            return None
        run = self.system.launch(RunActor, self, stored.run, loaded.state)
        run.grown, run.checkpoint_bytes = loaded.grown, loaded.checkpoint_bytes
        self.runs[key] = run
        reason = self.build(run) if run.state.held is None else None
        if reason is None or not self._hold_loaded(run, reason):
            run.release_open(begin=begin and reason is None)
        self.updates.loaded(run)
        if not run.attempts:
            self.idle(run)
        return run

    def _hold_loaded(self, run: RunActor, reason: str) -> bool:
        """Hold a run whose code cannot go on; whether it begins anew instead."""
        run.take(Held(reason), None)
        if begins_anew(self, run, reason):
            return True
        if not reason.startswith(WAITING):
            logger.error("%s is put aside: %s", run, reason)
        self.put_aside(run, reason)
        return False

    def _quarantine(self, row: RunRow, error: Exception) -> None:
        """A run that cannot be read: it alone is set apart, and says why."""
        reason = str(error)
        if self._aside.get(row.key) != reason:
            logger.error(
                "run %r (%s) cannot be read and is put aside: %s",
                row.workflow_id,
                row.run_id,
                reason,
            )
        self._aside[row.key] = reason
        self.waiting.put_aside(row.key, row.workflow_id, row.run_id, reason)

    def build(self, run: RunActor) -> str | None:
        """Give the run a program that fits its history; why not, or None."""
        code, state = self.code(run.row, run.state), run.state
        if isinstance(code, str):
            return code
        run.program = self.program(state.start, state.generation, code)
        reason = run.fits() if state.script else None
        if reason is not None:
            run.drop_program()
        return reason

    def program(
        self, start: Started, generation: int, code: Registry | None = None
    ) -> CoroutineProgram | None:
        """A new program for a run; None if its code is not known here."""
        registry = code or self.registry
        return make_program(registry, start, generation, self.values, self.around)

    def obstacle(self, run: RunActor) -> str | None:
        """Why the run's code cannot be run here and now; None if it can."""
        if run.program is not None:
            return None
        return self.build(run)

    def code(self, row: RunRow, state: RunState) -> Registry | str:
        """The code for a run; why there is none here and now, as text."""
        obstacle = self.suspects.obstacle(row.key)
        if obstacle is not None:
            return obstacle
        if self.versions.active:
            return self.versions.code(row, state)
        return self._no_code(state.start) or self.registry

    def no_code(self, row: RunRow, state: RunState) -> str:
        """Why a run's code is not here; empty if it is."""
        code = self.code(row, state)
        return code if isinstance(code, str) else ""

    def knows(self, name: str) -> bool:
        """Whether `name` stands for a task or a workflow here."""
        return self.code_of(name).knows(name)

    def code_of(self, name: str) -> Registry:
        """The registry that knows `name`: the engine's own, or that of a worker."""
        if not self.registry.knows(name):
            for worker in self.workers.all:
                if worker.registry is not None and worker.registry.knows(name):
                    return worker.registry
        return self.registry

    def _no_code(self, start: Started) -> str | None:
        queue = start.options.queue
        if not self.workers.serve(queue):
            return f"{WAITING}no worker serves queue {queue!r}"
        if start.name in self.registry.workflows:
            return None
        if start.name in self.registry.tasks:
            return None
        return f"{WAITING}no workflow named {start.name!r} is registered"

    def idle(self, run: RunActor) -> None:
        """The run only waits: it may be put away when memory is short."""
        key = run.row.key
        if self._on_idle is not None:
            settle(self._on_idle, None)
        self._idle[key] = None
        self._idle.move_to_end(key)
        while len(self._idle) > self._idle_runs:
            oldest, _ = self._idle.popitem(last=False)
            self._put_away(oldest)

    def _put_away(self, key: int) -> None:
        run = self.runs.get(key)
        if run is None or run.in_flight or run.attempts or run.paused is not None:
            return
        if run._actor_queue is not None:
            return  # a message is on its way in
        moment = run.state.wake()
        now = self.clock.now()
        if moment is not None and moment <= now + HORIZON:
            return
        self._forget(run)
        if moment is not None:
            self._load_at(moment - HORIZON)

    def _forget(self, run: RunActor) -> None:
        """Take the run out of memory; nothing is written."""
        run.dropped = True
        self.events.forget(run)
        run.drop_program()
        self.runs.pop(run.row.key, None)
        self._idle.pop(run.row.key, None)
        for attempt in run.attempts.values():
            attempt.stop_now()
        run.attempts = {}
        queue: Any = run._actor_queue
        run.finish()
        unread: tuple[Any, ...] = tuple(queue or ())
        if run.paused is not None:
            paused = run.paused
            left = paused.turn.asked
            asked = () if left is None else (left,)
            unread = (*asked, *paused.deferred, *unread)
        for message in unread:
            self.loop.call_soon(self._hand_on, run, message)

    def _let_go(self, run: RunActor) -> None:
        """Forget a run that will be read back."""
        parent = run.state.start.parent
        if parent is not None:
            self.relations.told(parent.key, parent.call)
        self._forget(run)

    def _hand_on(self, run: RunActor, message: Any) -> None:
        """A message that `run` had not read when it left memory: whose is it now?"""
        if type(message) is Question:
            if self.stopping:
                closed = RuntimeStateError("the runtime was closed")
                fail(message.reply, self.lost or closed)
                return
            asking = self.loop.create_task(self._ask_again(run, message))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            return
        if type(message) in _OUTCOMES:
            return  # what is still open is done again, and only that counts
        heir = None if self.stopping else self.resident(run.row.key)
        event, asked = message, None
        if type(message) is Asked:
            event, asked = message.event, message
        if heir is not None:
            heir.post(message)
        else:
            run.refuse(event, asked)

    async def _ask_again(self, run: RunActor, question: Question) -> None:
        """Answer a query from the run as it is read back, or as it ended."""
        given = question.name, question.args, question.kwargs, question.headers
        try:
            settle(question.reply, await self.ask(run.row.key, *given))
        except Exception as error:
            fail(question.reply, error)

    def discard(self, run: RunActor, error: BaseException | None) -> None:
        """Drop a run whose memory is not to be trusted, and load it again."""
        if error is not None:
            text = "%s is loaded again after an error"
            isolation.log(logger, logging.ERROR, error, text, run)
        self._let_go(run)
        if run.in_flight:
            self.leaving.add(run.row.key)
        else:
            self._not_opening(run)
            self.loop.call_soon(self._reload, run.row.key)

    def left(self, run: RunActor) -> None:
        """All that a discarded run did is durable, or refused: it can be read back."""
        if run.row.key in self.leaving:
            self.leaving.discard(run.row.key)
            self._not_opening(run)
            self.loop.call_soon(self._reload, run.row.key)

    def _not_opening(self, run: RunActor) -> None:
        start = run.state.start
        place = (start.workspace, start.workflow_id)
        if self._opening.get(place) is run:
            del self._opening[place]

    def _reload(self, key: int) -> None:
        if not self.stopping and self.resident(key) is None:
            self.refusals.pop(key, None)
            self._reload_or_tell(key, StoreError("the start of the run was refused"))

    def put_aside(self, run: RunActor, reason: str) -> None:
        """The run is held with `reason`: remember it, and tell who waits."""
        self._aside[run.row.key] = reason
        start = run.state.start
        if not reason.startswith(WAITING):
            self.waiting.put_aside(run.row.key, start.workflow_id, start.run_id, reason)

    def stuck(self, run: RunActor, where: str) -> None:
        """Nothing open can wake the run: those who wait for it are told."""
        start = run.state.start
        reason = f"stuck: {where}"
        self.waiting.put_aside(run.row.key, start.workflow_id, start.run_id, reason)

    def aside_reason(self, key: int) -> str | None:
        """Why a waiter for the run's result should be told now; None to wait."""
        run = self.runs.get(key)
        reason = self._aside.get(key) if run is None else (run.state.held or None)
        if reason and not reason.startswith(WAITING):
            return reason
        if run is not None and not run.state.calls and not run.in_flight:
            return f"stuck: {run.stuck}" if run.stuck else None
        return None

    @property
    def runs_aside(self) -> int:
        """How many runs wait for code that fits them."""
        return len(self._aside)

    def add_worker(self, worker: Worker) -> None:
        """Let another worker serve; what waited for it goes on."""
        self.workers.add(worker)
        self.versions.worker_added(worker)
        self._retry_aside()

    def listen(self, registry: Registry) -> None:
        """Look again whether runs can go on whenever `registry` grows."""
        self._undo.append(registry.on_change(self._code_changed))

    def _code_changed(self) -> None:
        if self._aside and not self.stopping:
            self.loop.call_soon(self._retry_aside)

    def _retry_aside(self) -> None:
        """Look again whether runs that were held can go on, in turn."""
        keys = list(self._aside)
        for first in range(0, len(keys), LOAD_BATCH):
            line: Line[_Held] = Line()
            for key in keys[first : first + LOAD_BATCH]:
                run = self.resident(key, begin=False)
                if run is not None:
                    line.join(_Held(key, run.row.name, run.row.priority))
                else:
                    self.go_on(key)
            while line.waits():
                self.go_on(line.pop().key)

    def go_on(self, key: int) -> None:
        """Let a run that was held go on, if it can."""
        run = self.resident(key)
        if run is None:
            stored = self.store.load(key)
            if stored is None or stored.run.status:
                self._aside.pop(key, None)
            return
        if run.state.held is not None:
            run.begin()
        if not run.state.held or run.state.status:
            self._aside.pop(key, None)

    # -- what comes from outside -------------------------------------------------------

    def start(
        self,
        started: Started,
        request: Remembered | None = None,
        within: Write | None = None,
    ) -> tuple[RunActor, "asyncio.Future[Any]"]:
        """Make a run; the future is done when the start is durable, or refused.

        `within` is a write that must be in the same transaction.
        """
        self.check_open()
        reply = self.loop.create_future()
        run = self.make(started, Asked(started, reply, request), within)
        return run, reply

    def check_open(self) -> None:
        """Raise what tells a caller that no new work is taken."""
        if self.lost is not None:
            raise _copy_error(self.lost)
        if self.stopping:
            raise RuntimeStateError("the runtime is closed or closing")
        if self.commits.full is not None:
            raise RPCError(str(self.commits.full), RPCStatus.RESOURCE_EXHAUSTED)

    def open_run(self, workspace: str, workflow_id: str) -> RunActor | RunRow | None:
        """The open run of an ID: in memory, durable or not; else its row; else None."""
        run = self._opening.get((workspace, workflow_id))
        if run is not None and not run.state.status:
            return run
        row = self.store.find(workspace, workflow_id)
        if row is None or row.status:
            return None
        run = self.runs.get(row.key)
        if run is None:
            return row
        return None if run.state.status else run

    def starting(self, workspace: str, workflow_id: str) -> RunActor | None:
        """The run of an ID whose start is not durable yet, even if it has ended."""
        return self._opening.get((workspace, workflow_id))

    def make(
        self, started: Started, asked: Asked | None, within: Write | None
    ) -> RunActor:
        key, self._next_key = self._next_key, self._next_key + 1
        options, parent = started.options, started.parent
        now = self.clock.now()
        priority = options.extras.priority if options.extras else 0
        if not priority:
            known = self.registry.workflows.get(started.name)
            if known is None:  # a task, or code that only a worker has
                known = self.code_of(started.name).workflows.get(started.name)
            priority = 0 if known is None else known.priority
        row = RunRow(
            key=key,
            workspace=started.workspace,
            workflow_id=started.workflow_id,
            run_id=started.run_id,
            first_run_id=started.first_run_id,
            root_run_id=started.root_run_id,
            parent_key=parent.key if parent else None,
            name=started.name,
            queue=options.queue,
            code=started.code,
            attempt=started.attempt,
            priority=priority,
            run_name=options.run_name,
            identity=options.identity,
            started_at=now,
            execution_deadline=options.execution_deadline,
            epoch=self.epoch,
            build_id=self.versions.inherit(started, within),
        )
        run = self.system.launch(RunActor, self, row, RunState(started))
        self.runs[key] = run
        self._opening[started.workspace, started.workflow_id] = run
        try:
            self._begin(run, asked, within)
        except Exception as bug:  # what is not durable must not be found
            self.discard(run, bug)
            raise
        return run

    def _begin(self, run: RunActor, asked: Asked | None, within: Write | None) -> None:
        begin_at = run.state.start.options.begin_at
        hold: str | None = None
        if begin_at is not None and begin_at > self.clock.now():
            hold = ""
        elif self._nested >= NESTED:
            hold = ""  # it begins when its start is durable
        else:
            hold = self.obstacle(run)
        self._nested += 1
        try:
            run.begin_new(asked, within, hold=hold)
        finally:
            self._nested -= 1
        if hold:
            self.put_aside(run, hold)

    def opened(self, run: RunActor) -> None:
        """The start is durable: the database now knows the ID."""
        start = run.state.start
        place = (start.workspace, start.workflow_id)
        if self._opening.get(place) is run:
            del self._opening[place]
        if self.debugs:
            telling.run_began(run)
        if self.waiting.watchers:
            self.waiting.changed(run.row.key, RunStatus.RUNNING)

    async def deliver(
        self,
        key: int,
        event: Any,
        request: Remembered | None = None,
        *,
        follow: bool = False,
    ) -> Any:
        """Give an event to a run; returns when it is durable.

        With `follow` it is for whatever run of the chain is open. RPCError with
        status NOT_FOUND if the run is closed or unknown. What became of an update is
        the answer.
        """
        self.check_open()
        run = await self.loaded(key)
        reply = self.loop.create_future()
        if run is not None:
            run.post(Asked(event, reply, request, follow))
        elif key in self._aside and type(event) is TerminateRequested:
            self.close_unreadable(key, event, reply)
        else:
            raise RPCError(f"run {key} is not open", RPCStatus.NOT_FOUND)
        return await reply

    def close_unreadable(
        self,
        key: int,
        event: TerminateRequested,
        answer: "asyncio.Future[Any] | None",
        within: Write | None = None,
    ) -> None:
        """Terminate a run whose journal cannot be read: the one thing left to do."""
        stored = self.store.load(key)
        if stored is None or stored.run.status:
            raise RPCError(f"run {key} is not open", RPCStatus.NOT_FOUND)
        if stored.unreadable is not None:
            raise stored.unreadable
        last = stored.rows[-1] if stored.rows else stored.checkpoint
        generation, seq = (last.generation, last.seq + 1) if last else (0, 0)
        now = self.clock.now()
        command = records.Fail(failures.terminated(event.reason, event.details))
        body = records.encode(records.Transition(now, (event,), (command,)))
        row = replace(stored.run, status=int(RunStatus.TERMINATED), closed_at=now)
        row.wake_at, row.aside = None, ""

        def done(_: Write, error: BaseException | None) -> None:
            if error is not None:
                if answer is not None:
                    fail(answer, error)
                return
            self._aside.pop(key, None)
            self.waiting.closed(Closed(key, RunStatus.TERMINATED, command, ""))
            self.schedules.look(row.workspace, row.workflow_id, row.first_run_id)
            self.updates.gone(key)
            self.relations.tell_parent(row)
            if answer is not None:
                settle(answer, None)

        sealed = self.seal.row(key, row.run_id, generation, seq, body)
        write = Write(sealed, done, change=row, within=within)
        write.also, write.wake = (("close_waits", (key,)),), row.parent_key
        write.effects = ((), (), None)
        self.commits.add(write)

    async def ask(
        self,
        key: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: dict[str, str],
    ) -> Any:
        """Put a query to an open run in memory or not; see `Program.query`."""
        await self.suspects.ready(key)
        run = self.resident(key)
        if run is None:
            return await self._ask_closed(key, name, args, kwargs, headers)
        reply = self.loop.create_future()
        run.post(Question(name, args, kwargs, headers, reply))
        return await reply

    def no_answer(self, run: RunActor, reason: str) -> EveractError:
        """Why a query to a run without its code is not answered."""
        if reason.startswith(WAITING):
            text = f"{run} cannot answer: {reason.removeprefix(WAITING)}"
            return RPCError(text, RPCStatus.DEADLINE_EXCEEDED)
        return QueryFailed(f"{run} cannot answer: {reason}")

    async def _ask_closed(
        self,
        key: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: dict[str, str],
    ) -> Any:
        stored = self.store.load(key)
        if stored is None:
            raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)
        state = load_state(self.seal, stored).state
        code = self.code(stored.run, state)
        if isinstance(code, str):
            raise RPCError(code.removeprefix(WAITING), RPCStatus.DEADLINE_EXCEEDED)
        program = self.program(state.start, state.generation, code)
        assert program is not None

        def look() -> Any:
            try:
                program.replay(state.script)
                return program.query(name, args, kwargs, headers)
            finally:
                program.close()

        who = f"run {stored.run.workflow_id!r} ({stored.run.run_id})"
        limit = OVERRUNS * state.start.options.task_timeout
        try:
            with on_stage(self.on_loop, (key, CODE)):
                return self.watchdog.within(who, limit, look)
        except Overran as over:
            raise QueryFailed(f"query {name!r}: {over}") from over

    async def wait_closed(self, key: int) -> Closed:
        """Wait for the durable end of a run; RunPutAside if its code cannot run."""
        run = self.runs.get(key)
        if run is not None:
            row = run.row
        else:
            stored = self.store.load(key)
            if stored is None:
                raise RPCError(f"run {key} is unknown", RPCStatus.NOT_FOUND)
            row = stored.run
            if row.status:
                command = closing_of(self.seal, stored)
                return Closed(key, RunStatus(row.status), command, row.next_run_id)
            if stored.unreadable is not None:
                raise stored.unreadable
        reason = self.aside_reason(key)
        if reason is not None:
            raise RunPutAside(row.workflow_id, row.run_id, reason)
        return await slot_lent(self, self.waiting.result(key), key)

    # -- what runs ask of each other -----------------------------------------------

    def start_successor(self, started: Started, write: Write) -> RunActor:
        """The next run of a chain, in the transaction that closes the one before."""
        return self.make(started, None, write)

    def next_generation(self, run: RunActor) -> None:
        """A tail call is durable: the run begins anew under its identity."""
        for attempt in run.attempts.values():
            attempt.stop_now()
        run.attempts = {}
        run.drop_program()
        run.state = chain.next_generation(run.state)
        run.grown = run.checkpoint_bytes = 0
        self._begin(run, None, None)
        self.updates.changed(run.row.key)

    def run_closed(self, run: RunActor) -> None:
        """The end of a run is durable."""
        key, state, row = run.row.key, run.state, run.row
        self._aside.pop(key, None)
        if self._on_idle is not None:
            settle(self._on_idle, None)
        assert state.closing is not None
        if state.status is not RunStatus.COMPLETED or self.debugs:
            telling.run_ended(run)
        self.waiting.closed(Closed(key, state.status, state.closing, row.next_run_id))
        if self.updates.awaited:
            self.updates.closed(run)
        self.relations.child_closed(run)
        if self.schedules.watched:
            self.schedules.run_closed(run)
        self._forget(run)

    # -- when a commit does not go well ------------------------------------------------

    def refused(self, run: RunActor, write: Write, error: BaseException) -> None:
        """One transition was refused: its run is dropped, and loaded if it exists."""
        start = run.state.start
        asked: Asked | None = write.effects[2]
        if asked is not None:
            alone = type(asked.event) is Started and write.within is None
            asked.fail((self._conflict(start) if alone else None) or error)
        if run.dropped:
            return
        logger.error("%s: a transition was refused: %s", run, error)
        self._opening.pop((start.workspace, start.workflow_id), None)
        self._fail_replies(run, error)
        if type(asked and asked.event) is Started:
            self.discard(run, None)
        else:
            self._try_again(run, error)

    def _try_again(self, run: RunActor, why: BaseException) -> None:
        """Load a refused run again: what it does next may be refused again."""
        key, start = run.row.key, run.state.start
        times = self.refusals[key] = self.refusals.get(key, 0) + 1
        if times < REFUSALS:
            self.discard(run, None)
            return
        reason = f"its next transition is refused by the database: {why}"
        logger.error("%s is put aside for %g s: %s", run, REFUSED_RETRY, reason)
        self._let_go(run)
        self._aside[key] = reason
        self.waiting.put_aside(key, start.workflow_id, start.run_id, reason)
        self.clock.call_later(REFUSED_RETRY, self._after_refusal, key)

    def _after_refusal(self, key: int) -> None:
        if not self.stopping and key in self._aside:
            del self._aside[key]
            self.resident(key)

    def _conflict(self, start: Started) -> BaseException | None:
        row = self.store.find(start.workspace, start.workflow_id)
        if row is None or row.status or row.run_id == start.run_id:
            return None
        return WorkflowAlreadyStarted(start.workflow_id, row.name, row.run_id)

    def _lost(self, writes: list[Write], error: BaseException) -> None:
        """Nobody knows what became of a commit: forget all that rests on it."""
        if not isinstance(error, StoreLost):  # of which nothing can be read back
            logger.error(
                "a commit failed, %d transitions are read back: %s", len(writes), error
            )
        runs: dict[int, RunActor] = {}
        for write in writes:
            if write.row is None:
                write.done(write, _copy_error(error))
                continue
            asked = write.effects[2] if write.tasks is None else None
            if asked is not None:
                asked.fail(_copy_error(error))
            key = write.row.run_key
            run = self.runs.get(key)
            if run is not None:
                runs[key] = run
            elif key in self.leaving:  # nothing more will be told of it
                self.leaving.discard(key)
                self.loop.call_soon(self._reload_or_tell, key, error)
        for key, run in runs.items():
            start = run.state.start
            self._opening.pop((start.workspace, start.workflow_id), None)
            self._fail_replies(run, error)
            self._let_go(run)
            self.loop.call_soon(self._reload_or_tell, key, error)

    def _reload_or_tell(self, key: int, error: BaseException) -> None:
        if self.stopping:
            return
        if self.resident(key) is None:
            stored = self.store.load(key)
            if stored is not None and stored.run.status:
                self.relations.tell_parent(stored.run)
                command, status = closing_of(self.seal, stored), stored.run.status
                next_run = stored.run.next_run_id
                self.waiting.closed(Closed(key, RunStatus(status), command, next_run))
                row = stored.run
                self.schedules.look(row.workspace, row.workflow_id, row.first_run_id)
                self.updates.gone(key)
            elif stored is None:
                self.waiting.failed(key, _copy_error(error))
                self.updates.gone(key)

    @staticmethod
    def _fail_replies(run: RunActor, error: BaseException) -> None:
        for reply, _ in run.after_commit or ():
            fail(reply, _copy_error(error))
        run.after_commit = None

    # -- time ----------------------------------------------------------------------

    def _holds(self, key: int, number: int, due: float) -> bool:
        run = self.runs.get(key)
        return run is not None and run.state._moment(number) == due

    def _fire(self, key: int, number: int, due: float) -> None:
        run = self.runs.get(key)
        if run is not None:
            run.moment(number, due)


def _copy_error(error: BaseException) -> BaseException:
    """An error of its own for each who is told: tracebacks must not pile up."""
    kind = type(error) if isinstance(error, StoreError) else StoreError
    made = kind(str(error)) if isinstance(error, EveractError) else error
    if made is not error:
        made.__cause__ = error
    return made
