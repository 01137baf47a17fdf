"""Replay: equal code gives equal commands; other code is told, with both sides."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    cancel_run,
    continue_as_new,
    now,
    random,
    run_info,
    signal_run,
    sleep,
    start_child,
    task,
    uuid4,
    wait_condition,
    workflow,
)
from everact.runtime.core.records import (
    AwaitEvent,
    CancelCall,
    Complete,
    EventMatched,
    RunTask,
    StartTimer,
)
from everact.runtime.errors import NonDeterminismError
from everact.runtime.events import SleepCondition, UserEventCondition, any_of, wait_for
from everact.runtime.programs.coroutine import CoroutineProgram
from tests.programs.driven import Driven

REGISTRY = Registry()


@task(registry=REGISTRY)
def double(n: Any) -> Any:
    return 2 * n


@task(registry=REGISTRY)
def other(n: Any) -> Any:
    return n


@workflow(registry=REGISTRY)
async def child() -> None: ...


# -- the same code -------------------------------------------------------------------


def picture(program: CoroutineProgram) -> tuple[Any, ...]:
    """What of a program decides about its future."""
    loop = program.loop
    return (
        program.where(),
        program.stuck,
        loop.last_call,
        sorted(loop.calls),
        loop.now,
        [command.name for command in loop.commands if isinstance(command, RunTask)],
        [t.get_name() for t in loop._tasks if not t.done()],
    )


@pytest.mark.parametrize("steps", range(7))
def test_replaying_twice_equals_replaying_once_equals_living(steps: int) -> None:
    async def code() -> list[Any]:
        async with asyncio.timeout(100):
            one = await asyncio.gather(double(1), double(2), sleep(5))
        two = await double(random().random())
        await wait_condition(lambda: True)
        return [one, two, str(uuid4()), now().isoformat()]

    run = Driven(code)
    run.start()
    for _ in range(steps):
        if run.closing is None:
            run.step(REGISTRY)
    live, once, twice = run.program, run.replayed(), run.replayed()
    assert picture(once) == picture(twice) == picture(live)
    for program in (live, once, twice):
        program.close()


def test_a_replayed_program_goes_on_as_the_live_one_would() -> None:
    async def code() -> list[Any]:
        found = [await double(n) for n in range(4)]
        return [found, str(uuid4()), random().random()]

    live, other_life = Driven(code), Driven(code)
    live.start()
    other_life.start()
    while live.closing is None:
        live.step(REGISTRY)
        other_life.step(REGISTRY)
        other_life.restart()
    assert live.outcome() == other_life.outcome()
    assert live.script == other_life.script


def test_time_random_numbers_and_ids_are_the_runs_own() -> None:
    async def code() -> list[str]:
        await sleep(1)
        return [now().isoformat(), str(random().random()), str(uuid4())]

    def outcome(run_id: str, generation: int = 0) -> Any:
        run = Driven(code, run_id=run_id, generation=generation)
        run.play(REGISTRY)
        return run.outcome()[1:]

    one, two = (f"00000000-0000-4000-8000-{n:012}" for n in (1, 2))
    assert outcome(one) == outcome(one)
    assert outcome(one) != outcome(two)
    assert outcome(one, 0) != outcome(one, 1)


def test_replay_is_silent_where_live_code_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @workflow(registry=Registry())
    class Picky:
        @workflow.run
        async def run(self) -> None:
            await sleep(1)

        @workflow.signal
        def go(self, one: int) -> None: ...

    run = Driven(Picky)
    run.start()
    run.signal("go")
    assert "its arguments misfit" in caplog.text
    caplog.clear()
    run.replayed().close()
    assert caplog.text == ""


# -- other code ----------------------------------------------------------------------


async def original() -> None:
    await double(1)
    await sleep(5)
    await double(2)


async def other_task() -> None:
    await other(1)
    await sleep(5)


async def other_argument() -> None:
    await double(7)


async def other_type() -> None:
    await double(True)


async def another_task_beside() -> None:
    await asyncio.gather(double(1), other(1))


async def nothing_at_all() -> None:
    return


async def other_kind() -> None:
    await sleep(5)


async def other_moment() -> None:
    await double(1)
    await sleep(6)


async def ended_early() -> None:
    await double(1)


async def failing() -> None:
    await double(1)
    raise ValueError("changed")


async def a_child_instead() -> None:
    await (await start_child(child))


async def a_signal_instead() -> None:
    await signal_run("other", "go")


async def a_cancel_instead() -> None:
    await cancel_run("other")


async def continued_instead() -> None:
    await double(1)
    continue_as_new()


async def more_arguments() -> None:
    await double.with_options()(1)
    await asyncio.gather(sleep(5), sleep(6))


@pytest.mark.parametrize(
    ("code", "recorded", "produced"),
    [
        (
            other_task,
            "RunTask(call=1, name='double', 1)",
            "RunTask(call=1, name='other', 1)",
        ),
        (other_argument, "RunTask(call=1, name='double', 1)", "name='double', 7)"),
        (other_type, "RunTask(call=1, name='double', 1)", "name='double', True)"),
        (another_task_beside, "RunTask(call=1, name='double', 1)", "name='other'"),
        (nothing_at_all, "RunTask(call=1, name='double', 1)", "Complete(None)"),
        (other_kind, "RunTask(call=1, name='double', 1)", "StartTimer(call=1, due="),
        (other_moment, "StartTimer(call=2, due=1700000005.0)", "due=1700000006.0"),
        (ended_early, "StartTimer(call=2, due=1700000005.0)", "Complete(None)"),
        (failing, "StartTimer(call=2, due=1700000005.0)", "Fail(ValueError: changed)"),
        (a_child_instead, "RunTask(call=1, name='double', 1)", "StartChild(call=1"),
        (a_signal_instead, "RunTask(call=1, name='double', 1)", "SignalRun(call=1"),
        (a_cancel_instead, "RunTask(call=1, name='double', 1)", "CancelRun(call=1"),
        (continued_instead, "StartTimer(call=2, due=1700000005.0)", "ContinueAsNew"),
        (more_arguments, "StartTimer(call=2, due=1700000005.0)", "StartTimer(call=3"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_other_code_is_told_from_the_recorded_one_with_both_sides(
    code: Callable[..., Any], recorded: str, produced: str
) -> None:
    run = Driven(original)
    run.start()
    run.complete(1, 2)
    program = run.fresh(code)
    with pytest.raises(NonDeterminismError) as caught:
        program.replay(run.rows)
    program.close()
    run.program.close()
    error = caught.value
    assert recorded in error.recorded
    assert produced in error.produced
    assert error.recorded in str(error)
    assert error.produced in str(error)
    assert error.recorded != error.produced


@pytest.mark.parametrize(
    ("changed", "produced"),
    [
        (UserEventCondition("paid", scope="b", filter="n > 1"), "scope='b'"),
        (UserEventCondition("paid", scope="a", filter="n > 2"), "filter='n > 2'"),
        (UserEventCondition("sent", scope="a", filter="n > 1"), "key='sent'"),
        (SleepCondition(5), "StartTimer(call=1"),
    ],
    ids=str,
)
def test_a_wait_for_another_event_is_told(
    changed: UserEventCondition | SleepCondition, produced: str
) -> None:
    async def code() -> None:
        await wait_for("it", UserEventCondition("paid", scope="a", filter="n > 1"))

    async def other_wait() -> None:
        await wait_for("it", changed)

    run = Driven(code)
    run.start()
    run.replayed().close()
    with pytest.raises(NonDeterminismError) as caught:
        run.replayed(other_wait)
    run.program.close()
    assert caught.value.recorded == (
        "AwaitEvent(call=1, key='paid', scope='a', filter='n > 1')"
    )
    assert produced in caught.value.produced


def test_a_wait_is_met_on_replay_as_it_was() -> None:
    async def code() -> list[Any]:
        decided = UserEventCondition("decided", key="it")
        met = await wait_for("it", any_of(decided, SleepCondition(60)))
        again = await wait_for("it", any_of(decided, SleepCondition(60)))
        return [met["it"].event_id, met["it"].payload, again == met]

    run = Driven(code)
    timer, wait = run.start()
    assert isinstance(timer, StartTimer) or isinstance(wait, StartTimer)
    call = next(c.call for c in (timer, wait) if isinstance(c, AwaitEvent))
    given_up, closing = run.show(EventMatched(call, "e-1", "decided", b'j{"a":1}'))
    assert isinstance(given_up, CancelCall)
    assert isinstance(closing, Complete)
    assert run.outcome() == ["e-1", {"a": 1}, True]
    run.replayed().close()


def test_the_message_says_what_to_do() -> None:
    run = Driven(original)
    run.start()
    with pytest.raises(NonDeterminismError, match=r"Restore the code .* or terminate"):
        run.replayed(other_task)
    run.program.close()


def test_code_that_no_longer_comes_to_a_wait_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("everact.runtime.programs.coroutine._ENDLESS", 1000)

    async def endless() -> None:
        while True:
            await asyncio.sleep(0)

    run = Driven(original)
    run.start()
    with pytest.raises(NonDeterminismError, match="does not come to a wait"):
        run.replayed(endless)
    run.program.close()


async def with_sets(order: list[int]) -> None:
    await double({str(n) for n in order})


async def with_an_object() -> None:
    await double(object)


def test_values_are_compared_where_bytes_differ() -> None:
    """Equal sets pickle in the order in which they were filled."""

    async def one() -> None:
        await double({8: "a", 0: "b"})

    async def two() -> None:
        await double(dict(sorted({8: "a", 0: "b"}.items())))

    run = Driven(one)
    run.start()
    run.replayed(two).close()
    run.program.close()


def test_options_of_a_task_may_change() -> None:
    async def patient() -> None:
        await double.with_options(retries=5, timeout="9s")(1)
        await sleep(5)
        await double(2)

    run = Driven(original)
    run.start()
    run.complete(1, 2)
    run.replayed(patient).close()
    run.program.close()


def test_code_may_change_where_nothing_was_recorded_yet() -> None:
    async def longer() -> None:
        await double(1)
        await sleep(5)
        await other(3)
        await other(4)

    run = Driven(original)
    run.start()
    run.complete(1, 2)
    program = run.replayed(longer)
    run.program.close()
    run.program = program
    (command,) = run.fire(2)
    assert isinstance(command, RunTask)
    assert command.name == "other"
    program.close()


# -- another process -----------------------------------------------------------------

ELSEWHERE = """
import asyncio, sys
from everact.runtime import Registry, task
from tests.programs.driven import Driven, last

REGISTRY = Registry()
ballast = [object() for _ in range(int(sys.argv[1]))]

@task(registry=REGISTRY)
def step(n):
    return n

async def code():
    seen = []
    for n in (17, 40):
        tasks = {asyncio.create_task(step(i), name=str(i)) for i in range(n)}
        done, _ = await asyncio.wait(tasks, timeout=30)
        for t in done:
            seen.append(await step(t.result()))
        futures = {asyncio.ensure_future(asyncio.sleep(1, i)) for i in range(n)}
        for f in asyncio.as_completed(futures):
            seen.append(await step(await f))
    try:
        async with asyncio.TaskGroup() as group:
            for i in range(20):
                group.create_task(step(i))
            group.create_task(broken())
    except* ZeroDivisionError:
        pass
    return [seen, run_words()]

async def broken():
    await asyncio.sleep(0)
    1 / 0

def run_words():
    return sorted({"a", "b", "c"})

run = Driven(code)
run.play(REGISTRY, last)
for body in run.script:
    print(body.hex())
"""


def test_sets_of_tasks_are_ordered_alike_in_every_process(tmp_path: Path) -> None:
    """Other hash seeds, other addresses: the same commands, byte for byte."""
    script = tmp_path / "elsewhere.py"
    script.write_text(ELSEWHERE)
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    outputs = []
    for seed, ballast in (("1", 0), ("2", 12_345), ("3", 777)):
        found = subprocess.run(
            [sys.executable, script, str(ballast)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.stderr == ""
        outputs.append(found.stdout.splitlines())
    assert len(outputs[0]) > 100
    assert outputs[0] == outputs[1] == outputs[2]


async def facts() -> dict[str, Any]:
    await sleep(1)
    info = run_info()
    return {"id": info.workflow_id, "run": info.run_id, "started": info.started_at}


def test_who_the_run_is_does_not_change_with_replay() -> None:
    one, two = Driven(facts), Driven(facts)
    for run in (one, two):
        run.start()
    two.restart()
    one.play(REGISTRY)
    two.play(REGISTRY)
    assert one.outcome() == two.outcome()
