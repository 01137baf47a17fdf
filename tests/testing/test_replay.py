"""What runs recorded, against the code of today."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    RunHandle,
    Runtime,
    continue_as_new,
    receive,
    sleep,
    task,
    testing,
    workflow,
)
from everact.runtime.control.serving import Control
from everact.runtime.errors import (
    NonDeterminismError,
    StoreError,
    StoreKeyError,
    StoreTampered,
)
from everact.runtime.functions import Reset

REGISTRY = Registry()


@dataclass(frozen=True)
class Slip:
    shelf: str
    number: int


@task(registry=REGISTRY)
async def reserve(article: str) -> Slip:
    return Slip("A", len(article))


@task(registry=REGISTRY)
async def ship(article: str) -> str:
    return f"parcel of {article}"


@workflow(registry=REGISTRY)
async def order(article: str) -> str:
    await reserve(article)
    await sleep(3600)
    return await ship(article)


@workflow(name="order", registry=Registry())
async def order_of_tomorrow(article: str) -> str:
    await reserve(article)
    return await ship(article)


@workflow(name="order", registry=Registry())
async def order_with_a_better_text(article: str) -> str:
    """Only what is recorded counts: commands, and what they ask for."""
    slip = await reserve(article)
    assert slip == Slip("A", len(article))
    await asyncio.sleep(60 * 60)
    parcels = [await ship(article)]
    return parcels[0]


@workflow(registry=REGISTRY)
async def rounds(left: int) -> str:
    await ship(str(left))
    if left == 2:
        continue_as_new(1)
    if left == 1:
        raise Reset(rounds, 0)
    return "done"


@workflow(registry=REGISTRY)
async def in_any_order() -> str:
    for article in {f"article {n}" for n in range(30)}:
        await ship(article)
    return "all"


@workflow(registry=REGISTRY)
async def collecting() -> list[Any]:
    return [await receive("item"), await receive("item")]


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise ApplicationError("no", type="Refused")


def env() -> testing.Environment:
    return testing.Environment(registry=REGISTRY)


async def recorded(target: Any, *args: Any) -> list[testing.History]:
    async with env() as made:
        handle: RunHandle[Any] = await made.runtime.start(target, args=args, id="a")
        await handle.result()
        return await made.histories()


async def test_a_history_tells_whether_new_code_fits_what_runs_recorded() -> None:
    (history,) = await recorded(order, "lamp")
    testing.replay(history, order)
    testing.replay(history, order_with_a_better_text)
    with pytest.raises(NonDeterminismError) as misfit:
        testing.replay(history, order_of_tomorrow)
    assert misfit.value.recorded.startswith("StartTimer(call=2")
    assert misfit.value.produced == "RunTask(call=2, name='ship', 'lamp')"
    assert misfit.value.__notes__ == [f"in the history of {history}"]
    assert str(history) == f"order a ({history.run_id})"


async def test_without_a_workflow_the_registry_names_it() -> None:
    histories = await recorded(order, "lamp")
    testing.replay(histories, registry=REGISTRY)
    with pytest.raises(LookupError, match="'order'"):
        testing.replay(histories, registry=Registry())
    with pytest.raises(TypeError, match="is not a workflow"):
        testing.replay(histories, print)


async def test_every_run_of_a_chain_and_its_last_generation_are_replayed() -> None:
    histories = await recorded(rounds, 2)
    assert [history.generation for history in histories] == [0, 1]
    testing.replay(histories, rounds)


async def test_runs_that_are_open_or_have_failed_are_replayed_as_far_as_they_are() -> (
    None
):
    async with env() as made:
        open_run = await made.runtime.start(collecting)
        await open_run.signal("item", Slip("B", 1))
        failed = await made.runtime.start(failing)
        with pytest.raises(Exception, match="Refused"):
            await failed.result()
        for handle in (open_run, failed):
            testing.replay(await testing.history(handle), registry=REGISTRY)
        assert len(await made.histories()) == 2


# -- elsewhere -------------------------------------------------------------------------


async def test_an_order_by_hash_shows_in_a_process_with_another_hash_seed() -> None:
    histories = await recorded(in_any_order)
    testing.replay(histories, in_any_order)
    with pytest.raises(NonDeterminismError) as misfit:
        testing.replay(histories, in_any_order, elsewhere=True)
    assert "another hash seed" in misfit.value.__notes__[-1]


async def test_elsewhere_code_within_a_function_is_replayed_as_well() -> None:
    registry = Registry()

    @workflow(registry=registry)
    async def local(article: str) -> str:
        return await ship(article)

    registry.add_task(ship)
    async with testing.Environment(registry=registry) as made:
        await made.runtime.execute(local, "lamp")
        histories = await made.histories()
    testing.replay(histories, registry=registry, elsewhere=True)


# -- files -----------------------------------------------------------------------------


async def test_a_history_of_plain_values_is_saved_and_loaded(tmp_path: Path) -> None:
    histories = await recorded(rounds, 2)
    histories[1].save(tmp_path / "rounds.history")
    loaded = testing.History.load(tmp_path / "rounds.history")
    assert loaded == histories[1]
    testing.replay(loaded, rounds)


async def test_a_file_with_objects_in_it_is_loaded_only_if_its_reader_trusts_it(
    tmp_path: Path,
) -> None:
    (history,) = await recorded(order, "lamp")
    history.save(tmp_path / "order.history")
    with pytest.raises(ValueError, match="trusted=True"):
        testing.History.load(tmp_path / "order.history")
    loaded = testing.History.load(tmp_path / "order.history", trusted=True)
    testing.replay(loaded, order)


async def test_lists_and_other_builtin_values_are_no_objects(tmp_path: Path) -> None:
    @workflow(registry=REGISTRY)
    async def plain(*values: Any) -> Any:
        return values

    values = [{"a": [1, (2.5, None)], "b": {3, 2**70}}, frozenset("x"), b"y" * 300]
    (history,) = await recorded(plain, *values)
    history.save(tmp_path / "plain.history")
    testing.replay(testing.History.load(tmp_path / "plain.history"), plain)


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[1, 2]")
    with pytest.raises(ValueError, match="is not a history"):
        testing.History.load(tmp_path / "a")


# -- databases -------------------------------------------------------------------------


def runtime(path: Path) -> Runtime:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Runtime(path, registry=REGISTRY, clock=VirtualClock(loop))


async def test_all_runs_of_a_workflow_in_a_database_are_replayed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "production.db"
    async with runtime(path) as running:
        for article in ("lamp", "desk", "chair"):
            await running.execute(order, article, id=article)
        await running.execute(rounds, 2)
        histories = testing.histories(path, order)  # while it is in use
        assert [one.workflow_id for one in histories] == ["lamp", "desk", "chair"]
    histories = testing.histories(path, order)
    testing.replay(histories, order)
    assert len(testing.histories(path)) == 5
    assert testing.histories(path, "nothing") == []
    assert testing.histories(path, namespace="other") == []
    with pytest.raises(NonDeterminismError):
        testing.replay(histories, order_of_tomorrow)


async def test_a_database_that_cannot_be_trusted_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "production.db"
    with pytest.raises(StoreError, match="there is no database"):
        testing.histories(path)
    async with runtime(path) as running:
        await running.execute(order, "lamp")
    other = tmp_path / "other.db"
    shutil.copyfile(path, other)
    with pytest.raises(StoreKeyError, match=r"other\.db\.key"):
        testing.histories(other)
    with sqlite3.connect(path) as connection:
        connection.execute("update journal set body = x'00' where seq = 1")
    connection.close()
    with pytest.raises(StoreTampered):
        testing.histories(path)
    (tmp_path / "text.db").write_text("no database at all, but long enough to be one")
    with pytest.raises(StoreError, match="cannot be read"):
        testing.histories(tmp_path / "text.db")


# -- over HTTP -------------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def listing(words: list[str]) -> tuple[str, ...]:
    found = [await ship(word) for word in words]
    return tuple(found)


@pytest.mark.real_time
async def test_a_history_that_came_over_http_has_its_values_as_json(
    tmp_path: Path,
) -> None:
    async with (
        Runtime(tmp_path / "a.db", registry=REGISTRY) as running,
        Control(running, "127.0.0.1:0") as control,
        await Client.connect(control.address) as client,
    ):
        handle = await client.start(listing, ["a", "b"])
        assert await handle.result() == ("parcel of a", "parcel of b")
        (history,) = await testing.history(handle)
        assert history.as_json
    history.save(tmp_path / "listing.history")
    testing.replay(testing.History.load(tmp_path / "listing.history"), listing)
    with pytest.raises(NonDeterminismError):
        testing.replay(history, order)
