"""What is noted while tasks execute, and what the next life makes of it.

A life that ends by itself is played by copying its files while it goes on.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import (
    Registry,
    Runtime,
    Worker,
    WorkflowFailure,
    context,
    receive,
    retry,
    task,
    workflow,
)
from everact.runtime.core.blame import CODE, Begun, Place, Record
from everact.runtime.engine.stage import Left, Stage
from everact.runtime.engine.suspects import reached
from everact.runtime.errors import RunPutAside, StoreFull
from everact.runtime.store.base import Outcome, Write
from everact.runtime.store.scratch import MappedFile
from everact.runtime.store.sqlite.store import SqliteStore

REGISTRY = Registry()
LET_GO = threading.Event()
LOOKS: list[Callable[[], Place | None]] = []


@task(registry=REGISTRY)
async def waits(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@task(registry=REGISTRY)
def blocks() -> None:
    LET_GO.wait(60)


@task(registry=REGISTRY)
async def quick() -> str:
    return "quick"


@task(registry=REGISTRY, retry=retry(first=500))
async def fails() -> None:
    raise ValueError("not yet")


@task(registry=REGISTRY)
async def elsewhere() -> None:
    context().complete_elsewhere()


@task(registry=REGISTRY, queue="narrow")
async def narrow() -> None:
    await asyncio.sleep(1000)


@task(registry=REGISTRY, queue_timeout=1)
async def impatient() -> str:
    return "in time"


@task(registry=REGISTRY)
async def looks() -> Place | None:
    return LOOKS[-1]()


@workflow(registry=REGISTRY)
async def looking() -> list[Place | None]:
    return [await looks(), await looks()]


@workflow(registry=REGISTRY)
async def many() -> None:
    await asyncio.gather(
        waits(1000), blocks(), fails(), elsewhere(), narrow(), narrow(), quick()
    )


@workflow(registry=REGISTRY)
async def one(seconds: float) -> float:
    return await waits(seconds)


@workflow(registry=REGISTRY)
async def hurried() -> str:
    return await impatient()


@workflow(registry=REGISTRY)
class Listening:
    @workflow.run
    async def run(self) -> str:
        return str(await receive("go"))

    @workflow.query
    def here(self) -> str:
        return "here"


@workflow(registry=REGISTRY)
async def counting(upto: int) -> int:
    for _ in range(upto):
        await receive("go")
        await quick()
    return upto


def open_runtime(path: Path, **options: Any) -> Runtime:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    return Runtime(path, registry=REGISTRY, clock=clock, **options)


def left_by(runtime: Runtime) -> Left:
    """What the next life would read now."""
    engine = runtime.engine
    scratch = MappedFile(f"{runtime.database_file}.stage")
    left = Stage(scratch, engine.store.key()).read(engine.epoch + 1)
    assert left is not None
    return left


def dead(runtime: Runtime, folder: Path, *ends: Place, before: int = 1) -> Path:
    """The files of a life that ended while `ends` were executing.

    So they were at as many ends `before`.
    """
    folder.mkdir()
    file = runtime.database_file
    assert file is not None
    for name in (file.name, f"{file.name}-wal", f"{file.name}.key"):
        shutil.copy2(file.with_name(name), folder / name)
    engine = runtime.engine
    stage = Stage(MappedFile(f"{folder / file.name}.stage"), engine.store.key())
    records = {
        place: Record(before, before, reached(runtime.engine.store, place[0]))
        if place[1] == CODE
        else Record(before, 0)
        for place in ends
    }
    stage.begin(engine.epoch, records if before else {})
    stage.act()
    for place in ends:
        if place[1] == CODE:
            stage.on_loop[0], stage.on_loop[1] = place
        else:
            stage.begun(place, threaded=False)
    return folder / file.name


@pytest.mark.real_time
async def test_only_what_executes_is_noted(tmp_path: Path) -> None:
    """Not what waits in line, for its next attempt, or goes on elsewhere."""
    LET_GO.clear()
    workers = [Worker(), Worker(("narrow",), slots=1)]
    async with Runtime(
        tmp_path / "a.db", registry=REGISTRY, workers=workers, grace=0
    ) as runtime:
        await runtime.start(many)
        while len(left_by(runtime)[1].begun) < 3:
            await asyncio.sleep(0)
        for _ in range(20):  # whatever should not begin has time to
            await asyncio.sleep(0)
        noted = left_by(runtime)[1]
        LET_GO.set()
    assert sorted(noted.begun) == [
        Begun((1, 1), threaded=False),
        Begun((1, 2), threaded=True),
        Begun((1, 5), threaded=False),
    ]
    assert noted.on_loop is None
    assert noted.acting


async def test_a_task_is_noted_in_its_first_step(tmp_path: Path) -> None:
    """Also if that step is its last, as when it ends the process."""
    async with open_runtime(tmp_path / "a.db") as runtime:
        LOOKS.append(lambda: left_by(runtime)[1].on_loop)
        assert await runtime.execute(looking) == [(1, 1), (1, 2)]


async def test_a_task_that_has_ended_is_not_noted(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        assert await runtime.execute(one, 3.0) == 3.0
        assert left_by(runtime)[1].begun == ()


async def test_a_suspect_of_two_ends_is_tried_while_others_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_runtime(tmp_path / "a.db", grace=0) as runtime:
        await runtime.start(one, 1000.0, id="suspect")
        await runtime.start(one, 7.0, id="other")
        await asyncio.sleep(1)
        copy = dead(runtime, tmp_path / "copy", (1, 1))
    with caplog.at_level(logging.WARNING, "everact.engine"):
        async with open_runtime(copy, grace=0) as runtime:
            assert "tried apart" in caplog.text
            assert "the first: 'waits' of run 'suspect'" in caplog.text
            hurried_one = await runtime.start(hurried)
            await asyncio.sleep(1.5)
            left = left_by(runtime)[1]
            assert [begun.place for begun in left.begun] == [(1, 1)]
            assert left.alone == (1, 1)
            await asyncio.sleep(1)
            left = left_by(runtime)[1]
            assert [begun.place for begun in left.begun] == [(1, 1), (2, 1)]
            assert left.alone is None
            # The time of its trial was no time for want of a slot.
            assert await hurried_one.result() == "in time"


async def test_the_next_suspect_is_tried_when_the_one_before_has_ended(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", grace=0) as runtime:
        for number in range(3):
            await runtime.start(one, 0.5, id=str(number))
        await asyncio.sleep(0.1)
        copy = dead(runtime, tmp_path / "copy", (1, 1), (2, 1), (3, 1))
    async with open_runtime(copy) as runtime:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends = []
        for id in "210":  # whoever began last is tried first
            await runtime.handle(id).result()
            ends.append(round(loop.time() - began, 3))
        assert ends == [0.5, 1.0, 1.5]


async def test_a_run_whose_code_was_on_the_loop_is_put_aside_until_an_orderly_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        await runtime.start(Listening, id="l")
        copy = dead(runtime, tmp_path / "copy", (1, CODE))
    async with open_runtime(copy) as runtime:
        with pytest.raises(RunPutAside, match="2 times in a row while the code of"):
            await runtime.handle("l").result()
        assert "repair the code" in str((await runtime.handle("l").describe()).aside)
        assert left_by(runtime)[0] == {
            (1, CODE): Record(2, 2, reached(runtime.engine.store, 1))
        }
        again = dead(runtime, tmp_path / "again", (1, CODE))
    assert "is put aside" in caplog.text
    async with open_runtime(again) as runtime:  # whatever ended it in between
        assert (await runtime.handle("l").describe()).aside
        await runtime.handle("l").terminate()
        with pytest.raises(WorkflowFailure):
            await runtime.handle("l").result()
    async with open_runtime(copy) as runtime:
        handle = runtime.handle("l")
        await handle.signal("go", "on")
        assert await handle.result() == "on"


async def test_a_busy_run_that_got_further_is_not_put_aside_by_two_kills(
    tmp_path: Path,
) -> None:
    """Half of the kills of a program with one busy run find its code on the loop."""
    async with open_runtime(tmp_path / "a.db") as runtime:
        handle = await runtime.start(counting, 3, id="c")
        copy = dead(runtime, tmp_path / "copy", (1, CODE), before=0)
    async with open_runtime(copy) as runtime:
        handle = runtime.handle("c")
        before = reached(runtime.engine.store, 1)
        await handle.signal("go")
        while reached(runtime.engine.store, 1) == before:
            await asyncio.sleep(0.1)
        again = dead(runtime, tmp_path / "again", (1, CODE))
        stage = Stage(MappedFile(f"{again}.stage"), runtime.engine.store.key())
        stage.begin(runtime.engine.epoch, left_by(runtime)[0])
        stage.on_loop[0], stage.on_loop[1] = 1, CODE
    async with open_runtime(again) as runtime:
        handle = runtime.handle("c")
        assert "goes on in 1 s" in str((await handle.describe()).aside)
        await handle.signal("go")
        await handle.signal("go")
        assert await handle.result() == 3


async def test_a_suspect_that_cannot_be_read_is_put_aside_alone(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        await runtime.start(Listening, id="l")
        copy = dead(runtime, tmp_path / "copy", (1, CODE), before=0)
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute("update journal set body = x'00' where run_key = 1")
    async with open_runtime(copy) as runtime:
        assert (await runtime.handle("l").describe()).aside
        assert await runtime.execute(one, 1.0) == 1.0


async def test_a_run_on_the_loop_at_one_end_goes_on_after_a_moment(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db") as runtime:
        await runtime.start(Listening, id="l")
        copy = dead(runtime, tmp_path / "copy", (1, CODE), before=0)
    async with open_runtime(copy) as runtime:
        handle = runtime.handle("l")
        assert "goes on in 1 s" in str((await handle.describe()).aside)
        assert await handle.query("here") == "here"  # a caller waits for it
        assert not (await handle.describe()).aside
        await handle.signal("go", "on")
        assert await handle.result() == "on"


class Full(SqliteStore):
    """A store whose disk is full when it is told so."""

    full = False

    def commit(
        self, writes: Sequence[Write], done: Callable[[Outcome], object]
    ) -> None:
        if self.full:
            asyncio.get_running_loop().call_soon(done, StoreFull("the disk is full"))
        else:
            super().commit(writes, done)


@pytest.mark.feature("RC-07")
async def test_an_orderly_close_on_a_full_disk_makes_nobody_a_suspect(
    tmp_path: Path,
) -> None:
    store = Full(tmp_path / "a.db")
    async with open_runtime(tmp_path / "a.db", store=store, grace=0) as runtime:
        await runtime.start(one, 1000.0, id="a")
        await asyncio.sleep(1)
        store.full = True
    assert not (tmp_path / "a.db.stage").exists()
    async with open_runtime(tmp_path / "a.db", grace=0) as runtime:
        await asyncio.sleep(0.1)
        assert left_by(runtime)[0] == {}


class Looking(Runtime):
    """Opens a file without going on with its runs."""

    _recovers = False


async def test_an_engine_that_only_looks_leaves_the_note_as_it_is(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", grace=0) as runtime:
        await runtime.start(one, 1000.0, id="a")
        await asyncio.sleep(1)
        copy = dead(runtime, tmp_path / "copy", (1, 1))
    before = Path(f"{copy}.stage").read_bytes()
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    async with Looking(copy, registry=REGISTRY, clock=clock, workers=[]):
        pass
    assert Path(f"{copy}.stage").read_bytes() == before
    async with open_runtime(copy, grace=0) as runtime:
        assert left_by(runtime)[0] == {(1, 1): Record(2, 0)}
