"""Rows MS-20, WT-02 to WT-08, ST-18 and TC-10: user events, and durable waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Client,
    Registry,
    RunStatus,
    Runtime,
    TaskContext,
    WorkflowFailure,
    context,
    continue_as_new,
    execute_child,
    run_info,
    sleep,
    task,
    workflow,
)
from everact.runtime.engine.parts.events import BATCH
from everact.runtime.errors import RPCError, ValueNotStorable
from everact.runtime.events import (
    EventView,
    ReceivedEvent,
    SleepCondition,
    UserEventCondition,
    any_of,
    wait_for,
)
from everact.runtime.schedules import Schedule, StartWorkflow
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site
from tests.features.stage import stage
from tests.features.support import (
    EPOCH,
    Stage,
    crash_image,
    items,
    killed,
    kinds,
    open_runtime,
    played,
    turns,
)

REGISTRY = Registry()


def plain(met: dict[str, Any]) -> dict[str, Any]:
    """What a wait returned, as JSON: payloads, and seconds slept."""
    return {
        key: value.payload
        if isinstance(value, ReceivedEvent)
        else value.total_seconds()
        for key, value in met.items()
    }


def nothing_is_given_out_later(runtime: Runtime) -> None:
    """As in an engine that has no more time for it."""
    runtime.engine.events._later = lambda job: None  # type: ignore[method-assign]


@workflow(registry=REGISTRY)
async def approval(order: str) -> str:
    """Wait for a decision about an order, for a day at most."""
    decided = UserEventCondition("order:decided", scope=order, key="decided")
    met = await wait_for(
        "decision", any_of(decided, SleepCondition("1d", key="timeout"))
    )
    if "timeout" in met:
        return f"{order} was not decided"
    return f"{order} was decided by {met['decided'].payload['by']}"


@workflow(registry=REGISTRY, on_events=["order:decided"])
async def audit(decision: dict[str, str]) -> str:
    return f"{decision['by']} decided, told by {run_info().event_key}"


@pytest.mark.feature("MS-20", "ST-18")
async def test_an_event_wakes_who_waits_and_starts_who_subscribes(
    runtime: Client,
) -> None:
    ours = await runtime.start(approval, "order-1")
    theirs = await runtime.start(approval, "order-2")
    event_id = await runtime.events.push(
        "order:decided", {"by": "Ada"}, scope="order-1"
    )
    assert await ours.result() == "order-1 was decided by Ada"
    started = runtime.handle(f"{event_id}/audit")
    assert await started.result() == "Ada decided, told by order:decided"
    assert await theirs.result() == "order-2 was not decided"
    assert asyncio.get_running_loop().time() == pytest.approx(86400)


# -- MS-20 ---------------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def wait_once(key: str, filter: str | None, scope: str | None) -> Any:
    """What met one event condition: the event's ID and payload."""
    condition = UserEventCondition(key, filter=filter, scope=scope, key="it")
    met = await wait_for("once", condition)
    return [met["it"].event_id, met["it"].key, met["it"].payload]


async def waiting(client: Client, *given: Any, id: str | None = None) -> Any:
    """A run of `wait_once` whose wait is recorded."""
    padded = (*given, None, None)[:3]
    handle = await client.start(wait_once, args=padded, id=id)
    assert (await kinds(handle))["AwaitEvent"] == 1
    return handle


@pytest.mark.feature("MS-20")
async def test_one_push_wakes_two_waiting_runs(runtime: Client) -> None:
    one, two = await waiting(runtime, "tick"), await waiting(runtime, "tick")
    other = await waiting(runtime, "tock")
    event_id = await runtime.events.push("tick", [1, {"a": None}])
    assert await one.result() == [event_id, "tick", [1, {"a": None}]]
    assert await two.result() == [event_id, "tick", [1, {"a": None}]]
    assert (await other.describe()).status is RunStatus.RUNNING
    assert (await other.describe()).pending_events == ("tock",)


@pytest.mark.feature("MS-20")
async def test_an_event_is_kept_with_its_payload_scope_and_metadata(
    runtime: Client,
) -> None:
    first = await runtime.events.push(
        "paid", {"amount": 7}, scope="a", metadata={"source": "till"}
    )
    second = await runtime.events.push("paid")
    third = await runtime.events.push("sent", "text", scope="a")
    kept = await runtime.events.get(first)
    assert kept == EventView(
        first, "paid", "a", {"amount": 7}, {"source": "till"}, kept.time
    )

    async def ids(**chosen: Any) -> list[str]:
        found = runtime.events.list(**chosen)
        return [event.event_id async for event in found]

    assert await ids() == [third, second, first]
    assert await ids(page_size=1) == [third, second, first]
    assert await ids(key="paid") == [second, first]
    assert await ids(scope="a") == [third, first]
    assert await ids(key="paid", scope="a") == [first]
    with pytest.raises(RPCError, match="no event 'unknown'") as refused:
        await runtime.events.get("unknown")
    assert refused.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("MS-20")
async def test_a_repeated_push_is_the_same_event(runtime: Client) -> None:
    handle = await waiting(runtime, "tick")
    first, second = await asyncio.gather(
        runtime.events.push("tick", 1, request_id="once"),
        runtime.events.push("tick", 1, request_id="once"),
    )
    assert first == second == await runtime.events.push("tick", 2, request_id="once")
    assert await handle.result() == [first, "tick", 1]
    assert [e.payload async for e in runtime.events.list()] == [1]


@pytest.mark.feature("MS-20")
async def test_an_event_stays_in_its_namespace(site: Site) -> None:
    async with site.up(namespace="ours") as ours:
        handle = await waiting(ours, "tick", id="a")
        theirs = Client(ours.transport, namespace="theirs")
        event_id = await theirs.events.push("tick", "theirs")
        with pytest.raises(RPCError, match="no event"):
            await ours.events.get(event_id)
        assert [e async for e in ours.events.list()] == []
        event_id = await ours.events.push("tick", "ours")
        assert await handle.result() == [event_id, "tick", "ours"]


@pytest.mark.feature("MS-20")
async def test_an_event_that_is_none_is_refused(runtime: Client) -> None:
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"key": ""}, ValueError),
        ({"key": 1}, TypeError),
        ({"key": "\ud800"}, ValueError),
        ({"key": "k", "scope": ""}, ValueError),
        ({"key": "k", "metadata": ["a"]}, TypeError),
        ({"key": "k", "payload": object()}, ValueNotStorable),
        ({"key": "k", "metadata": {"a": object()}}, ValueNotStorable),
    ]
    for given, kind in refused:
        with pytest.raises(kind):
            await runtime.events.push(**given)
    assert [e async for e in runtime.events.list()] == []


# -- WT-02, WT-08 --------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def two_sleeps(named: bool) -> float:
    slept = timedelta()
    for turn in range(2):
        if named:
            met = await wait_for(f"sleep {turn}", SleepCondition(1))
            slept += met["sleep:1s"]
        else:
            slept += await sleep(1)
    return slept.total_seconds()


@pytest.mark.feature("WT-02", "WT-08")
async def test_a_sleep_is_a_wait_with_one_sleep_condition(runtime: Client) -> None:
    asleep = await runtime.start(two_sleeps, False)
    named = await runtime.start(two_sleeps, True)
    assert await asleep.result() == await named.result() == 2
    assert asyncio.get_running_loop().time() == pytest.approx(2)
    assert await kinds(asleep) == await kinds(named)


# -- WT-03 ---------------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def same_wait_twice(together: bool) -> list[Any]:
    async def one() -> Any:
        met = await wait_for("it", UserEventCondition("tick"), SleepCondition(1))
        return plain(met)

    if together:
        return list(await asyncio.gather(one(), one()))
    return [await one(), await one()]


@pytest.mark.feature("WT-03")
@pytest.mark.parametrize("together", [True, False])
async def test_whoever_waits_under_the_same_key_gets_the_same_outcome(
    runtime: Client, together: bool
) -> None:
    handle = await runtime.start(same_wait_twice, together)
    await runtime.events.push("tick", 1)
    await asyncio.sleep(2)
    await runtime.events.push("tick", 2)
    assert await handle.result() == [{"tick": 1, "sleep:1s": 1}] * 2
    assert (await kinds(handle))["AwaitEvent"] == 1


@workflow(registry=REGISTRY)
async def given_up_and_made_again() -> list[str]:
    seen: list[str] = []
    for _ in range(2):
        try:
            async with asyncio.timeout(5):
                met = await wait_for("it", UserEventCondition("tick"))
        except TimeoutError:
            seen.append("timed out")
        else:
            seen.append(met["tick"].payload)
    return seen


@pytest.mark.feature("WT-03")
async def test_a_wait_that_nobody_awaits_any_more_is_given_up(runtime: Client) -> None:
    handle = await runtime.start(given_up_and_made_again)
    await asyncio.sleep(6)
    assert (await handle.describe()).pending_events == ("tick",)
    await runtime.events.push("tick", "second")
    assert await handle.result() == ["timed out", "second"]
    seen = await kinds(handle)
    assert (seen["AwaitEvent"], seen["EventMatched"]) == (2, 1)


@workflow(registry=REGISTRY)
async def misuse(how: str) -> str:
    waits: dict[str, Any] = {
        "no condition": lambda: wait_for("k"),
        "no key": lambda: wait_for("", SleepCondition(1)),
        "the same key twice": lambda: wait_for(
            "k", SleepCondition("1m"), SleepCondition(60)
        ),
        "empty group": lambda: wait_for("k", any_of()),
        "negative": lambda: wait_for("k", SleepCondition(-1)),
        "no unit": lambda: wait_for("k", SleepCondition("5")),
        "no event key": lambda: wait_for("k", UserEventCondition("")),
        "empty scope": lambda: wait_for("k", UserEventCondition("e", scope="")),
        "look-back without scope": lambda: wait_for(
            "k", UserEventCondition("e", look_back="1h")
        ),
        "broken filter": lambda: wait_for("k", UserEventCondition("e", filter="a = ")),
        "ordering filter": lambda: wait_for(
            "k", UserEventCondition("e", filter="a = 1 ORDER BY a")
        ),
        "other conditions": lambda: wait_for("taken", SleepCondition(2)),
    }
    waiter = asyncio.create_task(wait_for("taken", SleepCondition(1)))
    await asyncio.sleep(0)
    try:
        await waits[how]()
    except ValueError as error:
        await waiter
        return f"{type(error).__name__}: {error}"
    return "waited"


MISUSES = {
    "no condition": "a wait needs a condition",
    "no key": "signal_key must not be empty",
    "the same key twice": "two conditions have the key 'sleep:60s'",
    "empty group": "any_of needs a condition",
    "negative": "must not be negative",
    "no unit": "is not a duration",
    "no event key": "must not be empty",
    "empty scope": "must not be empty",
    "look-back without scope": "look_back takes a scope",
    "broken filter": "the filter is wrong at character",
    "ordering filter": "neither orders nor groups",
    "other conditions": "names a wait for other conditions",
}


@pytest.mark.feature("WT-03", "WT-07", "WT-08")
async def test_a_wait_that_cannot_be_is_refused_when_it_is_made(
    runtime: Client,
) -> None:
    for how, says in MISUSES.items():
        handle = await runtime.start(misuse, how)
        assert says in await handle.result()
        assert (await kinds(handle))["AwaitEvent"] == 0


# -- WT-04, WT-05 --------------------------------------------------------------------


@workflow(registry=REGISTRY)
async def sleep_and_event(grouped: bool) -> dict[str, Any]:
    conditions = SleepCondition("1s"), UserEventCondition("tick")
    if grouped:
        return plain(await wait_for("both", any_of(*conditions)))
    return plain(await wait_for("both", *conditions))


@pytest.mark.feature("WT-04", "WT-05")
async def test_all_conditions_must_be_met_but_of_a_group_one(runtime: Client) -> None:
    every = await runtime.start(sleep_and_event, False)
    any_one = await runtime.start(sleep_and_event, True)
    await asyncio.sleep(2)
    await runtime.events.push("tick", "late")
    assert await every.result() == {"sleep:1s": 1, "tick": "late"}
    assert await any_one.result() == {"sleep:1s": 1}

    async def ended(handle: Any) -> float:
        closed = (await handle.describe()).close_time
        return float((closed - (await handle.describe()).start_time).total_seconds())

    assert await ended(every) == pytest.approx(2)
    assert await ended(any_one) == pytest.approx(1)


@workflow(registry=REGISTRY)
async def inspected() -> list[str]:
    met = await wait_for(
        "all kinds",
        SleepCondition("1m30s"),
        SleepCondition(0.5, key="short"),
        UserEventCondition("tick", key="named"),
        UserEventCondition("tock"),
        any_of(UserEventCondition("never"), UserEventCondition("tick", key="grouped")),
    )
    return [f"{key}: {met[key]!r}" for key in sorted(met)]


@pytest.mark.feature("WT-05")
async def test_a_wait_returns_what_met_each_condition_by_its_key(
    runtime: Client,
) -> None:
    handle = await runtime.start(inspected)
    tick = await runtime.events.push("tick", {"a": [1]})
    tock = await runtime.events.push("tock")
    payloads = f"event_id={tick!r}, key='tick', payload={{'a': [1]}}"
    assert await handle.result() == [
        f"grouped: ReceivedEvent({payloads})",
        f"named: ReceivedEvent({payloads})",
        "short: datetime.timedelta(microseconds=500000)",
        "sleep:90s: datetime.timedelta(seconds=90)",
        f"tock: ReceivedEvent(event_id={tock!r}, key='tock', payload=None)",
    ]
    (given_up,) = await items(handle, "CancelCall")
    awaited = {i.data["key"]: i.data["call"] for i in await items(handle, "AwaitEvent")}
    assert given_up.data["call"] == awaited["never"]


@workflow(registry=REGISTRY)
async def event_or_timeout(seconds: float) -> dict[str, Any]:
    paid = UserEventCondition("paid", filter="amount >= 10")
    return plain(await wait_for("paid", any_of(paid, SleepCondition(seconds))))


@pytest.mark.feature("WT-08", "WT-04")
async def test_a_sleep_in_a_group_is_the_timeout_of_an_event(runtime: Client) -> None:
    in_time = await runtime.start(event_or_timeout, 10)
    late = await runtime.start(event_or_timeout, 3)
    await asyncio.sleep(5)
    await runtime.events.push("paid", {"amount": 10})
    assert await in_time.result() == {"paid": {"amount": 10}}
    assert await late.result() == {"sleep:3s": 3}
    assert (await kinds(in_time))["CancelCall"] == 1
    assert (await in_time.describe()).pending_timers == ()


# -- WT-06 ---------------------------------------------------------------------------


@task(registry=REGISTRY)
def waits_in_a_task(how: str) -> str:
    calls: dict[str, Any] = {
        "wait_for": lambda: context().wait_for("k", SleepCondition(1)),
        "sleep_for": lambda: context().sleep_for(1),
        "wait_for without service": lambda: wait_for("k", SleepCondition(1)).send(None),
    }
    try:
        calls[how]()
    except ValueError as error:
        return str(error)
    return "waited"


@workflow(registry=REGISTRY)
async def waits_in_its_task(how: str) -> str:
    return await waits_in_a_task(how)


@pytest.mark.feature("WT-06")
async def test_an_ordinary_task_has_no_durable_waits(runtime: Client) -> None:
    for how in ("wait_for", "sleep_for", "wait_for without service"):
        assert "durable" in await runtime.execute(waits_in_its_task, how)
    assert asyncio.get_running_loop().time() == pytest.approx(0)


@pytest.mark.feature("WT-06")
def test_a_context_without_the_service_refuses_at_once() -> None:
    made = TaskContext(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wait in the workflow"):
        _ = made.wait_for("k", SleepCondition(1))
    with pytest.raises(ValueError, match="wait in the workflow"):
        _ = made.sleep_for("1s")


# -- WT-07 ---------------------------------------------------------------------------


@pytest.mark.feature("WT-07")
async def test_only_a_matching_event_after_the_wait_counts(runtime: Client) -> None:
    await runtime.events.push("paid", {"order": {"id": 7}}, scope="eu")
    handle = await waiting(runtime, "paid", "order.id = 7", "eu")
    misfits: list[tuple[Any, str | None]] = [
        ({"order": {"id": 8}}, "eu"),
        ({"order": {"id": 7}}, "us"),
        ({"order": {"id": 7}}, None),
        ({}, "eu"),
        ([7], "eu"),
        (None, "eu"),
    ]
    for payload, scope in misfits:
        await runtime.events.push("paid", payload, scope=scope)
        assert (await handle.describe()).status is RunStatus.RUNNING, payload
    event_id = await runtime.events.push("paid", {"order": {"id": 7}}, scope="eu")
    assert await handle.result() == [event_id, "paid", {"order": {"id": 7}}]


@pytest.mark.feature("WT-07")
async def test_without_a_scope_events_of_every_scope_count(runtime: Client) -> None:
    handle = await waiting(runtime, "tick")
    event_id = await runtime.events.push("tick", scope="any")
    assert await handle.result() == [event_id, "tick", None]


@workflow(registry=REGISTRY)
async def look_back(scope: str, back: str, filter: str | None) -> Any:
    condition = UserEventCondition("tick", scope=scope, look_back=back, filter=filter)
    return (await wait_for("past", condition))["tick"].payload


@pytest.mark.feature("WT-07")
async def test_a_look_back_takes_the_oldest_event_of_its_time(runtime: Client) -> None:
    for number in range(4):
        await runtime.events.push("tick", {"n": number}, scope="a")
        await asyncio.sleep(10)
    assert await runtime.execute(look_back, args=("a", "1m", None)) == {"n": 0}
    assert await runtime.execute(look_back, args=("a", "25s", None)) == {"n": 2}
    assert await runtime.execute(look_back, args=("a", "1m", "n > 2")) == {"n": 3}
    for given in (("a", "5s", None), ("b", "1m", None), ("a", "1m", "n > 3")):
        handle = await runtime.start(look_back, args=given)
        assert (await handle.describe()).status is RunStatus.RUNNING
        await runtime.events.push("tick", {"n": 9}, scope=given[0])
        assert await handle.result() == {"n": 9}
        await asyncio.sleep(100)


@pytest.mark.feature("WT-07")
async def test_a_look_back_that_a_crash_cut_off_is_made_up_for(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, REGISTRY) as runtime:
        await runtime.events.push("tick", {"n": 1}, scope="a")
        nothing_is_given_out_later(runtime)
        await runtime.start(look_back, args=("a", "1m", None), id="a")
        copy = crash_image(database, "crashed")
        await runtime.handle("a").terminate()
    async with open_runtime(copy, REGISTRY) as runtime:
        assert await runtime.handle("a").result() == {"n": 1}


# -- events and runs that are not in memory ------------------------------------------


@pytest.mark.feature("MS-20", "WT-03")
@pytest.mark.parametrize("in_memory", [20, 1000])
async def test_a_crowd_gets_its_event_in_memory_or_put_away(
    tmp_path: Path, in_memory: int
) -> None:
    count = 2 * BATCH + 10  # they take turns
    database = tmp_path / "a.db"
    async with open_runtime(database, REGISTRY, idle_runs=in_memory) as runtime:
        given = [
            ("tick", f"n = {n % 3}" if n % 2 else None, None) for n in range(count)
        ]
        handles = await asyncio.gather(
            *(runtime.start(wait_once, args=one) for one in given)
        )
        await turns()
        assert len(runtime.engine.runs) <= min(2 * in_memory, count)
        first = await runtime.events.push("tick", {"n": 1})
        second = await runtime.events.push("tick", {"n": 0})
        third = await runtime.events.push("tick", {"n": 2})
        expected = {None: first, "n = 1": first, "n = 0": second, "n = 2": third}
        for handle, (_, filter, _) in zip(handles, given, strict=True):
            assert (await handle.result())[0] == expected[filter]
        await turns()
        await runtime.engine.commits.idle()
        assert runtime.engine.store.rows("open_events") == []
        assert not runtime.engine.events._waits
        assert not runtime.engine.events._late


@pytest.mark.feature("MS-20")
async def test_a_run_whose_code_is_away_keeps_its_event(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_runtime(database, REGISTRY) as runtime:
        await waiting(runtime, "tick", id="a")
    async with open_runtime(database, Registry()) as runtime:
        event_id = await runtime.events.push("tick", 1)
        assert (await runtime.handle("a").describe()).status is RunStatus.RUNNING
    async with open_runtime(database, REGISTRY) as runtime:
        assert await runtime.handle("a").result() == [event_id, "tick", 1]


@workflow(registry=REGISTRY)
async def wait_in_each_run(left: int) -> list[Any]:
    met = plain(await wait_for("next", UserEventCondition("tick")))
    stage.note(met["tick"])
    if left:
        continue_as_new(left - 1)
    return [met["tick"]]


@pytest.mark.feature("WT-03")
async def test_a_run_that_continues_waits_anew(runtime: Client) -> None:
    handle = await runtime.start(wait_in_each_run, 2)
    for number in range(3):
        await runtime.events.push("tick", number)
        await asyncio.sleep(1)
    assert await handle.result() == [2]
    assert stage.notes == [0, 1, 2]


@pytest.mark.feature("MS-20")
async def test_what_ends_otherwise_waits_no_more(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY) as runtime:
        for end in ("terminate", "cancel"):
            handle = await waiting(runtime, "tick")
            await getattr(handle, end)()
            with pytest.raises(WorkflowFailure):
                await handle.result()
        store, events = runtime.engine.store, runtime.engine.events
        assert store.rows("waits_for", "default", "tick", "", 99, -1, -1, 9) == []
        assert not events._waits
        assert not events._of_run


@pytest.mark.feature("MS-20")
async def test_old_events_leave_the_database_with_closed_runs(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "a.db", REGISTRY, retention="1h") as runtime:
        await runtime.events.push("tick", 1)
        await asyncio.sleep(3000)
        kept = await runtime.events.push("tick", 2)
        assert len([e async for e in runtime.events.list()]) == 2
        await asyncio.sleep(1300)
        assert [e.event_id async for e in runtime.events.list()] == [kept]


# -- ST-18, TC-10 --------------------------------------------------------------------


@dataclass
class User:
    name: str
    age: int


@task(registry=REGISTRY)
async def is_triggered() -> bool:
    return context().triggered_by_event


@workflow(registry=REGISTRY)
async def how_started() -> list[Any]:
    """Whether an event started this run: as its task and as its own code see it."""
    info = run_info()
    seen = [await is_triggered(), info.triggered_by_event, info.event_key]
    stage.note(seen)
    return seen


@workflow(registry=REGISTRY, on_events=["user:created", "user:changed"])
async def welcome(user: User) -> list[Any]:
    assert isinstance(user, User)
    child = await execute_child(how_started)
    return [user.name, await is_triggered(), run_info().event_id, child]


@workflow(registry=REGISTRY, on_events=["user:created"])
class Index:
    @workflow.run
    async def run(self, user: dict[str, Any]) -> list[Any]:
        return [user, await is_triggered(), run_info().event_id]


@workflow(registry=REGISTRY, on_events=["user:created"])
async def count_letters(name: str) -> int:
    return len(name)


async def runs_of(client: Client) -> list[str]:
    return sorted([line.workflow_id async for line in client.list()])


@pytest.mark.feature("ST-18", "TC-10")
async def test_an_event_starts_one_run_for_each_subscriber(runtime: Client) -> None:
    ada = {"name": "Ada", "age": 36}
    event_id = await runtime.events.push("user:created", ada)
    direct = await runtime.execute(how_started)
    assert direct == [False, False, None]
    names = ("Index", "count_letters", "welcome")
    started = {name: runtime.handle(f"{event_id}/{name}") for name in names}
    child = [False, False, None]
    assert await started["welcome"].result() == ["Ada", True, event_id, child]
    assert await started["Index"].result() == [ada, True, event_id]
    with pytest.raises(WorkflowFailure) as failed:
        await started["count_letters"].result()
    assert "payload of the event does not fit 'name'" in str(failed.value.cause)
    for handle in started.values():
        view = await handle.describe()
        assert (view.event_id, view.event_key) == (event_id, "user:created")
    other = await runtime.start(how_started)
    assert (await other.describe()).event_id is None


@pytest.mark.feature("TC-10")
async def test_no_event_triggers_the_runs_of_a_cron_chain(runtime: Client) -> None:
    handle = await runtime.start(how_started, id="cron", cron_schedule="* * * * *")
    await stage.noted([False, False, None], 2)
    await handle.terminate()


@pytest.mark.feature("TC-10")
async def test_no_event_triggers_the_run_of_a_schedule(runtime: Client) -> None:
    schedule = Schedule(StartWorkflow(how_started, id="scheduled"))
    await runtime.schedules.create("s", schedule, trigger_immediately=True)
    await stage.noted([False, False, None])


@pytest.mark.feature("ST-18")
async def test_a_repeated_push_starts_nothing_twice(runtime: Client) -> None:
    given: dict[str, Any] = {"name": "Ada", "age": 36}
    pushed = {
        await runtime.events.push("user:changed", given, request_id="r")
        for _ in range(3)
    }
    (event_id,) = pushed
    await runtime.handle(f"{event_id}/welcome").result()
    assert [i for i in await runs_of(runtime) if i.startswith(event_id)] == [
        f"{event_id}/welcome"
    ]


@pytest.mark.feature("ST-18")
def test_a_subscription_that_cannot_be_is_refused_when_it_is_made() -> None:
    registry = Registry()
    with pytest.raises(TypeError, match="a list of event keys"):
        workflow(registry=registry, on_events="user:created")
    with pytest.raises(ValueError, match="must not be empty"):
        workflow(registry=registry, on_events=[""])
    subscribed = workflow(registry=registry, on_events=["a", "b", "a"])
    with pytest.raises(TypeError, match="payload of one as its only argument"):

        @subscribed
        async def takes_two(one: int, two: int) -> None: ...

    assert registry.workflows == {}

    @subscribed
    async def takes_one(one: int, two: int = 2) -> None: ...

    assert [w.name for w in registry.subscribers("a")] == [takes_one.everact_name]
    assert registry.subscribers("c") == ()


# -- kills ---------------------------------------------------------------------------

ADA = {"name": "Ada", "age": 36}
CROWD = 30


async def all_waiting(stage: Stage) -> None:
    async with stage.runtime(REGISTRY) as runtime:
        await runtime.start(two_sleeps, False, id="plain")
        await runtime.start(two_sleeps, True, id="named")
        for number in range(CROWD):
            await waiting(runtime, "tick", id=f"waiting {number}")
        await asyncio.sleep(1.5)
        await stage.die()


async def pushed_and_killed(stage: Stage) -> None:
    """Killed when the event is acknowledged, and has not reached those put away."""
    async with stage.runtime(REGISTRY, idle_runs=5) as runtime:
        nothing_is_given_out_later(runtime)
        stage.say("tick", await runtime.events.push("tick", {"n": 1}))
        pushed = await runtime.events.push("user:changed", ADA, request_id="once")
        stage.say("changed", pushed)
        await stage.die()


async def seeing_the_end(stage: Stage) -> None:
    async with stage.runtime(REGISTRY) as runtime:
        again = await runtime.events.push("user:changed", ADA, request_id="once")
        stage.say("again", again)
        waited = [runtime.handle(f"waiting {number}") for number in range(CROWD)]
        stage.say("waited", [await handle.result() for handle in waited])
        slept = [await runtime.handle(id).result() for id in ("plain", "named")]
        stage.say("slept", [*slept, stage.elapsed()])
        welcomed = await runtime.handle(f"{again}/welcome").result()
        stage.say("welcomed", welcomed[0])
        stage.say("runs", await runs_of(runtime))


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What three lives of an engine said, of which two were killed."""
    folder = tmp_path_factory.mktemp("lives")
    return {
        **killed(all_waiting, folder),
        **killed(pushed_and_killed, folder, at=EPOCH + 1.6),
        **played(seeing_the_end, folder, at=EPOCH + 1.75),
    }


@pytest.mark.kill
@pytest.mark.feature("WT-02")
def test_two_sleeps_in_a_row_are_two_waits_across_kills(lives: dict[str, Any]) -> None:
    assert lives["slept"] == pytest.approx([2, 2, 2])


@pytest.mark.kill
@pytest.mark.feature("WT-03", "MS-20")
def test_waits_that_were_killed_return_with_the_event(lives: dict[str, Any]) -> None:
    assert lives["waited"] == [[lives["tick"], "tick", {"n": 1}]] * CROWD


@pytest.mark.kill
@pytest.mark.feature("ST-18")
def test_a_push_that_is_repeated_after_a_kill_starts_nothing_twice(
    lives: dict[str, Any],
) -> None:
    assert lives["again"] == lives["changed"]
    assert lives["welcomed"] == "Ada"
    welcomes = [run for run in lives["runs"] if run.endswith("/welcome")]
    assert welcomes == [f"{lives['changed']}/welcome"]
