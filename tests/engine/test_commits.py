"""Group commit: what becomes of writes that wait while another is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.errors import StoreError
from everact.runtime.store.base import JournalRow, Write
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.conformance import commit, put, row, start


async def test_what_waits_on_a_refused_transition_is_refused_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Stored, it would follow a gap; so would what must not be without it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    await commit(store, start(1), start(2))
    refused: list[Write] = []
    stored: list[Write] = []

    def done(write: Write, error: BaseException | None) -> None:
        assert error is None or isinstance(error, StoreError)
        (stored if error is None else refused).append(write)

    def written(journal: JournalRow, within: Write | None = None) -> Write:
        write = put(journal, within=within)
        write.done = done
        commits.add(write)
        return write

    commits = GroupCommit(store, VirtualClock(loop), stored.extend, lambda *_: None)
    bad = written(row(1))  # it is there already
    commits._flush()
    next_of_it = written(row(1, 1))
    other = written(row(2, 1))
    child = start(3)
    child.within, child.done = next_of_it, done
    commits.add(child)
    last_of_it = written(row(1, 2))
    await commits.idle()
    assert refused == [bad, next_of_it, child, last_of_it]
    assert stored == [other]
    assert store.load(3) is None
    found, beside = store.load(1), store.load(2)
    assert found is not None
    assert beside is not None
    assert [len(found.rows), len(beside.rows)] == [1, 2]
    store.close(clean=True)
