"""The schedules of one engine: when they are due, and carrying out their orders.

What is durable is all there is: a schedule is read, changed and written in one go, one
change of it at a time, and the runs that a change starts or stops are in its
transaction. In memory are only the next moment at which any schedule is due, and
which runs are waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from everact.runtime.core import schedules
from everact.runtime.core.records import CancelRequested, TerminateRequested
from everact.runtime.core.schedules import (
    BATCH,
    Begin,
    Order,
    Present,
    Schedule,
    Stop,
)
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine import logs
from everact.runtime.engine.alarm import Alarm
from everact.runtime.engine.host import Host, Run
from everact.runtime.engine.loading import closing_of
from everact.runtime.engine.locks import Locks
from everact.runtime.engine.parts.base import Part
from everact.runtime.errors import RPCError, ScheduleAlreadyRunning, StoreTampered
from everact.runtime.store.base import (
    Remembered,
    RunRow,
    ScheduleMoved,
    Write,
    schedule_is,
)

logger = logging.getLogger("everact.engine")

Place: TypeAlias = tuple[str, str]
"""Workspace and ID of a schedule."""

Fold: TypeAlias = Callable[[Schedule, Present], list[Order]]
"""A change of a schedule: the orders that follow."""

End: TypeAlias = Callable[
    [tuple[str, str, str], CancelRequested | TerminateRequested, Write], None
]
"""What ends the open run of a chain in the transaction of a write."""

CROWD = 1000
"""Schedules that are looked at together when they are due."""

RETRY = 1.0
"""Seconds until a change that was not stored is tried again."""


class Schedules(Part):
    """Acts on schedules from `recover` to `stop`; all methods on the engine's loop.

    Every change is durable when its method returns; it is made even if the caller
    gives up. RPCError NOT_FOUND for a schedule that is not there.
    """

    def __init__(self, host: Host, end: End) -> None:
        self._host = host
        self._end = end
        self.watched: dict[str, Place] = {}
        """The open actions: first run ID of each, and whose it is."""
        self._locks: Locks[Place] = Locks()
        self._changing: set[asyncio.Task[None]] = set()
        self._troubles: dict[Place, str] = {}
        self._ends: dict[Place, dict[str, object]] = {}
        """Runs that have ended, and how, of which their schedule is not yet told."""
        trouble = "which schedules are due cannot be read; trying again"
        self._due = Alarm(host, self._act_on_due, trouble, RETRY)

    # -- opening and closing ---------------------------------------------------------

    def recover(self) -> None:
        """Look how runs ended meanwhile, and act on what is due."""
        self._spawn(self._watch_running())
        self._due.at(self._host.clock.now())

    def stop(self) -> None:
        """Act no more; changes that are under way go on."""
        self._due.cancel()

    # -- what is asked ---------------------------------------------------------------

    async def read(self, place: Place) -> Schedule:
        """A schedule as it is stored."""
        return self._opened(place, await self._stored(place))

    async def _stored(self, place: Place) -> bytes:
        found: list[tuple[bytes]] = await self._host.store.reads.rows(
            "schedule", *place
        )
        if not found:
            raise RPCError(f"no schedule {place[1]!r} is known", RPCStatus.NOT_FOUND)
        return found[0][0]

    async def page(self, workspace: str, after: str, most: int) -> list[Schedule]:
        """Schedules by their IDs, those after an ID."""
        rows = await self._host.store.reads.rows("schedules", workspace, after, most)
        return [self._opened((workspace, id_), body) for id_, body in rows]

    async def create(
        self, schedule: Schedule, fold: Fold, request: Remembered | None
    ) -> None:
        """Store a new schedule, and do with it at once what `fold` says.

        ScheduleAlreadyRunning if its ID is taken.
        """
        place = (schedule.workspace, schedule.id)
        await self._ask(self._changed(place, fold, request, schedule))

    async def change(
        self, place: Place, fold: Fold, request: Remembered | None = None
    ) -> None:
        """Bring a schedule up to the present, and then change it."""
        await self._ask(self._changed(place, fold, request))

    async def delete(self, place: Place, request: Remembered | None) -> None:
        """Forget a schedule; its runs go on."""
        await self._ask(self._deleted(place, request))

    async def _ask(self, change: Coroutine[Any, Any, None]) -> None:
        """Do a change to its end, even if the caller gives up."""
        task = self._host.loop.create_task(change)
        self._keep(task)
        await asyncio.shield(task)

    # -- what happens ----------------------------------------------------------------

    def closed(self, run: Run) -> None:
        """It may be the last of an action's chain."""
        if not self.watched:
            return
        place = self.watched.get(run.state.start.first_run_id)
        if place is not None and not run.row.next_run_id:
            self._ended_run(place, run.state.start.first_run_id, run.state.closing)

    def gone(self, key: int, row: RunRow | None) -> None:
        if row is not None:
            self._look(row.workspace, row.workflow_id, row.first_run_id)

    def _look(self, workspace: str, workflow_id: str, first_run_id: str) -> None:
        """An action's run is perhaps at its end: see, if it is one of an action."""
        place = self.watched.get(first_run_id)
        if place is None:
            return
        store = self._host.store
        row = store.find(workspace, workflow_id, "", first_run_id)
        if row is not None and not row.status:
            return
        stored = None if row is None else store.ending(row.key)
        try:
            closing = stored and closing_of(self._host.seal, stored)
        except Exception as error:
            logs.background(
                self._host, error, "how run %s ended cannot be read", first_run_id
            )
            closing = None
        self._ended_run(place, first_run_id, closing)

    async def _watch_running(self) -> None:
        for place in await self._host.store.reads.rows("running_schedules"):
            await self._watch(place)

    async def _watch(self, place: Place) -> None:
        """Wait for the ends of a schedule's runs, some of which may have come."""
        try:
            running = (await self.read(place)).running
        except RPCError:
            return
        except Exception as error:
            logs.background(self._host, error, "schedule %r cannot be read", place[1])
            return
        for taken in running:
            self.watched[taken.run_id] = place
            self._look(place[0], taken.workflow_id, taken.run_id)

    def _watch_again(self, place: Place) -> None:
        if not self._host.stopping:
            self._spawn(self._watch(place))

    def _ended_run(self, place: Place, run_id: str, closing: object) -> None:
        under_way = place in self._ends
        self._ends.setdefault(place, {})[run_id] = closing
        if not under_way:
            self._spawn(self._tell(place))

    async def _tell(self, place: Place) -> None:
        """Tell a schedule of the ends of its runs, again and again if need be.

        All that have come until its turn are one change, up to a slice of them.
        """
        ends = self._ends[place]
        told: list[str] = []

        def fold(schedule: Schedule, present: Present) -> list[Order]:
            told[:] = list(ends)[:BATCH]
            return [
                order
                for run_id in told
                for order in schedule.closed(run_id, ends[run_id], present)
            ]

        while ends and not self._host.stopping:
            told.clear()
            if not await self._act(place, fold):
                self._host.clock.call_later(
                    RETRY, lambda: self._spawn(self._tell(place))
                )
                return
            for run_id in told:
                del ends[run_id]
                self.watched.pop(run_id, None)
            if not told:  # the schedule is gone
                ends.clear()
        del self._ends[place]

    async def _act_on_due(self) -> None:
        """Bring every schedule that is due up to the present, or a slice nearer to it.

        What is left is due again: each schedule has one slice in its line at a time.
        """
        now, reads = self._host.clock.now(), self._host.store.reads
        due = await reads.rows("due_schedules", now, CROWD)
        done = await asyncio.gather(
            *(self._act(place, Schedule.make_up, timely=True) for place in due)
        )
        troubled = {place for place, did in zip(due, done, strict=True) if not did}
        left = await reads.rows("due_schedules", now, CROWD)
        if len(due) == CROWD or not troubled.issuperset(left):
            self._due.at(now)
        elif troubled:
            self._due.at(self._host.clock.now() + RETRY)
        ((following,),) = await reads.rows("next_schedule", now)
        if following is not None:
            self._due.at(following)

    async def _act(self, place: Place, fold: Fold, *, timely: bool = False) -> bool:
        """Change a schedule by itself; False if it could not be stored or read."""
        try:
            await self._changed(place, fold, timely=timely)
        except Exception as error:
            if isinstance(error, RPCError) and error.status is RPCStatus.NOT_FOUND:
                return True
            told = self._troubles.get(place) == str(error)
            if not (told or self._host.stopping):
                self._troubles[place] = str(error)
                logger.error(  # noqa: TRY400 (what it says is enough)
                    "schedule %r cannot act, it tries again every %g s: %s",
                    place[1],
                    RETRY,
                    error,
                )
            return False
        self._troubles.pop(place, None)
        return True

    # -- one change ------------------------------------------------------------------

    async def _changed(
        self,
        place: Place,
        fold: Fold,
        request: Remembered | None = None,
        new: Schedule | None = None,
        *,
        timely: bool = False,
    ) -> None:
        """Bring a schedule up to the present, and then change it.

        A `timely` change was due: it is stored in any case, with when the next one is.
        """
        async with self._locks.of(place):
            while True:
                try:
                    await self._change(place, fold, request, new, timely=timely)
                except ScheduleMoved:  # another engine was quicker
                    if new is not None:
                        raise ScheduleAlreadyRunning(place[1]) from None
                else:
                    return

    async def _change(
        self,
        place: Place,
        fold: Fold,
        request: Remembered | None,
        new: Schedule | None,
        *,
        timely: bool,
    ) -> None:
        engine = self._host
        engine.check_open()
        stored = None if new is not None else await self._stored(place)
        while engine.draining:  # runs that cannot be ended now
            await engine.commits.idle()
        schedule = new or self._opened(place, stored or b"")
        before = b"" if new else schedules.encode(schedule)
        defined = schedule.definition
        present = Present(engine.clock.now(), _Naming(engine, place[0]))
        orders = schedule.catch_up(present) if new is None else []
        orders += fold(schedule, present)
        if schedule.definition is not defined:
            schedule.serial += 1
        changed = request is not None or schedules.encode(schedule) != before
        if timely or changed:
            await self._save(schedule, stored, orders, request)

    async def _deleted(self, place: Place, request: Remembered | None) -> None:
        async with self._locks.of(place):
            self._host.check_open()
            try:
                running = (await self.read(place)).running
            except (StoreTampered, msgspec.ValidationError):
                running = ()
            gone = ("delete_schedule", place)
            _, saved = self._host.commits.save(gone, request=request)
            await saved
            for taken in running:
                self.watched.pop(taken.run_id, None)

    async def _save(
        self,
        schedule: Schedule,
        stored: bytes | None,
        orders: list[Order],
        request: Remembered | None,
    ) -> None:
        """Store a schedule and carry out orders, in one transaction.

        It is in place of what is `stored`, or of nothing; ScheduleMoved.
        """
        engine, place = self._host, (schedule.workspace, schedule.id)
        sealed = engine.seal.schedule(*place, schedules.encode(schedule))
        next_at = schedule.next_at()
        row = (*place, next_at, len(schedule.running), sealed)
        write, saved = engine.commits.save(("put_schedule", row), request=request)
        write.requires = (schedule_is(*place, stored),)
        for order in orders:
            if isinstance(order, Begin):
                self.watched[order.taken.run_id] = place
                started = schedule.start(order, engine.clock.now())
                kind = engine.kind_of(started.name)
                engine.make(replace(started, kind=kind), None, write)
            else:
                self._stop(schedule, order, write)
        soon = 0.0
        try:
            await saved
        except BaseException:  # perhaps it is durable all the same
            for order in orders:
                if isinstance(order, Begin):
                    self.watched.pop(order.taken.run_id, None)
            engine.loop.call_soon(self._watch_again, place)
            soon = engine.clock.now() + RETRY
            raise
        finally:
            if next_at is not None:
                self._due.at(max(next_at, soon))

    def _stop(self, schedule: Schedule, order: Stop, write: Write) -> None:
        taken, reason = order.taken, f"schedule {schedule.id!r} starts another run"
        event = (
            TerminateRequested(reason) if order.terminate else CancelRequested(reason)
        )
        chain = (schedule.workspace, taken.workflow_id, taken.run_id)
        self._end(chain, event, write)

    def _opened(self, place: Place, sealed: bytes) -> Schedule:
        return schedules.decode(self._host.seal.open_schedule(*place, sealed))

    def _spawn(self, change: Coroutine[Any, Any, None]) -> None:
        self._keep(self._host.loop.create_task(change))

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._changing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._changing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has it, or has given up


class _Naming:
    """Names for the runs of one transaction."""

    def __init__(self, host: Host, workspace: str) -> None:
        self._host = host
        self._workspace = workspace
        self._given: set[str] = set()

    def __call__(self, wanted: str) -> tuple[str, str]:
        found, number = wanted, 1
        while found in self._given or self._host.open_run(self._workspace, found):
            number += 1
            found = f"{wanted}-{number}"
        self._given.add(found)
        return found, self._host.new_id()
