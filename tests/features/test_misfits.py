"""Row RC-06: runs whose history does not fit their code, and that begin anew then."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    RunStatus,
    Worker,
    WorkflowFailure,
    execute_child,
    receive,
    run_info,
    sleep,
    task,
    workflow,
)
from everact.runtime.errors import RunPutAside, UpdateFailed
from tests.features.support import crash_image, kinds, open_runtime

DONE: list[str] = []


def code(version: int, on_misfit: str = "restart") -> Registry:
    """The code of a version: each calls other tasks, of the same arguments."""
    registry = Registry()

    @task(registry=registry, name=f"step-{version}")
    async def step(text: str) -> str:
        DONE.append(f"{version} {text}")
        return f"{version} {text}"

    @workflow(registry=registry, name="order", on_misfit=on_misfit)
    async def order(what: str) -> list[Any]:
        found = [await step(what), await receive("paid")]
        await sleep(10)
        return [*found, await step("ship"), await receive("paid")]

    @workflow(registry=registry, name="child")
    async def child() -> None:
        await sleep(1_000_000)

    @workflow(registry=registry, name="parent", on_misfit=on_misfit)
    async def parent() -> str:
        await step("first")
        if version == 1:
            await execute_child(child, id="kid")
        await sleep(60)
        return run_info().run_id

    @workflow(registry=registry, name="account", on_misfit=on_misfit)
    class Account:
        def __init__(self) -> None:
            self.sums: list[int] = []

        @workflow.run
        async def run(self) -> list[int]:
            await step("open")
            await receive("close")
            return self.sums

        @workflow.signal
        def deposit(self, amount: int) -> None:
            self.sums.append(amount)

        @workflow.update
        async def wait(self) -> str:
            await sleep(1_000_000)
            return "never"

    return registry


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


@pytest.mark.feature("RC-06")
async def test_a_run_that_its_code_does_not_fit_begins_anew_if_so_configured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, copies = tmp_path / "a.db", []
    async with open_runtime(database, code(1)) as runtime:
        before = await runtime.start("order", "tea", id="order")
        await before.signal("paid", 1)
        await asyncio.sleep(1)
    async with open_runtime(database, code(2)) as runtime:
        handle = runtime.handle("order")
        copies.append(crash_image(database, "at once"))
        await asyncio.sleep(1)
        copies.append(crash_image(database, "a second later"))
        await handle.signal("paid", 2)
        assert await handle.result() == ["2 tea", 1, "2 ship", 2]
        view = await handle.describe()
        assert (view.run_id, view.generation) == (before.result_run_id, 1)
        assert view.aside is None
        assert "RestartRequested" not in await kinds(handle)  # of the history before
    assert DONE == ["1 tea", "2 tea", "2 ship"]
    assert "begins anew" in caplog.text
    for copy in copies:
        async with open_runtime(copy, code(2)) as runtime:
            await runtime.handle("order").signal("paid", 2)
            assert await runtime.handle("order").result() == [
                "2 tea",
                1,
                "2 ship",
                2,
            ]


@pytest.mark.feature("RC-06")
async def test_without_it_the_run_is_put_aside_and_can_be_told_so_later(
    tmp_path: Path,
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, code(1, "put_aside")) as runtime:
        await runtime.start("order", "tea", id="order")
        await asyncio.sleep(1)
    async with open_runtime(database, code(2, "put_aside")) as runtime:
        await runtime.handle("order").signal("paid", 1)
        with pytest.raises(RunPutAside):
            await runtime.handle("order").result()
        assert (await runtime.handle("order").describe()).aside
    async with open_runtime(database, code(2)) as runtime:
        handle = runtime.handle("order")
        await handle.signal("paid", 2)
        assert await handle.result() == ["2 tea", 1, "2 ship", 2]
        assert (await handle.describe()).aside is None


@pytest.mark.feature("RC-06")
async def test_open_children_and_updates_end_with_what_the_run_had_done(
    tmp_path: Path,
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, code(1)) as runtime:
        await runtime.start("parent", id="parent")
        account = await runtime.start("account", id="account")
        await account.signal("deposit", 5)
        await account.start_update("wait", id="u", wait_for="accepted")
        await account.signal("deposit", 6)
        await asyncio.sleep(1)
    async with open_runtime(database, code(2)) as runtime:
        account = runtime.handle("account")
        await account.signal("deposit", 7)
        with pytest.raises(UpdateFailed, match="began anew"):
            await account.update_handle("u").result()
        await account.signal("close")
        assert await account.result() == [5, 6, 7]
        await runtime.handle("parent").signal("go on")
        assert await runtime.handle("parent").result()
        kid = await runtime.handle("kid").describe()
        assert kid.status is RunStatus.TERMINATED


@pytest.mark.feature("RC-06")
async def test_a_run_that_was_asked_to_stop_is_put_aside_all_the_same(
    tmp_path: Path,
) -> None:
    database, registry = tmp_path / "a.db", Registry()

    @workflow(registry=registry, name="tidy", on_misfit="restart")
    async def tidy() -> None:
        try:
            await sleep(1_000_000)
        finally:
            await sleep(1_000)

    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start("tidy", id="tidy")
        await asyncio.sleep(1)
        await handle.cancel()
    changed = Registry()

    @workflow(registry=changed, name="tidy", on_misfit="restart")
    async def tidier() -> None:
        await receive("nothing")

    async with open_runtime(database, changed) as runtime:
        await runtime.handle("tidy").signal("nothing")
        with pytest.raises(RunPutAside):
            await runtime.handle("tidy").result()
    async with open_runtime(database, registry) as runtime:
        with pytest.raises(WorkflowFailure, match="cancelled"):
            await runtime.handle("tidy").result()


@dataclass
class Parcel:
    weight: int


PARCELS = Registry()


@workflow(registry=PARCELS, on_misfit="restart")
async def deliver(parcel: Parcel) -> int:
    await sleep(10)
    return parcel.weight


@pytest.mark.feature("RC-06")
async def test_one_whose_input_cannot_be_loaded_waits_for_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, PARCELS) as runtime:
        await runtime.start(deliver, Parcel(7), id="parcel")
        await asyncio.sleep(1)
    with monkeypatch.context() as patched:
        patched.delattr(sys.modules[__name__], "Parcel")
        async with open_runtime(database, PARCELS) as runtime:
            await asyncio.sleep(8)
            assert "Parcel" in str((await runtime.handle("parcel").describe()).aside)
            patched.undo()
            runtime.add_worker(Worker())
            assert await runtime.handle("parcel").result() == 7


def test_another_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="put_aside"):
        workflow(registry=Registry(), on_misfit="ignore")
