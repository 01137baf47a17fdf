"""The SQLite store: the common promises, and those of its files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime.errors import (
    StoreError,
    StoreFull,
    StoreInUse,
    StoreKeyError,
    StoreTooNew,
)
from everact.runtime.store import catalogue
from everact.runtime.store.base import Store, Stored
from everact.runtime.store.keyfile import key_id
from everact.runtime.store.sqlite.questions import FEW_BYTES, FEW_ROWS
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.conformance import (
    DurableStoreConformance,
    StoreConformance,
    as_stored,
    commit,
    newest,
    put,
    row,
    start,
)

pytestmark = pytest.mark.feature("RC-05")


class TestFile(DurableStoreConformance):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SqliteStore(tmp_path / "everact.db")


class TestMemory(StoreConformance):
    @pytest.fixture
    def make(self) -> Callable[[], Store]:
        return lambda: SqliteStore(":memory:")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "everact.db"


def contents(path: Path) -> list[str]:
    """Everything in a database, as statements."""
    connection = sqlite3.connect(path)
    try:
        version = connection.execute("pragma user_version").fetchone()
        return [str(version), *connection.iterdump()]
    finally:
        connection.close()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def filled(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    store.close(clean=True)


# -- the schema ----------------------------------------------------------------------


async def test_the_schema_is_made_on_first_use_with_durable_settings(
    path: Path,
) -> None:
    store = SqliteStore(path)
    store.open()

    def pragma(name: str) -> object:
        return store.database.writing.execute(f"pragma {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)
    assert pragma("user_version") == len(catalogue.migrations("sqlite"))
    store.close(clean=True)


async def test_a_new_database_is_readable_by_its_owner_only(path: Path) -> None:
    """It holds arguments and results; one that was there keeps its mode."""
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    files = sorted(path.parent.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert f"{path}-wal" in map(str, files)
    store.close(clean=True)
    path.chmod(0o640)
    store = SqliteStore(path)
    store.open()
    store.close(clean=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_read_of_a_closed_database_is_told_so(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    store.close(clean=True)
    asked = [
        store.reads.rows("next_schedule", 0.0),
        store.reads.rows("schedules", "default", "", 1),
        store.reads.find("default", "w"),
    ]
    for question in asked:
        with pytest.raises(StoreError, match="is closed"):
            await question


async def test_migrations_run_once(path: Path) -> None:
    await filled(path)
    before = [line for line in contents(path) if "epoch" not in line]
    store = SqliteStore(path)
    store.open()
    store.close(clean=True)
    after = [line for line in contents(path) if "epoch" not in line]
    assert after == before


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(path)
    before = contents(path)
    steps = catalogue.migrations("sqlite")
    number = len(steps) + 1
    script = "create table added (x integer) strict;\ncreate table runs (x);"
    steps.append(catalogue.Migration(number, "9999_broken.sql", script))
    monkeypatch.setattr(catalogue, "migrations", lambda _: steps)
    with pytest.raises(StoreError, match="already exists"):
        SqliteStore(path).open()
    assert contents(path) == before
    steps[-1] = catalogue.Migration(number, "", "create table added (x) ;")
    store = SqliteStore(path)
    store.open()
    assert store.load(1) is not None
    store.close(clean=True)


async def test_a_newer_schema_is_refused_and_nothing_is_changed(path: Path) -> None:
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 999")
    connection.execute("create table from_the_future (x)")
    connection.commit()
    connection.close()
    before, content = digest(path), contents(path)
    with pytest.raises(StoreTooNew, match=r"schema 999.*Upgrade everact") as caught:
        SqliteStore(path).open()
    assert "everact.db" in str(caught.value)
    assert (digest(path), contents(path)) == (before, content)


def test_migrations_are_numbered_without_gaps_and_queries_are_named() -> None:
    steps = catalogue.migrations("sqlite")
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(sql and "--" not in sql for sql in catalogue.queries("sqlite").values())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "everact.db").open()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("a letter, not a database\n" * 100)
    before = digest(path)
    with pytest.raises(StoreError, match=r"everact\.db.*not a database"):
        SqliteStore(path).open()
    assert digest(path) == before


# -- one process ---------------------------------------------------------------------

HOLDER = """
import sys
from everact.runtime.store.sqlite.store import SqliteStore
store = SqliteStore(sys.argv[1])
store.open()
print("open", flush=True)
sys.stdin.readline()
store.close(clean=True)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that has the database open until it is told to let go."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


def test_a_second_process_is_refused_and_told_who_has_it(path: Path) -> None:
    with holder(path) as child:
        with pytest.raises(StoreInUse, match=f"process {child.pid}") as caught:
            SqliteStore(path).open()
        assert "wait_for_lock" in str(caught.value)
        child.communicate("\n")
    store = SqliteStore(path)
    assert store.open().clean
    store.close(clean=True)


def test_a_second_process_may_wait(path: Path) -> None:
    with holder(path) as child:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        store = SqliteStore(path, wait=60)
        assert store.open().epoch == 2
        store.close(clean=True)


def test_a_second_store_in_the_same_process_is_refused_too(path: Path) -> None:
    one = SqliteStore(path)
    one.open()
    with pytest.raises(StoreInUse):
        SqliteStore(path).open()
    one.close(clean=True)
    two = SqliteStore(path)
    two.open()
    two.close(clean=True)


def test_a_refused_opening_lets_go_of_the_file(path: Path) -> None:
    path.write_text("no database " * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            SqliteStore(path).open()


@pytest.mark.kill
def test_a_killed_process_holds_nothing_and_was_not_clean(path: Path) -> None:
    with holder(path) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    store = SqliteStore(path)
    opened = store.open()
    assert (opened.clean, opened.epoch) == (False, 2)
    store.close(clean=True)


# -- the key -------------------------------------------------------------------------


def key_file(path: Path) -> Path:
    return Path(f"{path}.key")


async def test_the_key_is_readable_by_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        await filled(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_file(path).stat().st_mode) == 0o600
    assert len(bytes.fromhex(key_file(path).read_text().strip())) == 32


async def test_every_database_has_a_key_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        await filled(tmp_path / name)
    one, two = (key_file(tmp_path / name).read_text() for name in ("one", "two"))
    assert one != two


async def test_a_lost_key_is_reported_as_such(path: Path) -> None:
    await filled(path)
    key_file(path).unlink()
    before = contents(path)
    with pytest.raises(StoreKeyError, match=r"is lost.*Restore the key file"):
        SqliteStore(path).open()
    assert contents(path) == before
    assert not key_file(path).exists()


async def test_a_wrong_key_is_reported_as_such(path: Path) -> None:
    await filled(path)
    right = key_file(path).read_text()
    key_file(path).write_text("00" * 32)
    with pytest.raises(StoreKeyError, match="is not the one") as caught:
        SqliteStore(path).open()
    assert key_id(bytes(32)) in str(caught.value)
    assert key_id(bytes.fromhex(right.strip())) in str(caught.value)
    assert right.strip() not in str(caught.value)
    assert "00" * 32 not in str(caught.value)


@pytest.mark.parametrize("text", ["", "not hex", "00" * 8, "0"])
async def test_what_is_no_key_is_said_to_be_none(path: Path, text: str) -> None:
    await filled(path)
    key_file(path).write_text(text)
    with pytest.raises(StoreKeyError, match=r"everact\.db\.key does not hold a key"):
        SqliteStore(path).open()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
async def test_a_key_that_others_can_open_is_refused(path: Path, mode: int) -> None:
    await filled(path)
    key_file(path).chmod(mode)
    with pytest.raises(StoreKeyError, match=rf"mode {mode:04o}.*chmod 600.*\.key"):
        SqliteStore(path).open()
    key_file(path).chmod(0o600)
    store = SqliteStore(path)
    store.open()
    assert store.load(1) is not None
    store.close(clean=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_key_of_another_user_is_refused(path: Path) -> None:
    await filled(path)
    os.chown(key_file(path), 12345, -1)
    with pytest.raises(StoreKeyError, match="belongs to another user"):
        SqliteStore(path).open()


async def test_the_key_may_come_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERACT_KEY", "ab" * 32)
    await filled(path)
    assert not key_file(path).exists()
    store = SqliteStore(path)
    store.open()
    assert store.key() == bytes.fromhex("ab" * 32)
    store.close(clean=True)
    monkeypatch.setenv("EVERACT_KEY", "cd" * 32)
    with pytest.raises(StoreKeyError, match="the key in EVERACT_KEY"):
        SqliteStore(path).open()
    monkeypatch.delenv("EVERACT_KEY")
    with pytest.raises(StoreKeyError, match="is lost"):
        SqliteStore(path).open()


# -- a full disk ---------------------------------------------------------------------


async def test_a_full_disk_refuses_the_batch_whole_and_takes_it_later(
    path: Path,
) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    pages = store.database.writing.execute("pragma page_count").fetchone()[0]
    store.database.writing.execute(f"pragma max_page_count = {pages + 2}")
    batch = [start(2), put(row(1, 1, body=b"x" * 100_000)), start(3)]
    with pytest.raises(StoreFull, match="make room"):
        await commit(store, *batch)
    assert store.load(2) is store.load(3) is None
    store.database.writing.execute("pragma max_page_count = 1000000")
    assert await commit(store, *batch) == [None, None, None]
    store.close(clean=True)


async def test_a_full_disk_met_while_isolating_poison_refuses_the_batch_whole(
    path: Path,
) -> None:
    """Nothing of it may be durable: the same batch will be tried again."""
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    pages = store.database.writing.execute("pragma page_count").fetchone()[0]
    store.database.writing.execute(f"pragma max_page_count = {pages + 2}")
    poison = start(9, workflow_id="wf-1")
    batch = [start(2), poison, put(row(1, 1, body=b"x" * 100_000)), start(3)]
    with pytest.raises(StoreFull):
        await commit(store, *batch)
    assert store.load(2) is None
    store.database.writing.execute("pragma max_page_count = 1000000")
    outcome = await commit(store, *batch)
    assert [refusal is None for refusal in outcome] == [True, False, True, True]
    store.close(clean=True)


LIMITED = """
import asyncio, resource, sys
from everact.runtime.errors import StoreError
from everact.runtime.store.sqlite.store import SqliteStore
from tests.store.conformance import commit, put, row, start

async def main():
    store = SqliteStore(sys.argv[1])
    store.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    await commit(store, start(1))
    acknowledged = 0
    try:
        for seq in range(1, 1000):
            await commit(store, put(row(1, seq, body=b"x" * 10_000)))
            acknowledged = seq
    except StoreError as error:
        print("refused", type(error).__name__, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print("acknowledged", acknowledged, flush=True)
    await commit(store, put(row(1, 5000)))
    print("and on", flush=True)
    store.close(clean=True)

asyncio.run(main())
"""


async def test_a_real_limit_of_the_file_system_loses_nothing_acknowledged(
    path: Path,
) -> None:
    root = Path(__file__).resolve().parents[2]
    inherited = os.environ.get("PYTHONPATH", "")
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, path],
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{inherited}"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = found.stdout.splitlines()
    assert found.returncode == 0, found.stderr
    assert lines[0].startswith("refused Store")
    acknowledged = int(lines[1].split()[1])
    assert acknowledged > 3
    assert lines[2] == "and on"
    store = SqliteStore(path)
    store.open()
    stored = [r.seq for r in store.database.questions.history(1, (-1, -1), 9999)]
    assert set(range(acknowledged + 1)) | {5000} <= set(stored)
    store.close(clean=True)


async def test_an_error_of_the_file_opens_the_connection_anew(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    store.database.writing.close()
    with pytest.raises(StoreError):
        await commit(store, start(2))
    assert await commit(store, start(3)) == [None]
    assert store.load(1) is not None
    store.close(clean=True)


def test_a_store_is_usable_from_scripts_that_end_without_closing(path: Path) -> None:
    """The writer is a daemon: an interpreter's end does not hang on it."""
    script = textwrap.dedent("""
    import sys
    from everact.runtime.store.sqlite.store import SqliteStore
    SqliteStore(sys.argv[1]).open()
    """)
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)


async def test_commits_are_made_off_the_loop(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    loop, order = asyncio.get_running_loop(), list[str]()
    with store.database.guard:  # the writer is kept waiting
        answer = loop.create_future()
        store.commit([start(1)], answer.set_result)
        await asyncio.sleep(0)
        order.append("the loop went on")
    await answer
    order.append("committed")
    assert order == ["the loop went on", "committed"]
    store.close(clean=True)


@pytest.mark.parametrize(
    ("query", "given", "index"),
    [
        (
            "waits_for",
            ("default", "k", "s", 9, -1, -1, 200),
            "event_waits_by_key (workspace=? AND key=? AND scope=? AND (run_key,call)>",
        ),
        (
            "events_since",
            ("default", "k", "s", 1.0, 0, 200),
            "user_events_by_key (workspace=? AND key=? AND scope=? AND seq>?)",
        ),
        ("open_events", (), "user_events_open"),
        ("event", ("default", "e"), "user_events_by_id (workspace=? AND id=?)"),
    ],
)
async def test_events_and_their_waits_are_found_by_an_index_and_in_its_order(
    path: Path, query: str, given: tuple[object, ...], index: str
) -> None:
    await filled(path)
    connection = sqlite3.connect(path)
    sql = catalogue.queries("sqlite")[query]
    plan = connection.execute(f"explain query plan {sql}", given).fetchall()
    connection.close()
    (line,) = [line[-1] for line in plan]
    assert index in line


@pytest.mark.feature("VS-07")
@pytest.mark.parametrize(
    ("read", "statement"),
    [
        (lambda reads: reads.search(newest()), "order by key desc"),
        (lambda reads: reads.count(newest()), "count(*)"),
        (lambda reads: reads.history(1, (-1, -1), 9), "(generation, seq) >"),
        (lambda reads: reads.runs((1,)), "json_each"),
        (lambda reads: reads.rows("history_length", 1), "count(*) from journal"),
        (lambda reads: reads.rows("orphans"), "as child"),
    ],
    ids=["list", "count", "history", "runs", "length", "orphans"],
)
async def test_what_may_take_long_is_not_read_on_the_loop(
    path: Path, read: Callable[[Any], Any], statement: str
) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    here: list[str] = []
    elsewhere: list[str] = []
    connect = store.database.connect

    def watched() -> sqlite3.Connection:
        made = connect()
        on_loop = threading.current_thread() is loops
        made.set_trace_callback((here if on_loop else elsewhere).append)
        return made

    loops = threading.current_thread()
    store.database.connect = watched  # type: ignore[method-assign]
    store.database.questions.connection.set_trace_callback(here.append)
    await read(store.reads)
    assert here == []
    assert any(statement in sql for sql in elsewhere)
    store.close(clean=True)


async def test_a_look_by_one_key_is_answered_at_once(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1))
    for reading in (
        store.reads.load(1, as_stored),
        store.reads.find("default", "wf-1"),
        store.reads.rows("request", "default", "r"),
    ):
        with pytest.raises(StopIteration):
            reading.send(None)
    store.close(clean=True)


async def test_a_large_journal_is_read_elsewhere(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1), *(put(row(1, seq)) for seq in range(1, FEW_ROWS + 9)))
    await commit(store, start(2), put(row(2, 1, body=b"x" * (FEW_BYTES + 1))))
    for key in (1, 2):
        reading = asyncio.ensure_future(store.reads.load(key, as_stored))
        await asyncio.sleep(0)
        assert not reading.done()
        assert await reading == store.load(key)
    store.close(clean=True)


async def test_what_is_made_of_a_large_journal_is_made_where_it_is_read(
    path: Path,
) -> None:
    store = SqliteStore(path)
    store.open()
    await commit(store, start(1), *(put(row(1, seq)) for seq in range(1, FEW_ROWS + 9)))
    await commit(store, start(2))

    def thread(_: Stored) -> int:
        return threading.get_ident()

    here = threading.get_ident()
    assert await store.reads.load(1, thread) != here
    assert await store.reads.load(2, thread) == here
    assert await store.reads.load(3, thread) is None
    store.close(clean=True)


async def test_opening_looks_at_no_closed_run(path: Path) -> None:
    """However many there are: each question goes along an index of what is open."""
    await filled(path)
    connection = sqlite3.connect(path)
    sql = catalogue.queries("sqlite")
    asked = {
        "last_key": (),
        "due": (-1.0, 0, 1e12, 200),
        "next_due": (0.0,),
        "orphans": (),
        "aside": (),
        "running_schedules": (),
        "due_schedules": (1e12, 9),
        "open_events": (),
        "last_event": (),
    }
    for name, given in asked.items():
        plan = connection.execute(f"explain query plan {sql[name]}", given).fetchall()
        steps = [line[-1] for line in plan if "runs" in line[-1] or "child" in line[-1]]
        for step in steps:
            assert "SCAN" not in step or "USING INDEX runs_" in step, (name, step)
            assert "USING INDEX runs_children" not in step
    connection.close()
