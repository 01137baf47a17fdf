"""Rows FO: calls made together, and what becomes of the losers."""

from __future__ import annotations

import asyncio
import cProfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Call,
    Registry,
    RunHandle,
    Worker,
    call,
    context,
    gather,
    race,
    sleep,
    task,
    workflow,
)
from everact.runtime.errors import RPCError
from everact.runtime.functions import all, any
from everact.runtime.statuses import RPCStatus
from tests.features.support import (
    EPOCH,
    Stage,
    items,
    killed,
    kinds,
    note,
    notes,
    open_runtime,
    played,
    turns,
)

registry = Registry()
effects: list[str] = []
both = pytest.mark.parametrize("combine", [all, gather], ids=["all", "gather"])


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()


def virtual_time() -> float:
    return asyncio.get_running_loop().time()


@task(registry=registry)
async def give(value: Any, after: float = 0) -> Any:
    await asyncio.sleep(after)
    effects.append(f"gave {value}")
    return value


@task(registry=registry)
async def fail(text: str, after: float = 0) -> Any:
    await asyncio.sleep(after)
    effects.append(f"failed {text}")
    raise ValueError(text)


def branches(specified: list[tuple[str, Any, float]]) -> list[Awaitable[Any]]:
    return [(give if kind == "give" else fail)(v, t) for kind, v, t in specified]


Spec = list[tuple[str, Any, float]]
Combinator = Callable[..., Awaitable[Any]]
COMBINATORS: dict[str, Combinator] = {
    "all": all,
    "gather": gather,
    "race": race,
    "any": any,
}


@workflow(registry=registry)
async def combine(name: str, specified: Spec) -> Any:
    return await COMBINATORS[name](*branches(specified))


async def combined(path: Path, name: str, specified: Spec) -> Any:
    async with open_runtime(path / "a.db", registry) as runtime:
        handle = await runtime.start(combine, args=(name, specified))
        return await handle.value()


# -- FO-01 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def catch(text: str) -> str:
    try:
        await fail(text)
    except ValueError as error:
        return f"caught {error}"
    return "nothing"


@workflow(registry=registry)
async def one_call(kind: str, value: Any) -> Any:
    (call,) = branches([(kind, value, 0)])
    return await call


@pytest.mark.feature("FO-01")
async def test_a_call_returns_its_value_or_raises_its_error(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(one_call, args=("give", 3)) == 3
        assert await runtime.execute(catch, "no") == "caught no"
        handle = await runtime.start(one_call, args=("fail", "no"))
        with pytest.raises(ValueError, match="no"):
            await handle.value()
        assert await items(handle, "TaskCompleted") == []
        assert len(await items(handle, "TaskFailed")) == 1


@workflow(registry=registry)
async def lost(text: str) -> None:
    await fail(text)


@workflow(registry=registry)
async def described(calls: list[Call], how: str) -> Any:
    if how == "call":
        return await call(calls[0])
    if how == "await":
        return await calls[0]
    return await COMBINATORS[how](*calls)


@pytest.mark.feature("FO-01", "FO-02", "FO-03", "FO-04")
async def test_a_described_call_is_made_where_it_is_awaited(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:

        async def made(how: str, *calls: Call) -> Any:
            return await (
                await runtime.start(described, args=[list(calls), how])
            ).value()

        one, two = give.build_call(3), Call(give.everact_name, 4)
        for how in ("call", "await"):
            assert await made(how, one) == 3
            for function in (fail.everact_name, "lost"):
                with pytest.raises(ValueError, match="not this") as caught:
                    await made(how, Call(function, "not this"))
                assert type(caught.value) is ValueError
            assert await made(how, Call("catch", "that")) == "caught that"
            with pytest.raises(RPCError, match="'nobody'") as unknown:
                await made(how, Call("nobody"))
            assert unknown.value.status is RPCStatus.NOT_FOUND
        for how in ("all", "gather"):
            assert await made(how, one, two) == [3, 4]
        assert await made("race", one) == 3
        assert await made("any", Call(fail.everact_name, "no"), two) == 4
    assert effects.count("gave 3") == 5  # nothing is made twice


@pytest.mark.feature("FO-01")
async def test_a_described_call_is_made_inside_a_run_only() -> None:
    with pytest.raises(RuntimeError, match="inside a workflow only"):
        await call(give.build_call(1))
    with pytest.raises(RuntimeError, match="inside a workflow only"):
        await give.build_call(1)


@pytest.mark.feature("FO-01")
async def test_combinators_work_inside_a_run_only(tmp_path: Path) -> None:
    for combinator in COMBINATORS.values():
        with pytest.raises(RuntimeError, match="inside a workflow"):
            await combinator()


# -- FO-02, FO-03 --------------------------------------------------------------------


@pytest.mark.feature("FO-02", "FO-03")
@pytest.mark.parametrize("name", ["all", "gather"])
async def test_all_runs_together_and_keeps_the_order_of_arguments(
    tmp_path: Path, name: str
) -> None:
    specified = [("give", "slow", 1.0), ("give", "quick", 0.5), ("give", "b", 1.0)]
    assert await combined(tmp_path, name, specified) == ["slow", "quick", "b"]
    assert virtual_time() == 1
    assert effects[0] == "gave quick"


@pytest.mark.feature("FO-02", "FO-03")
@pytest.mark.parametrize("name", ["all", "gather"])
async def test_all_raises_the_first_error_without_waiting(
    tmp_path: Path, name: str
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        specified = [("give", 1, 1), ("fail", "late", 0.5), ("fail", "first", 0.1)]
        handle = await runtime.start(combine, args=(name, specified))
        with pytest.raises(ValueError, match="first"):
            await handle.value()
        assert virtual_time() == 0.1
        assert effects == ["failed first"]


@pytest.mark.feature("FO-02", "FO-03", "FO-04", "FO-05")
@pytest.mark.parametrize(
    ("name", "nothing"), [("all", []), ("gather", []), ("race", None), ("any", None)]
)
async def test_combining_nothing(tmp_path: Path, name: str, nothing: Any) -> None:
    assert await combined(tmp_path, name, []) == nothing


@pytest.mark.feature("FO-03")
def test_gather_is_another_name_for_all() -> None:
    assert gather is all


# -- FO-04 ---------------------------------------------------------------------------


@pytest.mark.feature("FO-04")
async def test_race_raises_the_error_that_comes_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        await combined(tmp_path, "race", [("fail", "no", 0.1), ("give", 1, 1)])
    assert virtual_time() == 0.1


@pytest.mark.feature("FO-04")
async def test_race_returns_the_value_that_comes_first(tmp_path: Path) -> None:
    specified = [("fail", "no", 1), ("give", "yes", 0.1)]
    assert await combined(tmp_path, "race", specified) == "yes"
    assert virtual_time() == 0.1


# -- FO-05 ---------------------------------------------------------------------------


@pytest.mark.feature("FO-05")
async def test_any_returns_the_first_success(tmp_path: Path) -> None:
    specified = [("fail", "no", 0.1), ("give", "later", 2), ("give", "yes", 1)]
    assert await combined(tmp_path, "any", specified) == "yes"
    assert virtual_time() == 1


@pytest.mark.feature("FO-05")
async def test_any_raises_the_sole_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alone"):
        await combined(tmp_path, "any", [("fail", "alone", 0.1)])


@workflow(registry=registry)
async def catch_group(specified: Spec) -> list[str]:
    try:
        await any(*branches(specified))
    except ExceptionGroup as group:
        return [f"{type(e).__name__} {e}" for e in group.exceptions]
    return []


@pytest.mark.feature("FO-05")
async def test_any_raises_all_errors_in_the_order_of_arguments(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        specified = [("fail", "a", 0.3), ("fail", "b", 0.1), ("fail", "c", 0.2)]
        assert await runtime.execute(catch_group, specified) == [
            "ValueError a",
            "ValueError b",
            "ValueError c",
        ]


# -- FO-06 ---------------------------------------------------------------------------


@workflow(registry=registry)
async def race_and_go_on(cancel: bool) -> str:
    winner = await race(give("quick", 0.1), watched(5), cancel_losers=cancel)
    await sleep(10)
    return f"{winner} won"


@workflow(registry=registry)
async def decide_and_go_on(name: str, cancel: bool) -> str:
    first = (fail if name == "all" else give)("quick", 0.1)
    try:
        found = await COMBINATORS[name](first, watched(5), cancel_losers=cancel)
    except ValueError:
        found = "failed"
    await sleep(10)  # the end of the run would cancel the loser too
    return str(found)


@task(registry=registry)
async def watched(after: float) -> str:
    """Notes whether it was told to stop; ends in its own time all the same."""
    ctx = context()
    due = virtual_time() + after
    while virtual_time() < due:
        try:
            await asyncio.sleep(due - virtual_time())
        except asyncio.CancelledError:
            effects.append("told to stop")
    effects.append(f"loser ended, cancelled {ctx.cancelled}")
    return "loser"


@pytest.mark.feature("FO-06")
async def test_a_loser_goes_on_and_its_side_effect_happens(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(race_and_go_on, False)
        assert await handle.result() == "quick won"
        assert effects == ["gave quick", "loser ended, cancelled False"]


@pytest.mark.feature("FO-06")
async def test_losers_are_cancelled_on_request(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(race_and_go_on, True)
        assert await handle.result() == "quick won"
        assert effects == [
            "gave quick",
            "told to stop",
            "loser ended, cancelled True",
        ]
        assert len(await items(handle, "TaskCompleted")) == 1


@pytest.mark.feature("FO-06")
@pytest.mark.parametrize("name", ["all", "any"])
@pytest.mark.parametrize("cancel", [True, False])
async def test_all_and_any_cancel_losers_on_request(
    tmp_path: Path, name: str, cancel: bool
) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(decide_and_go_on, args=(name, cancel))
        assert await handle.result() == ("failed" if name == "all" else "quick")
        decided = "failed quick" if name == "all" else "gave quick"
        told = ["told to stop"] if cancel else []
        assert effects == [decided, *told, f"loser ended, cancelled {cancel}"]


@pytest.mark.feature("FO-06")
async def test_losers_end_with_the_run(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        specified = [("give", "quick", 0.1), ("give", "slow", 5)]
        handle = await runtime.start(combine, args=("race", specified))
        assert await handle.result() == "quick"
        await asyncio.sleep(10)
        assert effects == ["gave quick"]


# -- FO-07 ---------------------------------------------------------------------------


@task(registry=registry)
async def noted(folder: str, number: int, after: float) -> int:
    note(folder, f"begun {number}")
    await asyncio.sleep(after)
    return number * number


@workflow(registry=registry)
async def ten_squares(folder: str) -> list[int]:
    return await all(*(noted(folder, n, 60 if n == 4 else 0.1) for n in range(10)))


async def nine_of_ten_are_done(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        await runtime.start(ten_squares, str(stage.folder), id="squares")
        await asyncio.sleep(5)
        await stage.die()


async def the_last_one(stage: Stage) -> None:
    async with stage.runtime(registry) as runtime:
        stage.say("result", await runtime.handle("squares").result())


@pytest.mark.kill
@pytest.mark.feature("FO-07")
def test_after_a_kill_only_the_missing_call_runs_again(tmp_path: Path) -> None:
    killed(nine_of_ten_are_done, tmp_path)
    assert len(notes(tmp_path)) == 10
    said = played(the_last_one, tmp_path, at=EPOCH + 6)
    assert said["result"] == [n * n for n in range(10)]
    assert notes(tmp_path)[10:] == ["begun 4"]


# -- FO-08 ---------------------------------------------------------------------------


async def chain(name: str, *steps: float) -> list[str]:
    return [await give(f"{name}{n}", after) for n, after in enumerate(steps)]


@workflow(registry=registry)
async def nested() -> Any:
    return await race(
        gather(chain("a", 1, 1, 1), chain("b", 1)),
        gather(chain("c", 0.5, 0.5), any(fail("no"), chain("d", 0.1)), race(give("e"))),
        all(all(all(chain("f", 5)))),
    )


@pytest.mark.feature("FO-08")
async def test_a_race_of_gathers_of_chains(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        assert await runtime.execute(nested) == [["c0", "c1"], ["d0"], "e"]
        assert virtual_time() == 1


# -- FO-09 ---------------------------------------------------------------------------

outer_loops: list[asyncio.Future[Any]] = []


@workflow(registry=registry)
async def combine_with_odd(name: str, odd: str) -> str:
    wrong: Any = 3 if odd == "integer" else outer_loops[-1]
    try:
        await COMBINATORS[name](give(1), wrong)
    except TypeError as error:
        return str(error)
    return "nothing was wrong"


@pytest.mark.feature("FO-09")
@pytest.mark.parametrize("name", list(COMBINATORS))
@pytest.mark.parametrize("odd", ["integer", "foreign future"])
async def test_what_is_not_durable_is_refused_before_any_branch_starts(
    tmp_path: Path, name: str, odd: str
) -> None:
    outer_loops.append(asyncio.get_running_loop().create_future())
    async with open_runtime(tmp_path / "a.db", registry) as runtime:
        handle = await runtime.start(combine_with_odd, args=(name, odd))
        assert f"argument 2 of {name.replace('gather', 'all')}" in await handle.result()
        assert (await kinds(handle))["RunTask"] == 0
        assert effects == []


# -- FO-10 ---------------------------------------------------------------------------

running = Counter[str]()


@task(registry=registry)
async def counted(number: int) -> int:
    running["now"] += 1
    running["most"] = max(running["most"], running["now"])
    await asyncio.sleep(0)
    running["now"] -= 1
    return number


@workflow(registry=registry)
async def wide(width: int) -> int:
    return sum(await gather(*(counted(n) for n in range(width))))


async def function_calls_of(width: int, handle: RunHandle[int]) -> int:
    """How many function calls the loop's thread makes until the run has ended."""
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    try:
        assert await handle.result() == sum(range(width))
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.feature("FO-10")
async def test_a_thousand_calls_stay_within_the_slots_and_cost_no_more_each(
    tmp_path: Path,
) -> None:
    running.clear()
    ten = [Worker(slots=10)]
    costs = {}
    async with open_runtime(tmp_path / "a.db", registry, workers=ten) as runtime:
        for width in (1000, 2000):
            handle = await runtime.start(wide, width)
            costs[width] = await function_calls_of(width, handle)
            found = await kinds(handle)
            assert found["RunTask"] == found["TaskCompleted"] == width
        await turns()
    assert running["most"] == 10
    assert costs[2000] < 2.5 * costs[1000]
