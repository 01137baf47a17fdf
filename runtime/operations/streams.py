"""Operations that answer with one item after the other, for as long as it takes."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError, invalid
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Item, Request, operation
from everact.runtime.operations.runs import (
    HistoryEntry,
    ReadHistory,
    RunRef,
    RunSummary,
    find_run,
    of_row,
    read_history,
)
from everact.runtime.store.base import RunRow
from everact.runtime.store.searching import attributes_found

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

PAGE = 500


class FollowRun(Request[HistoryEntry], frozen=True, kw_only=True):
    """The history of one run as it grows, to its end.

    `cursor` is the ID of the last entry that was received; the stream goes on after
    it. It stays with the run that was addressed first.
    """

    run: RunRef
    cursor: str = ""


class WatchRuns(Request[RunSummary], frozen=True, kw_only=True):
    """Every run from now on when it has begun, was put aside, or has ended.

    A run that changes faster than it is read is told once, as it is then. What
    changed before, or between two streams, is in the list of runs. So is what only a
    journal tells, and no change does: the parent's IDs, `begin_at`, the memo and the
    length of the history keep their defaults.
    """

    workspace: str = "default"
    workflow: str | None = None
    queue: str | None = None

    def takes(self, row: RunRow) -> bool:
        """Whether a run is one of those that are watched."""
        return row.workspace == self.workspace and (
            self.workflow in (None, row.name) and self.queue in (None, row.queue)
        )


@operation("runs.follow", FollowRun, access=Access.READ, streams=True)
async def follow_run(
    engine: "Engine", request: FollowRun
) -> AsyncIterator[Item[HistoryEntry]]:
    """Read the journal page by page, and then wait for it."""
    run_id, after = _place(request.cursor)
    row = await find_run(engine, request.run)
    ref = RunRef(
        workflow_id=row.workflow_id,
        run_id=run_id or row.run_id,
        workspace=row.workspace,
    )
    await find_run(engine, ref)
    return _entries(engine, ref, after)


async def _entries(
    engine: "Engine", ref: RunRef, after: tuple[int, int]
) -> AsyncIterator[Item[HistoryEntry]]:
    while True:
        page = ReadHistory(run=ref, after=after, limit=PAGE, follow=True)
        entries = await read_history(engine, page)
        if not entries:
            return
        for entry in entries:
            after = entry.generation, entry.seq
            yield Item(f"{ref.run_id}:{after[0]}:{after[1]}", entry)


def _place(cursor: str) -> tuple[str, tuple[int, int]]:
    if not cursor:
        return "", (-1, -1)
    run_id, _, place = cursor.partition(":")
    generation, _, seq = place.partition(":")
    if not (run_id and _number(generation) and _number(seq)):
        raise invalid(f"{cursor!r} is no cursor of a history: it is the ID of an entry")
    return run_id, (int(generation), int(seq))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


@operation("runs.watch", WatchRuns, access=Access.READ, streams=True)
async def watch_runs(
    engine: "Engine", request: WatchRuns
) -> AsyncIterator[Item[RunSummary]]:
    """Watch the index."""
    engine.check_open()
    return _changes(engine, request)


async def _changes(
    engine: "Engine", request: WatchRuns
) -> AsyncIterator[Item[RunSummary]]:
    with engine.waiting.watching() as watcher:
        while True:
            for summary in await _changed(engine, request, await watcher.next()):
                yield Item("", summary)
            if watcher.missed:
                raise RPCError(
                    "too many runs changed at once: list them, and watch again",
                    RPCStatus.ABORTED,
                )


async def _changed(
    engine: "Engine", request: WatchRuns, keys: Sequence[int]
) -> list[RunSummary]:
    """Runs without their journals: every watcher is told of every change."""
    reads = engine.store.reads
    rows = [row for row in await reads.runs(keys) if request.takes(row)]
    wanted = msgspec.json.encode([row.key for row in rows]).decode()
    found = attributes_found(await reads.rows("attributes_of_runs", wanted))
    return [of_row(RunSummary, row, attributes=found.get(row.key, {})) for row in rows]
