"""Rows CH: child runs, tail calls, resets, chains of runs."""

from __future__ import annotations

import asyncio
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Call,
    ChildFailure,
    Registry,
    RunStatus,
    Runtime,
    Worker,
    WorkflowFailure,
    continue_as_new,
    execute_child,
    gather,
    receive,
    retry,
    run_info,
    sleep,
    start_child,
    task,
    workflow,
)
from everact.runtime.errors import RPCError, RunCancelled, RunTerminated, RunTimedOut
from everact.runtime.functions import Arguments, Reset, Status, TailCall
from everact.runtime.runs import RunView
from everact.runtime.search import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.statuses import TimeoutKind
from everact.runtime.workflows import upsert_search_attributes
from tests.features.support import (
    EPOCH,
    Stage,
    crash_image,
    killed,
    kinds,
    note,
    notes,
    open_runtime,
    played,
)

registry = Registry()


def virtual_time() -> float:
    return asyncio.get_running_loop().time()


async def runs_of(runtime: Runtime, id: str) -> list[RunView]:
    """All runs of a workflow ID, oldest first."""
    lines = [line async for line in runtime.list(id=id)]
    return [
        await runtime.handle(id, run_id=line.run_id).describe()
        for line in reversed(lines)
    ]


@task(registry=registry)
async def note_task(folder: str, text: str, after: float = 0) -> str:
    note(folder, text)
    await asyncio.sleep(after)
    return text


# -- CH-01 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def who_am_i() -> tuple[str | None, str | None, str, str]:
    info = run_info()
    return info.parent_workflow_id, info.parent_run_id, info.root_run_id, info.run_id


@workflow(registry=registry)
async def parent_of_one(id: str | None = None) -> tuple[Any, Any]:
    child = await start_child(who_am_i, id=id)
    return (child.workflow_id, child.run_id), await child


@workflow(registry=registry)
async def grandparent() -> tuple[str, Any]:
    return run_info().run_id, await parent_of_one()


@pytest.mark.feature("CH-01")
async def test_a_child_knows_its_parent_and_a_top_level_run_has_none(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        alone = await runtime.start(who_am_i)
        run_id = alone.result_run_id
        assert await alone.result() == (None, None, run_id, run_id)

        parent = await runtime.start(parent_of_one, "kid", id="dad")
        named, seen = await parent.result()
        assert seen == ("dad", parent.result_run_id, parent.result_run_id, named[1])
        child = await runtime.handle("kid").describe()
        assert named == ("kid", child.run_id)
        assert child.parent_workflow_id == "dad"
        assert child.parent_run_id == child.root_run_id == parent.result_run_id
        assert child.run_id != parent.result_run_id
        assert child.status is RunStatus.COMPLETED


@pytest.mark.feature("CH-01")
async def test_the_root_is_the_topmost_run(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        root, (_, seen) = await runtime.execute(grandparent)
        assert seen[1] != root
        assert seen[2] == root


@pytest.mark.feature("CH-01")
async def test_a_child_has_a_history_of_its_own(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        parent = await runtime.start(parent_of_one, "kid")
        await parent.result()
        found = await kinds(parent)
        assert found["StartChild"] == found["ChildStarted"] == 1
        assert found["ChildClosed"] == 1
        own = await kinds(runtime.handle("kid"))
        assert own == {"Started": 1, "Began": 1, "Complete": 1}


@workflow(registry=registry)
async def slow_child() -> str:
    await sleep(10)
    return "grown up"


@workflow(registry=registry)
async def start_then_result() -> tuple[float, float, str]:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    child = await start_child(slow_child)
    started = loop.time() - begun
    result = await child.result()
    return started, loop.time() - begun, result


@pytest.mark.feature("CH-01")
async def test_waiting_for_the_start_and_for_the_result_are_separate(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(start_then_result) == (0, 10, "grown up")


@workflow(registry=registry)
async def broken_child() -> None:
    raise ApplicationError("out of stock", 7, type="Shortage")


@workflow(registry=registry)
async def parent_of_broken() -> tuple[str, str, Any]:
    try:
        await execute_child(broken_child)
    except ChildFailure as failure:
        cause = failure.cause
        assert isinstance(cause, ApplicationError)
        return cause.type, cause.message, cause.details
    return "no failure", "", ()


@workflow(registry=registry)
async def careless_parent() -> None:
    await broken_child()


@pytest.mark.feature("CH-01")
async def test_a_failed_child_raises_a_child_failure_with_its_cause(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(parent_of_broken) == (
            "Shortage",
            "out of stock",
            (7,),
        )
        with pytest.raises(WorkflowFailure) as caught:
            await runtime.execute(careless_parent)
        assert isinstance(caught.value.cause, ChildFailure)


@workflow(registry=registry)
async def parent_of_taken() -> str:
    try:
        _ = await start_child(slow_child, id="taken")
    except ChildFailure as failure:
        return str(failure.cause)
    return "started"


@pytest.mark.feature("CH-01")
async def test_a_child_whose_id_is_taken_fails_in_the_parent_alone(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        other = await runtime.start(slow_child, id="taken")
        assert "'taken'" in await runtime.execute(parent_of_taken)
        assert await other.result() == "grown up"


# -- CH-02 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def working_child(folder: str) -> str:
    await note_task(folder, "child begins")
    await sleep(10)
    return await note_task(folder, "child ends")


@workflow(registry=registry)
async def waiting_parent(folder: str) -> str:
    await note_task(folder, "parent begins")
    result = await execute_child(working_child, folder, id="kid")
    await note_task(folder, "parent ends")
    return f"parent got {result!r}"


async def the_child_works(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(waiting_parent, str(stage.folder), id="dad")
        await asyncio.sleep(5)
        await stage.die()


async def the_parent_gets_the_result(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        stage.say("result", await runtime.handle("dad").result())
        stage.say("kids", len([line async for line in runtime.list(id="kid")]))
        stage.say("starts", (await kinds(runtime.handle("dad")))["StartChild"])


@pytest.mark.kill
@pytest.mark.feature("CH-02")
@pytest.mark.parametrize("restart", [6, 600], ids=["it still works", "it is late"])
def test_after_a_kill_there_is_one_child_and_its_result_arrives(
    tmp_path: Path, restart: float
) -> None:
    killed(the_child_works, tmp_path)
    said = played(the_parent_gets_the_result, tmp_path, at=EPOCH + restart)
    assert said == {"result": "parent got 'child ends'", "kids": 1, "starts": 1}
    assert notes(tmp_path) == [
        "parent begins",
        "child begins",
        "child ends",
        "parent ends",
    ]


@pytest.mark.feature("CH-02")
async def test_the_result_of_a_child_that_outlived_a_crash_of_its_parent_arrives(
    tmp_path: Path,
) -> None:
    """At every half second of its life the pair is cut off, and finishes the same."""
    database, folder = tmp_path / "a.db", str(tmp_path)
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(waiting_parent, folder, id="dad")
        copies = [crash_image(database, "at start")]
        while (await handle.describe()).status is RunStatus.RUNNING:
            await asyncio.sleep(2.5)
            copies.append(crash_image(database, f"at {virtual_time()}"))
        whole = await kinds(handle)
    for copy in copies:
        async with open_runtime(copy, registry) as runtime:
            handle = runtime.handle("dad")
            assert await handle.result() == "parent got 'child ends'"
            found = await kinds(handle)
            for kind in ("StartChild", "ChildClosed", "TaskCompleted"):
                assert found[kind] == whole[kind]
            assert len([line async for line in runtime.list(id="kid")]) == 1


# -- CH-03 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def stubborn_child() -> str:
    try:
        await sleep(100)
    except asyncio.CancelledError:
        await sleep(1)
        raise
    return "on my own"


@workflow(registry=registry)
async def leaving_parent(setting: str, ending: str) -> str:
    _ = await start_child(stubborn_child, id="kid", on_parent_close=setting)
    if ending == "fails":
        raise ValueError("gone")
    if ending == "waits":
        await sleep(1000)
    return "gone"


@workflow(registry=registry)
async def default_parent() -> str:
    _ = await start_child(stubborn_child, id="kid")
    return "gone"


async def fate_of_the_child(runtime: Runtime, setting: str, ending: str) -> str:
    parent = await runtime.start(leaving_parent, args=(setting, ending))
    if ending == "waits":
        await asyncio.sleep(1)
        await parent.terminate()
    if ending == "returns":
        assert await parent.result() == "gone"
    else:
        with pytest.raises(WorkflowFailure):
            await parent.result()
    try:
        result: str = await runtime.handle("kid").result()
    except WorkflowFailure as failure:
        return type(failure.cause).__name__
    return result


@pytest.mark.feature("CH-03")
@pytest.mark.parametrize("ending", ["returns", "fails", "waits"])
@pytest.mark.parametrize(
    ("setting", "fate"),
    [
        ("terminate", "RunTerminated"),
        ("cancel", "RunCancelled"),
        ("abandon", "on my own"),
    ],
)
async def test_what_becomes_of_a_child_when_its_parent_closes(
    tmp_path: Path, setting: str, fate: str, ending: str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        before = virtual_time()
        assert await fate_of_the_child(runtime, setting, ending) == fate
        took = virtual_time() - before - (ending == "waits")
        assert took == {"terminate": 0, "cancel": 1}.get(setting, took)
        if setting == "abandon":
            assert virtual_time() == 100


@pytest.mark.feature("CH-03")
async def test_a_child_is_terminated_by_default(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(default_parent) == "gone"
        with pytest.raises(WorkflowFailure) as caught:
            await runtime.handle("kid").result()
        assert isinstance(caught.value.cause, RunTerminated)


@workflow(registry=registry)
async def mistaken_parent() -> str:
    try:
        _ = await start_child(stubborn_child, on_parent_close="forget")
    except ValueError as error:
        return str(error)
    return "started"


@pytest.mark.feature("CH-03")
async def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert "terminate, cancel, abandon" in await runtime.execute(mistaken_parent)


# -- CH-04 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def first_leg(name: str) -> tuple[str, str]:
    await note_nothing("a step of the first leg")
    raise TailCall(Call("second_leg", Arguments((name,), {"mark": "!"})))


@task(registry=registry)
async def note_nothing(text: str) -> str:
    return text


@workflow(registry=registry)
async def second_leg(name: str, mark: str = "") -> tuple[str, str]:
    return run_info().run_id, f"hello {name}{mark}"


@pytest.mark.feature("CH-04")
async def test_the_caller_gets_the_result_of_the_tail_call(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(first_leg, "you", id="greeting")
        own, text = await handle.result()
        assert (own, text) == (handle.result_run_id, "hello you!")
        again = await runtime.handle("greeting").result()
        assert again == (own, text)
        [view] = await runs_of(runtime, "greeting")
        assert view.status is RunStatus.COMPLETED
        assert view.run_id == own


@workflow(registry=registry)
async def parent_of_leg() -> tuple[str, str, str | None]:
    child = await start_child(first_leg, "kid")
    run_id, text = await child
    return child.run_id, run_id, text


@pytest.mark.feature("CH-04")
async def test_the_parent_awaits_the_tail_call_of_its_child(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        run_id, seen, text = await runtime.execute(parent_of_leg)
        assert (seen, text) == (run_id, "hello kid!")


@pytest.mark.feature("CH-04")
async def test_a_tail_call_of_a_task_ends_with_its_value(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(call_a_task) == "as a task"


@workflow(registry=registry)
async def call_a_task() -> str:
    raise TailCall(note_nothing.build_call("as a task"))


@pytest.mark.feature("CH-04")
def test_the_default_status_of_a_tail_call_is_ok() -> None:
    assert TailCall(Call("second_leg")).status is Status.OK


@workflow(registry=registry)
async def endless_legs(count: int) -> None:
    await sleep(1)
    raise TailCall(Call("endless_legs", Arguments((count + 1,))))


@pytest.mark.feature("CH-04")
async def test_tail_calls_inherit_the_deadlines(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        for limits in ((10.5, None), (None, 10.5)):
            before = virtual_time()
            handle = await runtime.start(
                endless_legs, 0, run_timeout=limits[0], execution_timeout=limits[1]
            )
            with pytest.raises(WorkflowFailure) as caught:
                await handle.result()
            assert isinstance(caught.value.cause, RunTimedOut)
            assert virtual_time() - before == pytest.approx(10.5)
            assert (await handle.describe()).generation == 10


@workflow(registry=registry)
async def many_legs(left: int) -> str:
    if left:
        raise TailCall(Call("many_legs", Arguments((left - 1,))))
    return "done"


@pytest.mark.feature("CH-04")
async def test_ten_thousand_tail_calls_leave_constant_storage(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        few = await runtime.start(many_legs, 10)
        assert await few.result() == "done"
        many = await runtime.start(many_legs, 10_000)
        assert await many.result() == "done"
        view = await many.describe()
        assert view.generation == 10_000
        assert view.history_length == (await few.describe()).history_length
        assert len([line async for line in runtime.list()]) == 2


@pytest.mark.feature("CH-04")
async def test_a_tail_call_survives_a_crash(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(endless_legs, 0, id="legs", run_timeout=20.5)
        await asyncio.sleep(5.5)
        copy = crash_image(database, "crashed")
        now = runtime.engine.clock.now()
        await handle.terminate()
    async with open_runtime(copy, registry, at=now) as runtime:
        before = virtual_time()
        handle = runtime.handle("legs")
        assert (await handle.describe()).generation == 5
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert isinstance(caught.value.cause, RunTimedOut)
        assert virtual_time() - before == pytest.approx(15)
        assert (await handle.describe()).generation == 20


# -- CH-05 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def until_zero(counter: int) -> list[Any]:
    collected: list[Any] = []

    async def collect(number: int) -> None:
        collected.append(await note_nothing(f"branch {number} of {counter}"))
        if number:
            await sleep(1000)

    async def give_up() -> None:
        await sleep(1)
        if counter:
            raise Reset(until_zero, counter - 1)

    try:
        await asyncio.wait_for(gather(collect(0), collect(1), give_up()), 5)
    except TimeoutError:
        pass
    except Exception as error:  # what a careless author writes
        collected.append(error)
    return [counter, *collected]


@pytest.mark.feature("CH-05")
async def test_a_reset_starts_over_and_no_earlier_result_leaks_in(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(until_zero, 3, id="counting")
        assert await handle.result() == [0, "branch 0 of 0", "branch 1 of 0"]
        [view] = await runs_of(runtime, "counting")
        assert view.generation == 3
        assert virtual_time() == 3 + 5


@pytest.mark.feature("CH-05")
def test_a_reset_is_a_tail_call_that_no_broad_handler_swallows() -> None:
    assert issubclass(Reset, TailCall)
    assert not issubclass(Reset, Exception)
    reset = Reset(until_zero, 1, extra=2)
    assert reset.call == Call("until_zero", Arguments((1,), {"extra": 2}))
    assert reset.status is Status.OK
    with pytest.raises(TypeError, match="task or a workflow"):
        Reset(print, 1)


@task(registry=registry)
def blocking_end(text: str, *, mark: str) -> str:
    return text + mark


@workflow(registry=registry)
async def reset_to_blocking() -> str:
    raise Reset(blocking_end, "the end", mark=".")


@pytest.mark.feature("CH-05")
async def test_a_reset_takes_a_blocking_function_and_keywords(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(reset_to_blocking) == "the end."


@pytest.mark.feature("CH-05")
async def test_a_reset_is_no_attempt_and_is_not_delayed(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            many_resets, 5, retry=retry(first=100, attempts=2), id="resets"
        )
        assert await handle.result() == 1
        assert virtual_time() == 0
        assert len(await runs_of(runtime, "resets")) == 1


@workflow(registry=registry)
async def many_resets(left: int) -> int:
    if left:
        raise Reset(many_resets, left - 1)
    return run_info().attempt


# -- CH-06 ---------------------------------------------------------------------------


@workflow(registry=registry)
class LoopOfThousand:
    """1,000 iterations, a new run each 100; signals are handled between sleeps."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    @workflow.run
    async def run(self, done: int, before: list[int]) -> tuple[int, list[int]]:
        self.signals[:0] = before
        for number in range(done, 1000):
            if number > done and number % 100 == 0:
                continue_as_new(number, self.signals)
            await sleep(0.01)
        return 1000, self.signals

    @workflow.signal
    def number(self, number: int) -> None:
        self.signals.append(number)


@pytest.mark.feature("CH-06")
async def test_a_thousand_iterations_make_a_chain_of_ten_and_lose_no_signal(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(LoopOfThousand.run, args=(0, []), id="chain")
        for number in range(90):
            # Ten of them hit the very moment of a seam.
            await runtime.handle("chain").signal(LoopOfThousand.number, number)
            await asyncio.sleep(0.1)
        assert await handle.result() == (1000, list(range(90)))
        chain = await runs_of(runtime, "chain")
        assert len(chain) == 10
        assert {view.first_run_id for view in chain} == {handle.result_run_id}
        assert len({view.run_id for view in chain}) == 10
        assert [view.status for view in chain] == [
            *[RunStatus.CONTINUED_AS_NEW] * 9,
            RunStatus.COMPLETED,
        ]
        for earlier, later in pairwise(chain):
            assert earlier.next_run_id == later.run_id
        assert max(view.history_length for view in chain) < 130


@workflow(registry=registry)
async def reads_at_leisure(read: list[int], rounds: int) -> list[int]:
    if rounds:
        await sleep(1)
        continue_as_new(read, rounds - 1)
    while len(read) < 3:
        read.append(await receive("number"))
    return read


@pytest.mark.feature("CH-06")
async def test_signals_that_nobody_read_carry_over(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(reads_at_leisure, args=([], 4), id="leisure")
        for number in range(3):
            await runtime.handle("leisure").signal("number", number)
            await asyncio.sleep(1)
        assert await handle.result() == [0, 1, 2]


@workflow(registry=registry)
async def changed(hang: bool) -> tuple[Any, ...]:
    continue_as_new(
        hang, workflow=changed_into, queue="other", run_timeout=5, memo={"round": 2}
    )
    return ()


@workflow(registry=registry)
async def changed_into(hang: bool) -> tuple[Any, ...]:
    info = run_info()
    if hang:
        await sleep(100)
    return info.name, info.queue, info.memo, info.workflow_id, info.first_run_id


BOTH = [Worker(["default", "other"])]


@pytest.mark.feature("CH-06")
async def test_the_successor_may_differ_in_workflow_queue_and_memo(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry, workers=BOTH) as runtime:
        handle = await runtime.start(
            changed, False, id="changing", parameters={"kept": True}
        )
        assert await handle.result() == (
            "changed_into",
            "other",
            {"round": 2},
            "changing",
            handle.result_run_id,
        )
        _, last = await runs_of(runtime, "changing")
        assert last.parameters == {"kept": True}


@pytest.mark.feature("CH-06")
async def test_the_successor_may_differ_in_its_time_limit(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry, workers=BOTH) as runtime:
        handle = await runtime.start(changed, True, id="changing", run_timeout=50)
        with pytest.raises(WorkflowFailure):
            await handle.result()
        assert asyncio.get_running_loop().time() == 5
        first, last = await runs_of(runtime, "changing")
        assert first.status is RunStatus.CONTINUED_AS_NEW
        assert last.status is RunStatus.TIMED_OUT


@workflow(registry=registry)
async def unchanged() -> None:
    if run_info().run_id == run_info().first_run_id:
        continue_as_new()
    await sleep(100)


@pytest.mark.feature("CH-06")
async def test_what_is_not_said_is_unchanged_in_the_successor(tmp_path: Path) -> None:
    customer = SearchAttributeKey.for_keyword("Customer")
    async with open_runtime(tmp_path / "a.db", registry, workers=BOTH) as runtime:
        await runtime.search_attributes.add(customer)
        handle = await runtime.start(
            unchanged,
            id="same",
            queue="other",
            run_timeout=7,
            memo={"kept": 1},
            search_attributes=TypedSearchAttributes([customer.value_set("ada")]),
        )
        with pytest.raises(WorkflowFailure):
            await handle.result()
        assert asyncio.get_running_loop().time() == 7
        first, last = await runs_of(runtime, "same")
        assert (last.status, last.workflow) == (RunStatus.TIMED_OUT, "unchanged")
        for name in ("queue", "memo", "search_attributes", "workflow_id"):
            assert getattr(last, name) == getattr(first, name)
        assert (last.queue, last.memo) == ("other", {"kept": 1})
        assert last.search_attributes.get(customer) == "ada"


@workflow(registry=registry)
async def swallows() -> int:
    if run_info().memo.get("round"):
        return 2
    try:
        continue_as_new(memo={"round": 2})
    except Exception:
        return 1


@pytest.mark.feature("CH-06")
async def test_continuing_is_not_swallowed_by_a_broad_handler(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(swallows) == 2


@workflow(registry=registry)
async def parent_of_chain(rounds: int) -> Any:
    return await execute_child(child_chain, rounds)


@workflow(registry=registry)
async def child_chain(rounds: int) -> str:
    await sleep(1)
    if rounds:
        continue_as_new(rounds - 1)
    return "after the last round"


@pytest.mark.feature("CH-06", "CH-01")
async def test_the_parent_gets_the_result_of_its_childs_last_run(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(parent_of_chain, 3) == "after the last round"


@pytest.mark.feature("CH-06")
async def test_a_chain_goes_on_after_a_crash_at_any_of_its_moments(
    tmp_path: Path,
) -> None:
    database = tmp_path / "a.db"
    copies = []
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(child_chain, 4, id="chain")
        for _ in range(10):
            copies.append(crash_image(database, f"at {virtual_time()}"))
            await asyncio.sleep(0.5)
        await handle.result()
    for copy in copies:
        async with open_runtime(copy, registry) as runtime:
            assert await runtime.handle("chain").result() == "after the last round"
            assert len(await runs_of(runtime, "chain")) == 5


# -- CH-07 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def forever(round: int) -> None:
    await sleep(2)
    continue_as_new(round + 1)


@pytest.mark.feature("CH-07", "RT-04")
async def test_a_chain_that_outlives_its_execution_timeout_is_timed_out(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(
            forever, 0, id="forever", execution_timeout=7, run_timeout=3
        )
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert virtual_time() == 7
        cause = caught.value.cause
        assert isinstance(cause, RunTimedOut)
        assert cause.kind is TimeoutKind.EXECUTION
        chain = await runs_of(runtime, "forever")
        assert [view.status for view in chain] == [
            *[RunStatus.CONTINUED_AS_NEW] * 3,
            RunStatus.TIMED_OUT,
        ]


@workflow(registry=registry)
async def hang_in_the_third(round: int) -> None:
    await sleep(2 if round < 3 else 1000)
    continue_as_new(round + 1)


@pytest.mark.feature("CH-07")
async def test_the_run_timeout_starts_afresh_in_each_run(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(hang_in_the_third, 1, run_timeout=3)
        with pytest.raises(WorkflowFailure) as caught:
            await handle.result()
        assert virtual_time() == 2 + 2 + 3
        assert isinstance(caught.value.cause, RunTimedOut)
        assert caught.value.cause.kind is TimeoutKind.RUN


attempts: list[tuple[int, int]] = []


@workflow(registry=registry)
async def fails_twice_a_round(round: int) -> str:
    attempt = run_info().attempt
    attempts.append((round, attempt))
    if attempt < 3:
        raise ValueError("again")
    if round < 2:
        continue_as_new(round + 1)
    return "done"


@pytest.mark.feature("CH-07", "RT-02")
async def test_attempts_start_at_one_again_after_continuing(tmp_path: Path) -> None:
    attempts.clear()
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        policy = retry(first=1, attempts=3)
        assert await runtime.execute(fails_twice_a_round, 1, retry=policy) == "done"
        assert attempts == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


# -- a cancelled await of a child ----------------------------------------------------


@workflow(registry=registry)
async def tidy_child(end: str) -> str:
    try:
        await sleep(100)
    except asyncio.CancelledError as cancelled:
        await sleep(3)
        await note_nothing("tidied up")
        if end == "returns":
            return "done all the same"
        if end == "fails":
            raise ValueError("no way to tidy up") from cancelled
        raise RunCancelled("stopped", {"tidy": True}) from cancelled
    return "slept"


@workflow(registry=registry)
async def parent_of_tidy(end: str, setting: str, handle: bool) -> Any:
    seen: Any
    try:
        if handle:
            child = await start_child(
                tidy_child, end, id="kid", on_parent_close=setting
            )
            seen = await child
        else:
            seen = await execute_child(
                tidy_child, end, id="kid", on_parent_close=setting
            )
    except BaseException as error:
        seen = [type(error).__name__, *map(str, error.args[:1])]
        raise
    finally:
        await note_nothing(str(seen))
    return seen


@pytest.mark.feature("CH-01", "CH-03")
@pytest.mark.parametrize("handle", [True, False])
@pytest.mark.parametrize("setting", ["terminate", "cancel", "abandon"])
async def test_a_cancelled_parent_waits_for_the_clean_up_of_its_child(
    tmp_path: Path, setting: str, handle: bool
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        parent = await runtime.start(
            parent_of_tidy, args=("cancels", setting, handle), id="parent"
        )
        await asyncio.sleep(1)
        await parent.cancel(reason="enough")
        await asyncio.sleep(2)
        for id in ("parent", "kid"):
            assert (await runtime.handle(id).describe()).status is RunStatus.RUNNING
        with pytest.raises(WorkflowFailure) as stopped:
            await parent.result()
        assert virtual_time() == 4
        assert isinstance(stopped.value.cause, RunCancelled)
        with pytest.raises(WorkflowFailure) as stopped:
            await runtime.handle("kid").result()
        assert isinstance(stopped.value.cause, RunCancelled)
        assert stopped.value.cause.details == ({"tidy": True},)
        history = await runtime.handle("kid").history()
        assert [i.data["result"] for i in history if i.kind == "TaskCompleted"] == [
            "tidied up"
        ]


@pytest.mark.feature("CH-01")
@pytest.mark.parametrize(
    ("end", "seen"),
    [("returns", "done all the same"), ("fails", "no way to tidy up")],
)
async def test_what_becomes_of_the_child_counts(
    tmp_path: Path, end: str, seen: str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        parent = await runtime.start(parent_of_tidy, args=(end, "terminate", False))
        await asyncio.sleep(1)
        await parent.cancel()
        if end == "returns":
            assert await parent.result() == seen
        else:
            with pytest.raises(WorkflowFailure, match=seen) as failed:
                await parent.result()
            assert isinstance(failed.value.cause, ChildFailure)
        assert virtual_time() == 4


@workflow(registry=registry)
async def hasty_parent() -> str:
    try:
        async with asyncio.timeout(2):
            return await execute_child(tidy_child, "cancels", id="kid")
    except TimeoutError:
        return "given up"


@pytest.mark.feature("CH-01", "CH-02")
async def test_a_child_that_is_given_up_is_waited_for_over_a_crash(
    tmp_path: Path,
) -> None:
    database, copies = tmp_path / "a.db", []
    async with open_runtime(database, registry) as runtime:
        handle = await runtime.start(hasty_parent, id="parent")
        for _ in range(14):
            copies.append(
                (crash_image(database, f"at {virtual_time()}"), virtual_time())
            )
            await asyncio.sleep(0.5)
        assert await handle.result() == "given up"
    for copy, at in copies:
        async with open_runtime(copy, registry, at=EPOCH + at) as runtime:
            assert await runtime.handle("parent").result() == "given up"
            kid = await runtime.handle("kid").describe()
            assert kid.status is RunStatus.CANCELLED


@workflow(registry=registry)
async def changes_its_mind() -> str:
    child = asyncio.ensure_future(execute_child(tidy_child, "cancels", id="kid"))
    await asyncio.sleep(0)
    child.cancel()
    try:
        return await child
    except asyncio.CancelledError:
        return "no child"


@pytest.mark.feature("CH-01")
async def test_a_child_that_was_never_started_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(changes_its_mind) == "no child"
        with pytest.raises(RPCError):
            await runtime.handle("kid").describe()


# -- which child it was ----------------------------------------------------------------


@workflow(registry=registry)
async def fails_at_last(rounds: int) -> None:
    if rounds:
        continue_as_new(rounds - 1)
    raise ValueError("the last")


@workflow(registry=registry)
async def tells_of_its_child(rounds: int, caught: bool) -> Any:
    child = await start_child(fails_at_last, rounds, id="kid")
    try:
        await child
    except ChildFailure as failure:
        if not caught:
            raise
        return failure.workflow_id, failure.run_id, child.run_id
    return None


@pytest.mark.feature("CH-01", "ER-04")
@pytest.mark.parametrize("rounds", [0, 2])
async def test_the_failure_of_a_child_names_it(tmp_path: Path, rounds: int) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        found = await runtime.execute(tells_of_its_child, args=(rounds, True))
        last = (await runtime.handle("kid").describe()).run_id
        assert found[:2] == ("kid", last)
        assert (found[2] == last) is (rounds == 0)
        with pytest.raises(WorkflowFailure) as failed:
            await runtime.execute(tells_of_its_child, args=(rounds, False))
        failure = failed.value.cause
        assert isinstance(failure, ChildFailure)
        last = (await runtime.handle("kid").describe()).run_id
        for one in (failure, pickle.loads(pickle.dumps(failure))):
            assert (one.workflow_id, one.run_id) == ("kid", last)


# -- CH-06: search attributes ----------------------------------------------------------

LEVEL = SearchAttributeKey.for_int("Level")
OWNER = SearchAttributeKey.for_keyword("Owner")


@workflow(registry=registry)
async def levelling(given: bool, last: bool = False) -> Any:
    if not last:
        upsert_search_attributes(LEVEL.value_set(2))
        if not given:
            continue_as_new(given, True)
        pair = SearchAttributePair(LEVEL, 3)
        continue_as_new(given, True, search_attributes=TypedSearchAttributes([pair]))
    return {pair.key.name: pair.value for pair in run_info().search_attributes}


@pytest.mark.feature("CH-06")
@pytest.mark.parametrize(
    ("given", "seen"), [(True, {"Level": 3}), (False, {"Level": 2, "Owner": "ada"})]
)
async def test_the_successor_has_the_search_attributes_given_or_the_same(
    tmp_path: Path, given: bool, seen: dict[str, Any]
) -> None:
    async with open_runtime(
        tmp_path / "a.db", registry, declare_search_attributes=True
    ) as runtime:
        handle = await runtime.start(
            levelling,
            given,
            id="x",
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(OWNER, "ada")]
            ),
        )
        assert await handle.result() == seen
        level = seen["Level"]
        found = [run async for run in runtime.list(f"Level = {level}")]
        assert (await handle.describe()).run_id in [run.run_id for run in found]
        owners = [run async for run in runtime.list("Owner = 'ada'")]
        assert len(owners) == (1 if given else 2)
