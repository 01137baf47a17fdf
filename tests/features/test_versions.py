"""Rows WV: version sets, and what can still reach a build (see also test_builds)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everact.runtime import Client, Registry, Worker, workflow
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import RPCError
from everact.runtime.statuses import RPCStatus
from everact.runtime.versions import (
    AddCompatible,
    AddNewDefault,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    VersionSets,
)
from tests.features.conftest import Site

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def sleeping(seconds: float = 60) -> None:
    await durable_sleep(seconds)


async def refused(call: Any, status: RPCStatus) -> None:
    with pytest.raises(RPCError) as refusal:
        await call
    assert refusal.value.status is status


@pytest.mark.feature("WV-03", "WV-04", "WV-05", "WV-06", "WV-07")
async def test_the_sets_of_a_queue_are_made_and_read(runtime: Client) -> None:
    versions = runtime.versions
    assert await versions.sets("q") == VersionSets()
    assert (await versions.sets("q")).default_id is None
    await versions.update("q", AddNewDefault("1.0"))
    await versions.update("q", AddCompatible("1.1", "1.0"))
    found = await versions.update("q", AddNewDefault("2.0"))
    assert found.sets == (("1.0", "1.1"), ("2.0",))
    assert found.default_set == ("2.0",)
    assert found.default_id == "2.0"
    assert await versions.sets("q") == found
    assert (await versions.sets("q", max_sets=1)).sets == (("2.0",),)
    assert await versions.sets("q", max_sets=9) == found
    found = await versions.update("q", AddCompatible("1.2", "1.1", promote=True))
    assert found.sets == (("2.0",), ("1.0", "1.1", "1.2"))
    found = await versions.update("q", PromoteBuildId("1.0"))
    assert found.default_id == "1.0"
    found = await versions.update("q", PromoteSet("2.0"))
    assert found.default_id == "2.0"
    found = await versions.update("q", MergeSets("1.1", "2.0"))
    assert found.sets == (("2.0", "1.1", "1.2", "1.0"),)
    assert await versions.sets("another") == VersionSets()


@pytest.mark.feature("WV-04", "WV-05", "WV-08")
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    runtime: Client,
) -> None:
    versions = runtime.versions
    await versions.update("q", AddNewDefault("1.0"))
    before = await versions.update("q", AddNewDefault("2.0"))
    taken, unknown = RPCStatus.ALREADY_EXISTS, RPCStatus.NOT_FOUND
    await refused(versions.update("q", AddNewDefault("1.0")), taken)
    await refused(versions.update("q", AddCompatible("1.0", "2.0")), taken)
    await refused(versions.update("q", AddCompatible("3.0", "9.9")), unknown)
    await refused(versions.update("q", PromoteSet("9.9")), unknown)
    await refused(versions.update("other", PromoteBuildId("1.0")), unknown)
    await refused(versions.update("q", MergeSets("1.0", "9.9")), unknown)
    assert await versions.sets("q") == before


@pytest.mark.feature("WV-08")
async def test_an_operation_may_be_repeated(runtime: Client) -> None:
    for operation in (
        AddNewDefault("1.0"),
        AddCompatible("1.1", "1.0"),
        AddNewDefault("2.0"),
        PromoteBuildId("1.0"),
        PromoteSet("1.1"),
        MergeSets("1.0", "2.0"),
    ):
        once = await runtime.versions.update("q", operation)
        assert await runtime.versions.update("q", operation) == once
        assert await runtime.versions.sets("q") == once


@pytest.mark.feature("WV-08")
async def test_operations_at_the_same_time_are_done_one_after_the_other(
    site: Site,
) -> None:
    names = [f"{number}.0" for number in range(20)]
    async with site.up() as client:
        add = client.versions.update
        await asyncio.gather(*(add("q", AddNewDefault(name)) for name in names))
        before = await client.versions.sets("q")
        assert sorted(before.sets) == sorted((name,) for name in names)
    async with site.up() as client:
        assert await client.versions.sets("q") == before


@pytest.mark.feature("WV-03", "WV-08", "WV-09")
async def test_bad_arguments_are_refused_before_anything_is_asked(
    runtime: Client,
) -> None:
    versions = runtime.versions
    for bad in (
        lambda: AddNewDefault(""),
        lambda: AddCompatible("1", ""),
        lambda: MergeSets("", "1"),
    ):
        with pytest.raises(ValueError, match="empty"):
            bad()
    for call in (
        versions.sets("q", max_sets=0),
        versions.sets(""),
        versions.update("", AddNewDefault("1")),
        versions.reachability([]),
        versions.reachability([""]),
        versions.reachability(["1"], kind="some"),
        versions.reachability(["1"], queues=[""]),
    ):
        with pytest.raises(ValueError, match=r"must|needs"):
            await call
    with pytest.raises(TypeError, match="sequences"):
        await versions.reachability("1.0")


@pytest.mark.feature("WV-03")
async def test_sets_are_of_one_namespace(runtime: Client) -> None:
    await runtime.versions.update("q", AddNewDefault("1.0"))
    other = Client(**(runtime.config() | {"namespace": "other"}))
    assert await other.versions.sets("q") == VersionSets()


# -- WV-09: reachability -------------------------------------------------------------


@pytest.mark.feature("WV-09")
async def test_an_old_build_is_drained_from_open_to_closed_runs(site: Site) -> None:
    workers = [Worker(build_id="1.0"), Worker(build_id="2.0")]
    async with site.up(workers=workers) as client:
        versions = client.versions
        await versions.update("default", AddNewDefault("1.0"))

        async def reached(kind: str = "existing") -> tuple[str, ...]:
            found = await versions.reachability(["1.0"], kind=kind)
            return found.reachable["1.0"]["default"]

        assert await reached() == ("new",)
        handle = await client.start(sleeping, id="a")
        assert await reached() == ("new", "open")
        await versions.update("default", AddNewDefault("2.0"))
        assert await reached() == ("open",)
        assert (await reached("closed"), await reached("new")) == ((), ())
        await handle.result()
        assert await reached() == ("closed",)
        assert (await reached("open"), await reached("closed")) == ((), ("closed",))
        found = await versions.reachability(["2.0", "9.9"], queues=["default", "x"])
        assert found.reachable == {
            "2.0": {"default": ("new",), "x": ()},
            "9.9": {"default": (), "x": ()},
        }
        # What is compatible goes to the default of the set.
        await versions.update("default", AddCompatible("1.1", "1.0"))
        assert await reached() == ()
        found = await versions.reachability(["1.1"])
        assert found.reachable == {"1.1": {"default": ("closed",)}}
        assert (await versions.reachability(["9.9"])).reachable == {"9.9": {}}


@pytest.mark.feature("WV-09")
async def test_workers_without_a_build_id_are_asked_for_by_the_empty_one(
    site: Site,
) -> None:
    async with site.up(workers=[Worker(), Worker(build_id="1.0")]) as client:
        versions = client.versions

        async def reached() -> tuple[str, ...]:
            found = await versions.reachability([""], queues=["default"])
            return found.reachable[""]["default"]

        assert await reached() == ("new",)
        handle = await client.start(sleeping, id="a")
        assert await reached() == ("new", "open")
        await versions.update("default", AddNewDefault("1.0"))
        assert await reached() == ("open",)
        await handle.result()
        assert await reached() == ("closed",)


@pytest.mark.feature("WV-10")
async def test_queues_that_were_not_looked_at_are_named_and_can_be_asked_for(
    site: Site,
) -> None:
    async with site.up(reachability_queues=2) as client:
        for queue in "abcde":
            await client.versions.update(queue, AddNewDefault("1.0"))
        found = await client.versions.reachability(["1.0"])
        assert found.reachable == {"1.0": {"a": ("new",), "b": ("new",)}}
        assert found.unretrieved == {"1.0": ("c", "d", "e")}
        left = found.unretrieved["1.0"]
        found = await client.versions.reachability(["1.0"], queues=left)
        assert found.reachable == {"1.0": dict.fromkeys("cde", ("new",))}
        assert found.unretrieved == {}
