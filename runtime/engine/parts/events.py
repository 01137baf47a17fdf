"""User events: who waits for one, and that it reaches each of them once.

The rule kept here: a wait that was recorded before an event was stored gets the event
if it fits. Runs in memory get it in the transaction that stores it. All others get it
afterwards, in the background and in the order of the events; until that is done the
event is stored as open, and an engine that starts goes on with it. A wait that has been
met is closed in the transaction that meets it, so it is met once.
"""

import asyncio
import hmac
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import msgspec

from everact.runtime.core.records import (
    AwaitEvent,
    CancelCall,
    Complete,
    ContinueAsNew,
    EventMatched,
    Fail,
    Started,
    TailCall,
)
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.host import Acts, Host, Run, Writes
from everact.runtime.engine.parts.base import Part
from everact.runtime.engine.seal import Seal
from everact.runtime.engine.waiting import fail, reply
from everact.runtime.errors import RPCError, RuntimeStateError, StoreError
from everact.runtime.filters.parsing import parse
from everact.runtime.filters.tree import Filter
from everact.runtime.store.base import Opened, Remembered, Statement, Write
from everact.runtime.values.json_payloads import JSON_TAG

logger = logging.getLogger("everact.engine")

BATCH = 200
"""Waits that are looked at in one turn of the loop."""

RETRY = 1.0
"""Seconds before what the store did not take is given again."""

Place: TypeAlias = tuple[int, int]
"""Where a wait is: the key of its run, and its call."""

_CLOSING = (Complete, Fail, ContinueAsNew, TailCall)


class UserEvent(NamedTuple):
    """An event as it is stored; `seq` is its place in the order of all events.

    `payload` and `metadata` are JSON; no scope is an empty one. `at` is epoch seconds,
    `mac` the code by which it is known that all of this was written here.
    """

    seq: int
    workspace: str
    id: str
    key: str
    scope: str
    payload: bytes
    metadata: bytes
    at: float
    mac: bytes = b""

    def code(self, seal: Seal) -> bytes:
        """The code that it must carry."""
        names = (text.encode() for text in (self.workspace, self.id, self.key))
        said = (*names, self.scope.encode(), self.payload, self.metadata)
        return seal.event(self.seq, self.at, *said)

    @property
    def channel(self) -> tuple[str, str]:
        """Where it is waited for."""
        return self.workspace, self.key

    def fits(self, filter: str) -> bool:
        """Whether its payload is what a wait asks for; not if that cannot be told."""
        if not filter:
            return True
        try:
            payload = _decoded(self.payload)
            return _filter(filter).matches(payload if isinstance(payload, dict) else {})
        except Exception:  # others wait for it too
            logger.exception("event %s cannot be held against %r", self.id, filter)
            return False

    def matched(self, call: int) -> EventMatched:
        """What the run is told whose `call` waited for it."""
        return EventMatched(call, self.id, self.key, JSON_TAG + self.payload)


class Events(Part):
    """The events of one engine, and the waits of its runs; all methods on its loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waits: dict[tuple[str, str], dict[Place, AwaitEvent]] = {}
        self._of_run: dict[int, dict[int, AwaitEvent]] = {}
        self._looking_back: set[Place] = set()
        self._late: Counter[tuple[str, str]] = Counter()
        self._jobs: deque[Callable[[], Awaitable[None]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._last = 0
        self._forged: set[int] = set()

    def writes(self) -> Mapping[type, Writes]:
        return {
            AwaitEvent: self._opened,
            EventMatched: self._ended,
            CancelCall: self._ended,
            **dict.fromkeys(_CLOSING, self._run_ended),
        }

    def after_commit(self) -> Mapping[type, Acts]:
        return {AwaitEvent: self._recorded}

    def resumed(self) -> Mapping[type, Acts]:
        return {AwaitEvent: self._resumed}

    # -- starting and stopping -----------------------------------------------------

    async def open(self, opened: Opened) -> None:
        """Find where the order of events goes on.

        If there are events of an earlier version, which carry no code, they get one,
        and `unsigned` is written with the last of them. None is accepted after that.
        """
        (self._last,) = self._host.store.select("last_event")
        if opened.unsigned is not None:
            await self._sign(opened.unsigned)

    async def _sign(self, then: Statement) -> None:
        engine, seq = self._host, -1
        while page := engine.store.rows("unsigned_events", seq, BATCH):
            signed = [UserEvent(*row) for row in page]
            await self._write(*(_signing(event, engine.seal) for event in signed))
            seq = signed[-1].seq
        await self._write(then)

    async def _write(self, *statements: Statement) -> None:
        _, saved = self._host.commits.save(*statements)
        await saved

    def genuine(self, rows: Iterable[Any]) -> Iterator[UserEvent]:
        """Stored events. What was not written here is left out, and told."""
        for event in (UserEvent(*row) for row in rows):
            if hmac.compare_digest(event.code(self._host.seal), event.mac):
                yield event
            elif event.seq not in self._forged:
                self._forged.add(event.seq)
                logger.error(
                    "user event %r of %r is not what was written: it was changed or "
                    "damaged, and reaches nobody. Restore the database from a backup, "
                    "and find out who can write to it",
                    event.id,
                    event.key,
                )

    def recover(self) -> None:
        """Go on with what the engine before did not come to the end of."""
        store = self._host.store
        for place in store.rows("waits_looking_back"):
            self._looking_back.add(place)
            self._later(partial(self._look_back, place))
        for event in self.genuine(store.rows("open_events")):
            self._late[event.channel] += 1
            self._later(partial(self._deliver, event))

    def stop(self) -> None:
        """Give out no more."""
        self._jobs.clear()
        if self._worker is not None:
            self._worker.cancel()

    # -- waits ---------------------------------------------------------------------

    def _opened(self, run: Run, wait: AwaitEvent) -> tuple[Statement, ...]:
        """A wait is about to be recorded."""
        self._enter(run, wait)
        if wait.since is not None:
            self._looking_back.add((run.row.key, wait.call))
        row = (
            run.row.key,
            wait.call,
            run.row.workspace,
            wait.key,
            wait.scope or "",
            wait.filter,
            wait.since,
            self._last,
        )
        return (("open_wait", row),)

    def _recorded(self, run: Run, wait: AwaitEvent) -> None:
        """A wait is durable: look back for it, if it asks for that."""
        if wait.since is not None:
            self._later(partial(self._look_back, (run.row.key, wait.call)))

    def _resumed(self, run: Run, wait: AwaitEvent) -> None:
        """The run of an open wait was loaded."""
        self._enter(run, wait)
        if (run.row.key, wait.call) in self._looking_back:
            self._recorded(run, wait)  # it may not have been told

    def _enter(self, run: Run, wait: AwaitEvent) -> None:
        channel = (run.row.workspace, wait.key)
        self._waits.setdefault(channel, {})[run.row.key, wait.call] = wait
        self._of_run.setdefault(run.row.key, {})[wait.call] = wait

    def _ended(
        self, run: Run, record: EventMatched | CancelCall
    ) -> tuple[Statement, ...]:
        """A call is about to be over: it may be a wait."""
        key, call = run.row.key, record.call
        waits = self._of_run.get(key)
        if waits is None or call not in waits:
            return ()
        self._leave(run, call, waits.pop(call))
        if not waits:
            del self._of_run[key]
        return (("close_wait", (key, call)),)

    def _run_ended(self, run: Run, _: Any) -> tuple[Statement, ...]:
        """A run or generation is about to be over, and all its waits."""
        if run.row.key not in self._of_run:
            return ()
        self.forget(run)
        return (("close_waits", (run.row.key,)),)

    def forget(self, run: Run) -> None:
        """Its waits are in the store."""
        if not self._of_run:
            return
        for call, wait in self._of_run.pop(run.row.key, {}).items():
            self._leave(run, call, wait)

    def _leave(self, run: Run, call: int, wait: AwaitEvent) -> None:
        channel = (run.row.workspace, wait.key)
        waits = self._waits[channel]
        del waits[run.row.key, call]
        if not waits:
            del self._waits[channel]

    # -- events --------------------------------------------------------------------

    def push(
        self,
        event: UserEvent,
        starts: tuple[Started, ...],
        request: Remembered | None,
    ) -> "asyncio.Future[str]":
        """Store an event, start runs in the same transaction, give it to who waits.

        The future is done when the event is durable, or refused.
        """
        engine = self._host
        self._last += 1
        event = event._replace(seq=self._last)
        event = event._replace(mac=event.code(engine.seal))
        answer: asyncio.Future[str] = engine.loop.create_future()
        write = Write(None, self._stored, request=request)
        write.statements = (("insert_event", (*event, 0)),)
        write.effects = (event, answer, False)
        elsewhere = self._waited_elsewhere(event)
        engine.commits.add(write)
        if self._give_in_memory(event, write) or elsewhere:
            write.statements = (("insert_event", (*event, 1)),)
            write.effects = (event, answer, True)
            self._late[event.channel] += 1
        for started in starts:
            engine.make(started, None, write)
        return answer

    def _give_in_memory(self, event: UserEvent, write: Write) -> bool:
        """Give an event to runs in memory; whether some must get it later."""
        engine, late = self._host, bool(self._host.draining)
        places = self._waits.get(event.channel, {})
        if self._late[event.channel] or len(places) > BATCH:
            return True  # earlier events go first, and a crowd has to take turns
        for (key, call), wait in list(places.items()):
            run = engine.runs.get(key)
            known = call in self._of_run.get(key, {})  # an event may end other waits
            if wait.scope not in (None, event.scope) or not known:
                continue
            if (
                run is None
                or run.code.paused is not None
                or (key, call) in self._looking_back
            ):
                late = True
            elif event.fits(wait.filter):
                try:
                    run.take(event.matched(call), None, write)
                except Exception as bug:
                    engine.discard(run, bug)
                    late = True
        return late

    def _waited_elsewhere(self, event: UserEvent) -> bool:
        """Whether a run that is not in memory may wait for it."""
        return any(
            len(page) == BATCH or any(row[0] not in self._host.runs for row in page)
            for page in self._pages(event)
        )

    def _stored(self, write: Write, error: BaseException | None) -> None:
        """An event is durable, or refused, or nobody knows."""
        event, answer, late = write.effects
        if error is None:
            reply(answer, event.id)
        else:
            fail(answer, error)
        if late:
            self._later(partial(self._deliver, event))

    def _pages(self, event: UserEvent) -> Iterator[list[Any]]:
        """The stored waits that an event of its key and scope is for."""
        for scope in dict.fromkeys(("", event.scope)):
            after = (-1, -1)
            while True:
                page = self._host.store.rows(
                    "waits_for", *event.channel, scope, event.seq, *after, BATCH
                )
                if page:
                    yield page
                if len(page) < BATCH:
                    break
                after = page[-1][:2]

    # -- in the background ---------------------------------------------------------

    def _later(self, job: Callable[[], Awaitable[None]]) -> None:
        if self._host.stopping:
            return
        self._jobs.append(job)
        if self._worker is None:
            self._worker = self._host.loop.create_task(self._work())

    async def _work(self) -> None:
        """Do one job after the other; a job may be done again from its beginning."""
        while self._jobs:
            try:
                await self._jobs[0]()
            except RuntimeStateError:
                return  # the engine closes
            except Exception as error:
                if not isinstance(error, (RPCError, StoreError)):
                    logger.exception("an event could not be given out; trying again")
                await self._pause()
            else:
                self._jobs.popleft()
        self._worker = None

    async def _pause(self) -> None:
        engine = self._host
        over = engine.loop.create_future()
        engine.clock.call_later(RETRY, reply, over, None)
        await over

    async def _deliver(self, event: UserEvent) -> None:
        """Give an event to all stored waits that it fits, and close it."""
        engine = self._host
        stored = await engine.store.reads.rows("event", event.workspace, event.id)
        if stored:
            for page in self._pages(event):
                fitting = [row[:2] for row in page if event.fits(row[2])]
                given = [at for at in fitting if at not in self._looking_back]
                await asyncio.gather(*(self._give(place, event) for place in given))
                await asyncio.sleep(0)
            closing = ("close_event", (event.seq,))
            engine.commits.add(Write(None, _no_matter, statements=(closing,)))
        self._late[event.channel] -= 1
        if not self._late[event.channel]:
            del self._late[event.channel]

    async def _look_back(self, place: Place) -> None:
        """Give a wait the first event since the moment that it looks back to."""
        run = await self._host.loaded(place[0])
        wait = run.state.calls.get(place[1]) if run is not None else None
        if run is not None and isinstance(wait, AwaitEvent):
            event = await self._first_since(run.row.workspace, wait)
            if event is not None:
                await self._give(place, event)
        self._looking_back.discard(place)

    async def _first_since(self, workspace: str, wait: AwaitEvent) -> UserEvent | None:
        seq = 0
        while True:
            page = self._host.store.rows(
                "events_since", workspace, wait.key, wait.scope, wait.since, seq, BATCH
            )
            for event in self.genuine(page):
                if event.fits(wait.filter):
                    return event
            if len(page) < BATCH:
                return None
            seq = page[-1][0]
            await asyncio.sleep(0)

    async def _give(self, place: Place, event: UserEvent) -> None:
        """Give an event to a wait, if it is still open; durable on return."""
        key, call = place
        run = await self._host.loaded(key)
        wait = run.state.calls.get(call) if run is not None else None
        if not isinstance(wait, AwaitEvent) or wait.key != event.key:
            return
        if wait.scope not in (None, event.scope) or not event.fits(wait.filter):
            return  # the table of waits is only an index: the run's word counts
        try:
            await self._host.deliver(key, event.matched(call))
        except RPCError as refused:
            if refused.status is not RPCStatus.NOT_FOUND:
                raise


@lru_cache(maxsize=1024)
def _filter(text: str) -> Filter:
    return parse(text)


@lru_cache(maxsize=1)
def _decoded(payload: bytes) -> Any:
    """One event is held against many filters in a row."""
    return msgspec.json.decode(payload)


def _no_matter(_: Write, __: BaseException | None) -> None:
    """An event that stays open is looked at once more by the next engine."""


def _signing(event: UserEvent, seal: Seal) -> Statement:
    return "sign_event", (event.code(seal), event.seq)
