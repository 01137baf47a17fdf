"""What a task knows of itself: context, identities, attempts."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from pathlib import Path
from typing import Any, assert_type

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunInfo,
    TaskContext,
    Worker,
    context,
    execute_child,
    retry,
    run_info,
    task,
    workflow,
)
from everact.runtime.functions import task_identifier
from tests.features.conftest import Site
from tests.features.killing import Program
from tests.features.stage import note, noted, stage

REGISTRY = Registry()


def in_a_thread(function: Any) -> Any:
    """What `function` gives in a plain thread, which inherits no context variables."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def facts(here: TaskContext) -> tuple[Any, ...]:
    return (
        here.workflow_id,
        here.run_id,
        here.parent_run_id,
        here.task_name,
        here.task_id,
        here.attempt_number,
        here.retry_count,
        here.cancelled,
    )


@task(registry=REGISTRY)
async def whoami(label: str) -> tuple[Any, ...]:
    return (label, *facts(context()))


@task(registry=REGISTRY)
def whoami_in_a_thread() -> tuple[Any, ...]:
    return facts(context())


@task(registry=REGISTRY)
async def second(label: str, here: TaskContext) -> tuple[str, str]:
    return (label, here.task_name)


@task(registry=REGISTRY)
async def first(here: TaskContext, label: str) -> tuple[str, str]:
    return (label, here.task_name)


@task(registry=REGISTRY)
async def by_keyword(label: str, *, here: TaskContext) -> tuple[str, str]:
    return (label, here.task_name)


@task(registry=REGISTRY)
def blocking(label: str, here: TaskContext) -> tuple[str, str]:
    return (label, here.task_name)


@task(registry=REGISTRY)
async def calling_plainly(label: str) -> Any:
    inner: Any = second
    sync: Any = blocking
    return [await inner(label), await sync(label), await whoami(label)]


@task(registry=REGISTRY)
async def from_threads() -> list[Any]:
    here = context()
    started = await asyncio.to_thread(in_a_thread, lambda: facts(here))
    beat = await asyncio.to_thread(in_a_thread, lambda: here.heartbeat("from afar"))
    return [facts(here) == started, beat]


@task(registry=REGISTRY, retry=retry(attempts=3, first="1s"))
async def failing_twice(label: str) -> str:
    here = context()
    note((here.retry_count, here.attempt_number, here.run_id, here.task_id))
    if here.attempt_number < 3:
        raise ConnectionError("not yet")
    return label


@task(registry=REGISTRY)
async def identifiers() -> list[str | None]:
    copied = contextvars.copy_context()
    return [
        task_identifier(),
        await asyncio.to_thread(task_identifier),
        in_a_thread(lambda: copied.run(task_identifier)),
        await asyncio.create_task(_identifier()),
    ]


async def _identifier() -> str | None:
    return task_identifier()


@task(registry=REGISTRY)
def identifier_in_a_thread() -> str | None:
    return task_identifier()


@workflow(registry=REGISTRY)
async def asking() -> list[Any]:
    return [run_info().run_id, await whoami("a"), await whoami_in_a_thread()]


@workflow(registry=REGISTRY)
async def asking_of_a_child() -> list[Any]:
    return [run_info().run_id, await execute_child(asking, id="the child")]


@workflow(registry=REGISTRY)
async def retried() -> str:
    return await failing_twice("done")


@workflow(registry=REGISTRY)
async def identified() -> list[Any]:
    return [await identifiers(), await identifier_in_a_thread()]


@workflow(registry=REGISTRY)
async def unidentified() -> list[str | None]:
    note("typed")
    return [task_identifier()]


@pytest.mark.feature("TC-01")
@pytest.mark.parametrize("target", [first, second, by_keyword, blocking])
async def test_a_task_gets_its_context_as_the_parameter_that_asks_for_it(
    runtime: Client, target: Any
) -> None:
    name = target.everact_name
    assert await runtime.execute(target, "x") == ("x", name)
    assert await runtime.execute(target, kwargs={"label": "x"}) == ("x", name)
    assert await target("x") == ("x", name)
    with pytest.raises(TypeError):
        await runtime.start(target, args=["x", "y"])


@pytest.mark.feature("TC-01")
async def test_a_task_called_within_a_task_has_the_context_of_the_outer_one(
    runtime: Client,
) -> None:
    inner, sync, found = await runtime.execute(calling_plainly, "x")
    assert inner == sync == ("x", "calling_plainly")
    assert found[4] == "calling_plainly"


@pytest.mark.feature("TC-01")
async def test_the_context_can_be_used_from_threads_that_the_task_starts(
    runtime: Client,
) -> None:
    assert await runtime.execute(from_threads) == [True, None]


@pytest.mark.feature("TC-01")
async def test_the_context_type_checks() -> None:
    def typed(here: TaskContext, info: RunInfo) -> None:
        assert_type(here.run_id, str)
        assert_type(here.parent_run_id, str | None)
        assert_type(here.attempt_number, int)
        assert_type(here.retry_count, int)
        assert_type(here.cancelled, bool)
        assert_type(here.done(), bool)
        assert_type(here.heartbeat_details, tuple[Any, ...])
        assert_type(here.parameters, dict[str, Any])
        assert_type(info.parent_run_id, str | None)

    assert typed is not None


@pytest.mark.feature("TC-01")
async def test_there_is_no_context_outside_of_a_task(runtime: Client) -> None:
    with pytest.raises(RuntimeError, match="inside a task"):
        context()
    assert await runtime.execute(without_context) == "RuntimeError"


@workflow(registry=REGISTRY)
async def without_context() -> str:
    try:
        context()
    except RuntimeError as error:
        return type(error).__name__
    return "there was one"


@pytest.mark.feature("TC-04")
async def test_the_run_id_is_the_same_in_all_tasks_of_the_run(runtime: Client) -> None:
    handle = await runtime.start(asking, id="x")
    own, one, other = await handle.result()
    assert own == handle.result_run_id
    assert one[1:3] == ("x", own)
    assert other[0:2] == ("x", own)
    assert one[5] != other[4]


@pytest.mark.feature("TC-04", "TC-07")
async def test_and_in_all_attempts(runtime: Client) -> None:
    handle = await runtime.start(retried)
    assert await handle.result() == "done"
    (run_id,) = {n[2] for n in stage.notes}
    assert run_id == handle.result_run_id
    assert len({n[3] for n in stage.notes}) == 1


@pytest.mark.feature("TC-05")
async def test_the_parent_run_id_is_that_of_the_parent_or_none(
    runtime: Client,
) -> None:
    _, one, other = await runtime.execute(asking)
    assert (one[3], other[2]) == (None, None)
    parent, (own, one, other) = await runtime.execute(asking_of_a_child)
    assert (one[3], other[2]) == (parent, parent)
    assert own != parent
    child = await runtime.handle("the child").describe()
    assert (child.run_id, child.parent_run_id) == (own, parent)


@pytest.mark.feature("TC-07", "RT-09")
async def test_a_task_failing_twice_counts_retries_and_attempts(
    runtime: Client,
) -> None:
    assert await runtime.execute(retried) == "done"
    assert [n[:2] for n in stage.notes] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.feature("TC-07", "RT-09")
async def test_attempts_are_counted_on_over_a_restart(site: Site) -> None:
    async with site.up() as runtime:
        await runtime.start(retried, id="x")
        while not stage.notes:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
    async with site.up() as runtime:
        assert await runtime.handle("x").result() == "done"
    assert [n[:2] for n in stage.notes] == [(0, 1), (1, 2), (2, 3)]


RESUMED = """
    import asyncio
    from everact.runtime import Runtime, context, retry, task, workflow

    @task(retry=retry(attempts=3, first=0.01))
    async def attempt() -> list:
        here = context()
        with open("attempts", "a+") as file:
            print(here.attempt_number, here.retry_count, file=file)
            file.seek(0)
            times = len(file.readlines())
        if times == 1:
            raise ConnectionError("not yet")
        if times == 2:
            print("second attempt runs")
            await asyncio.sleep(1000)
        return [here.attempt_number, here.retry_count]

    @workflow
    async def order() -> list:
        return await attempt()

    async def main() -> None:
        async with Runtime("everact.db") as runtime:
            handle = await runtime.start(order, id="x", on_conflict="attach")
            print(await handle.result())

    asyncio.run(main())
"""


@pytest.mark.kill
@pytest.mark.feature("TC-07", "RT-09")
def test_an_attempt_that_is_resumed_after_a_kill_keeps_its_number(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path, RESUMED)
    program.kill_at("second attempt runs")
    assert program.run() == ["[2, 1]"]
    assert (tmp_path / "attempts").read_text() == "1 0\n2 1\n2 1\n"


@pytest.mark.feature("EX-02")
async def test_the_task_identifier_is_known_in_the_task_and_in_its_threads(
    runtime: Client,
) -> None:
    handle = await runtime.start(identified)
    inside, in_thread = await handle.result()
    assert inside[0]
    assert inside == [inside[0]] * 4
    assert in_thread and in_thread != inside[0]


@pytest.mark.feature("EX-02")
async def test_there_is_none_outside_of_a_task_and_asking_never_raises(
    runtime: Client,
) -> None:
    assert task_identifier() is None
    assert in_a_thread(task_identifier) is None
    assert await asyncio.to_thread(task_identifier) is None
    assert await runtime.execute(unidentified) == [None]


@pytest.mark.feature("EX-02")
async def test_it_is_the_same_in_all_attempts_and_unlike_any_other(
    site: Site,
) -> None:
    async with site.up(workers=[Worker(slots=4)]) as runtime:
        one = await runtime.start(retried)
        two = await runtime.start(retried)
        await asyncio.gather(one.result(), two.result())
    found = {n[3] for n in stage.notes}
    assert len(found) == 2
    await noted(stage.notes[0])
