"""Run identity: who may have an ID, and what a start does about a run that has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everact.runtime import (
    Client,
    EveractError,
    Registry,
    RunHandle,
    RunStatus,
    WorkflowFailure,
    receive,
    run_info,
    workflow,
)
from everact.runtime.errors import RPCError, WorkflowAlreadyStarted
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site

REGISTRY = Registry()


@workflow(registry=REGISTRY)
async def echo(value: object) -> object:
    return value


@workflow(registry=REGISTRY)
async def slow_echo(value: object) -> object:
    await asyncio.sleep(1)
    return value


@workflow(registry=REGISTRY)
async def until_told(value: object) -> object:
    told = await receive("go")
    return [value, told]


@workflow(registry=REGISTRY)
async def other(value: object) -> object:
    return value


@workflow(registry=REGISTRY)
async def own_ids() -> list[str]:
    info = run_info()
    return [info.workflow_id, info.run_id, info.first_run_id]


async def run_ids(runtime: Client, id: str) -> list[str]:
    return [line.run_id async for line in runtime.list(id=id)]


@pytest.mark.feature("ID-01")
async def test_of_fifty_concurrent_starts_of_one_id_one_makes_a_run(
    runtime: Client,
) -> None:
    answers = await asyncio.gather(
        *(runtime.start(until_told, n, id="one") for n in range(50)),
        return_exceptions=True,
    )

    handles = [a for a in answers if isinstance(a, RunHandle)]
    refusals = [a for a in answers if isinstance(a, WorkflowAlreadyStarted)]
    assert (len(handles), len(refusals)) == (1, 49)
    assert await run_ids(runtime, "one") == [handles[0].result_run_id]
    assert {r.run_id for r in refusals} == {handles[0].result_run_id}
    await handles[0].signal("go", "x")
    assert await handles[0].result() == [answers.index(handles[0]), "x"]


@pytest.mark.feature("ID-01")
async def test_an_id_stays_taken_over_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        first = await runtime.start(until_told, 1, id="one")
    async with site.up() as runtime:
        with pytest.raises(WorkflowAlreadyStarted) as refused:
            await runtime.start(until_told, 2, id="one")
        assert refused.value.run_id == first.result_run_id
        assert len(await run_ids(runtime, "one")) == 1


@pytest.mark.feature("ID-01")
async def test_the_same_id_in_another_namespace_is_another_run(site: Site) -> None:
    async with site.up(namespace="a") as runtime:
        here = await runtime.start(until_told, 1, id="one")
    async with site.up(namespace="b") as runtime:
        there = await runtime.start(until_told, 2, id="one")
        assert there.result_run_id != here.result_run_id
        assert await run_ids(runtime, "one") == [there.result_run_id]


async def test_an_id_that_is_not_given_is_new_each_time(runtime: Client) -> None:
    first = await runtime.start(own_ids)
    second = await runtime.start(own_ids)
    assert first.id != second.id
    assert await first.result() == [first.id, first.result_run_id, first.result_run_id]


@pytest.mark.feature("ID-02")
async def test_a_closed_run_never_blocks_a_new_one(runtime: Client) -> None:
    first = await runtime.start(echo, 1, id="again")
    assert await first.result() == 1
    second = await runtime.start(echo, 2, id="again")
    assert await second.result() == 2

    assert second.result_run_id != first.result_run_id
    assert await first.result() == 1
    assert await run_ids(runtime, "again") == [
        second.result_run_id,
        first.result_run_id,
    ]


@pytest.mark.feature("ID-02")
@pytest.mark.parametrize("ending", ["cancel", "terminate"])
async def test_nor_does_a_run_that_closed_badly(runtime: Client, ending: str) -> None:
    first = await runtime.start(until_told, 1, id="again")
    await getattr(first, ending)()
    with pytest.raises(WorkflowFailure):
        await first.result()
    assert (await first.describe()).status in (
        RunStatus.CANCELLED,
        RunStatus.TERMINATED,
    )
    assert await runtime.execute(echo, 2, id="again") == 2


@pytest.mark.feature("ID-06")
@pytest.mark.parametrize("options", [{}, {"on_conflict": "fail"}])
async def test_a_start_fails_while_a_run_of_its_id_is_open(
    runtime: Client, options: dict[str, Any]
) -> None:
    open_run = await runtime.start(until_told, 1, id="taken")
    with pytest.raises(WorkflowAlreadyStarted):
        await runtime.start(until_told, 2, id="taken", **options)
    assert await run_ids(runtime, "taken") == [open_run.result_run_id]


@pytest.mark.feature("ID-07")
async def test_use_existing_leaves_the_open_run_alone(runtime: Client) -> None:
    first = await runtime.start(until_told, 1, id="shared", memo={"by": "first"})
    second = await runtime.start(
        until_told,
        2,
        id="shared",
        on_conflict="use_existing",
        memo={"by": "second"},
        run_timeout=1,
    )
    assert second.result_run_id == first.result_run_id
    await asyncio.sleep(2)
    await second.signal("go")

    assert await second.result() == [1, None]
    assert (await second.describe()).memo == {"by": "first"}
    assert await run_ids(runtime, "shared") == [first.result_run_id]


@pytest.mark.feature("ID-07")
async def test_use_existing_starts_a_run_if_none_is_open(runtime: Client) -> None:
    closed = await runtime.start(echo, 1, id="shared")
    await closed.result()
    again = await runtime.start(echo, 2, id="shared", on_conflict="use_existing")
    assert again.result_run_id != closed.result_run_id
    assert await again.result() == 2


@pytest.mark.feature("ID-07")
async def test_fifty_concurrent_uses_of_one_id_share_one_run(runtime: Client) -> None:
    handles = await asyncio.gather(
        *(
            runtime.start(until_told, n, id="shared", on_conflict="use_existing")
            for n in range(50)
        )
    )
    assert len({h.result_run_id for h in handles}) == 1
    assert len(await run_ids(runtime, "shared")) == 1


@pytest.mark.feature("ID-10")
async def test_the_already_started_error_names_the_run_in_the_way(
    runtime: Client,
) -> None:
    open_run = await runtime.start(until_told, 1, id="taken")
    with pytest.raises(WorkflowAlreadyStarted) as refused:
        await runtime.start(other, 2, id="taken")

    error = refused.value
    assert (error.workflow_id, error.workflow_type, error.run_id) == (
        "taken",
        "until_told",
        open_run.result_run_id,
    )
    assert isinstance(error, EveractError) and not isinstance(error, RPCError)
    opened = runtime.handle(error.workflow_id, run_id=error.run_id)
    await opened.signal("go", "by the error")
    assert await opened.result() == [1, "by the error"]


async def test_attach_takes_the_open_run(runtime: Client) -> None:
    first = await runtime.start(until_told, 1, id="main")
    second = await runtime.start(until_told, 2, id="main", on_conflict="attach")
    assert second.result_run_id == first.result_run_id
    await first.signal("go")
    assert await second.result() == [1, None]


async def test_attach_takes_the_latest_closed_run_that_is_retained(
    site: Site,
) -> None:
    async with site.up() as runtime:
        await runtime.execute(echo, 1, id="main")
        latest = await runtime.start(echo, 2, id="main")
        await latest.result()
    async with site.up() as runtime:
        attached = await runtime.start(echo, 3, id="main", on_conflict="attach")
        assert attached.result_run_id == latest.result_run_id
        assert await attached.result() == 2
        assert len(await run_ids(runtime, "main")) == 2


async def test_attach_takes_a_run_that_failed_and_tells_its_failure(
    runtime: Client,
) -> None:
    first = await runtime.start(until_told, 1, id="main")
    await first.terminate(reason="enough")
    attached = await runtime.start(until_told, 2, id="main", on_conflict="attach")
    assert attached.result_run_id == first.result_run_id
    assert (await attached.describe()).status is RunStatus.TERMINATED


@pytest.mark.parametrize("target", [echo, slow_echo])
async def test_many_that_attach_at_once_make_one_run_even_if_it_ends_at_once(
    runtime: Client, target: Any
) -> None:
    handles = await asyncio.gather(
        *(runtime.start(target, n, id="main", on_conflict="attach") for n in range(50))
    )
    assert len({h.result_run_id for h in handles}) == 1
    assert await asyncio.gather(*(h.result() for h in handles)) == [0] * 50
    assert len(await run_ids(runtime, "main")) == 1


@pytest.mark.feature("ID-01", "ID-02")
@pytest.mark.parametrize("turns", range(10))
@pytest.mark.parametrize("policy", ["fail", "use_existing", "attach"])
async def test_a_start_while_the_old_run_closes_is_decided_one_way_or_the_other(
    runtime: Client, turns: int, policy: str
) -> None:
    old = await runtime.start(until_told, "old", id="main")
    telling = asyncio.ensure_future(old.signal("go", 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting = runtime.start(echo, "new", id="main", on_conflict=policy)
    (new,) = await asyncio.gather(starting, return_exceptions=True)
    if isinstance(new, WorkflowAlreadyStarted):
        assert (policy, new.run_id) == ("fail", old.result_run_id)
    else:
        assert isinstance(new, RunHandle)
        joined = new.result_run_id == old.result_run_id
        assert await new.result() == (["old", 1] if joined else "new")
        assert not joined or policy != "fail"
    await telling
    assert await old.result() == ["old", 1]
    assert len(await run_ids(runtime, "main")) <= 2


async def test_attach_starts_a_run_if_the_id_is_unknown(runtime: Client) -> None:
    assert await runtime.execute(echo, 1, id="main", on_conflict="attach") == 1


async def test_attach_starts_a_run_once_the_old_one_is_no_longer_retained(
    site: Site,
) -> None:
    async with site.up(retention="1h") as runtime:
        old = await runtime.start(echo, 1, id="main")
        await old.result()
        await asyncio.sleep(2 * 3600)
        with pytest.raises(RPCError) as gone:
            await old.describe()
        assert gone.value.status is RPCStatus.NOT_FOUND
        new = await runtime.start(echo, 2, id="main", on_conflict="attach")
        assert await new.result() == 2


@pytest.mark.parametrize(
    "options",
    [{"id": ""}, {"queue": ""}, {"on_conflict": "replace"}, {"on_conflict": ""}],
)
async def test_bad_identity_is_refused_and_nothing_is_stored(
    runtime: Client, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        await runtime.start(echo, 1, **options)
    assert [line async for line in runtime.list()] == []
