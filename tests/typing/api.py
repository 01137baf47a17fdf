"""The public interface as a type checker sees it; `test_types.py` checks this file.

Nothing here runs. An `assert_type` says what a user's editor shows; a `type: ignore`
with its code says what a user's checker refuses, and is itself refused when unused.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from everact.runtime import (
    Call,
    Client,
    Registry,
    RetryPolicy,
    RunHandle,
    RunInfo,
    RunStatus,
    Runtime,
    RuntimeThread,
    Task,
    TaskContext,
    Worker,
    Workflow,
    context,
    execute_child,
    function,
    gather,
    now,
    race,
    retry,
    run_info,
    sleep,
    start_child,
    task,
    testing,
    uuid4,
    workflow,
)
from everact.runtime.blocking import (
    BlockingClient,
    BlockingHandle,
    BlockingSchedule,
    BlockingTaskHandle,
    BlockingUpdate,
)
from everact.runtime.events import (
    ReceivedEvent,
    SleepCondition,
    UserEventCondition,
    any_of,
    wait_for,
)
from everact.runtime.functions import Error, Status, all, any, status_of
from everact.runtime.runs import RunView
from everact.runtime.schedules import (
    Schedule,
    ScheduleHandle,
    ScheduleLine,
    ScheduleUpdate,
    ScheduleView,
    StartWorkflow,
)
from everact.runtime.settings import HttpConnectProxyConfig, RetryConfig, TLSConfig
from everact.runtime.updates import StartOperation, UpdateHandle
from everact.runtime.workflows import last_failure, last_result

REGISTRY = Registry()


# -- tasks -----------------------------------------------------------------------------


@task
async def fetch(url: str, *, times: int = 1) -> bytes:
    return url.encode() * times


@task(retries=5, timeout="30s")
async def fetch_with_options(url: str) -> bytes:
    return url.encode()


@task
def parse(page: bytes) -> int:
    return len(page)


@task(retry=retry(first="1s", attempts=3), queue="cpu")
def parse_with_options(page: bytes) -> int:
    return len(page)


@task
async def beating(n: int, ctx: TaskContext) -> int:
    ctx.heartbeat(n)
    return ctx.attempt_number


async def decorated_tasks_keep_their_signature() -> None:
    assert_type(await fetch("u"), bytes)
    assert_type(await fetch("u", times=2), bytes)
    assert_type(await fetch_with_options("u"), bytes)
    assert_type(await parse(b"p"), int)
    assert_type(await parse_with_options(b"p"), int)
    await fetch(1)  # type: ignore[arg-type]
    await fetch()  # type: ignore[call-arg]
    await fetch("u", 2)  # type: ignore[call-arg]
    await fetch("u", fast=True)  # type: ignore[call-arg]
    await fetch_with_options(b"u")  # type: ignore[arg-type]
    await parse("text")  # type: ignore[arg-type]
    await parse_with_options("text")  # type: ignore[arg-type]


def a_task_is_awaited() -> None:
    fetch("u")  # type: ignore[unused-coroutine]


async def the_forms_of_a_task_have_its_signature() -> None:
    _ = assert_type(fetch.build_call("u", times=1), Call)
    assert_type(await fetch.dispatch("u"), str)
    assert_type(parse.blocking(b"p"), int)
    assert_type(await fetch.with_options(timeout="9s")("u"), bytes)
    _ = fetch.build_call(1)  # type: ignore[arg-type]
    await fetch.dispatch(1)  # type: ignore[arg-type]
    parse.blocking("p")  # type: ignore[arg-type]
    fetch.with_options(timeout=[])  # type: ignore[arg-type]
    task(retries="many")  # type: ignore[call-overload]


@REGISTRY.function
async def called(n: int) -> str:
    return str(n)


@REGISTRY.function
def called_in_a_thread(n: int) -> str:
    return str(n)


@function()
async def called_by_default(n: int) -> str:
    return str(n)


@function(REGISTRY, timeout="5s")
def called_with_options(n: int) -> str:
    return str(n)


async def functions_of_a_registry_keep_their_signature() -> None:
    assert_type(await called(1), str)
    assert_type(await called_in_a_thread(1), str)
    assert_type(await called_by_default(1), str)
    assert_type(await called_with_options(1), str)
    await called("1")  # type: ignore[arg-type]
    await called_in_a_thread("1")  # type: ignore[arg-type]
    await called_by_default("1")  # type: ignore[arg-type]
    await called_with_options("1")  # type: ignore[arg-type]


# -- workflows -------------------------------------------------------------------------


@workflow
async def crawl(urls: list[str]) -> int:
    pages = await asyncio.gather(*(fetch(u) for u in urls))
    assert_type(pages, list[bytes])
    return sum(map(len, pages))


@workflow(name="named", registry=REGISTRY)
async def named(n: int, *, deep: bool = False) -> list[int]:
    return [n] if deep else []


@workflow(registry=REGISTRY)
class Order:
    def __init__(self) -> None:
        self.paid = False

    @workflow.run
    async def run(self, number: int) -> str:
        return str(number)

    @workflow.signal
    async def pay(self, amount: float) -> None:
        self.paid = True

    @workflow.signal(name="other")
    def named_signal(self) -> None: ...

    @workflow.query
    def is_paid(self) -> bool:
        return self.paid

    @workflow.update
    async def change(self, line: str) -> int:
        return len(line)

    @change.validator
    def check_change(self, line: str) -> None: ...

    @workflow.update(name="count", unfinished="abandon")
    def counted(self) -> list[int]:
        return []

    async def inside(self) -> None:
        assert_type(await self.change("line"), int)
        assert_type(self.counted(), list[int])
        await self.change(1)  # type: ignore[arg-type]

    @change.validator  # type: ignore[arg-type]
    def misfits(self, line: int) -> None: ...


async def inside_a_workflow() -> None:
    one, two, three = await asyncio.gather(fetch("u"), parse(b"p"), sleep("1s"))
    assert_type(one, bytes)
    assert_type(two, int)
    assert_type(three, timedelta)
    async with asyncio.TaskGroup() as group:
        made = group.create_task(fetch("u"))
    assert_type(made.result(), bytes)
    assert_type(await asyncio.wait_for(fetch("u"), 5), bytes)
    assert_type(await all(fetch("u"), fetch("v")), list[bytes])
    assert_type(await gather(parse(b"p")), list[int])
    assert_type(await race(fetch("u"), fetch("v")), bytes | None)
    assert_type(await any(fetch("u"), cancel_losers=True), bytes | None)
    assert_type(now(), datetime)
    assert_type(uuid4(), UUID)
    assert_type(run_info(), RunInfo)
    event, pause = UserEventCondition("paid", scope="a"), SleepCondition("1h")
    assert_type(await wait_for("one", event), dict[str, ReceivedEvent])
    assert_type(await wait_for("two", pause, pause), dict[str, timedelta])
    assert_type(await wait_for("three", event, pause), dict[str, Any])
    assert_type(await wait_for("four", any_of(event, pause)), dict[str, Any])
    wait_for("five", 5)  # type: ignore[call-overload]
    assert_type(context(), TaskContext)
    assert_type(await crawl(["u"]), int)
    child = await start_child(crawl, ["u"])
    assert_type(await child, int)
    assert_type(await child.result(), int)
    assert_type(await execute_child(crawl, ["u"]), int)
    await crawl("u")  # type: ignore[arg-type]
    await sleep([])  # type: ignore[arg-type]


def what_decorators_give() -> None:
    as_workflow: Workflow[..., int] = crawl
    assert_type(Order, type[Order])
    assert_type(Order(), Order)
    assert_type(Order().paid, bool)
    as_task: Task[[bytes], int] = parse
    del as_task, as_workflow


# -- the client ------------------------------------------------------------------------


async def with_a_runtime() -> None:
    async with Runtime("file.db", workers=[Worker(queues=("default",))]) as runtime:
        assert_type(runtime, Runtime)
        handle = await runtime.start(crawl, ["u"], id="c", on_conflict="attach")
        assert_type(runtime.handle_for(crawl, "c"), RunHandle[int])
        assert_type(runtime.handle_for(parse, "c"), RunHandle[int])
        assert_type(runtime.handle_for(Order.run, "c"), RunHandle[str])
        runtime.handle_for("crawl", "c")  # type: ignore[call-overload]
        assert_type(await runtime.dispatch(parse.build_call(b"")), str)
        assert_type(await runtime.dispatch([parse.build_call(b"")]), list[str])
        assert_type(handle, RunHandle[int])
        assert_type(await handle.result(), int)
        assert_type(await handle.value(), int)
        assert_type(await handle.describe(), RunView)
        assert_type(await runtime.execute(named, 1, run_timeout="1h"), list[int])
        assert_type(await runtime.start(fetch, "u"), RunHandle[bytes])
        assert_type(await runtime.execute(parse, b"p"), int)
        assert_type(await runtime.execute(Order.run, 7), str)
        assert_type(await runtime.start(Order.run, 7), RunHandle[str])
        by_hand = runtime.handle("c", result_type=int)
        assert_type(by_hand, RunHandle[int])
        await handle.signal(Order.pay, 1.5)
        assert_type(await handle.update(Order.change, "line"), int)
        assert_type(await handle.update(Order.counted), list[int])
        sent = await handle.start_update(Order.counted, wait_for="accepted")
        assert_type(sent, UpdateHandle[list[int]])
        assert_type(await sent.result(), list[int])
        await handle.start_update(Order.counted)  # type: ignore[call-overload]
        await handle.update(Order.change, no_such=1)  # type: ignore[call-overload]
        start = StartOperation(Order.run, 7, on_conflict="use_existing")
        answer = await runtime.updates.execute_with(Order.change, "l", start=start)
        assert_type(answer, int)
        assert_type(await start.handle(), RunHandle[str])
        await runtime.start(crawl, ["u"], queue=7)  # type: ignore[call-overload]
        await runtime.start(crawl, ["u"], no_such=1)  # type: ignore[call-overload]
        await runtime.start(7)  # type: ignore[call-overload]
        await runtime.start(crawl, retry="often")  # type: ignore[call-overload]


async def with_a_remote_engine() -> None:
    async with await Client.connect(
        "host:7575",
        namespace="a",
        api_key="key",
        rpc_metadata={"k": "v"},
        tls=TLSConfig(server_name="x"),
        retry_config=RetryConfig(first="1s"),
        keep_alive_config=None,
        http_connect_proxy_config=HttpConnectProxyConfig(target="proxy:1"),
        lazy=True,
    ) as client:
        assert_type(client, Client)
        handle = await client.start(crawl, ["u"], rpc_timeout=timedelta(seconds=1))
        assert_type(handle, RunHandle[int])
        assert_type(await handle.result(rpc_metadata={"k": "v"}), int)
        assert_type(await client.execute(Order.run, 7, rpc_timeout="9s"), str)
        assert_type(client.handle("c", result_type=int), RunHandle[int])
        assert_type(client.api_key, str | None)
        client.rpc_metadata = {"k": "v"}
        client.namespace = "b"  # type: ignore[misc]
        client.rpc_metadata = {"k": 1}  # type: ignore[dict-item]
        await handle.describe(rpc_timeout=[])  # type: ignore[arg-type]
        await handle.signal(Order.pay, 1.5, no_such=1)  # type: ignore[call-arg]
    await Client.connect(7575)  # type: ignore[arg-type]
    await Client.connect("host:7575", no_such=1)  # type: ignore[call-arg]


async def with_schedules(client: Client) -> None:
    nightly = Schedule(StartWorkflow(crawl, ["u"], id="c", queue="q"))
    handle = await client.schedules.create("s", nightly, trigger_immediately=True)
    assert_type(handle, ScheduleHandle)
    assert_type(await handle.describe(), ScheduleView)
    async for line in await client.schedules.list("Paused = true"):
        assert_type(line, ScheduleLine)

    async def later(view: ScheduleView) -> Schedule | None:
        return view.schedule if view.actions_taken else None

    await handle.update(later)
    await handle.update(lambda view: ScheduleUpdate(view.schedule))
    assert_type(last_result(int), int | None)
    assert_type(last_failure(), BaseException | None)
    StartWorkflow(crawl, no_such=1)  # type: ignore[call-arg]
    await client.schedules.create("s", nightly, no_such=1)  # type: ignore[call-arg]
    await handle.update(lambda view: 7)  # type: ignore[arg-type, return-value]


def with_a_blocking_client(listed: list[Call]) -> None:
    with BlockingClient.connect("host:7575", tls=True) as client:
        assert_type(client, BlockingClient)
        assert_type(client.execute(crawl, ["u"]), int)
        assert_type(client.execute(Order.run, 7, rpc_timeout="9s"), str)
        assert_type(client.execute("crawl"), Any)
        handle = client.start(crawl, ["u"], id="c", on_conflict="attach")
        assert_type(handle, BlockingHandle[int])
        assert_type(client.start(fetch, "u"), BlockingHandle[bytes])
        assert_type(client.start("crawl"), BlockingHandle[Any])
        assert_type(client.handle("c"), BlockingHandle[Any])
        assert_type(client.handle("c", result_type=int), BlockingHandle[int])
        assert_type(client.handle_for(Order.run, "c"), BlockingHandle[str])
        assert_type(client.dispatch(parse.build_call(b"")), str)
        assert_type(client.dispatch(listed), list[str])
        assert_type(client.task_handle(token=b"t"), BlockingTaskHandle)
        assert_type([line.status for line in client.list(limit=1)], list[RunStatus])
        assert_type(client.count().count, int)
        assert_type(client.config(), dict[str, Any])
        assert_type(client.events.push("k"), str)
        client.start(crawl, ["u"], queue=7)  # type: ignore[call-overload]
        client.start(crawl, ["u"], no_such=1)  # type: ignore[call-overload]
        client.start(7)  # type: ignore[call-overload]
        client.count(no_such=1)  # type: ignore[call-arg]
        client.handle(7)  # type: ignore[call-overload]


def with_a_blocking_handle(client: BlockingClient) -> None:
    handle = client.start(Order.run, 7)
    assert_type(handle.result(), str)
    assert_type(handle.result(timeout="1s", rpc_metadata={"k": "v"}), str)
    assert_type(handle.value(), str)
    assert_type(handle.describe(values=True), RunView)
    assert_type([item.kind for item in handle.follow_history()], list[str])
    assert_type(handle.update(Order.change, "line"), int)
    assert_type(handle.update("change", "line"), Any)
    sent = handle.start_update(Order.counted, wait_for="accepted")
    assert_type(sent, BlockingUpdate[list[int]])
    assert_type(sent.result(), list[int])
    known = handle.update_handle("u", update=Order.change)
    assert_type(known.result(), int)
    assert_type(handle.update_handle("u"), BlockingUpdate[Any])
    start = StartOperation(Order.run, 7, on_conflict="use_existing")
    assert_type(client.updates.execute_with(Order.change, "l", start=start), int)
    assert_type(client.updates.handle(start), BlockingHandle[str])
    handle.signal(Order.pay, 1.5, no_such=1)  # type: ignore[call-arg]
    handle.describe(rpc_timeout=[])  # type: ignore[arg-type]
    handle.result(follow_runs="no")  # type: ignore[arg-type]
    handle.start_update(Order.counted)  # type: ignore[call-overload]
    handle.update(Order.change, no_such=1)  # type: ignore[call-overload]


def with_blocking_schedules(client: BlockingClient) -> None:
    nightly = Schedule(StartWorkflow(crawl, ["u"], id="c", queue="q"))
    handle = client.schedules.create("s", nightly, trigger_immediately=True)
    assert_type(handle, BlockingSchedule)
    assert_type(client.schedules.handle("s"), BlockingSchedule)
    assert_type(handle.describe(), ScheduleView)
    for line in client.schedules.list("Paused = true"):
        assert_type(line, ScheduleLine)
    handle.update(lambda view: ScheduleUpdate(view.schedule))
    handle.pause("a note")
    handle.pause(7)  # type: ignore[arg-type]
    client.schedules.create("s", nightly, no_such=1)  # type: ignore[call-arg]


def with_a_blocking_runtime() -> None:
    with RuntimeThread("file.db") as runtime:
        assert_type(runtime.execute(crawl, ["u"]), int)
        assert_type(runtime.start(crawl, ["u"]).result(), int)


# -- values ----------------------------------------------------------------------------


def values() -> None:
    assert_type(retry(first="1s"), RetryPolicy)
    assert_type(Error.from_exception(ValueError()), Error)
    assert_type(Error.from_exception(ValueError()).status, Status)
    assert_type(status_of(ValueError()), Status)
    retry("1s")  # type: ignore[call-arg]
    _ = Call(7)  # type: ignore[arg-type]


# -- the testing kit -------------------------------------------------------------------


async def fetching(url: str, *, times: int = 1) -> bytes:
    return b""


def blocking(url: str, *, times: int = 1) -> bytes:
    return b""


async def fetching_text(url: str, *, times: int = 1) -> str:
    return ""


async def testing_kit(runtime: Runtime) -> int:
    async with testing.Environment("file.db", retention="1d") as env:
        assert_type(env.runtime, Runtime)
        assert_type(env.now, datetime)
        env.replace(fetch, fetching)
        env.replace(fetch, blocking)
        env.replace(fetch, fetching_text)  # type: ignore[misc]
        assert_type(await env.histories(), list[testing.History])
    return 1


assert_type(testing.crash_everywhere(testing_kit), testing.CrashReport[int])
