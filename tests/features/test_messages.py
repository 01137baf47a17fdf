"""Signals and queries: delivery, order, handlers, refusals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from everact.runtime import (
    Client,
    EveractError,
    Registry,
    RunHandle,
    RunStatus,
    Worker,
    WorkflowFailure,
    continue_as_new,
    on_query,
    on_signal,
    receive,
    signal_run,
    task,
    wait_condition,
    workflow,
)
from everact.runtime import sleep as durable_sleep
from everact.runtime.errors import (
    QueryFailed,
    QueryRejected,
    RPCError,
    ValueNotStorable,
)
from everact.runtime.statuses import RPCStatus
from everact.runtime.workflows import all_handlers_finished
from tests.features.conftest import Site
from tests.features.killing import Program

REGISTRY = Registry()


@task(registry=REGISTRY)
async def slowly(value: object) -> object:
    await asyncio.sleep(10)
    return value


@workflow(registry=REGISTRY)
class Inbox:
    """Keeps what it is told, until it is told to stop."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.stopped = False
        self.phase = "new"

    @workflow.run
    async def run(self) -> list[Any]:
        self.phase = "running"
        await wait_condition(lambda: self.stopped)
        self.phase = "stopped"
        return self.items

    @workflow.signal
    def put(self, item: Any, times: int = 1) -> None:
        self.items += [item] * times

    @workflow.signal(name="put-later")
    async def put_later(self, item: Any) -> None:
        self.items.append(await slowly(item))

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True

    @workflow.query
    def seen(self) -> list[Any]:
        return self.items

    @workflow.query(name="phase-of")
    def phase_of(self, prefix: str = "") -> str:
        return prefix + self.phase

    @workflow.query
    def mutating(self) -> str:
        self.items.append("by a query")
        return "changed"

    @workflow.query
    def stepping(self) -> None:
        _ = asyncio.get_running_loop().create_task(slowly(1))

    @workflow.query
    def sleeping(self) -> None:
        asyncio.get_running_loop().call_later(1, print)

    @workflow.query
    def raising(self) -> None:
        raise LookupError("not there")


@workflow(registry=REGISTRY)
class CatchAll:
    def __init__(self) -> None:
        self.caught: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        await wait_condition(lambda: len(self.caught) == 3)
        return self.caught

    @workflow.signal
    def known(self, value: int) -> None:
        self.caught.append(value)

    @workflow.signal(dynamic=True)
    def anything(self, name: str, args: tuple[Any, ...]) -> None:
        self.caught.append((name, args))


@workflow(registry=REGISTRY)
async def late_handlers() -> list[Any]:
    """Declares handlers after a while; receives what none of them takes."""
    found: list[Any] = []
    on_query("found", lambda: list(found))
    await durable_sleep(10)
    on_signal("item", found.append)
    await wait_condition(lambda: len(found) == 3)
    found.append(await receive("other"))
    return found


@workflow(registry=REGISTRY)
async def numbered(upto: int) -> list[int]:
    return [await receive("number") for _ in range(upto)]


@workflow(registry=REGISTRY)
async def failing() -> None:
    raise LookupError("nowhere")


@workflow(registry=REGISTRY)
async def forwarding(to: str) -> str:
    await signal_run(to, "number", 0)
    try:
        await signal_run("unknown", "number", 0)
    except RPCError as error:
        return str(error.status)
    return "no error"


async def not_found(call: Any) -> None:
    with pytest.raises(RPCError) as refused:
        await call
    assert refused.value.status is RPCStatus.NOT_FOUND


@pytest.mark.feature("MS-01")
async def test_a_signal_goes_to_its_handler_by_reference_or_by_name(
    runtime: Client,
) -> None:
    handle = await runtime.start(Inbox.run)
    await handle.signal(Inbox.put, "a")
    await handle.signal("put", "b")
    await handle.signal(Inbox.put, "c", 2)
    await handle.signal("put", args=("d", 3))
    await handle.signal(Inbox.put_later, "later")
    await handle.signal("put", None)
    assert await handle.query(Inbox.seen) == [*"abccddd", None]
    await asyncio.sleep(11)
    await handle.signal(Inbox.stop)
    assert await handle.result() == [*"abccddd", None, "later"]


@pytest.mark.feature("MS-01")
async def test_concurrent_signals_arrive_once_each_and_each_senders_in_order(
    runtime: Client,
) -> None:
    handle = await runtime.start(Inbox.run)

    async def send(sender: int) -> None:
        for number in range(20):
            await handle.signal(Inbox.put, (sender, number))

    await asyncio.gather(*(send(sender) for sender in range(5)))
    items = await handle.query(Inbox.seen)
    assert len(items) == 100
    for sender in range(5):
        assert [n for s, n in items if s == sender] == list(range(20))


@pytest.mark.feature("MS-01")
async def test_a_request_that_is_repeated_takes_effect_once(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(Inbox.run, id="inbox")
        await asyncio.gather(
            *(handle.signal(Inbox.put, n, request_id="one") for n in range(5))
        )
        await handle.signal(Inbox.put, "x", request_id="two")
        assert len(await handle.query(Inbox.seen)) == 2
    async with site.up() as runtime:
        handle = runtime.handle("inbox")
        await handle.signal(Inbox.put, "again", request_id="one")
        await handle.signal(Inbox.put, "again", request_id="two")
        assert len(await handle.query(Inbox.seen)) == 2
        await asyncio.sleep(25 * 3600)
        await handle.signal(Inbox.put, "a day later", request_id="one")
        assert len(await handle.query(Inbox.seen)) == 3


@pytest.mark.feature("MS-01")
async def test_a_signal_is_durable_when_it_is_acknowledged(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(Inbox.run, id="inbox")
        await handle.signal(Inbox.put, 1)
        kinds = [item.kind for item in await handle.history()]
        assert kinds.count("SignalReceived") == 1
    async with site.up() as runtime:
        assert await runtime.handle("inbox").query(Inbox.seen) == [1]


NUMBERED = """
    import asyncio, sys
    from everact.runtime import Runtime, receive, task, wait_condition, workflow

    @task
    async def keep(number: int) -> int:
        with open("kept", "a") as file:
            print(number, file=file)
        print("kept", number)
        return number

    @workflow
    async def receiving(upto: int) -> list:
        return [await keep(await receive("number")) for _ in range(upto)]

    @workflow
    class Handling:
        def __init__(self) -> None:
            self.kept = []
            self.turn = asyncio.Lock()

        @workflow.run
        async def run(self, upto: int) -> list:
            await wait_condition(lambda: len(self.kept) == upto)
            return self.kept

        @workflow.signal
        async def number(self, number: int) -> None:
            async with self.turn:
                self.kept.append(await keep(number))

    async def main(kind: str, first: int) -> None:
        async with Runtime("everact.db") as runtime:
            handle = await runtime.start(kind, 100, id="x", on_conflict="attach")
            for number in range(first, 100):
                await handle.signal("number", number, request_id=str(number))
                print("sent", number)
            print(await handle.result())

    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.kill
@pytest.mark.feature("MS-01")
@pytest.mark.parametrize("kind", ["receiving", "Handling"])
def test_a_hundred_signals_are_seen_once_in_order_over_a_kill(
    tmp_path: Path, kind: str
) -> None:
    program = Program(tmp_path, NUMBERED)
    lines = program.kill_at("kept 40", kind, "0")
    sent = [int(line.split()[1]) for line in lines if line.startswith("sent")]
    # What was acknowledged need not be sent again; the one in doubt is, with its ID.
    lines = program.run(kind, str(max(sent) + 1))
    assert lines[-1] == str(list(range(100)))


@pytest.mark.feature("MS-02")
async def test_signals_ahead_of_any_worker_are_kept_in_order(site: Site) -> None:
    async with site.up(workers=[]) as runtime:
        handle = await runtime.start(Inbox.run, id="inbox")
        for number in range(3):
            await handle.signal(Inbox.put, number)
    async with site.up(workers=[]) as runtime:
        await runtime.handle("inbox").signal(Inbox.put, 3)
    async with site.up() as runtime:
        handle = runtime.handle("inbox")
        assert await handle.query(Inbox.seen) == [0, 1, 2, 3]
        await handle.signal(Inbox.stop)
        assert await handle.result() == [0, 1, 2, 3]


@pytest.mark.feature("MS-02")
async def test_signals_wait_for_a_handler_or_a_receiver(runtime: Client) -> None:
    handle = await runtime.start(late_handlers)
    await handle.signal("other", "for a receiver")
    for number in range(3):
        await handle.signal("item", number)
    assert await handle.query("found") == []
    assert await handle.result() == [0, 1, 2, "for a receiver"]


@pytest.mark.feature("MS-02")
async def test_a_catch_all_handler_takes_what_no_other_does(runtime: Client) -> None:
    handle = await runtime.start(CatchAll.run)
    await handle.signal("unknown", 1, "two")
    await handle.signal(CatchAll.known, 5)
    await handle.signal("empty")
    assert await handle.result() == [("unknown", (1, "two")), 5, ("empty", ())]


@pytest.mark.feature("MS-03")
async def test_a_signal_to_a_closed_or_unknown_run_is_refused(runtime: Client) -> None:
    await not_found(runtime.handle("unknown").signal("put", 1))
    closed = await runtime.start(Inbox.run, id="inbox")
    await closed.signal(Inbox.stop)
    await closed.result()
    before = await closed.history()
    await not_found(closed.signal(Inbox.put, 1))
    await not_found(runtime.handle("inbox").signal(Inbox.put, 1, request_id="x"))
    assert await closed.history() == before
    assert [line.workflow_id async for line in runtime.list()] == ["inbox"]


@pytest.mark.feature("MS-03")
async def test_from_a_workflow_as_well(runtime: Client) -> None:
    target = await runtime.start(numbered, 1, id="target")
    assert await runtime.execute(forwarding, "target") == "NOT_FOUND"
    assert await target.result() == [0]


@pytest.mark.feature("MS-04")
async def test_queries_are_answered_before_during_and_after_the_run(
    site: Site,
) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(Inbox.run, id="inbox", start_delay=60)
        assert await handle.query(Inbox.phase_of) == "new"
        await asyncio.sleep(61)
        assert await handle.query("phase-of", "it is ") == "it is running"
        await handle.signal(Inbox.put, 1)
        assert await handle.query(Inbox.seen) == [1]
        await handle.signal(Inbox.stop)
        await handle.result()
        assert await handle.query(Inbox.phase_of, args=("",)) == "stopped"
    async with site.up() as runtime:
        assert await runtime.handle("inbox").query(Inbox.seen) == [1]


@pytest.mark.feature("MS-04")
async def test_a_query_of_a_run_that_ended_badly_is_answered(runtime: Client) -> None:
    handle = await runtime.start(Inbox.run)
    await handle.signal(Inbox.put, 1)
    await handle.terminate()
    assert await handle.query(Inbox.seen) == [1]


@pytest.mark.feature("MS-04")
@pytest.mark.parametrize("query", ["mutating", "stepping", "sleeping"])
@pytest.mark.parametrize("closed", [False, True])
async def test_a_query_that_changes_state_or_makes_steps_is_refused(
    runtime: Client, query: str, closed: bool
) -> None:
    handle = await runtime.start(Inbox.run)
    await handle.signal(Inbox.put, 1)
    if closed:
        await handle.signal(Inbox.stop)
        await handle.result()
    before = await handle.history()
    with pytest.raises(QueryFailed, match=query):
        await handle.query(query)
    await asyncio.sleep(60)

    assert await handle.query(Inbox.seen) == [1]
    assert await handle.history() == before
    if not closed:
        await handle.signal(Inbox.stop)
        assert await handle.result() == [1]


@pytest.mark.feature("MS-05")
async def test_a_query_is_rejected_by_the_clients_default_and_answered_by_the_calls(
    site: Site,
) -> None:
    async with site.up(default_query_reject_condition="not_open") as runtime:
        handle = await runtime.start(Inbox.run)
        assert await handle.query(Inbox.seen) == []
        await handle.signal(Inbox.stop)
        await handle.result()
        with pytest.raises(QueryRejected) as rejected:
            await handle.query(Inbox.seen)
        assert rejected.value.status is RunStatus.COMPLETED
        assert await handle.query(Inbox.seen, reject_condition="none") == []


@pytest.mark.feature("MS-05")
@pytest.mark.parametrize(
    ("ending", "status"),
    [("cancel", RunStatus.CANCELLED), ("terminate", RunStatus.TERMINATED)],
)
async def test_not_completed_cleanly_rejects_runs_that_ended_badly(
    runtime: Client, ending: str, status: RunStatus
) -> None:
    condition = "not_completed_cleanly"
    clean, bad = await runtime.start(Inbox.run), await runtime.start(Inbox.run)
    assert await bad.query(Inbox.seen, reject_condition=condition) == []
    await clean.signal(Inbox.stop)
    await clean.result()
    await getattr(bad, ending)()
    with pytest.raises(WorkflowFailure):
        await bad.result()
    assert await clean.query(Inbox.seen, reject_condition=condition) == []
    with pytest.raises(QueryRejected) as rejected:
        await bad.query(Inbox.seen, reject_condition=condition)
    assert rejected.value.status is status


@pytest.mark.feature("MS-05")
async def test_an_unknown_reject_condition_is_refused(
    runtime: Client, site: Site
) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises(ValueError, match="reject_condition"):
        await handle.query(Inbox.seen, reject_condition="sometimes")


@pytest.mark.feature("MS-06")
async def test_a_query_that_raises_fails_with_its_message(runtime: Client) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises(QueryFailed, match="not there"):
        await handle.query(Inbox.raising)
    await handle.signal(Inbox.put, 1)
    assert await handle.query(Inbox.seen) == [1]


@pytest.mark.feature("MS-06")
async def test_an_unknown_query_is_told_the_known_ones(runtime: Client) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises(QueryFailed, match="phase-of, raising, seen") as failed:
        await handle.query("unknown")
    assert "'unknown'" in str(failed.value)
    with pytest.raises(QueryFailed, match="none"):
        await (await runtime.start(numbered, 1)).query("unknown")
    with pytest.raises(QueryFailed, match="phase_of"):
        await handle.query(Inbox.phase_of, 1, 2, 3)


@pytest.mark.feature("MS-06")
@pytest.mark.parametrize("closed", [False, True])
async def test_a_query_that_nobody_can_answer_exceeds_its_deadline(
    site: Site, closed: bool
) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(Inbox.run, id="inbox")
        if closed:
            await handle.signal(Inbox.stop)
            await handle.result()
    async with site.up(workers=[]) as runtime:
        with pytest.raises(RPCError) as late:
            await runtime.handle("inbox").query(Inbox.seen)
        assert late.value.status is RPCStatus.DEADLINE_EXCEEDED
    async with site.up(registry=Registry()) as runtime:
        with pytest.raises(RPCError) as late:
            await runtime.handle("inbox").query("seen")
        assert late.value.status is RPCStatus.DEADLINE_EXCEEDED
    async with site.up() as runtime:
        assert await runtime.handle("inbox").query(Inbox.seen) == []


@pytest.mark.feature("MS-06")
async def test_a_query_is_answered_once_a_worker_is_there(site: Site) -> None:
    async with site.up(workers=[Worker("elsewhere")]) as runtime:
        handle = await runtime.start(Inbox.run, id="inbox", queue="elsewhere")
        assert await handle.query(Inbox.seen) == []


async def test_messages_take_storable_arguments_only(runtime: Client) -> None:
    handle = await runtime.start(Inbox.run)
    generator = (n for n in range(3))
    with pytest.raises(ValueNotStorable, match="argument 2 of put"):
        await handle.signal(Inbox.put, 1, generator)
    with pytest.raises(ValueNotStorable, match="argument 1 of seen"):
        await handle.query(Inbox.seen, generator)
    with pytest.raises(ValueNotStorable, match="detail 2"):
        await handle.terminate(1, generator)
    assert (await handle.describe()).status is RunStatus.RUNNING
    assert await handle.query(Inbox.seen) == []


async def test_a_query_answers_with_storable_values_only(runtime: Client) -> None:
    handle = await runtime.start(streaming)
    with pytest.raises(EveractError, match="the answer to query 'stream'"):
        await handle.query("stream")


@workflow(registry=REGISTRY)
async def streaming() -> None:
    on_query("stream", lambda: (n for n in range(3)))
    await receive("go")


@pytest.mark.parametrize("bad", ["", Inbox.seen, Inbox.run, len, 3])
async def test_what_is_no_signal_is_refused(runtime: Client, bad: Any) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises((TypeError, ValueError), match="signal"):
        await handle.signal(bad)


@pytest.mark.parametrize("bad", ["", Inbox.put, Inbox.run, len, 3])
async def test_what_is_no_query_is_refused(runtime: Client, bad: Any) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises((TypeError, ValueError), match="query"):
        await handle.query(bad)


async def test_positional_arguments_and_args_exclude_each_other(
    runtime: Client,
) -> None:
    handle = await runtime.start(Inbox.run)
    with pytest.raises(ValueError, match="not both"):
        await handle.signal(Inbox.put, 1, args=(1,))
    with pytest.raises(ValueError, match="not both"):
        await handle.query(Inbox.phase_of, "a", args=("a",))


async def test_a_signal_whose_arguments_do_not_fit_is_dropped_and_said_so(
    runtime: Client, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await runtime.start(Inbox.run)
    await handle.signal("put", 1, 2, 3)
    await handle.signal("put", "fits")
    assert await handle.query(Inbox.seen) == ["fits"]
    assert "signal 'put' dropped" in caplog.text


# -- messages that come before the code ------------------------------------------------


@workflow(registry=REGISTRY)
class Diary:
    """Notes what begins when: handlers of both kinds, and its code."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.over = False

    @workflow.run
    async def run(self) -> list[str]:
        self.lines.append("code")
        await slowly("a step of the code")
        await wait_condition(lambda: self.over and all_handlers_finished())
        return self.lines

    @workflow.signal
    def sync(self, text: str) -> None:
        self.lines.append(text)

    @workflow.signal(name="async")
    async def asynchronous(self, text: str) -> None:
        self.lines.append(text)
        await slowly(text)
        self.lines.append(f"{text} done")

    @workflow.signal
    def close(self) -> None:
        self.over = True

    @workflow.query
    def so_far(self) -> list[str]:
        return self.lines


IN_ORDER = ["a", "b", "c", "d", "code"]


async def send_four(handle: RunHandle[Any], first: str = "a") -> None:
    for text, kind in zip("abcd", ("async", "sync", "async", "sync"), strict=True):
        if text >= first:
            await handle.signal(kind, text)


@pytest.mark.feature("ST-06")
async def test_an_async_handler_of_a_start_begins_before_the_code(
    site: Site,
) -> None:
    async with site.up() as runtime:
        options: Any = {"start_signal": "async", "start_signal_args": ["a"]}
        await runtime.start(Diary.run, id="d", **options)
        handle = await runtime.start(Diary.run, id="d", **options)
        assert await handle.query(Diary.so_far) == ["a", "code", "a"]
        first, *others = await handle.history()
        assert (first.kind, others[1].data["args"]) == ("Started", ["a"])
    async with site.up() as runtime:  # and replayed
        handle = runtime.handle("d")
        assert (await handle.query(Diary.so_far))[:3] == ["a", "code", "a"]
        await handle.signal(Diary.close)
        done = await handle.result()
        assert done == ["a", "code", "a", "a done", "a done"]


@pytest.mark.feature("ST-06", "MS-02")
@pytest.mark.parametrize("why", ["no worker", "start delay"])
async def test_handlers_of_both_kinds_begin_in_order_of_arrival_before_the_code(
    site: Site, why: str
) -> None:
    workers: Any = [] if why == "no worker" else None
    options: Any = {} if why == "no worker" else {"start_delay": 60}
    async with site.up(workers=workers) as runtime:
        handle = await runtime.start(Diary.run, id="d", **options)
        await send_four(handle)
        if why == "start delay":
            await asyncio.sleep(61)
            assert await handle.query(Diary.so_far) == IN_ORDER
    for _ in range(2):
        async with site.up() as runtime:
            await asyncio.sleep(1)
            found = await runtime.handle("d").query(Diary.so_far)
            assert found[: len(IN_ORDER)] == IN_ORDER


@pytest.mark.feature("ST-06", "CH-06")
async def test_unread_messages_come_before_the_code_of_the_next_run(
    site: Site,
) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(
            holding_back,
            id="d",
            start_signal="async",
            start_signal_args=["a"],
        )
        await send_four(handle, "b")
        await handle.signal("on")
        while (await runtime.handle("d").describe()).workflow != "Diary":
            await asyncio.sleep(0.1)
        handle = runtime.handle("d")
        assert await handle.query(Diary.so_far) == IN_ORDER
    async with site.up() as runtime:
        found = await runtime.handle("d").query(Diary.so_far)
        assert found[: len(IN_ORDER)] == IN_ORDER


@workflow(registry=REGISTRY)
async def holding_back() -> None:
    await receive("on")
    continue_as_new(workflow=Diary.run)
