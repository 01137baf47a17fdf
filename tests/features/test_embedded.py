"""Engine, worker and client in one process; bad input and bad states told clearly."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock, VirtualLoop
from everact.runtime import (
    ApplicationError,
    Client,
    EveractError,
    Registry,
    RunStatus,
    Runtime,
    Worker,
    WorkflowFailure,
    receive,
    task,
    workflow,
)
from everact.runtime import errors as every_error
from everact.runtime.converters import DataConverter
from everact.runtime.errors import (
    QueryFailed,
    QueryRejected,
    RPCError,
    RuntimeStateError,
    StoreError,
    StoreInUse,
    ValueNotStorable,
    WorkflowAlreadyStarted,
)
from everact.runtime.statuses import RPCStatus
from tests.features.conftest import Site
from tests.features.killing import Program
from tests.features.stage import note, noted, stage

REGISTRY = Registry()


@task(registry=REGISTRY)
async def double(value: int) -> int:
    note("doubled")
    return 2 * value


@task(registry=REGISTRY)
async def passed(value: Any) -> Any:
    note(f"passed {type(value).__name__}")
    return value


@task(registry=REGISTRY)
async def a_lock() -> Any:
    note("made a lock")
    return threading.Lock()


@task(registry=REGISTRY)
async def takes_an_hour() -> str:
    note("an hour begins")
    await asyncio.sleep(3600)
    return "done"


@workflow(registry=REGISTRY)
async def doubled(value: int) -> int:
    return await double(value)


@workflow(registry=REGISTRY)
async def echo(value: Any) -> Any:
    return value


@workflow(registry=REGISTRY)
async def told() -> Any:
    return await receive("go")


@workflow(registry=REGISTRY)
async def patient() -> str:
    return await takes_an_hour()


@workflow(registry=REGISTRY)
async def gives_a_lock() -> Any:
    return threading.Lock()


@workflow(registry=REGISTRY)
async def awaits_a_lock() -> str:
    try:
        await a_lock()
    except ValueNotStorable as error:
        return str(error)
    return "a lock was stored"


@workflow(registry=REGISTRY)
async def passes_a_lock() -> str:
    try:
        await passed(threading.Lock())
    except TypeError as error:
        return str(error)
    return "a lock was passed"


class JsonOnly:
    """A converter of JSON-able values."""

    def encode(self, value: Any, what: str) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise ValueNotStorable(f"{what} is not JSON-able: {error}") from error

    def decode(self, payload: bytes) -> Any:
        return json.loads(payload)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


class BreaksOnLoading:
    def __reduce__(self) -> Any:
        return (_break, ())


def _break() -> None:
    raise RuntimeError("cannot be loaded")


@pytest.fixture
def open_socket() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        yield opened


async def known_runs(runtime: Client) -> list[str]:
    return [line.workflow_id async for line in runtime.list()]


# -- one process, no configuration ----------------------------------------------------


@pytest.mark.feature("CT-07")
async def test_engine_worker_and_client_need_no_server_and_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Runtime(registry=REGISTRY) as runtime:
        assert await runtime.execute(doubled, 21) == 42
    assert (tmp_path / "everact.db").exists()


@pytest.mark.feature("CT-07")
async def test_a_runtime_is_a_client_like_any_other(runtime: Client) -> None:
    assert isinstance(runtime, Client)
    assert await runtime.execute(doubled, 21) == 42


@pytest.mark.feature("CT-07")
async def test_in_memory_nothing_is_left_behind(tmp_path: Path) -> None:
    for _ in range(2):
        async with Runtime(":memory:", registry=REGISTRY) as runtime:
            assert await known_runs(runtime) == []
            assert await runtime.execute(doubled, 21) == 42
    assert list(tmp_path.iterdir()) == []


@pytest.mark.feature("CT-07")
async def test_tasks_and_workflows_called_in_plain_code_go_to_the_active_runtime(
    site: Site,
) -> None:
    async with site.up() as runtime:
        assert await double(21) == 42
        assert await doubled(21) == 42
        assert len(await known_runs(runtime)) == 2
    with pytest.raises(RuntimeError, match="running Runtime"):
        await double(21)


README_PROGRAM = """
    import asyncio
    from everact.runtime import Runtime, sleep, task, workflow

    @task
    async def fetch(number: int) -> int:
        with open("fetched", "a") as file:
            print(number, file=file)
        print("fetched", number)
        return number

    @workflow
    async def crawl(upto: int) -> int:
        total = 0
        for number in range(upto):
            total += await fetch(number)
            await sleep("1ms")
        return total

    async def main() -> None:
        async with Runtime("crawl.db") as runtime:
            handle = await runtime.start(crawl, 30, id="crawl", on_conflict="attach")
            print(await handle.result())

    asyncio.run(main())
"""


@pytest.mark.kill
@pytest.mark.feature("CT-07")
def test_a_program_that_is_killed_and_run_again_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path, README_PROGRAM)
    program.kill_at("fetched 10")
    program.kill_at("fetched 20")
    assert program.run()[-1] == str(sum(range(30)))
    assert program.run() == [str(sum(range(30)))]
    fetched = [int(n) for n in (tmp_path / "fetched").read_text().split()]
    assert sorted(set(fetched)) == list(range(30))
    # Only the task that ran at the moment of a kill may have run again.
    assert len(fetched) <= 30 + 2


# -- values that cannot be converted --------------------------------------------------


@pytest.mark.feature("DC-05")
async def test_an_argument_that_cannot_be_stored_is_named_and_no_run_exists(
    runtime: Client, open_socket: socket.socket
) -> None:
    for value in (open_socket, threading.Lock(), (n for n in [1]), Unpicklable()):
        with pytest.raises(ValueNotStorable, match="argument 1 of echo"):
            await runtime.start(echo, value)
        with pytest.raises(ValueNotStorable, match="argument 2 of echo"):
            await runtime.start("echo", args=[1, {"deep": [value]}])
        with pytest.raises(ValueNotStorable, match="argument 'value' of echo"):
            await runtime.start(echo, kwargs={"value": value})
        with pytest.raises(ValueNotStorable, match="memo 'note'"):
            await runtime.start(echo, 1, memo={"note": value})
    assert await known_runs(runtime) == []


@pytest.mark.feature("DC-05")
async def test_under_a_json_only_converter_as_well(
    site: Site, open_socket: socket.socket
) -> None:
    async with site.up(data_converter=DataConverter(JsonOnly())) as runtime:
        with pytest.raises(ValueNotStorable, match="argument 1 of echo"):
            await runtime.start(echo, open_socket)
        with pytest.raises(ValueNotStorable, match="argument 1 of echo"):
            await runtime.start(echo, {1, 2})
        assert await known_runs(runtime) == []
        value = {"a": [1, 2.5, None, "ü"]}
        assert await runtime.execute(echo, value) == value


@pytest.mark.feature("DC-05")
async def test_a_result_that_cannot_be_stored_fails_what_gave_it(
    runtime: Client,
) -> None:
    with pytest.raises(WorkflowFailure, match="the result of gives_a_lock") as failed:
        await runtime.execute(gives_a_lock)
    assert isinstance(failed.value.cause, ValueNotStorable)
    found = await runtime.execute(awaits_a_lock)
    assert "the result of a_lock" in found
    assert stage.notes == ["made a lock"]


@pytest.mark.feature("DC-05")
async def test_an_argument_of_a_task_that_cannot_be_stored_raises_at_the_call(
    runtime: Client,
) -> None:
    assert "argument 1 of passed" in await runtime.execute(passes_a_lock)
    assert stage.notes == []


async def test_a_value_that_cannot_be_loaded_again_stops_its_run_alone(
    runtime: Client,
) -> None:
    with pytest.raises(EveractError, match="cannot be loaded"):
        await asyncio.wait_for(runtime.execute(echo, BreaksOnLoading()), 60)
    assert await runtime.execute(echo, 1) == 1


async def test_a_value_that_is_too_large_is_refused_with_its_size(
    runtime: Client,
) -> None:
    with pytest.raises(ValueNotStorable, match=r"argument 1 of echo takes 67,\d+"):
        await runtime.start(echo, b"x" * (64 * 1024 * 1024 + 1))
    assert await known_runs(runtime) == []


# -- errors ---------------------------------------------------------------------------


@pytest.mark.feature("ER-01")
def test_all_errors_are_one_family() -> None:
    raised = [getattr(every_error, name) for name in every_error.__all__]
    assert all(issubclass(error, EveractError) for error in raised)
    assert issubclass(EveractError, Exception)


@pytest.mark.feature("ER-01")
def test_the_rpc_error_carries_message_status_and_details() -> None:
    error = RPCError("too much", RPCStatus.RESOURCE_EXHAUSTED, ("a", 1))
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert (one.message, one.status, one.details) == (
            "too much",
            RPCStatus.RESOURCE_EXHAUSTED,
            ("a", 1),
        )
    assert [status.name for status in RPCStatus] == [
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ]


@pytest.mark.feature("ER-01")
async def test_every_refusal_of_an_engine_is_of_the_family(site: Site) -> None:
    async with site.up(workers=[]) as runtime:
        handle = await runtime.start(told, id="x")
        unknown = runtime.handle("unknown")
        refusals: list[tuple[Any, RPCStatus | None]] = [
            (unknown.describe(), RPCStatus.NOT_FOUND),
            (unknown.result(), RPCStatus.NOT_FOUND),
            (unknown.cancel(), RPCStatus.NOT_FOUND),
            (handle.query("what"), RPCStatus.DEADLINE_EXCEEDED),
            (runtime.start(told, id="x"), None),
        ]
        for call, status in refusals:
            with pytest.raises(EveractError) as refused:
                await call
            assert getattr(refused.value, "status", None) is status
            assert str(refused.value)


CALLERS_MISTAKES: list[tuple[type[Exception], Any]] = [
    (TypeError, lambda r: r.start(len)),
    (TypeError, lambda r: r.start(doubled)),
    (TypeError, lambda r: r.start(doubled, args=[1, 2])),
    (TypeError, lambda r: r.start(doubled, 1, unknown_option=1)),
    (TypeError, lambda r: r.start(doubled, threading.Lock())),
    (TypeError, lambda r: r.start(doubled, 1, parameters={"x": object()})),
    (TypeError, lambda r: r.start(doubled, 1, start_delay=object())),
    (ValueError, lambda r: r.start("")),
    (ValueError, lambda r: r.start(doubled, 1, args=[1])),
    (ValueError, lambda r: r.start(doubled, 1, id="")),
    (ValueError, lambda r: r.start(doubled, 1, queue="")),
    (ValueError, lambda r: r.start(doubled, 1, start_delay=-1)),
    (ValueError, lambda r: r.start(doubled, 1, run_timeout="90")),
    (ValueError, lambda r: r.start(doubled, 1, execution_timeout="-1s")),
    (ValueError, lambda r: r.start(doubled, 1, on_conflict="replace")),
    (ValueError, lambda r: r.execute(doubled, 1, id="")),
    (ValueError, lambda r: r.handle("")),
    (ValueError, lambda r: r.handle("x").signal("")),
    (TypeError, lambda r: r.handle("x").signal(doubled)),
    (TypeError, lambda r: r.handle("x").signal("a", threading.Lock())),
    (ValueError, lambda r: r.handle("x").signal("a", 1, args=(1,))),
    (ValueError, lambda r: r.handle("x").query("")),
    (TypeError, lambda r: r.handle("x").query(doubled)),
    (TypeError, lambda r: r.handle("x").query("a", threading.Lock())),
    (ValueError, lambda r: r.handle("x").query("a", reject_condition="sometimes")),
    (TypeError, lambda r: r.handle("x").terminate(threading.Lock())),
    (ValueError, lambda r: anext(r.list(page_size=0))),
    (ValueError, lambda r: anext(r.list(workflow=""))),
    (TypeError, lambda r: anext(r.list(workflow=len))),
]


@pytest.mark.feature("ER-03")
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(("kind", "mistake"), CALLERS_MISTAKES)
async def test_a_callers_mistake_is_the_same_error_with_the_engine_stopped(
    site: Site, kind: type[Exception], mistake: Any, running: bool
) -> None:
    async with site.up() as runtime:
        if running:
            with pytest.raises(kind):
                await mistake(runtime)
            assert await known_runs(runtime) == []
    if not running:
        with pytest.raises(kind) as raised:
            await mistake(runtime)
        assert not isinstance(raised.value, RuntimeStateError)


# -- runtimes that are not running ----------------------------------------------------


async def test_a_closed_runtime_takes_nothing_and_says_so(site: Site) -> None:
    async with site.up() as runtime:
        handle = await runtime.start(told, id="x")
    calls: list[Any] = [
        lambda: runtime.start(told),
        lambda: runtime.execute(told),
        lambda: runtime.dispatch(double.build_call(1)),
        lambda: known_runs(runtime),
        handle.result,
        handle.describe,
        handle.history,
        handle.cancel,
        handle.terminate,
        lambda: handle.signal("go"),
        lambda: handle.query("what"),
    ]
    for call in calls:
        with pytest.raises(RuntimeStateError, match=r"closed|not running"):
            await call()
    async with site.up() as runtime:
        assert await known_runs(runtime) == ["x"]


async def test_nor_does_one_that_was_not_entered(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "everact.db", registry=REGISTRY)
    with pytest.raises(RuntimeStateError, match="async with"):
        await runtime.start(told)
    with pytest.raises(RuntimeStateError):
        _ = runtime.actors
    await runtime.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_runtime_is_entered_once_and_closed_as_often_as_you_like(
    tmp_path: Path,
) -> None:
    runtime = Runtime(tmp_path / "everact.db", registry=REGISTRY)
    async with runtime:
        with pytest.raises(RuntimeStateError, match="once"):
            async with runtime:
                pass
        assert await runtime.execute(doubled, 1) == 2
        await runtime.close()
        await runtime.close()
    with pytest.raises(RuntimeStateError, match="once"):
        async with runtime:
            pass


async def test_closing_waits_for_attempts_for_the_grace_time(site: Site) -> None:
    before = site.clock.now()
    async with site.up(grace="2h") as runtime:
        await runtime.start(patient, id="patient")
        await noted("an hour begins")
    assert site.clock.now() == pytest.approx(before + 3600, abs=1)
    async with site.up() as runtime:
        assert await runtime.handle("patient").result() == "done"
    assert stage.notes == ["an hour begins"]


async def test_and_not_longer(site: Site) -> None:
    before = site.clock.now()
    async with site.up(grace="10s") as runtime:
        await runtime.start(patient, id="patient")
        await noted("an hour begins")
    assert site.clock.now() == pytest.approx(before + 10, abs=1)
    async with site.up() as runtime:
        assert await runtime.handle("patient").result() == "done"
    assert stage.notes == ["an hour begins"] * 2


async def test_an_error_in_the_body_closes_the_runtime_and_is_raised(
    site: Site,
) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with site.up() as runtime:
            await runtime.start(told, id="x")
            raise LookupError("mine")
    async with site.up() as runtime:
        assert await known_runs(runtime) == ["x"]


# -- who may ask, and from where ------------------------------------------------------


@workflow(registry=REGISTRY)
async def uses_a_client() -> list[str]:
    found = []
    for use in (
        lambda: CLIENTS[0].start(echo, 1, id="made by a workflow"),
        lambda: CLIENTS[0].handle("x").describe(),
        lambda: CLIENTS[0].handle("x").signal("go"),
        lambda: known_runs(CLIENTS[0]),
    ):
        try:
            await use()
        except RuntimeStateError as error:
            found.append(str(error))
    return found


CLIENTS: list[Client] = []


async def test_workflow_code_cannot_use_a_client(runtime: Client) -> None:
    CLIENTS[:] = [runtime]
    handle = await runtime.start(uses_a_client, id="x")
    found = await handle.result()
    assert len(found) == 4
    assert all("start_child" in text and "@task" in text for text in found)
    assert await known_runs(runtime) == ["x"]


async def test_task_code_can(runtime: Client) -> None:
    @task(registry=REGISTRY, name="uses the client")
    async def uses_the_client() -> int:
        return await runtime.execute(doubled, 21)

    assert await runtime.execute(uses_the_client) == 42


async def test_a_client_is_refused_on_another_loop(runtime: Client) -> None:
    handle = await runtime.start(told, id="x")

    async def elsewhere() -> None:
        for use in (
            handle.result,
            handle.describe,
            lambda: handle.signal("go"),
            lambda: runtime.start(told),
            lambda: known_runs(runtime),
        ):
            with pytest.raises(RuntimeStateError, match="another event loop"):
                await use()

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert await known_runs(runtime) == ["x"]
    await handle.signal("go", "x")
    assert await handle.result() == "x"


async def test_callers_that_give_up_leave_nothing_behind(tmp_path: Path) -> None:
    async with Runtime(tmp_path / "everact.db", registry=REGISTRY) as runtime:
        handle = await runtime.start(told)

        async def follow() -> None:
            async for _ in handle.follow_history():
                pass

        waiting = [asyncio.ensure_future(handle.result()) for _ in range(3)]
        following = [asyncio.ensure_future(follow()) for _ in range(3)]
        await asyncio.sleep(1)
        assert (
            len(runtime.engine.waiting.results)
            == len(runtime.engine.waiting.followers)
            == 1
        )
        for waiter in (*waiting[:2], *following):
            waiter.cancel()
        await asyncio.sleep(1)
        assert [len(w) for w in runtime.engine.waiting.results.values()] == [1]
        assert runtime.engine.waiting.followers == {}
        await handle.signal("go", "x")
        assert await waiting[2] == "x"


@pytest.mark.feature("ST-21")
@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_that_gives_up_takes_no_repetition_of_its_request_along(
    runtime: Client, turns: int
) -> None:
    first = asyncio.ensure_future(runtime.start(doubled, 21, request_id="r"))
    second = asyncio.ensure_future(runtime.start(doubled, 21, request_id="r"))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    handle = await second
    assert await handle.result() == 42
    assert len(await known_runs(runtime)) == 1


@pytest.mark.parametrize("turns", range(6))
async def test_a_cut_off_message_arrives_once_or_not_at_all(
    runtime: Client, turns: int
) -> None:
    handle = await runtime.start(told)
    sending = asyncio.ensure_future(handle.signal("go", turns))
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.sleep(1)
    kinds = [item.kind for item in await handle.history()]
    assert kinds.count("SignalReceived") <= 1
    if "SignalReceived" not in kinds:
        assert sending.cancelled()
        await handle.signal("go", turns)
    assert await handle.result() == turns


# -- two runtimes, one file -----------------------------------------------------------


async def test_a_second_runtime_on_the_file_is_refused_and_harms_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "everact.db"
    async with Runtime(file, registry=REGISTRY) as first:
        handle = await first.start(told)
        with pytest.raises(StoreInUse, match=r"everact\.db") as refused:
            async with Runtime(file, registry=REGISTRY):
                pass
        assert "wait_for_lock" in str(refused.value)
        assert await first.execute(doubled, 1) == 2
        await handle.signal("go", "x")
        assert await handle.result() == "x"
    async with Runtime(file, registry=REGISTRY) as second:
        assert await second.handle(handle.id).result() == "x"


HOLDING = """
    import asyncio
    from everact.runtime import Runtime

    async def main() -> None:
        async with Runtime("everact.db"):
            print("open")
            await asyncio.get_running_loop().run_in_executor(None, input)

    asyncio.run(main())
"""


@pytest.mark.kill
async def test_nor_is_one_let_in_beside_another_process(tmp_path: Path) -> None:
    file = tmp_path / "everact.db"
    program = Program(tmp_path, HOLDING)
    with program.running("open") as child:
        with pytest.raises(StoreInUse, match=rf"process {child.pid}\b"):
            async with Runtime(file, registry=REGISTRY):
                pass
        assert child.poll() is None
    async with Runtime(file, registry=REGISTRY, wait_for_lock="1m") as runtime:
        assert await runtime.execute(doubled, 1) == 2


async def test_waiting_for_the_file_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    file = tmp_path / "everact.db"
    second = Runtime(file, registry=REGISTRY, wait_for_lock="1m")

    async def use_second() -> object:
        async with second as runtime:
            return await runtime.handle("x").result()

    async with Runtime(file, registry=REGISTRY) as first:
        waiting = asyncio.ensure_future(use_second())
        await first.start(echo, "by the first", id="x")
        assert await first.execute(doubled, 1) == 2
        assert not waiting.done()
    assert await waiting == "by the first"


async def test_two_runtimes_on_two_files_live_in_one_process(tmp_path: Path) -> None:
    async with Runtime(tmp_path / "a.db", registry=REGISTRY) as a:
        async with Runtime(tmp_path / "b.db", registry=REGISTRY) as b:
            await a.start(told, id="x")
            await b.start(told, id="x")
            await a.handle("x").signal("go", "a")
            await b.handle("x").signal("go", "b")
            assert await a.handle("x").result() == "a"
            assert await b.handle("x").result() == "b"


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "everact.db"
    file.write_bytes(content)
    if content:
        with pytest.raises(StoreError, match=r"everact\.db"):
            async with Runtime(file, registry=REGISTRY):
                pass
        assert file.read_bytes() == content
    else:
        async with Runtime(file, registry=REGISTRY) as runtime:
            assert await runtime.execute(doubled, 1) == 2


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        async with Runtime(tmp_path / "nowhere" / "everact.db", registry=REGISTRY):
            pass


async def test_the_database_is_an_ordinary_sqlite_file_for_its_owner_only(
    tmp_path: Path,
) -> None:
    file = tmp_path / "everact.db"
    async with Runtime(file, registry=REGISTRY) as runtime:
        await runtime.execute(doubled, 1)
    with sqlite3.connect(file) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    key = next(path for path in tmp_path.iterdir() if "key" in path.name)
    assert key.stat().st_mode & 0o077 == 0


# -- code that is not there -----------------------------------------------------------


async def test_an_unknown_workflow_at_recovery_waits_for_its_code_alone(
    site: Site,
) -> None:
    async with site.up() as runtime:
        await runtime.start(told, id="x")
    some = Registry()

    @workflow(registry=some)
    async def known() -> str:
        return "known"

    async with site.up(registry=some) as runtime:
        handle = runtime.handle("x")
        view = await handle.describe()
        assert view.status is RunStatus.RUNNING
        assert "'told'" in str(view.aside)
        await handle.signal("go", "kept")
        assert await runtime.execute(known) == "known"
    async with site.up() as runtime:
        assert await runtime.handle("x").result() == "kept"


async def test_an_unknown_task_fails_its_call_and_names_the_known_ones(
    site: Site,
) -> None:
    other = Registry()

    @workflow(registry=other, name="doubled")
    async def calls_a_stranger(value: int) -> int:
        return await double(value)

    async with site.up(registry=other) as runtime:
        with pytest.raises(WorkflowFailure, match="double") as failed:
            await runtime.execute("doubled", 1)
    assert isinstance(failed.value.cause, ApplicationError)
    assert stage.notes == []


# -- errors that would end more than their task ---------------------------------------


@task(registry=REGISTRY)
def ends_the_process(how: str) -> None:
    errors: dict[str, BaseException] = {
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "GeneratorExit": GeneratorExit(),
        "CancelledError": asyncio.CancelledError(),
    }
    raise errors[how]


@workflow(registry=REGISTRY)
async def survives(how: str) -> str:
    try:
        await ends_the_process(how)
    except ApplicationError as error:
        return error.type
    return "no error"


@pytest.mark.parametrize(
    "how", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError"]
)
async def test_a_task_in_a_thread_that_exits_fails_alone(site: Site, how: str) -> None:
    async with site.up() as runtime:
        bystander = await runtime.start(told, id="bystander")
        assert await runtime.execute(survives, how, id="survives") == how
        with pytest.raises(WorkflowFailure, match=how):
            await runtime.execute(ends_the_process, how)
    async with site.up() as runtime:
        assert await runtime.handle("survives").result() == how
        bystander = runtime.handle("bystander")
        await bystander.signal("go", "on")
        assert await bystander.result() == "on"


# -- runtimes made by hand ------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"grace": -1},
        {"grace": "90"},
        {"retention": -1},
        {"wait_for_lock": "soon"},
        {"default_query_reject_condition": "sometimes"},
    ],
)
def test_bad_options_of_a_runtime_are_refused_when_it_is_made(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Runtime(tmp_path / "everact.db", **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Worker([]),
        lambda: Worker([""]),
        lambda: Worker(""),
        lambda: Worker(slots=0),
    ],
)
def test_bad_workers_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="worker"):
        make()


async def test_run_ids_follow_the_generator_that_is_given(tmp_path: Path) -> None:
    found: list[str | None] = []
    for name in "ab":
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with Runtime(
            tmp_path / name,
            registry=REGISTRY,
            generator=random.Random(7),
            clock=VirtualClock(loop, epoch=1e9 - loop.time()),
        ) as runtime:
            found.append((await runtime.start(doubled, 1)).result_run_id)
    assert found[0] == found[1]


def test_errors_travel_between_processes() -> None:
    for error in (
        WorkflowAlreadyStarted("id", "type", "run"),
        QueryFailed("no"),
        QueryRejected(RunStatus.FAILED),
        WorkflowFailure("failed", ApplicationError("inner", 1, type="Odd")),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))
        assert str(copy.__cause__) == str(error.__cause__)
