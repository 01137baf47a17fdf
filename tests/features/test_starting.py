"""Starting runs: targets, arguments, queues, delays, what an acknowledgement means."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Call,
    Client,
    Registry,
    RunHandle,
    RunStatus,
    Worker,
    WorkflowFailure,
    context,
    now,
    receive,
    run_info,
    task,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import RunTimedOut
from everact.runtime.statuses import TimeoutKind
from tests.features.conftest import Site
from tests.features.killing import Program
from tests.features.stage import note, noted, stage

REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(value: int) -> int:
    return 2 * value


@task(registry=REGISTRY)
async def occupy(label: str) -> str:
    note(label)
    await asyncio.sleep(100)
    return label


@task(registry=REGISTRY)
async def what_the_run_was_given() -> list[dict[str, Any]]:
    return [context().parameters, context().run_context]


@workflow(registry=REGISTRY)
async def nothing() -> str:
    return "nothing"


@workflow(registry=REGISTRY)
async def doubled(value: int) -> int:
    return await double(value)


@workflow(registry=REGISTRY)
async def joined(a: str, b: str, c: str = "!") -> str:
    return a + b + c


@workflow(registry=REGISTRY)
class Doubling:
    @workflow.run
    async def begin(self, value: int) -> int:
        return await double(value)

    async def not_marked(self, value: int) -> int:
        return value


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
async def occupied(label: str, elsewhere: str | None = None) -> str:
    occupying = occupy if elsewhere is None else occupy.with_options(queue=elsewhere)
    return await occupying(label)


@workflow(registry=REGISTRY)
async def begun_at() -> list[Any]:
    note("begun")
    return [now().timestamp(), await receive("go")]


@workflow(registry=REGISTRY)
async def given() -> list[dict[str, Any]]:
    info = run_info()
    note(info.parameters)
    return [info.parameters, info.context, *await what_the_run_was_given()]


@workflow(registry=REGISTRY)
async def named() -> str:
    await durable_sleep(1)
    return run_info().run_name


async def undecorated() -> None:
    return None


@pytest.mark.feature("ST-01", "ST-21")
async def test_a_run_started_without_a_worker_completes_once_there_is_one(
    site: Site,
) -> None:
    async with site.up(workers=[]) as runtime:
        started = await runtime.start(doubled, 21, id="waiting")
        view = await started.describe()
        assert (view.status, view.workflow) == (RunStatus.RUNNING, "doubled")
        assert "no worker" in str(view.aside)
    async with site.up(workers=[]) as runtime:
        assert (await runtime.handle("waiting").describe()).run_id == view.run_id
    async with site.up() as runtime:
        again = runtime.handle("waiting")
        assert await again.result() == 42
        assert (await again.describe()).run_id == view.run_id


@pytest.mark.feature("ST-02")
async def test_a_method_a_class_and_a_name_start_the_same_workflow(
    runtime: Client,
) -> None:
    assert await runtime.execute(Doubling.begin, args=[4]) == 8
    assert await runtime.execute(Doubling, 4) == 8
    assert await runtime.execute("Doubling", 4) == 8
    assert await runtime.execute(doubled, 4) == 8
    assert await runtime.execute("doubled", 4) == 8


@pytest.mark.feature("ST-02")
@pytest.mark.parametrize(
    "target", [undecorated, Doubling.not_marked, len, 7, None, Registry]
)
async def test_what_is_no_workflow_is_refused(runtime: Client, target: Any) -> None:
    with pytest.raises(TypeError, match="not a workflow"):
        await runtime.start(target)
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("ST-02")
async def test_an_unknown_name_waits_for_a_worker_that_knows_it(site: Site) -> None:
    registry = Registry()
    async with site.up(registry=registry) as runtime:
        handle: RunHandle[str] = await runtime.start("late", "x", id="late")
        view = await handle.describe()
        assert view.status is RunStatus.RUNNING
        assert "late" in str(view.aside)

        @workflow(registry=registry)
        async def unrelated() -> None:
            return None

        assert (await handle.describe()).status is RunStatus.RUNNING

        @workflow(registry=registry, name="late")
        async def late(value: str) -> str:
            return value + value

        assert await handle.result() == "xx"


@pytest.mark.feature("ST-02")
async def test_or_until_its_timeout_fires(runtime: Client) -> None:
    handle = await runtime.start("never there", run_timeout="5s")
    with pytest.raises(WorkflowFailure) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, RunTimedOut)
    assert failed.value.cause.kind is TimeoutKind.RUN


@pytest.mark.feature("ST-03")
@pytest.mark.parametrize(
    ("target", "call", "answer"),
    [
        (nothing, {}, "nothing"),
        (nothing, {"args": []}, "nothing"),
        (doubled, {"arg": 3}, 6),
        (doubled, {"args": [3]}, 6),
        (doubled, {"kwargs": {"value": 3}}, 6),
        (joined, {"args": ["a", "b", "c"]}, "abc"),
        (joined, {"args": ("a", "b")}, "ab!"),
        (joined, {"arg": "a", "kwargs": {"b": "b"}}, "ab!"),
        (Doubling.begin, {"arg": 3}, 6),
        ("nothing", {}, "nothing"),
        ("doubled", {"arg": 3}, 6),
        ("joined", {"args": ["a", "b", "c"]}, "abc"),
    ],
)
async def test_workflows_take_none_one_or_several_arguments(
    runtime: Client, target: Any, call: dict[str, Any], answer: object
) -> None:
    assert await runtime.execute(target, **call) == answer


@pytest.mark.feature("ST-03")
@pytest.mark.parametrize("argument", [None, [], (), [1, 2], {}, ""])
async def test_a_single_argument_is_passed_as_it_is(
    runtime: Client, argument: object
) -> None:
    found = await runtime.execute(echoed, argument)
    assert found == argument
    assert type(found) is type(argument)


@workflow(registry=REGISTRY)
async def echoed(value: object) -> object:
    return value


@pytest.mark.parametrize(
    ("target", "call"),
    [
        (nothing, {"arg": None}),
        (nothing, {"args": [1]}),
        (doubled, {}),
        (doubled, {"args": []}),
        (doubled, {"args": [1, 2]}),
        (doubled, {"kwargs": {"other": 1}}),
        (joined, {"arg": "a"}),
        (joined, {"args": ["a", "b", "c", "d"]}),
        (Doubling.begin, {}),
        (Doubling, {"args": [1, 2]}),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_naming_the_workflow(
    runtime: Client, target: Any, call: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"nothing|doubled|joined|Doubling"):
        await runtime.start(target, **call)
    assert [line async for line in runtime.list()] == []


async def test_arguments_that_do_not_fit_a_name_fail_its_run(runtime: Client) -> None:
    with pytest.raises(WorkflowFailure, match="TypeError"):
        await runtime.execute("doubled", args=[1, 2, 3])


async def test_both_arg_and_args_are_refused(runtime: Client) -> None:
    with pytest.raises(ValueError, match="not both"):
        await runtime.start(doubled, 1, args=[1])
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("ST-04")
async def test_each_run_executes_on_the_worker_of_its_queue(site: Site) -> None:
    workers = [Worker("left", name="west"), Worker("right", name="east")]
    async with site.up(workers=workers) as runtime:
        left = await runtime.start(occupied, "l", queue="left")
        right = await runtime.start(occupied, "r", queue="right")
        await asyncio.gather(noted("l"), noted("r"))
        assert [t.worker for t in (await left.describe()).pending_tasks] == ["west"]
        assert [t.worker for t in (await right.describe()).pending_tasks] == ["east"]
        assert (await left.describe()).queue == "left"


@pytest.mark.feature("ST-04")
async def test_a_run_is_offered_to_no_other_queue(site: Site) -> None:
    async with site.up(workers=[Worker("left")]) as runtime:
        handle = await runtime.start(doubled, 1, queue="right", id="right")
        await asyncio.sleep(1000)
        view = await handle.describe()
        assert view.status is RunStatus.RUNNING
        assert "'right'" in str(view.aside)
        assert await runtime.execute(doubled, 2, queue="left") == 4
    async with site.up(workers=[Worker("right")]) as runtime:
        assert await runtime.handle("right").result() == 2


@pytest.mark.feature("ST-04")
async def test_a_task_inherits_the_queue_unless_directed_elsewhere(site: Site) -> None:
    workers = [Worker("left", name="west"), Worker("right", name="east")]
    async with site.up(workers=workers) as runtime:
        handle = await runtime.start(occupied, args=["x", "right"], queue="left")
        await noted("x")
        (pending,) = (await handle.describe()).pending_tasks
        assert (pending.worker, pending.state) == ("east", "running")


@pytest.mark.feature("ST-05")
async def test_execute_gives_the_value_or_raises_the_failure(runtime: Client) -> None:
    assert await runtime.execute(doubled, 5) == 10
    with pytest.raises(WorkflowFailure) as failed:
        await runtime.execute(failing)
    assert "LookupError: nowhere" in str(failed.value)


@pytest.mark.feature("ST-07")
async def test_no_step_is_made_before_a_start_delay_is_over(
    runtime: Client, site: Site
) -> None:
    before = site.clock.now()
    handle = await runtime.start(begun_at, start_delay="2s")
    view = await handle.describe()
    assert (view.execution_time - view.start_time).total_seconds() == 2
    await asyncio.sleep(0.5)
    await handle.signal("go", "early")
    await asyncio.sleep(1.49)
    assert stage.notes == []

    begun, told = await handle.result()
    assert begun >= before + 2
    assert begun == pytest.approx(before + 2, abs=0.1)
    assert told == "early"


@pytest.mark.feature("ST-07")
async def test_a_start_delay_survives_restarts(site: Site) -> None:
    before = site.clock.now()
    async with site.up() as runtime:
        handle = await runtime.start(begun_at, start_delay=3600, id="delayed")
        await handle.signal("go", "early")
    await asyncio.sleep(600)
    async with site.up() as runtime:
        begun, _ = await runtime.handle("delayed").result()
        assert begun == pytest.approx(before + 3600, abs=0.1)


@pytest.mark.feature("ST-07")
async def test_a_start_delay_that_is_over_at_a_restart_is_not_waited_for(
    site: Site,
) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(begun_at, start_delay=60, id="delayed")
        await handle.signal("go", "early")
    await asyncio.sleep(600)
    back = site.clock.now()
    async with site.up() as runtime:
        begun, _ = await runtime.handle("delayed").result()
        assert begun == pytest.approx(back, abs=0.1)


@pytest.mark.feature("ST-07")
@pytest.mark.parametrize("limit", ["run_timeout", "execution_timeout"])
async def test_timeouts_count_from_the_end_of_a_start_delay(
    runtime: Client, site: Site, limit: str
) -> None:
    before = site.clock.now()
    options: dict[str, Any] = {limit: 30}
    handle = await runtime.start(begun_at, start_delay=60, **options)
    with pytest.raises(WorkflowFailure) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, RunTimedOut)
    assert site.clock.now() == pytest.approx(before + 90, abs=0.1)
    assert stage.notes == ["begun"]


@pytest.mark.feature("ST-07")
@pytest.mark.parametrize("ending", ["cancel", "terminate"])
async def test_a_delayed_run_that_is_ended_never_begins(
    runtime: Client, ending: str
) -> None:
    handle = await runtime.start(begun_at, start_delay=60)
    await getattr(handle, ending)()
    with pytest.raises(WorkflowFailure):
        await handle.result()
    await asyncio.sleep(120)
    assert stage.notes == []


@pytest.mark.feature("ST-07")
async def test_looking_at_a_delayed_run_does_not_begin_it(runtime: Client) -> None:
    handle = await runtime.start(begun_at, start_delay=60)
    await handle.describe()
    await handle.history()
    with pytest.raises(Exception, match="query"):
        await handle.query("anything")
    await asyncio.sleep(59)
    assert stage.notes == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("start_delay", -1),
        ("start_delay", "-1s"),
        ("start_delay", "90"),
        ("run_timeout", -0.5),
        ("execution_timeout", -1),
        ("task_timeout", -1),
        ("start_delay", float("nan")),
        ("start_delay", float("inf")),
    ],
)
async def test_a_negative_or_malformed_duration_is_refused(
    runtime: Client, option: str, value: Any
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=option):
        await runtime.start(nothing, **options)
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("ST-13")
async def test_parameters_and_context_are_readable_in_run_and_task(
    runtime: Client,
) -> None:
    parameters = {"depth": 3, "names": ["a", "b"], "deep": {"x": None}}
    about = {"tenant": "acme", "dry": True}
    handle = await runtime.start(given, parameters=parameters, context=about)
    assert await handle.result() == [parameters, about, parameters, about]
    view = await handle.describe()
    assert (view.parameters, view.context) == (parameters, about)


@pytest.mark.feature("ST-13")
async def test_a_run_without_parameters_sees_none(runtime: Client) -> None:
    assert await runtime.execute(given) == [{}, {}, {}, {}]


@pytest.mark.feature("ST-13")
@pytest.mark.parametrize("option", ["parameters", "context"])
@pytest.mark.parametrize("value", [{"x": object()}, {"x": {1j}}, ["x"], "x"])
async def test_parameters_and_context_must_be_json_able_dictionaries(
    runtime: Client, option: str, value: Any
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(TypeError, match=option):
        await runtime.start(given, **options)
    assert [line async for line in runtime.list()] == []


@pytest.mark.feature("ST-15")
async def test_two_runs_may_share_a_name(runtime: Client) -> None:
    first = await runtime.start(named, run_name="nightly import")
    second = await runtime.start(named, run_name="nightly import")
    assert first.id != second.id
    for handle in (first, second):
        assert (await handle.describe()).run_name == "nightly import"
        assert await handle.result() == "nightly import"
    assert {line.run_name async for line in runtime.list()} == {"nightly import"}


@pytest.mark.feature("ST-15")
async def test_a_run_without_a_name_gets_a_readable_one_that_stays(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(named, id="unnamed")
        name = (await handle.describe()).run_name
    async with site.up() as runtime:
        handle = runtime.handle("unnamed")
        assert await handle.result() == name
        assert (await handle.describe()).run_name == name
        assert [line.run_name async for line in runtime.list()] == [name]
    assert all(part.isalpha() for part in name.split("-"))
    assert len(name.split("-")) == 2


@pytest.mark.feature("ST-20")
async def test_the_identifier_of_a_dispatched_call_outlives_everything(
    site: Site, tmp_path: Path
) -> None:
    stored = tmp_path / "identifier"
    async with site.up() as runtime:
        stored.write_text(await runtime.dispatch(double.build_call(21)))
    async with site.up() as runtime:
        handle = runtime.handle(stored.read_text())
        assert await handle.result() == 42
        assert (await handle.describe()).status is RunStatus.COMPLETED


@pytest.mark.feature("ST-20")
async def test_identifiers_are_unique_and_good_for_cancelling(runtime: Client) -> None:
    identifiers = [await runtime.dispatch(Call("occupy", str(n))) for n in range(20)]
    assert len(set(identifiers)) == 20
    await noted("7")
    await runtime.handle(identifiers[7]).cancel()
    with pytest.raises(WorkflowFailure):
        await runtime.handle(identifiers[7]).result()
    view = await runtime.handle(identifiers[7]).describe()
    assert view.status is RunStatus.CANCELLED
    assert (await runtime.handle(identifiers[8]).describe()).status is RunStatus.RUNNING


ACKNOWLEDGED = """
    import asyncio, itertools, sys
    from everact.runtime import Runtime, receive, workflow

    @workflow
    async def order(number: int) -> int:
        return number + await receive("go")

    async def start() -> None:
        async with Runtime("everact.db") as runtime:
            for number in itertools.count():
                handle = await runtime.start(order, number, id=f"order-{number}")
                print(handle.id, handle.result_run_id)
                if number == 20:
                    print("enough")

    async def check() -> None:
        async with Runtime("everact.db") as runtime:
            async for line in runtime.list(page_size=50):
                await runtime.handle(line.workflow_id).signal("go", 1000)
                result = await runtime.handle(line.workflow_id).result()
                print(line.workflow_id, line.run_id, result)

    asyncio.run({"start": start, "check": check}[sys.argv[1]]())
"""


@pytest.mark.kill
@pytest.mark.feature("ST-21")
def test_every_acknowledged_start_survives_a_kill(tmp_path: Path) -> None:
    program = Program(tmp_path, ACKNOWLEDGED)
    acknowledged = {
        tuple(line.split())
        for line in program.kill_at("enough", "start")
        if line.startswith("order-") and len(line.split()) == 2
    }
    assert len(acknowledged) >= 21
    present = {tuple(line.split()) for line in program.run("check")}
    assert acknowledged <= {(id, run_id) for id, run_id, _ in present}
    assert {int(id.removeprefix("order-")) + 1000 for id, _, _ in present} == {
        int(result) for _, _, result in present
    }


@pytest.mark.feature("ST-21")
async def test_a_start_that_is_cut_off_made_its_run_whole_or_not_at_all(
    site: Site,
) -> None:
    async with site.up() as runtime:
        starts = [
            asyncio.ensure_future(runtime.start(doubled, n, id=str(n)))
            for n in range(30)
        ]
        for turns, start in enumerate(starts):
            for _ in range(turns % 6):
                await asyncio.sleep(0)
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
    async with site.up() as runtime:
        found = [line.workflow_id async for line in runtime.list()]
        for id in found:
            assert await runtime.handle(id).result() == 2 * int(id)
        acknowledged = {
            str(n) for n, s in enumerate(starts) if not s.cancelled() and s.done()
        }
        assert acknowledged <= set(found)
