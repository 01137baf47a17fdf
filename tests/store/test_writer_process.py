"""The writer as a process: every promise of the store, and what happens if it dies."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from everact.runtime import Registry, Runtime, receive, task, workflow
from everact.runtime.errors import StoreError, StoreInUse
from everact.runtime.store.base import Refused, Store
from everact.runtime.store.sqlite import process as writer_process
from everact.runtime.store.sqlite.store import SqliteStore
from everact.runtime.store.sqlite.writing import Writer
from tests.store.conformance import DurableStoreConformance, commit, put, row, start

pytestmark = pytest.mark.feature("RC-05")

REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(number: int) -> int:
    return number * 2


@workflow(registry=REGISTRY)
async def doubled(number: int) -> int:
    return await double(await double(number))


@workflow(registry=REGISTRY)
async def told() -> int:
    return int(await receive("more"))


linux = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="another process cannot be limited here"
)


class _Apart(Writer):
    def next(self) -> None:
        if self.may_spawn and (self.process is None or self.process.lost):
            self.spawn()
        process = self.process
        while process is not None and not (process.ready or process.lost):
            select.select([process._socket], [], [])
            process._readable()
        super().next()


class Apart(SqliteStore):
    """A store whose process commits from the first batch on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writer = _Apart(self.database, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "everact.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[Apart]:
    """An open store with a process that is ready."""
    made = Apart(path)
    made.open()
    await commit(made, start(1))
    assert made.writer.process is not None
    assert made.writer.process.ready
    yield made
    made.close(clean=True)


class TestApart(DurableStoreConformance):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: Apart(tmp_path / "everact.db")


def pid_of(store: SqliteStore) -> int:
    assert store.writer.process is not None
    return store.writer.process._process.pid


async def test_a_small_load_starts_no_process(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, *(start(key) for key in range(1, 60)))
    assert store.writer.process is None
    store.close(clean=True)


async def test_a_crowd_of_writes_starts_one_and_it_ends_with_the_store(
    path: Path,
) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, *(start(key) for key in range(1, 100)))
    pid = pid_of(store)
    store.close(clean=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_write_that_the_process_cannot_judge_is_isolated_by_the_thread(
    store: Apart,
) -> None:
    refusals = await commit(store, put(row(1, 1)), start(1), put(row(1, 2)))
    assert [type(refusal) for refusal in refusals] == [Refused] * 3
    assert (await commit(store, start(2), start(3))) == [None, None]
    assert pid_of(store)


async def test_a_batch_too_large_to_send_goes_to_the_thread(store: Apart) -> None:
    body = b"x" * (writer_process.LARGEST + 1)
    await commit(store, put(row(1, 1, body=body)))
    found = store.load(1)
    assert found is not None
    assert found.rows[-1].body == body


async def test_a_process_that_is_killed_leaves_its_batch_unknown_and_is_replaced(
    store: Apart,
) -> None:
    killed = pid_of(store)
    os.kill(killed, signal.SIGSTOP)
    committing = asyncio.ensure_future(commit(store, start(2)))
    await asyncio.sleep(0)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(StoreError):
        await committing
    assert await commit(store, start(3)) == [None]
    assert pid_of(store) != killed


def unable_to_write(store: SqliteStore) -> None:
    """From now on whatever its process writes into a file is an error of the disk."""
    resource.prlimit(pid_of(store), resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


@linux
async def test_a_commit_that_fails_leaves_its_batch_unknown_and_is_not_tried_again(
    store: Apart,
) -> None:
    """It may be in the file all the same: only who reads it back can know."""
    failed = pid_of(store)
    unable_to_write(store)
    with pytest.raises(StoreError):
        await commit(store, start(2), start(3))
    assert (store.load(2), store.load(3)) == (None, None)
    assert await commit(store, start(4)) == [None]
    assert pid_of(store) != failed


@linux
async def test_runs_of_a_commit_that_failed_are_read_back_and_others_are_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Apart(path)
    async with Runtime(path, store=store, registry=REGISTRY) as runtime:
        waits = await runtime.start(told, id="waits")
        hears = await runtime.start(told, id="hears")
        one, other = runtime.engine.runs.values()
        unable_to_write(store)
        with pytest.raises(StoreError):
            await hears.signal("more", 1)
        assert "1 transitions are read back" in caplog.text
        assert (one.dropped, other.dropped) == (False, True)
        await waits.signal("more", 2)
        await hears.signal("more", 3)
        assert (await waits.result(), await hears.result()) == (2, 3)


async def test_runs_go_on_after_their_writer_was_killed(path: Path) -> None:
    store = Apart(path)
    async with Runtime(path, store=store, registry=REGISTRY) as runtime:
        assert await runtime.execute(doubled, 1) == 4
        os.kill(pid_of(store), signal.SIGKILL)
        results = []
        for number in range(20):
            try:
                results.append(await runtime.execute(doubled, number) == 4 * number)
            except StoreError:  # the start itself was in the commit that was lost
                results.append(True)
        assert all(results)
        assert await runtime.execute(doubled, 3) == 12


async def test_a_signal_to_end_is_for_the_program_not_for_its_writer(
    store: Apart,
) -> None:
    """A service manager and a terminal send it to every process: commits go on."""
    writer = pid_of(store)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(writer, number)
    assert await commit(store, start(2)) == [None]
    assert pid_of(store) == writer


async def test_an_interpreter_that_cannot_run_the_writer_is_asked_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    store = SqliteStore(path, crowd=1)
    store.open()
    assert await commit(store, start(1)) == [None]
    process = store.writer.process
    assert process is not None
    if not process.lost:
        select.select([process._socket], [], [])
        process._readable()
    for key in range(2, 5):
        assert await commit(store, start(key)) == [None]
    assert store.writer.process is None
    assert caplog.text.count("no writer process") == 1
    store.close(clean=True)


async def test_a_program_frozen_into_one_file_is_not_started_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    store = SqliteStore(path, crowd=1)
    store.open()
    assert await commit(store, start(1)) == [None]
    assert store.writer.process is None
    store.close(clean=True)


_FULL = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from everact.runtime.errors import StoreError, StoreFull
    from tests.store.conformance import commit, put, row, start
    from tests.store.test_writer_process import Apart, pid_of

    async def main():
        store = Apart(Path(sys.argv[1]) / "a.db")
        store.open()
        await commit(store, start(1))
        writer, fills = pid_of(store), Path(sys.argv[1]) / "fills"
        fills.write_bytes(bytes(1 << 19))
        taken = 0
        try:
            while taken < 100:
                await commit(store, put(row(1, taken + 1, body=bytes(20_000))))
                taken += 1
        except StoreFull:
            fills.unlink()
        assert await commit(store, put(row(1, taken + 1))) == [None]
        assert len(store.load(1).rows) == taken + 2
        assert pid_of(store) == writer
        store.close(clean=True)
        print("held")

    asyncio.run(main())
    """
)


def test_a_disk_that_is_full_refuses_the_batch_whole_and_the_writer_stays(
    tmp_path: Path,
) -> None:
    """A file system of one megabyte, in a namespace of its own."""
    mount = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"'
    apart = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    if subprocess.run([*apart, tmp_path, "true"], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    program = [sys.executable, "-c", _FULL, str(tmp_path)]
    ended = subprocess.run(
        [*apart, tmp_path, *program], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "held\n", ended.stderr


_ENGINE = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from tests.store.conformance import put, row, start
    from tests.store.test_writer_process import Apart, pid_of

    async def main():
        store = Apart(Path(sys.argv[1]))
        store.open()
        done = asyncio.get_running_loop().create_future()
        store.commit([start(1)], done.set_result)
        await done
        print(pid_of(store), flush=True)
        await asyncio.get_running_loop().create_future()

    asyncio.run(main())
    """
)


def test_after_a_crash_the_file_is_taken_once_the_last_commit_is_over(
    path: Path,
) -> None:
    """The writer of a killed engine still holds the lock: it is waited for."""
    engine = subprocess.Popen(
        [sys.executable, "-c", _ENGINE, path], stdout=subprocess.PIPE, text=True
    )
    with engine:
        assert engine.stdout is not None
        writer = int(engine.stdout.readline())
        with pytest.raises(StoreInUse):
            SqliteStore(path).open()
        os.kill(writer, signal.SIGSTOP)  # as if in the middle of a long commit
        engine.kill()
        engine.wait()
        wakes = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {writer}"])
        store = SqliteStore(path)
        assert store.open().last_key == 1
        store.close(clean=True)
        wakes.wait()


async def test_a_forked_child_does_not_keep_the_writer_alive(store: Apart) -> None:
    writer = pid_of(store)
    ready, release = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(release[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert store.writer.process is not None
    store.writer.process.close()
    store.writer.process = None
    with pytest.raises(ProcessLookupError):
        os.kill(writer, 0)
    os.write(release[1], b"x")
    os.waitpid(child, 0)
