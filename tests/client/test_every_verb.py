"""Headers and a deadline of its own for every verb of a client, over the wire."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from everact.runtime import (
    Call,
    Client,
    Registry,
    RunHandle,
    context,
    receive,
    task,
    workflow,
)
from everact.runtime.client.events import Events
from everact.runtime.client.search_attributes import SearchAttributeKeys
from everact.runtime.client.versions import VersionsClient
from everact.runtime.client.with_start import Updates
from everact.runtime.errors import RPCError, UpdateTimedOutOrCancelled
from everact.runtime.runs import TaskHandle
from everact.runtime.schedules import (
    Schedule,
    ScheduleBackfill,
    ScheduleHandle,
    Schedules,
    ScheduleSpec,
    StartWorkflow,
)
from everact.runtime.search import SearchAttributeKey
from everact.runtime.statuses import RPCStatus
from everact.runtime.updates import StartOperation, UpdateHandle
from everact.runtime.versions import AddNewDefault
from tests.client.servers import Front, free_port

pytestmark = pytest.mark.real_time

REGISTRY = Registry()
NOUNS = (
    Client,
    Events,
    RunHandle,
    ScheduleHandle,
    Schedules,
    SearchAttributeKeys,
    TaskHandle,
    UpdateHandle,
    Updates,
    VersionsClient,
)
TEAM = SearchAttributeKey.for_keyword("Team")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@workflow(registry=REGISTRY)
class Tally:
    @workflow.run
    async def run(self) -> Any:
        return await receive("go")

    @workflow.query
    def seven(self) -> int:
        return 7

    @workflow.update
    def plus(self, number: int) -> int:
        return number + 1


@task(registry=REGISTRY)
async def handed_over(name: str) -> str:
    context().complete_elsewhere()
    return name


@workflow(registry=REGISTRY)
async def asking(name: str) -> str:
    return await handed_over(name)


@REGISTRY.function
async def negated(number: int) -> int:
    return -number


def started() -> StartOperation[Any]:
    return StartOperation(Tally.run, id="with", on_conflict="use_existing")


YEARLY = Schedule(StartWorkflow(Tally.run), ScheduleSpec(cron_expressions=["@yearly"]))


def the_task(client: Client, name: str) -> TaskHandle:
    return client.task_handle(workflow_id=name, task_id="1")


async def drained(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


async def listed(client: Client, rpc: Any) -> list[Any]:
    return await drained(await client.schedules.list(**rpc))


async def got(client: Client, rpc: Any) -> Any:
    (event,) = [event async for event in client.events.list()]
    return await client.events.get(event.event_id, **rpc)


# What is asked in the order of this table, so that each finds what it needs.
Verb = Callable[[Client, Any], Awaitable[Any]]
VERBS: dict[str, Verb] = {
    "Client.start": lambda c, rpc: c.start(Tally.run, id="one", **rpc),
    "Client.execute": lambda c, rpc: c.execute("negated", 3, id="negated", **rpc),
    "Client.dispatch": lambda c, rpc: c.dispatch(Call("negated", 1), **rpc),
    "Client.search": lambda c, rpc: drained(c.search(**rpc)),
    "Client.list": lambda c, rpc: drained(c.list(**rpc)),
    "Client.count": lambda c, rpc: c.count(**rpc),
    "RunHandle.describe": lambda c, rpc: c.handle("one").describe(**rpc),
    "RunHandle.history": lambda c, rpc: c.handle("one").history(**rpc),
    "RunHandle.follow_history": lambda c, rpc: drained(
        c.handle("one").follow_history(wait=False, **rpc)
    ),
    "RunHandle.query": lambda c, rpc: c.handle("one").query("seven", **rpc),
    "RunHandle.update": lambda c, rpc: c.handle("one").update("plus", 1, **rpc),
    "RunHandle.start_update": lambda c, rpc: c.handle("one").start_update(
        "plus", 1, id="u", wait_for="accepted", **rpc
    ),
    "UpdateHandle.result": lambda c, rpc: (
        c.handle("one").update_handle("u").result(**rpc)
    ),
    "Updates.execute_with": lambda c, rpc: c.updates.execute_with(
        "plus", 1, start=started(), **rpc
    ),
    "Updates.start_with": lambda c, rpc: c.updates.start_with(
        "plus", 1, start=started(), wait_for="accepted", **rpc
    ),
    "RunHandle.signal": lambda c, rpc: c.handle("one").signal("go", "gone", **rpc),
    "RunHandle.result": lambda c, rpc: c.handle("one").result(**rpc),
    "RunHandle.value": lambda c, rpc: c.handle("one").value(**rpc),
    "RunHandle.cancel": lambda c, rpc: c.handle("with").cancel(**rpc),
    "RunHandle.terminate": lambda c, rpc: c.handle("ended").terminate(**rpc),
    "SearchAttributeKeys.add": lambda c, rpc: c.search_attributes.add(TEAM, **rpc),
    "SearchAttributeKeys.list": lambda c, rpc: c.search_attributes.list(**rpc),
    "SearchAttributeKeys.remove": lambda c, rpc: c.search_attributes.remove(
        TEAM, **rpc
    ),
    "Schedules.create": lambda c, rpc: c.schedules.create("s", YEARLY, **rpc),
    "Schedules.list": listed,
    "ScheduleHandle.describe": lambda c, rpc: c.schedules.handle("s").describe(**rpc),
    "ScheduleHandle.update": lambda c, rpc: c.schedules.handle("s").update(
        lambda view: YEARLY, **rpc
    ),
    "ScheduleHandle.pause": lambda c, rpc: c.schedules.handle("s").pause(**rpc),
    "ScheduleHandle.resume": lambda c, rpc: c.schedules.handle("s").resume(**rpc),
    "ScheduleHandle.trigger": lambda c, rpc: c.schedules.handle("s").trigger(**rpc),
    "ScheduleHandle.backfill": lambda c, rpc: c.schedules.handle("s").backfill(
        ScheduleBackfill(MOMENT, MOMENT + timedelta(days=1)), **rpc
    ),
    "ScheduleHandle.delete": lambda c, rpc: c.schedules.handle("s").delete(**rpc),
    "Events.push": lambda c, rpc: c.events.push("paid", 1, **rpc),
    "Events.get": got,
    "Events.list": lambda c, rpc: drained(c.events.list(**rpc)),
    "VersionsClient.update": lambda c, rpc: c.versions.update(
        "ships", AddNewDefault("1.0"), **rpc
    ),
    "VersionsClient.sets": lambda c, rpc: c.versions.sets("ships", **rpc),
    "VersionsClient.reachability": lambda c, rpc: c.versions.reachability(
        ["1.0"], **rpc
    ),
    "TaskHandle.heartbeat": lambda c, rpc: the_task(c, "a").heartbeat(1, **rpc),
    "TaskHandle.complete": lambda c, rpc: the_task(c, "a").complete("b", **rpc),
    "TaskHandle.fail": lambda c, rpc: the_task(c, "b").fail(ValueError("no"), **rpc),
    "TaskHandle.report_cancellation": lambda c, rpc: the_task(
        c, "nobody's"
    ).report_cancellation(**rpc),
}

# These ask again: their deadline is that of each request, and so never over for them.
ENDLESS = {"RunHandle.result", "RunHandle.value", "RunHandle.follow_history"}


def test_no_verb_is_left_out() -> None:
    taking = {
        f"{noun.__name__}.{name}"
        for noun in NOUNS
        for name, verb in vars(noun).items()
        if inspect.isfunction(verb) and not name.startswith("_")
        if any(
            p.kind is p.VAR_KEYWORD for p in inspect.signature(verb).parameters.values()
        )
    }
    assert set(VERBS) == taking - {"Client.handle", "Client.handle_for"}  # ask nothing


@pytest.mark.feature("CX-07")
async def test_every_verb_sends_its_headers_with_each_request(front: Front) -> None:
    own: Any = {"rpc_metadata": {"K": "2", "mine": "yes"}}
    async with await Client.connect(
        front.target, rpc_metadata={"k": "1", "ours": "yes"}
    ) as client:
        for name in ("a", "b"):
            await client.start(asking, name, id=name)
        await client.start(Tally.run, id="ended")
        for name, verb in VERBS.items():
            front.asked.clear()
            try:
                await verb(client, own)
            except RPCError:
                assert name == "TaskHandle.report_cancellation"
            sent = [headers for path, headers in front.asked if path != "/healthz"]
            if name == "Events.get":
                del sent[0]  # the listing that found the event
            assert sent, name
            for headers in sent:
                found = [headers.get(key) for key in ("k", "ours", "mine")]
                assert found == ["2", "yes", "yes"], name
        front.asked.clear()
        await client.count()
        assert front.asked[-1][1]["k"] == "1"
        assert "mine" not in front.asked[-1][1]


@pytest.mark.feature("CX-08")
@pytest.mark.parametrize("name", sorted(VERBS.keys() - ENDLESS - {"Events.get"}))
async def test_every_verb_is_over_when_its_deadline_is(name: str) -> None:
    frozen = Front(f"127.0.0.1:{free_port()}")
    frozen.freeze()
    async with (
        frozen.running() as target,
        await Client.connect(target, lazy=True) as client,
    ):
        with pytest.raises((RPCError, UpdateTimedOutOrCancelled)) as late:
            await VERBS[name](client, {"rpc_timeout": timedelta(milliseconds=20)})
        if isinstance(late.value, RPCError):
            assert late.value.status is RPCStatus.DEADLINE_EXCEEDED
        assert len([path for path, _ in frozen.asked if path != "/healthz"]) <= 1
