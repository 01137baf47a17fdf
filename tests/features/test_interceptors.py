"""Interceptors: around what a client asks, around what workers execute, and headers.

The engines here have `Trail` around everything that their workers execute.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Client,
    Registry,
    Runtime,
    Worker,
    WorkflowFailure,
    context,
    execute_child,
    on_signal,
    receive,
    run_info,
    signal_run,
    task,
    wait_condition,
    workflow,
)
from everact.runtime.converters import DataConverter
from everact.runtime.errors import QueryFailed, UpdateFailed
from everact.runtime.interceptors import (
    ClientCall,
    ClientInterceptor,
    Invocation,
    WorkerInterceptor,
)
from everact.runtime.operations import runs
from everact.runtime.operations.searching import SearchRuns
from everact.runtime.operations.starting import StartRun
from everact.runtime.updates import StartOperation
from tests.features.conftest import Site
from tests.features.stage import note, stage
from tests.features.support import crash_image, open_runtime, turns

REGISTRY = Registry()
TRACE: ContextVar[str] = ContextVar("trace", default="none")


class Trail(WorkerInterceptor):
    """Hands the trace on to what a run starts; notes what runs that ask for it do."""

    def noted(self, call: Invocation) -> bool:
        return "noisy" in call.headers

    async def execute_workflow(self, call: Invocation, proceed: Any) -> Any:
        if not self.noted(call):
            return await proceed(call)
        note(f"{call.name} begins with {call.args}")
        try:
            return await proceed(call)
        finally:
            note(f"{call.name} ends")

    def handle_signal(self, call: Invocation, proceed: Any) -> Any:
        if call.headers.get("veto") == call.name:
            return None
        if "add" in call.headers:
            call = call.replace(args=(call.args[0] + int(call.headers["add"]),))
        return proceed(call)

    def handle_query(self, call: Invocation, proceed: Any) -> Any:
        if call.headers.get("veto") == call.name:
            raise PermissionError("not for you")
        found = proceed(call)
        return f"{found} for {call.headers['for']}" if "for" in call.headers else found

    def handle_update(self, call: Invocation, proceed: Any) -> Any:
        if call.headers.get("veto") == call.name:
            raise ApplicationError("not for you")
        if "add" in call.headers:
            call = call.replace(args=(call.args[0] + int(call.headers["add"]),))
        return proceed(call)

    def start_call(self, call: Invocation, proceed: Any) -> Any:
        trace = run_info().headers
        if "forward" not in trace:
            return proceed(call)
        if call.kind == "signal" and "add" in trace:
            call = call.replace(args=(call.args[0] + 1,))
        return proceed(call.with_headers(trace))

    async def execute_task(self, call: Invocation, proceed: Any) -> Any:
        TRACE.set(call.headers.get("trace", "none"))
        if self.noted(call):
            note(f"task {call.name} {call.args}")
        found = await proceed(call)
        return f"<{found}>" if "wrap" in call.headers else found


ENGINE = {"interceptors": [Trail()]}


@task(registry=REGISTRY)
async def traced(where: str) -> str:
    return f"{where}: {TRACE.get()}, {context().headers.get('trace')}"


@task(registry=REGISTRY)
def in_a_thread(where: str) -> str:
    return f"{where}: {TRACE.get()}, {context().headers.get('trace')}"


@workflow(registry=REGISTRY)
async def parent() -> list[str]:
    own = [await traced("parent"), await in_a_thread("thread")]
    return [*own, *(await execute_child(child))]


@workflow(registry=REGISTRY)
async def child() -> list[str]:
    return [await traced("child"), run_info().headers.get("trace", "none")]


@workflow(registry=REGISTRY)
class Counter:
    def __init__(self) -> None:
        self.found: list[int] = []
        self.count = 1

    @workflow.run
    async def run(self, count: int = 1) -> list[int]:
        self.count = count
        await wait_condition(lambda: len(self.found) >= self.count)
        return self.found

    @workflow.signal
    def add(self, number: int) -> None:
        self.found.append(number)

    @workflow.signal
    async def add_later(self, number: int) -> None:
        await asyncio.sleep(1)
        self.found.append(number)

    @workflow.query
    def total(self) -> int:
        return sum(self.found)

    @workflow.update
    def plus(self, number: int) -> int:
        self.found.append(number)
        return sum(self.found)

    @workflow.update
    async def plus_later(self, number: int) -> int:
        await asyncio.sleep(1)
        return self.plus(number)


@workflow(registry=REGISTRY)
async def receiving() -> list[int]:
    found = [await receive("add")]
    on_signal("late", found.append)
    await wait_condition(lambda: len(found) > 1)
    return found


@workflow(registry=REGISTRY)
async def signalling(workflow_id: str) -> None:
    await signal_run(workflow_id, "add", 1)


@task(registry=REGISTRY, retries=3)
async def flaky(number: int) -> int:
    if context().attempt_number < 3:
        raise ApplicationError("again")
    return number


RELEASE = threading.Event()


@task(registry=REGISTRY)
def blocked() -> None:
    note("in the thread")
    RELEASE.wait(30)


@workflow(registry=REGISTRY)
async def blocking() -> None:
    await blocked()


@workflow(registry=REGISTRY)
async def retrying(number: int) -> Any:
    return await flaky(number)


class Noting(ClientInterceptor):
    """Notes what passes."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
        self.seen.append(f"{self.name} before {call.name}")
        try:
            return await proceed(call)
        finally:
            self.seen.append(f"{self.name} after {call.name}")


class Giving(ClientInterceptor):
    """Sends headers along with whatever can carry them."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers

    async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
        return await proceed(call.with_headers(self.headers))


# -- around a client -------------------------------------------------------------------


@pytest.mark.feature("DC-07")
async def test_the_first_listed_is_outermost(site: Site) -> None:
    seen: list[str] = []
    both = [Noting("outer", seen), Noting("inner", seen)]
    async with site.up(interceptors=both) as client:
        await client.start(Counter.run, id="x")
    assert seen == [
        "outer before runs.start",
        "inner before runs.start",
        "inner after runs.start",
        "outer after runs.start",
    ]


@pytest.mark.feature("DC-07")
async def test_an_interceptor_can_veto_a_call(site: Site) -> None:
    class Veto(ClientInterceptor):
        async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
            if isinstance(call.request, StartRun) and call.args == (13,):
                raise PermissionError("not this one")
            return await proceed(call)

    async with site.up(interceptors=[Veto()]) as client:
        with pytest.raises(PermissionError, match="not this one"):
            await client.start(Counter.run, 13, id="x")
        assert [line async for line in client.list()] == []
        assert await client.start(Counter.run, 12, id="x")


@pytest.mark.feature("DC-07")
async def test_every_operation_passes_through(site: Site) -> None:
    seen: list[str] = []
    async with site.up(interceptors=[Noting("i", seen)]) as client:
        handle = await client.start(Counter.run, 2, id="x")
        await handle.signal(Counter.add, 1)
        assert await handle.query(Counter.total) == 1
        await handle.describe()
        await handle.history()
        assert [line.workflow_id async for line in client.list()] == ["x"]
        assert (await client.count()).count == 1
        await handle.signal("add", 1)
        await handle.result()
        await (await client.start(Counter.run, id="y")).cancel()
        await (await client.start(Counter.run, id="z")).terminate()
    names = [line.split()[-1] for line in seen if "before" in line]
    assert names == [
        "runs.start",
        "runs.signal",
        "runs.query",
        "runs.describe",
        "runs.history",
        "runs.search",
        "runs.count",
        "runs.signal",
        "runs.result",
        "runs.start",
        "runs.cancel",
        "runs.start",
        "runs.terminate",
    ]


@pytest.mark.feature("DC-07")
async def test_an_interceptor_changes_what_goes_in_and_what_comes_out(
    site: Site,
) -> None:
    class Changing(ClientInterceptor):
        async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
            if isinstance(call.request, runs.SignalRun):
                return await proceed(call.with_args(call.args[0] * 10))
            if isinstance(call.request, StartRun):
                call = call.replace(workflow_id="changed")
            answer = await proceed(call)
            if isinstance(answer, runs.RunClosed):
                assert answer.result is not None
                result = call.encode([*call.decode(answer.result), "seen"])
                return runs.RunClosed(
                    run_id=answer.run_id, status=answer.status, result=result
                )
            return answer

    async with site.up(interceptors=[Changing()]) as client:
        handle = await client.start(Counter.run, id="x", result_type=list)
        assert handle.id == "changed"
        await handle.signal(Counter.add, 4)
        assert await handle.result() == [40, "seen"]


@pytest.mark.feature("CX-03", "DC-07")
async def test_a_second_client_has_its_own_converter_and_interceptors(
    site: Site,
) -> None:
    seen: list[str] = []
    async with site.up(interceptors=[Noting("first", seen)]) as first:
        second = Client(
            first.transport,
            namespace="b",
            data_converter=DataConverter.json,
            interceptors=[Noting("second", seen)],
            default_query_reject_condition="not_open",
        )
        await second.start("nobody serves this", {"x": 1}, id="x")
        assert [line async for line in first.list()] == []
        assert [line.workflow_id async for line in second.list()] == ["x"]
        twin = Client(**second.config())
        assert twin.config() == second.config()
        assert twin.interceptors == second.interceptors
        raw = SearchRuns(workspace="b")
        assert len((await twin.workflow_service.call(raw)).runs) == 1
    names = [line.split()[0] for line in seen if "before" in line]
    assert names == ["second", "first", "second"]


@pytest.mark.feature("DC-08")
async def test_interceptors_of_a_runtime_are_those_of_clients_attached_to_it(
    site: Site,
) -> None:
    seen: list[str] = []
    async with site.up(interceptors=[Noting("i", seen)]):
        async with await Client.connect() as attached:
            await attached.count()
        async with await Client.connect(interceptors=[]) as bare:
            await bare.count()
    assert len(seen) == 2


def test_what_is_no_interceptor_is_refused_at_once() -> None:
    wrong: list[Any] = [object(), Noting, "name"]
    for one in wrong:
        with pytest.raises(TypeError, match="no interceptor"):
            Runtime(interceptors=[one])


# -- around what workers execute -------------------------------------------------------


class BothSides(ClientInterceptor, WorkerInterceptor):
    """Notes starts and executions of tasks."""

    async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
        if call.name == "runs.start":
            note("start")
        return await proceed(call)

    async def execute_task(self, call: Invocation, proceed: Any) -> Any:
        note(f"task {call.name}")
        return await proceed(call)


@pytest.mark.feature("DC-08")
async def test_an_interceptor_of_both_sides_sees_a_start_and_its_task_once(
    site: Site,
) -> None:
    async with site.up(interceptors=[BothSides()]) as client:
        await client.execute(traced, "alone")
        assert stage.notes == ["start", "task traced"]
        other = Client(**client.config())
        await other.execute(traced, "alone")
        assert stage.notes == ["start", "task traced"] * 2


@pytest.mark.feature("DC-08")
async def test_a_workflow_and_its_tasks_are_executed_inside(site: Site) -> None:
    noisy = Giving(noisy="1", forward="1")
    async with site.up(interceptors=[*ENGINE["interceptors"], noisy]) as client:
        await client.execute(retrying, 3)
    await stage.noted("retrying ends")
    assert stage.notes == [
        "retrying begins with (3,)",
        *["task flaky (3,)"] * 3,
        "retrying ends",
    ]


@pytest.mark.feature("DC-08")
async def test_a_thread_inside_keeps_its_slot_until_it_is_through(site: Site) -> None:
    RELEASE.clear()
    async with site.up(workers=[Worker(slots=1)]) as client:
        handle = await client.start(blocking)
        await stage.noted("in the thread")
        await handle.cancel()
        with pytest.raises(WorkflowFailure):
            await handle.result()
        other = await client.start(traced, "after")
        await turns()
        (waiting,) = (await other.describe()).pending_tasks
        assert waiting.state == "queued"
        RELEASE.set()
        assert await other.result() == "after: none, None"


@pytest.mark.feature("DC-08", "DC-09")
async def test_a_task_interceptor_replaces_the_result(site: Site) -> None:
    wrapping = Giving(wrap="1", forward="1")
    async with site.up(interceptors=[*ENGINE["interceptors"], wrapping]) as client:
        assert await client.execute(retrying, 3) == "<3>"


@pytest.mark.feature("DC-08", "DC-09")
async def test_signals_pass_with_their_headers_whoever_takes_them(site: Site) -> None:
    async with site.up(
        interceptors=[*ENGINE["interceptors"], Giving(add="5")]
    ) as client:
        counter = await client.start(Counter.run, 2)
        await counter.signal(Counter.add, 1)
        await counter.signal(Counter.add_later, 2)
        assert await counter.result() == [6, 7]
        received = await client.start(receiving)
        await received.signal("late", 1)
        await received.signal("add", 1)
        assert await received.result() == [6, 6]


@pytest.mark.feature("DC-08", "DC-09")
async def test_a_signal_or_a_query_can_be_kept_from_its_handler(site: Site) -> None:
    async with site.up(interceptors=ENGINE["interceptors"]) as client:
        counter = await client.start(Counter.run, id="x")
        of = {**client.config(), "interceptors": [Giving(veto="add")]}
        await Client(**of).handle("x").signal("add", 100)
        assert await counter.query("total") == 0
        asking = Client(**of | {"interceptors": [Giving(veto="total")]}).handle("x")
        with pytest.raises(QueryFailed, match="not for you"):
            await asking.query("total")
        named = Client(**of | {"interceptors": [Giving(**{"for": "Ada"})]}).handle("x")
        assert await named.query("total", result_type=str) == "0 for Ada"
        await counter.signal("add", 1)
        assert await counter.result() == [1]


@pytest.mark.feature("DC-08", "DC-09")
async def test_updates_pass_with_their_headers(site: Site) -> None:
    interceptors = [*ENGINE["interceptors"], Giving(add="5")]
    async with site.up(interceptors=interceptors) as client:
        start = StartOperation(Counter.run, 4, id="x", on_conflict="use_existing")
        assert await client.updates.execute_with(Counter.plus, 1, start=start) == 6
        handle = client.handle("x")
        assert (await handle.describe()).headers == {"add": "5"}
        assert await handle.update(Counter.plus, 1) == 12
        assert await handle.update(Counter.plus_later, 1) == 18
        of = {**client.config(), "interceptors": [Giving(veto="plus")]}
        with pytest.raises(UpdateFailed, match="not for you"):
            await Client(**of).handle("x").update("plus", 100)
        assert await handle.query("total") == 18


@pytest.mark.feature("DC-07")
async def test_a_client_interceptor_sees_and_changes_updates(site: Site) -> None:
    seen: list[Any] = []

    class Changing(ClientInterceptor):
        async def call(self, call: ClientCall[Any], proceed: Any) -> Any:
            if call.name.startswith("updates."):
                seen.append((call.name, call.args, call.headers))
                call = call.with_args(*(10 * one for one in call.args))
            return await proceed(call)

    async with site.up(interceptors=[Giving(k="v"), Changing()]) as client:
        handle = await client.start(Counter.run, 4)
        assert await handle.update(Counter.plus, 1) == 10
    assert seen == [("updates.send", (1,), {"k": "v"})]


@pytest.mark.feature("DC-08")
async def test_workflow_interceptors_are_replayed_and_know_it(site: Site) -> None:
    class Replayed(WorkerInterceptor):
        async def execute_workflow(self, call: Invocation, proceed: Any) -> Any:
            note(f"workflow {call.replaying}")
            return await proceed(call)

        def start_call(self, call: Invocation, proceed: Any) -> Any:
            note(f"call {call.replaying}")
            return proceed(call)

    interceptors = [Replayed()]
    async with site.up(interceptors=interceptors) as client:
        await client.start(waits_after_a_task, id="x")
        await stage.noted("waits")
        await turns()
        image = crash_image(site.path, "crashed")
        stage.notes.clear()
        async with open_runtime(image, REGISTRY, interceptors=interceptors) as again:
            handle = again.handle("x")
            await handle.signal("go", "went on")
            assert await handle.result() == ["alone: none, None", "went on"]
    assert stage.notes == ["workflow True", "call True", "waits"]


@workflow(registry=REGISTRY)
async def waits_after_a_task() -> list[str]:
    found = await traced("alone")
    note("waits")
    return [found, await receive("go")]


# -- headers ---------------------------------------------------------------------------


@pytest.mark.feature("DC-09")
async def test_a_trace_set_in_a_client_is_readable_in_a_task_two_levels_down(
    site: Site,
) -> None:
    giving = Giving(trace="t1", forward="yes")
    async with site.up(interceptors=[*ENGINE["interceptors"], giving]) as client:
        handle = await client.start(parent)
        assert await handle.result() == [
            "parent: t1, t1",
            "thread: t1, t1",
            "child: t1, t1",
            "t1",
        ]
        assert (await handle.describe()).headers == giving.headers


@pytest.mark.feature("DC-09")
async def test_headers_go_no_further_unless_an_interceptor_forwards_them(
    site: Site,
) -> None:
    async with site.up(
        interceptors=[*ENGINE["interceptors"], Giving(trace="t1")]
    ) as client:
        assert await client.execute(parent) == [
            "parent: none, None",
            "thread: none, None",
            "child: none, None",
            "none",
        ]


@pytest.mark.feature("DC-09")
async def test_a_signal_from_run_to_run_carries_headers(site: Site) -> None:
    giving = Giving(add="5", forward="yes")
    async with site.up(interceptors=[*ENGINE["interceptors"], giving]) as client:
        await client.start(Counter.run, id="x")
        await client.execute(signalling, "x")
        assert await client.handle("x").result() == [7]


@pytest.mark.feature("DC-09")
async def test_headers_survive_a_retry_and_a_restart(site: Site) -> None:
    giving = Giving(trace="t1", forward="yes")
    interceptors = [*ENGINE["interceptors"], giving]
    async with site.up(interceptors=interceptors) as client:
        await client.start(waits_after_a_task, id="x")
        await stage.noted("waits")
        await turns()
    async with site.up(interceptors=interceptors) as client:
        handle = client.handle("x")
        await handle.signal("go", "on")
        assert await handle.result() == ["alone: t1, t1", "on"]
