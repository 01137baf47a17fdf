"""Group commit: what becomes of writes that wait while another is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime.engine.commits import GroupCommit
from everact.runtime.errors import RuntimeStateError, StoreError, StoreFull
from everact.runtime.store.base import JournalRow, Outcome, Write
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


async def test_who_asks_for_something_when_the_engine_has_closed_is_told(
    tmp_path: Path,
) -> None:
    """It read something first, and the engine closed meanwhile."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    store = SqliteStore(tmp_path / "a.db")
    store.open()
    commits = GroupCommit(store, VirtualClock(loop), lambda _: None, lambda *_: None)
    assert await commits.finish() == []
    _, saved = commits.save(("forget_requests", (0.0,)))
    with pytest.raises(RuntimeStateError, match="closed"):
        await asyncio.wait_for(saved, 10)
    store.close(clean=True)


async def test_nobody_waits_for_what_a_full_disk_did_not_take_when_the_engine_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    store = SqliteStore(tmp_path / "a.db")
    store.open()

    def full(writes: Sequence[Write], done: Callable[[Outcome], object]) -> None:
        loop.call_soon(done, StoreFull("the disk is full"))

    monkeypatch.setattr(store, "commit", full)
    commits = GroupCommit(store, VirtualClock(loop), lambda _: None, lambda *_: None)
    commits.add(start(1))
    waiting = asyncio.create_task(commits.idle())
    await asyncio.sleep(5)
    assert not waiting.done()
    assert len(await commits.finish()) == 1
    await asyncio.wait_for(waiting, 10)
    store.close(clean=True)
