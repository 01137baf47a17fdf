"""Request IDs that were used, and those of requests that are under way.

The rule kept here: an ID is remembered in the transaction of what was done under it,
with what was asked and what was answered, for 24 hours. The same request finds its
answer; another one under the same ID is refused, once it is durable that the first was
carried out.
"""

import asyncio
from typing import Any, NamedTuple

import msgspec

from everact.actors import Clock
from everact.runtime.core.requests import KEPT, OF_RUNS, RequestName, shown
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.engine.waiting import reply
from everact.runtime.errors import RequestIdReused
from everact.runtime.store.base import Remembered, Store


class Known(NamedTuple):
    """A request that was carried out: the run it made or reached (0: none), and its
    answer as JSON, empty if nothing but "done" was answered.
    """

    run_key: int
    answer: bytes


class UnderWay:
    """A request whose outcome is not durable yet.

    `answer` is what those who repeat it wait for too, if they may. `settled` is done
    when the request is remembered, or failed; it may be the future of a start.
    """

    __slots__ = ("answer", "name", "settled")

    def __init__(self, name: RequestName, settled: "asyncio.Future[Any]") -> None:
        self.name = name
        self.settled = settled
        self.answer: asyncio.Future[Any] | None = None


class Requests:
    """The request IDs of one engine; all methods on its loop."""

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._loop = loop
        self._under_way: dict[tuple[str, str], UnderWay] = {}

    def look(self, name: RequestName) -> Known | UnderWay | None:
        """What is known of a request; None if its ID is free.

        RequestIdReused if another one was carried out under its ID. One that is under
        way may be another: whoever finds it waits until it is settled, and looks again.
        """
        under_way = self._under_way.get(name[:2])
        if under_way is not None and not under_way.settled.done():
            return under_way
        found = self._remembered(name.workspace, name.request_id)
        if found is None or found[1] <= self._clock.now() - KEPT:
            return None
        key, _, what, answer = found
        if what not in ("", name.what):  # earlier versions did not note it
            raise RequestIdReused(name.request_id, shown(what), shown(name.what))
        return Known(key, answer)

    def begin(self, name: RequestName) -> UnderWay:
        """A request is under way from now until `end`."""
        begun = UnderWay(name, self._loop.create_future())
        self._under_way[name[:2]] = begun
        return begun

    def end(self, begun: UnderWay) -> None:
        """It is durable or failed: look for what it left."""
        if self._under_way.get(begun.name[:2]) is begun:
            del self._under_way[begun.name[:2]]
        reply(begun.settled, None)

    def settled(self, workspace: str, request_id: str) -> None:
        """A request is durable, though its answer is not there yet."""
        begun = self._under_way.get((workspace, request_id))
        if begun is not None:
            self.end(begun)

    def row(
        self, workspace: str, request_id: str, answer: msgspec.Struct | None = None
    ) -> Remembered | None:
        """What is to be written with the effect of a request; None if it has no ID."""
        if not request_id:
            return None
        begun = self._under_way.get((workspace, request_id))
        what = begun.name.what if begun else ""
        told = b"" if answer is None else msgspec.json.encode(answer)
        now = self._clock.now()
        return Remembered(workspace, request_id, now, what, told)

    async def remember(self, row: Remembered) -> None:
        """Store the ID of a request that changed nothing; durable when it returns."""
        _, saved = self._commits.save(request=row)
        await saved

    def of_run(self, workspace: str, call: str) -> Remembered:
        """What is written with a message that a run's `call` sends to another."""
        return Remembered(workspace, OF_RUNS + call, self._clock.now())

    def was_sent(self, workspace: str, call: str) -> bool:
        """Whether that message was stored, by this version or an earlier one."""
        if self._remembered(workspace, OF_RUNS + call) is not None:
            return True
        before = self._remembered(workspace, call)
        return before is not None and not before[2]

    def _remembered(self, workspace: str, request_id: str) -> Any:
        found = self._store.rows("request", workspace, request_id)
        return found[0] if found else None
