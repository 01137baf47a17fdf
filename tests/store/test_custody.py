"""A database that is taken away from a running engine: noticed, told, nothing lost.

The files are real ones; what others do to them is done while the engine is open.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from everact.runtime import EveractError, Registry, Runtime, receive, task, workflow
from everact.runtime.errors import StoreDamaged, StoreError, StoreInUse, StoreLost
from everact.runtime.store.sqlite.store import SqliteStore
from tests.features.support import open_runtime
from tests.store.conformance import commit, put, row, start

NOTICED = 2.0
"""Seconds within which it must be noticed, on a busy machine: it is looked for each."""

REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(number: int) -> int:
    return 2 * number


@workflow(registry=REGISTRY)
async def quick(number: int) -> int:
    return await double(number)


@workflow(registry=REGISTRY)
async def patient(text: str) -> str:
    """Hold something large, and wait."""
    more: str = await receive("more")
    return text + more


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "everact.db"


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table theirs (x)")
    other.replace(path)


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def cut(path: Path) -> None:
    os.truncate(path, 100)


def without_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def without_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


Harm = Callable[[Path], None]
EVERY = [deleted, replaced, moved, cut, without_log, without_index]
SAVED = [deleted, replaced, moved, without_log, without_index]


def put_back(path: Path) -> None:
    """Do what the error says."""
    saved = Path(f"{path}.rescued")
    if saved.exists():
        saved.replace(path)


# -- noticed, and told ----------------------------------------------------------------


@pytest.mark.real_time
@pytest.mark.parametrize("harm", EVERY)
async def test_an_engine_that_does_nothing_notices_and_tells_everybody(
    path: Path, harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runtime(path, registry=REGISTRY) as runtime:
        handle = await runtime.start(patient, "a", id="waits")
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0)
        began = time.monotonic()
        harm(path)
        found = await asyncio.wait_for(runtime.engine.failed, 60)
        assert time.monotonic() - began < NOTICED
        assert isinstance(found, StoreLost) and str(path) in str(found)
        for refused in (waiting, handle.describe(), runtime.start(quick, 1)):
            with pytest.raises(StoreLost, match="Nothing is acknowledged"):
                await refused
    told = [line for line in caplog.records if line.levelno == logging.CRITICAL]
    assert str(path) in told[0].getMessage()


@pytest.mark.parametrize("harm", EVERY)
async def test_nothing_is_acknowledged_from_that_moment_on(
    path: Path, harm: Harm
) -> None:
    """Without waiting for the next look: each commit is looked at."""
    async with open_runtime(path, REGISTRY) as runtime:
        assert await (await runtime.start(quick, 1)).result() == 2
        harm(path)
        with pytest.raises(StoreLost):
            await runtime.start(quick, 2)


@pytest.mark.parametrize("crowd", [1, 10**6], ids=["process", "thread"])
@pytest.mark.parametrize("harm", SAVED)
async def test_what_was_acknowledged_before_is_not_lost(
    path: Path, harm: Harm, crowd: int
) -> None:
    store = SqliteStore(path, crowd=crowd)
    acknowledged = []
    async with open_runtime(path, REGISTRY, store=store) as runtime:
        for number in range(50):
            handle = await runtime.start(quick, number, id=f"run-{number}")
            acknowledged.append((handle.id, await handle.result()))
        harm(path)
        with pytest.raises(StoreLost):
            await runtime.start(quick, 99, id="refused")
    put_back(path)
    async with open_runtime(path, REGISTRY) as runtime:
        for workflow_id, result in acknowledged:
            assert await runtime.handle(workflow_id).result() == result


async def test_a_database_in_its_place_is_left_alone(path: Path) -> None:
    """With the log of the one before it would be neither."""
    async with open_runtime(path, REGISTRY) as runtime:
        await (await runtime.start(quick, 1)).result()
        replaced(path)
        with pytest.raises(StoreLost):
            await runtime.start(quick, 2)
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("select name from sqlite_master").fetchall()
    assert tables == [("theirs",)]


async def test_a_copy_that_was_saved_before_is_kept(path: Path) -> None:
    earlier = Path(f"{path}.rescued")
    earlier.write_text("earlier")
    async with open_runtime(path, REGISTRY) as runtime:
        await (await runtime.start(quick, 1)).result()
        deleted(path)
        with pytest.raises(StoreLost):
            await runtime.start(quick, 2)
    assert earlier.read_text() == "earlier"
    saved = Path(f"{earlier}-2")
    assert saved.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreLost, match=r"rescued-2"):
        SqliteStore(path).open()


# -- a second engine -------------------------------------------------------------------


@pytest.mark.real_time
async def test_a_lock_file_that_is_removed_is_made_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = Path(f"{path}.lock")
    async with Runtime(path, registry=REGISTRY) as runtime:
        lock.unlink()
        deadline = time.monotonic() + NOTICED
        while not lock.exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
            SqliteStore(path).open()
        assert await (await runtime.start(quick, 4)).result() == 8
    assert "removed" in caplog.text


@pytest.mark.parametrize("crowd", [1, 10**6], ids=["process", "thread"])
async def test_of_two_engines_the_first_is_refused_every_commit(
    path: Path, crowd: int
) -> None:
    """The second came in before the first could lock the new file."""
    first, second = SqliteStore(path, crowd=crowd), SqliteStore(path)
    first.open()
    await commit(first, start(1))
    while crowd == 1 and not (first.writer.process and first.writer.process.ready):
        await asyncio.sleep(0.01)
    Path(f"{path}.lock").unlink()
    second.open()
    database = first.database
    database.look = lambda: database.lost  # type: ignore[method-assign]  # not yet
    with pytest.raises(StoreLost, match="another engine"):
        await commit(first, put(row(1, 1)), start(2))
    assert second.load(2) is None
    assert await commit(second, put(row(1, 1))) == [None]
    first.close(clean=True)
    assert second.database.meta("clean") == "0"
    second.close(clean=True)


async def test_retention_of_the_first_deletes_nothing_either(path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    first.open()
    Path(f"{path}.lock").unlink()
    second.open()
    with pytest.raises(StoreLost, match="another engine"):
        await first.retire(1e12, 1e12, 10)
    second.close(clean=True)
    first.close(clean=False)


@pytest.mark.real_time
async def test_an_engine_that_does_nothing_notices_the_second(path: Path) -> None:
    second = SqliteStore(path)
    async with Runtime(path, registry=REGISTRY) as runtime:
        Path(f"{path}.lock").unlink()
        second.open()
        found = await asyncio.wait_for(runtime.engine.failed, 60)
        assert "another engine" in str(found)
    second.close(clean=True)


# -- a new database beside an old key -------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "empty", "without tables"])
async def test_a_new_database_beside_a_key_is_refused(path: Path, kind: str) -> None:
    async with open_runtime(path, REGISTRY):
        pass
    path.unlink()
    if kind == "empty":
        path.touch()
    if kind == "without tables":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("vacuum")
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreLost, match=r"everact\.db\.key.*backup.*begin with a new"):
        SqliteStore(path).open()
    assert (path.read_bytes() if path.exists() else None) == before or kind[0] == "w"
    Path(f"{path}.key").rename(f"{path}.key.old")
    async with open_runtime(path, REGISTRY) as runtime:
        assert await (await runtime.start(quick, 1)).result() == 2


# -- a damaged file --------------------------------------------------------------------

PAGE = 4096


async def damaged_copies(path: Path) -> int:
    """Make a database with a page or more of everything; how many pages it has."""
    async with open_runtime(path, REGISTRY) as runtime:
        for number in range(12):
            await runtime.start(patient, f"{number}" * 5000, id=f"waits-{number}")
            await (await runtime.start(quick, number, id=f"done-{number}")).result()
            await runtime.events.push("k", {"n": number})
    return path.stat().st_size // PAGE


def zeroed(source: Path, page: int) -> Path:
    """A copy of a database, and its key, in which one page is zeros."""
    folder = source.parent / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = folder / source.name
    shutil.copy(source, copy)
    shutil.copy(f"{source}.key", f"{copy}.key")
    with copy.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(bytes(PAGE))
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
async def test_a_page_of_zeros_is_never_taken_for_a_fault_of_ours(
    path: Path, part: int
) -> None:
    """Each page in turn: what cannot be read is told by type, and all else goes on."""
    pages = await damaged_copies(path)
    found = [await _looked_at(zeroed(path, page)) for page in range(part, pages, 4)]
    told = [error for error in found if error is not None]
    assert len(told) > 0
    for error in told:
        assert isinstance(error, EveractError), error
        assert not isinstance(error, StoreDamaged) or "backup" in str(error)


async def _looked_at(copy: Path) -> BaseException | None:
    """Use all of a database; the first thing that went wrong."""
    try:
        async with asyncio.timeout(3600), open_runtime(copy, REGISTRY) as runtime:
            for number in range(12):
                assert await runtime.handle(f"done-{number}").result() == 2 * number
                waits = runtime.handle(f"waits-{number}")
                await waits.signal("more", "!")
                assert await waits.result() == f"{number}" * 5000 + "!"
            assert len([event async for event in runtime.events.list()]) == 12
            assert (await runtime.count()).count == 24
    except Exception as error:
        return error
    return None


async def test_a_run_that_cannot_be_read_is_put_aside_alone(path: Path) -> None:
    await damaged_copies(path)
    content, marker = path.read_bytes(), b"7" * 1000
    copy = zeroed(path, content.index(marker) // PAGE)
    async with open_runtime(copy, REGISTRY) as runtime:
        waits = runtime.handle("waits-7")
        with pytest.raises(EveractError, match=r"is damaged.*backup"):
            await waits.result()
        with pytest.raises(EveractError):
            await waits.signal("more", "!")
        other = runtime.handle("waits-1")
        await other.signal("more", "!")
        assert (await other.result()).endswith("1!")


async def test_damage_that_a_commit_meets_ends_the_engine_with_advice(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await damaged_copies(path)
    with closing(sqlite3.connect(path)) as connection:
        name = "runs_open"
        (root,) = connection.execute(
            "select rootpage from sqlite_master where name = ?", (name,)
        ).fetchone()
    copy = zeroed(path, root - 1)
    with pytest.raises(StoreDamaged, match=r"damaged.*doctor.*backup"):
        async with open_runtime(copy, REGISTRY) as runtime:
            await runtime.start(quick, 1)
    assert not any("bug" in line.getMessage() for line in caplog.records)


def test_a_damaged_head_is_told_at_the_opening(path: Path) -> None:
    asyncio.run(_filled(path))
    with path.open("r+b") as file:
        file.write(bytes(PAGE))
    with pytest.raises(StoreError, match=r"everact\.db is damaged.*restore it"):
        SqliteStore(path).open()


async def _filled(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    store.close(clean=True)


def test_looking_after_the_files_starts_no_thread(path: Path) -> None:
    before = threading.active_count()
    store = SqliteStore(path)
    store.open()
    assert threading.active_count() == before + 1  # the writer's
    store.close(clean=True)
