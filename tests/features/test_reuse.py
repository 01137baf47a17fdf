"""What a start does about the run that has its ID: reuse, conflict, a signal along.

See `test_identity` for the policies that a plain start needs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunHandle,
    RunStatus,
    WorkflowFailure,
    continue_as_new,
    now,
    receive,
    retry,
    workflow,
)
from everact.runtime.errors import (
    RPCError,
    RunCancelled,
    RunTerminated,
    WorkflowAlreadyStarted,
)
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site
from tests.features.stage import note, stage
from tests.features.support import crash_image, kinds, open_runtime

REGISTRY = Registry()


@workflow(registry=REGISTRY)
class Basket:
    """Collects what it is told until it is told to pay."""

    def __init__(self) -> None:
        self.articles: list[str] = []
        self.paid = asyncio.Event()

    @workflow.run
    async def run(self, customer: str) -> list[Any]:
        note(["begun", customer, list(self.articles)])
        await self.paid.wait()
        return [customer, *self.articles]

    @workflow.signal
    def add(self, article: str) -> None:
        self.articles.append(article)

    @workflow.signal
    def pay(self) -> None:
        self.paid.set()


@workflow(registry=REGISTRY)
async def echo(value: object) -> object:
    return value


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
async def until_told(value: object) -> object:
    return [value, await receive("go")]


@workflow(registry=REGISTRY)
async def endless(value: object) -> object:
    await asyncio.sleep(100_000)
    return value


@workflow(registry=REGISTRY)
async def two_signals() -> list[Any]:
    return [now().timestamp(), await receive("go"), await receive("go")]


@workflow(registry=REGISTRY)
async def continuing(times: int) -> object:
    told = await receive("go")
    if times:
        continue_as_new(times - 1)
    return told


async def run_ids(runtime: Client, id: str) -> list[str]:
    return [line.run_id async for line in runtime.list(id=id)]


async def close(runtime: Client, id: str, how: str) -> RunHandle[Any]:
    """A run of `id` that closed in a certain way."""
    if how == "completed":
        done = await runtime.start(echo, 0, id=id)
        await done.result()
        return done
    limit: Any = {"run_timeout": 1} if how == "timed out" else {}
    target: Any = failing if how == "failed" else until_told
    args = () if how == "failed" else (0,)
    ended = await runtime.start(target, args=args, id=id, **limit)
    if how == "cancelled":
        await ended.cancel()
    elif how == "terminated":
        await ended.terminate()
    with pytest.raises(WorkflowFailure):
        await ended.result()
    return ended


BADLY = ["failed", "cancelled", "terminated", "timed out"]


@pytest.mark.feature("ST-06")
async def test_a_signal_with_start_reaches_the_open_run_or_begins_a_new_one(
    runtime: Client,
) -> None:
    async def add(article: str) -> RunHandle[list[Any]]:
        return await runtime.start(
            Basket.run,
            "Ada",
            id="basket-Ada",
            start_signal=Basket.add,
            start_signal_args=[article],
        )

    first, second = await asyncio.gather(add("tea"), add("milk"))
    assert first.result_run_id == second.result_run_id
    assert stage.notes == [["begun", "Ada", ["tea"]]]

    await second.signal(Basket.pay)
    assert await first.result() == ["Ada", "tea", "milk"]
    third = await add("bread")
    assert third.result_run_id != first.result_run_id


@pytest.mark.feature("ST-06", "HN-01")
async def test_its_handle_names_no_first_run(runtime: Client) -> None:
    handle = await runtime.start(
        until_told, 1, id="x", start_signal="go", start_signal_args=["early"]
    )
    assert handle.result_run_id is not None
    assert (handle.run_id, handle.first_execution_run_id) == (None, None)
    assert await handle.result() == [1, "early"]


@pytest.mark.feature("ST-06")
async def test_a_function_finds_the_signal_that_began_it(runtime: Client) -> None:
    assert await runtime.execute(until_told, 1, start_signal="go") == [1, None]
    several: Any = {"start_signal": "go", "start_signal_args": ["a", "b"]}
    assert await runtime.execute(until_told, 2, **several) in (
        [2, ("a", "b")],
        [2, ["a", "b"]],
    )


@pytest.mark.feature("ST-06", "ID-03", "ID-04")
@pytest.mark.parametrize("policy", ["reject", "allow_failed_only"])
async def test_without_an_open_run_the_reuse_policy_decides(
    runtime: Client, policy: str
) -> None:
    await close(runtime, "x", "completed")
    with pytest.raises(WorkflowAlreadyStarted):
        await runtime.start(until_told, 1, id="x", start_signal="go", on_reuse=policy)
    open_run = await runtime.start(until_told, 2, id="x")
    told = await runtime.start(
        until_told, 3, id="x", start_signal="go", on_reuse=policy
    )
    assert told.result_run_id == open_run.result_run_id
    assert await told.result() == [2, None]


@pytest.mark.feature("ST-06", "ID-11")
async def test_repeating_its_request_signals_once(site: Site) -> None:
    async with site.up() as runtime:

        async def begin(id: str, request: str) -> RunHandle[Any]:
            return await runtime.start(
                two_signals, id=id, start_signal="go", request_id=request
            )

        first = await begin("x", "one")
        again = await asyncio.gather(*(begin("x", "one") for _ in range(3)))
        assert {h.result_run_id for h in again} == {first.result_run_id}
        other = await asyncio.gather(*(begin("y", "two") for _ in range(3)))
        assert len({h.result_run_id for h in other}) == 1
    async with site.up() as runtime:
        await begin("x", "one")
        assert not (await runtime.handle("x").describe()).close_time
        await begin("x", "three")
        await begin("x", "three")
        assert len(await runtime.handle("x").result()) == 3
        assert (await runtime.handle("y").describe()).status is RunStatus.RUNNING


@pytest.mark.feature("ST-06", "ST-07")
async def test_it_ends_a_start_delay_at_once(site: Site) -> None:
    async with site.up() as runtime:
        before = site.clock.now()
        delayed = await runtime.start(two_signals, id="x", start_delay="2s")
        await asyncio.sleep(0.5)
        await delayed.signal("go", "plain")
        await asyncio.sleep(0.5)
        found = await runtime.start(
            two_signals, id="x", start_signal="go", start_signal_args=["with start"]
        )
        assert found.result_run_id == delayed.result_run_id
        begun, *told = await found.result()
        assert begun == pytest.approx(before + 1, abs=0.1)
        assert told == ["plain", "with start"]


@pytest.mark.feature("ST-06", "ST-07")
async def test_a_delay_that_it_ended_is_over_after_a_restart_too(site: Site) -> None:
    async with site.up() as runtime:
        begun = site.clock.now()
        await runtime.start(two_signals, id="x", start_delay="1h")
        await runtime.start(two_signals, id="x", start_signal="go")
    async with site.up() as runtime:
        await runtime.handle("x").signal("go")
        assert (await runtime.handle("x").result())[0] == pytest.approx(begun, abs=0.1)


@pytest.mark.feature("ST-06")
async def test_the_wait_for_a_retry_goes_on_when_it_comes(
    runtime: Client, site: Site
) -> None:
    before = site.clock.now()
    handle = await runtime.start(failing, id="x", retry=retry(attempts=2, first="1h"))
    await asyncio.sleep(60)
    await runtime.start(failing, id="x", start_signal="go")
    with pytest.raises(WorkflowFailure):
        await handle.result()
    assert site.clock.now() == pytest.approx(before + 3600, abs=1)


@pytest.mark.feature("ST-06", "ID-01")
@pytest.mark.parametrize("turns", range(8))
async def test_while_the_run_closes_it_is_signalled_or_followed(
    runtime: Client, turns: int
) -> None:
    old = await runtime.start(until_told, "old", id="x")
    telling = asyncio.ensure_future(old.signal("go", 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    new = await runtime.start(until_told, "new", id="x", start_signal="go")
    (told,) = await asyncio.gather(telling, return_exceptions=True)
    if new.result_run_id != old.result_run_id:
        assert (told, await old.result()) == (None, ["old", 1])
        assert await new.result() == ["new", None]
    elif await old.result() == ["old", 1]:
        assert (await kinds(old))["SignalReceived"] == 2
    else:
        assert await old.result() == ["old", None]


@pytest.mark.feature("ID-02", "ID-03")
async def test_reuse_after_failure_only_is_refused_after_success(
    runtime: Client,
) -> None:
    done = await close(runtime, "x", "completed")
    with pytest.raises(WorkflowAlreadyStarted) as refused:
        await runtime.start(echo, 1, id="x", on_reuse="allow_failed_only")
    assert refused.value.run_id == done.result_run_id
    assert refused.value.closed
    assert "on_reuse" in str(refused.value)
    assert await run_ids(runtime, "x") == [done.result_run_id]
    assert await runtime.execute(echo, 2, id="x", on_reuse="allow") == 2


@pytest.mark.feature("ID-03")
@pytest.mark.parametrize("how", BADLY)
async def test_and_accepted_after_any_failure(site: Site, how: str) -> None:
    async with site.up() as runtime:
        await close(runtime, "x", how)
    async with site.up() as runtime:
        started = await runtime.start(echo, 1, id="x", on_reuse="allow_failed_only")
        assert await started.result() == 1
        with pytest.raises(WorkflowAlreadyStarted):
            await runtime.start(echo, 2, id="x", on_reuse="allow_failed_only")


@pytest.mark.feature("ID-04")
@pytest.mark.parametrize("how", ["completed", *BADLY])
async def test_a_retained_run_is_in_the_way_of_a_start_that_never_reuses(
    site: Site, how: str
) -> None:
    async with site.up() as runtime:
        old = await close(runtime, "x", how)
        with pytest.raises(WorkflowAlreadyStarted):
            await runtime.start(echo, 1, id="x", on_reuse="reject")
    async with site.up() as runtime:
        with pytest.raises(WorkflowAlreadyStarted) as refused:
            await runtime.start(echo, 1, id="x", on_reuse="reject")
        assert refused.value.run_id == old.result_run_id
        assert await run_ids(runtime, "x") == [old.result_run_id]
        assert await runtime.execute(echo, 2, id="x") == 2
        assert await runtime.execute(echo, 3, id="y", on_reuse="reject") == 3


@pytest.mark.feature("ID-01", "ID-04")
async def test_of_concurrent_starts_that_never_reuse_one_makes_a_run_ever(
    runtime: Client,
) -> None:
    answers = await asyncio.gather(
        *(runtime.start(echo, n, id="x", on_reuse="reject") for n in range(50)),
        return_exceptions=True,
    )
    made = [a for a in answers if isinstance(a, RunHandle)]
    assert len(made) == 1
    assert all(isinstance(a, (RunHandle, WorkflowAlreadyStarted)) for a in answers)
    assert await run_ids(runtime, "x") == [made[0].result_run_id]


@pytest.mark.feature("ID-05", "ID-08")
@pytest.mark.parametrize(
    "policy",
    [{"on_conflict": "terminate_existing"}, {"on_reuse": "terminate_if_running"}],
)
async def test_the_open_run_is_terminated_and_another_takes_its_place(
    site: Site, policy: Any
) -> None:
    async with site.up() as runtime:
        old = await runtime.start(until_told, "old", id="x")
        new = await runtime.start(until_told, "new", id="x", **policy)
        assert new.result_run_id != old.result_run_id
        with pytest.raises(WorkflowFailure) as ended:
            await old.result()
        assert isinstance(ended.value.cause, RunTerminated)
        assert "another run" in ended.value.cause.reason
        assert (await new.describe()).status is RunStatus.RUNNING
    async with site.up() as runtime:
        await runtime.handle("x").signal("go", 1)
        assert await runtime.handle("x").result() == ["new", 1]
        lines = {line.run_id: line.status async for line in runtime.list(id="x")}
        assert lines == {
            new.result_run_id: RunStatus.COMPLETED,
            old.result_run_id: RunStatus.TERMINATED,
        }


@pytest.mark.feature("ID-08")
@pytest.mark.parametrize("turns", range(8))
async def test_a_signal_meanwhile_reaches_the_one_or_the_other(
    runtime: Client, turns: int
) -> None:
    old = await runtime.start(until_told, "old", id="x")
    replacing = asyncio.ensure_future(
        runtime.start(until_told, "new", id="x", on_conflict="terminate_existing")
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    await runtime.handle("x").signal("go", 1)
    new = await replacing
    first = runtime.handle("x", run_id=old.result_run_id)
    if (await first.describe()).status is RunStatus.TERMINATED:
        assert await new.result() == ["new", 1]
    else:
        assert await old.result() == ["old", 1]
        assert (await new.describe()).status is RunStatus.RUNNING


@pytest.mark.feature("ID-08")
async def test_a_crash_leaves_the_one_or_the_other(tmp_path: Path) -> None:
    images: list[Path] = []
    file = tmp_path / "everact.db"
    async with open_runtime(file, REGISTRY) as runtime:
        old = await runtime.start(until_told, "old", id="x")
        replacing = asyncio.ensure_future(
            runtime.start(until_told, "new", id="x", on_conflict="terminate_existing")
        )
        while not replacing.done():
            images.append(crash_image(file, f"image-{len(images)}"))
            await asyncio.sleep(0)
        new = await replacing
        images.append(crash_image(file, "last"))
    left = []
    for image in images:
        async with open_runtime(image, REGISTRY) as runtime:
            await runtime.handle("x").signal("go")
            result: Any = await runtime.handle("x").result()
            left.append(result[0])
            closed = (
                await runtime.handle("x", run_id=old.result_run_id).describe()
            ).status
            assert (closed is RunStatus.TERMINATED) == (result[0] == "new")
            assert (await runtime.count(id="x")).count == (
                2 if result[0] == "new" else 1
            )
    assert left[0] == "old" and left[-1] == "new" and left == sorted(left, reverse=True)
    assert new.result_run_id != old.result_run_id


@pytest.mark.feature("ID-05", "ID-08")
@pytest.mark.parametrize("how", ["completed", *BADLY])
async def test_or_begins_like_any_other_if_none_is_open(
    runtime: Client, how: str
) -> None:
    await close(runtime, "x", how)
    first = runtime.execute(echo, 1, id="x", on_conflict="terminate_existing")
    assert await first == 1
    assert await runtime.execute(echo, 2, id="x", on_reuse="terminate_if_running") == 2


@pytest.mark.feature("ID-08")
async def test_observers_never_see_two_open_runs_nor_none(runtime: Client) -> None:
    await runtime.start(endless, 0, id="x")
    seen: list[int] = []
    done = asyncio.Event()

    async def observe() -> None:
        while not done.is_set():
            found = await runtime.count(id="x", status=RunStatus.RUNNING)
            seen.append(found.count)
            assert (await runtime.handle("x").describe()).status is RunStatus.RUNNING
            await asyncio.sleep(0)

    observing = [asyncio.ensure_future(observe()) for _ in range(3)]
    for number in range(20):
        await runtime.start(endless, number, id="x", on_conflict="terminate_existing")
    done.set()
    await asyncio.gather(*observing)
    assert set(seen) == {1}


@pytest.mark.feature("ID-01", "ID-08")
async def test_of_fifty_that_replace_each_other_at_once_one_is_left(
    runtime: Client,
) -> None:
    handles = await asyncio.gather(
        *(
            runtime.start(until_told, n, id="x", on_conflict="terminate_existing")
            for n in range(50)
        )
    )
    assert len({h.result_run_id for h in handles}) == 50
    found = await runtime.count(id="x", status=RunStatus.RUNNING)
    assert found.count == 1
    await runtime.handle("x").signal("go")
    ends = await asyncio.gather(*(h.result() for h in handles), return_exceptions=True)
    assert sum(isinstance(end, WorkflowFailure) for end in ends) == 49


@pytest.mark.feature("ST-06", "ID-08")
async def test_a_signal_goes_to_the_run_that_takes_the_place(runtime: Client) -> None:
    old = await runtime.start(until_told, "old", id="x")
    new = await runtime.start(
        until_told,
        "new",
        id="x",
        start_signal="go",
        start_signal_args=["hi"],
        on_conflict="terminate_existing",
    )
    assert await new.result() == ["new", "hi"]
    first = runtime.handle("x", run_id=old.result_run_id)
    assert (await first.describe()).status is RunStatus.TERMINATED
    assert (await old.describe()).run_id == new.result_run_id


@pytest.mark.feature("ID-05", "ID-09", "ST-06")
@pytest.mark.parametrize(
    "options",
    [
        {"on_reuse": "terminate_if_running", "on_conflict": "fail"},
        {"on_reuse": "terminate_if_running", "on_conflict": "use_existing"},
        {"on_reuse": "terminate_if_running", "on_conflict": "attach"},
        {"on_reuse": "terminate_if_running", "on_conflict": "terminate_existing"},
        {"on_reuse": "reject", "on_conflict": "terminate_existing"},
        {"start_signal": "go", "on_conflict": "fail"},
        {"start_signal": "go", "on_conflict": "attach"},
        {"start_signal_args": [1]},
        {"start_signal": ""},
        {"on_reuse": "never"},
        {"on_reuse": ""},
    ],
)
async def test_contradicting_policies_are_refused_and_nothing_changes(
    runtime: Client, options: dict[str, Any]
) -> None:
    old = await runtime.start(until_told, 1, id="x")
    with pytest.raises(ValueError):
        await runtime.start(until_told, 2, id="x", **options)
    assert await run_ids(runtime, "x") == [old.result_run_id]
    assert (await kinds(old)) == {"Started": 1, "Began": 1}


@pytest.mark.feature("HN-03")
async def test_a_pinned_handle_stays_with_its_run(runtime: Client) -> None:
    old = await runtime.start(until_told, "old", id="x")
    pinned = runtime.handle("x", run_id=old.result_run_id)
    await pinned.signal("go", 1)
    assert await pinned.result() == ["old", 1]
    new = await runtime.start(until_told, "new", id="x")

    assert (await pinned.describe()).run_id == old.result_run_id
    assert (await pinned.history())[-1].kind == "Complete"
    uses: Any = (lambda: pinned.signal("go"), pinned.cancel, pinned.terminate)
    for use in uses:
        with pytest.raises(RPCError) as refused:
            await use()
        assert refused.value.status is RPCStatus.NOT_FOUND
    assert await pinned.result() == ["old", 1]
    assert (await new.describe()).status is RunStatus.RUNNING


@pytest.mark.feature("HN-03")
async def test_also_when_its_own_chain_went_on(runtime: Client) -> None:
    first = await runtime.start(continuing, 1, id="x")
    pinned = runtime.handle("x", run_id=first.result_run_id)
    await pinned.signal("go")
    while (await first.describe()).run_id == first.result_run_id:
        await asyncio.sleep(0.01)
    with pytest.raises(RPCError) as refused:
        await pinned.cancel()
    assert refused.value.status is RPCStatus.NOT_FOUND
    await first.signal("go", "last")
    assert await first.result() == "last"


@pytest.mark.feature("HN-04")
@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_a_handle_does_not_stop_a_chain_that_it_does_not_know(
    runtime: Client, verb: str
) -> None:
    old = await runtime.start(until_told, "old", id="x")
    await old.signal("go")
    await old.result()
    new = await runtime.start(until_told, "new", id="x")
    with pytest.raises(RPCError) as refused:
        await getattr(old, verb)()
    assert refused.value.status is RPCStatus.NOT_FOUND
    await new.signal("go", 2)
    assert await new.result() == ["new", 2]


@pytest.mark.feature("HN-04")
@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_but_the_present_run_of_its_own(runtime: Client, verb: str) -> None:
    handle = await runtime.start(continuing, 3, id="x")
    await handle.signal("go")
    while (await handle.describe()).run_id == handle.result_run_id:
        await asyncio.sleep(0.01)
    await getattr(handle, verb)()
    with pytest.raises(WorkflowFailure) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, (RunCancelled, RunTerminated))


@pytest.mark.feature("HN-04")
@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_nor_while_the_one_makes_room_for_the_other(
    runtime: Client, verb: str, turns: int
) -> None:
    old = await runtime.start(until_told, "old", id="x")
    replacing = asyncio.ensure_future(
        runtime.start(until_told, "new", id="x", on_conflict="terminate_existing")
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping: Any = getattr(old, verb)()
    stopped: Any
    (stopped,) = await asyncio.gather(stopping, return_exceptions=True)
    if stopped is not None:
        assert isinstance(stopped, RPCError)
        assert stopped.status is RPCStatus.NOT_FOUND
    new = await replacing
    await new.signal("go", 2)
    assert await new.result() == ["new", 2]
