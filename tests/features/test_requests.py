"""A request ID names one request: the same again gets the same answer, and another one
under it is refused, also while the first is under way, and after a restart.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from everact.runtime import (
    Client,
    Registry,
    RunStatus,
    Runtime,
    context,
    receive,
    signal_run,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.requests import AUTOMATIC, OF_RUNS
from everact.runtime.core.schedules import Action, Backfill, Definition
from everact.runtime.errors import RequestIdReused, RPCError
from everact.runtime.operations import runs, schedules, tasks, updates
from everact.runtime.operations.batches import StartRuns, StartTogether
from everact.runtime.operations.events import PushEvent
from everact.runtime.operations.runs import RunRef
from everact.runtime.operations.starting import StartRun, StartSignal
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.operations.tasks import TaskRef
from everact.runtime.operations.updates import Update
from everact.runtime.statuses import RPCStatus
from everact.runtime.updates import StartOperation
from tests.features.conftest import Site
from tests.features.stage import note, stage

REGISTRY = Registry()
DAY = 24 * 3600.0


@workflow(registry=REGISTRY)
class Box:
    """Keeps what is put into it until it is closed."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.closed = False

    @workflow.run
    async def run(self) -> list[Any]:
        await wait_condition(lambda: self.closed)
        return self.found

    @workflow.signal
    def put(self, thing: Any = None) -> None:
        self.found.append(thing)

    @workflow.signal
    def drop(self) -> None:
        self.found.clear()

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.update
    def add(self, thing: Any) -> int:
        self.found.append(thing)
        return len(self.found)

    @workflow.query
    def things(self) -> list[Any]:
        return self.found


@task(registry=REGISTRY)
async def elsewhere() -> str:
    note("asked")
    context().complete_elsewhere()


@workflow(registry=REGISTRY)
async def ordering() -> str:
    return await elsewhere()


BOX = RunRef(workflow_id="box")
THING = (b'j"thing"',)
HOUR = Backfill(0.0, 3600.0)
EVERY = Definition(action=Action(workflow="Box"))
REPORT = TaskRef(workflow_id="order", task_id="1")


def distinct() -> dict[str, Any]:
    """Requests of all kinds that are different ones, in an order in which all do."""
    add = Update(update_id="u", name="add", args=THING)
    start = StartRun(workflow="Box", workflow_id="new", on_conflict="use_existing")
    return {
        "start": StartRun(workflow="Box", workflow_id="one"),
        "start of another ID": StartRun(workflow="Box", workflow_id="two"),
        "start of another workflow": StartRun(workflow="ordering", workflow_id="three"),
        "start with a signal": StartRun(
            workflow="Box", workflow_id="one", signal=StartSignal(name="put")
        ),
        "start with an update": updates.SendWithStart(start=start, update=add),
        "signal": runs.SignalRun(run=BOX, name="put", args=THING),
        "signal of another name": runs.SignalRun(run=BOX, name="drop"),
        "signal to another run": runs.SignalRun(
            run=RunRef(workflow_id="two"), name="put"
        ),
        "update": updates.SendUpdate(run=BOX, update=add),
        "update of another ID": updates.SendUpdate(
            run=BOX, update=replace(add, update_id="v")
        ),
        "cancel": runs.CancelRun(run=RunRef(workflow_id="one")),
        "cancel of another run": runs.CancelRun(run=RunRef(workflow_id="two")),
        "terminate": runs.TerminateRun(run=RunRef(workflow_id="three")),
        "event": PushEvent(key="paid"),
        "event of another key": PushEvent(key="sent"),
        "event of another scope": PushEvent(key="paid", scope="order"),
        "create": schedules.CreateSchedule(id="s", schedule=EVERY),
        "create of another": schedules.CreateSchedule(id="t", schedule=EVERY),
        "change": schedules.UpdateSchedule(id="s", schedule=EVERY, serial=1),
        "pause": schedules.PauseSchedule(id="s"),
        "resume": schedules.ResumeSchedule(id="s"),
        "trigger": schedules.TriggerSchedule(id="s"),
        "trigger of another": schedules.TriggerSchedule(id="t"),
        "backfill": schedules.BackfillSchedule(id="s", backfills=(HOUR,)),
        "delete": schedules.DeleteSchedule(id="s"),
        "fail": tasks.FailTask(
            task=REPORT, failure=Failure(FailureKind.APPLICATION, "E", "no")
        ),
        "report": tasks.ReportCancelled(task=REPORT),
        "complete": tasks.CompleteTask(task=REPORT),
    }


async def call(runtime: Client, request: Any, request_id: str) -> Any:
    return await runtime.transport.call(replace(request, request_id=request_id))


async def begun(runtime: Client) -> None:
    """What all of them are about is there."""
    await runtime.start(Box, id="box")
    await runtime.start(ordering, id="order")
    await stage.noted("asked")


def test_requests_of_every_kind_that_has_an_id_are_told_apart() -> None:
    kinds = {kind for kind, row in OPERATIONS.items() if row.target is not None}
    assert {type(request) for request in distinct().values()} == kinds


@pytest.mark.feature("ID-11")
async def test_the_same_again_gets_the_same_answer_and_any_other_is_refused(
    site: Site,
) -> None:
    unlucky = {"fail", "report"}  # what they are for is done when they are tried
    requests = {k: v for k, v in distinct().items() if k not in unlucky}
    answers: dict[str, Any] = {}
    async with site.up() as runtime:
        await begun(runtime)
        for kind, request in requests.items():
            answers[kind] = await call(runtime, request, f"the {kind}")
            assert await call(runtime, request, f"the {kind}") == answers[kind], kind
    async with site.up() as runtime:
        before = [line async for line in runtime.list()]
        for kind, request in requests.items():
            assert await call(runtime, request, f"the {kind}") == answers[kind], kind
            for other, another in distinct().items():
                if other != kind:
                    with pytest.raises(RequestIdReused) as refused:
                        await call(runtime, another, f"the {kind}")
                    assert refused.value.request_id == f"the {kind}"
                    assert refused.value.first != refused.value.second
        assert [line async for line in runtime.list()] == before
        assert await runtime.handle("box").query(Box.things) == ["thing", "thing"]
        assert [event.key async for event in runtime.events.list()] == [
            "paid",
            "sent",
            "paid",
        ]


@pytest.mark.feature("ID-11")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("start", "start of another ID"),
        ("signal", "signal of another name"),
        ("signal", "start"),
        ("start with an update", "signal"),
        ("update", "signal"),
        ("event", "event of another key"),
        ("create", "create of another"),
        ("complete", "fail"),
    ],
)
async def test_while_the_first_is_under_way_it_is_the_same(
    runtime: Client, first: str, second: str
) -> None:
    await begun(runtime)
    requests = distinct()
    found = await asyncio.gather(
        *(
            call(runtime, requests[kind], "r")
            for kind in (first, second, first, second, first)
        ),
        return_exceptions=True,
    )
    carried_out = [one for one in found if not isinstance(one, RequestIdReused)]
    refused = [one for one in found if isinstance(one, RequestIdReused)]
    assert (len(carried_out), len(refused)) in ((3, 2), (2, 3))
    assert all(one == carried_out[0] for one in carried_out)
    assert not [one for one in carried_out if isinstance(one, BaseException)]
    if first == "signal" and second != "start":
        await runtime.handle("box").signal(Box.close)
        assert len(await runtime.handle("box").result()) <= 1


@pytest.mark.feature("ID-11")
async def test_what_was_refused_leaves_the_id_free(runtime: Client) -> None:
    with pytest.raises(RPCError) as unknown:
        await runtime.handle("box").signal(Box.put, 1, request_id="r")
    assert unknown.value.status is RPCStatus.NOT_FOUND
    handle = await runtime.start(Box, id="box", request_id="r")
    with pytest.raises(RequestIdReused, match=r"'r' was used for runs\.start of 'Box'"):
        await handle.signal(Box.put, 1, request_id="r")
    assert await handle.query(Box.things) == []


@pytest.mark.feature("ID-11")
async def test_the_values_of_the_first_time_count(runtime: Client) -> None:
    handle = await runtime.start(Box, id="box")
    for thing in (1, 2):
        await handle.signal(Box.put, thing, request_id="r")
    assert await handle.query(Box.things) == [1]


@pytest.mark.feature("ID-11")
async def test_another_run_of_the_id_is_another_target(runtime: Client) -> None:
    first = await runtime.start(Box, id="box")
    await first.signal(Box.put, request_id="r")
    assert first.result_run_id is not None
    pinned = runtime.handle("box", run_id=first.result_run_id)
    await pinned.signal(Box.put, request_id="r")  # the same run, named more closely
    await first.terminate()
    second = await runtime.start(Box, id="box")
    await runtime.handle("box").signal(Box.put, request_id="r")  # the same words
    assert second.result_run_id is not None
    other = runtime.handle("box", run_id=second.result_run_id)
    with pytest.raises(RequestIdReused):
        await other.signal(Box.put, request_id="r")
    assert await other.query(Box.things) == []


@pytest.mark.feature("ID-11")
async def test_a_start_that_found_its_run_finds_the_same_one_again(
    site: Site,
) -> None:
    async with site.up() as runtime:
        one = await runtime.start(Box, id="box")

        async def again() -> str | None:
            found = await runtime.start(
                Box, id="box", on_conflict="use_existing", request_id="r"
            )
            return found.result_run_id

        assert await again() == one.result_run_id
        await one.terminate()
    async with site.up() as runtime:
        assert await again() == one.result_run_id
        assert (await runtime.count()).count == 1


@pytest.mark.feature("ID-11", "ST-19")
async def test_in_a_batch_each_start_has_its_own_id(runtime: Client) -> None:
    await runtime.start(Box, id="a", request_id="r")
    starts = tuple(
        StartRun(workflow="Box", workflow_id=id, request_id=request_id)
        for id, request_id in (("a", "r"), ("b", "r"), ("c", "s"), ("d", "s"))
    )
    outcomes = await runtime.transport.call(StartRuns(starts=starts))
    assert [one.error and (one.error.type, one.error.status) for one in outcomes] == [
        None,
        ("RequestIdReused", RPCStatus.ALREADY_EXISTS),
        None,
        ("RequestIdReused", RPCStatus.ALREADY_EXISTS),
    ]
    with pytest.raises(RequestIdReused):
        await runtime.transport.call(StartTogether(starts=starts[1:3]))
    with pytest.raises(RPCError, match="two of the starts have request ID 's'"):
        await runtime.transport.call(StartTogether(starts=starts[2:]))
    found = Counter([line.workflow_id async for line in runtime.list()])
    assert found == {"a": 1, "c": 1}


@pytest.mark.feature("ID-11", "MS-13")
async def test_a_repeated_start_with_an_update_updates_once(runtime: Client) -> None:
    for _ in range(2):
        start = StartOperation(
            Box, id="box", on_conflict="use_existing", request_id="r"
        )
        assert await runtime.updates.execute_with(Box.add, 1, start=start) == 1


@pytest.mark.feature("ID-11")
@pytest.mark.parametrize("retention", [None, "1s", "30d"])
async def test_an_id_is_kept_a_day_whatever_the_retention(
    site: Site, retention: str | None
) -> None:
    async with site.up(retention=retention) as runtime:
        one = await runtime.start(Box, id="box", request_id="start")
        event = await runtime.events.push("tick", request_id="push")
        await one.signal(Box.put, 1, request_id="put")
        await one.signal(Box.close)
        await asyncio.sleep(DAY - 60)
        again = await runtime.start(Box, id="box", request_id="start")
        assert again.result_run_id == one.result_run_id
        assert await runtime.events.push("tick", request_id="push") == event
        await asyncio.sleep(61)
        two = await runtime.start(Box, id="box", request_id="start")
        assert two.result_run_id != one.result_run_id
        assert await runtime.events.push("tick", request_id="push") != event
        assert await runtime.events.push("tick", request_id="push") != event
        await two.signal(Box.put, 2, request_id="put")
        assert await two.query(Box.things) == [2]
        await asyncio.sleep(DAY + 1300)
        with sqlite3.connect(site.path) as connection:
            assert connection.execute("select * from requests").fetchall() == []
        connection.close()
        assert (await two.describe()).status is RunStatus.RUNNING


# -- whose IDs they are ----------------------------------------------------------------


@pytest.mark.feature("ID-11")
@pytest.mark.parametrize("ours", [AUTOMATIC + "0", OF_RUNS + "0", "everact:"])
async def test_ids_of_our_own_are_not_for_users(runtime: Client, ours: str) -> None:
    with pytest.raises(RPCError, match="everact's own") as refused:
        await runtime.start(Box, id="box", request_id=ours)
    assert refused.value.status is RPCStatus.INVALID_ARGUMENT
    assert (await runtime.count()).count == 0


@workflow(registry=REGISTRY)
async def teller() -> str:
    await signal_run("heard", "say", "hello")
    return "told"


@workflow(registry=REGISTRY)
async def heard() -> Any:
    return await receive("say")


@pytest.mark.feature("ID-11", "MS-12")
async def test_what_runs_ask_of_each_other_never_meets_a_users_id(
    site: Site,
) -> None:
    async with site.up() as runtime:
        if not isinstance(runtime, Runtime):
            pytest.skip("it looks at what is in the engine")
        engine = runtime.engine
        await runtime.start(Box, id="box", request_id="run/0/1")
        assert not engine.requests.was_sent("default", "run/0/1")
        await runtime.start(heard, id="heard")
        told = await runtime.start(teller, id="teller")
        assert await told.result() == "told"
        assert await runtime.handle("heard").result() == "hello"
        calls = [f"{told.result_run_id}/0/{number}" for number in range(9)]
        assert any(engine.requests.was_sent("default", call) for call in calls)
