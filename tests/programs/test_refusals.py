"""What workflow code may not do is refused by name, with file and line; no hang."""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest

from everact.runtime import (
    ApplicationError,
    Registry,
    cancel_run,
    execute_child,
    signal_run,
    task,
)
from everact.runtime.core.records import Complete, Fail, StartTimer
from everact.runtime.errors import ForeignAwait
from everact.runtime.programs.loop import SLICE, DeterministicLoop
from tests.programs.driven import VALUES, Driven, play

REGISTRY = Registry()


@task(registry=REGISTRY)
def double(n: int) -> int:
    return 2 * n


SUPPORTED = {
    "call_soon",
    "call_later",
    "call_at",
    "time",
    "create_future",
    "create_task",
    "get_debug",
    "is_running",
    "is_closed",
    "close",
    "call_exception_handler",
    "default_exception_handler",
    "get_exception_handler",
    "get_task_factory",
    "shutdown_asyncgens",
    "shutdown_default_executor",
}
"""What of a loop works in workflow code; everything else is refused."""

METHODS = sorted(
    name
    for name, member in vars(asyncio.AbstractEventLoop).items()
    if inspect.isfunction(member) and not name.startswith("_")
)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in SUPPORTED])
def test_every_other_method_of_a_loop_is_refused_by_name(name: str) -> None:
    async def code() -> str:
        method = getattr(asyncio.get_running_loop(), name)
        try:
            method()
        except ForeignAwait as error:
            return str(error)
        return "not refused"

    found = play(code, registry=REGISTRY)
    assert "workflow code cannot" in found
    assert "do it in a @task and await the task" in found


def test_the_supported_methods_exist() -> None:
    assert set(METHODS) >= SUPPORTED
    for name in SUPPORTED:
        assert getattr(DeterministicLoop, name) is not getattr(
            asyncio.AbstractEventLoop, name
        )


async def threads() -> None:
    await asyncio.to_thread(print)


async def executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def connection() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def server() -> None:
    async def serve(*_: Any) -> None: ...

    await asyncio.start_server(serve, "127.0.0.1", 0)


async def raw_socket() -> None:
    with socket.socket() as made:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", 1))


async def subprocess_exec() -> None:
    await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")


async def subprocess_shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def look_up() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def signal_handler() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)


async def reader() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def other_thread() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(print)


async def task_factory() -> None:
    asyncio.get_running_loop().set_task_factory(None)


async def stop() -> None:
    asyncio.get_running_loop().stop()


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (threads, "use threads or executors"),
        (executor, "use threads or executors"),
        (connection, "connections"),
        (server, "(look up hosts|serve connections)"),
        (raw_socket, "use sockets"),
        (subprocess_exec, "start processes"),
        (subprocess_shell, "start processes"),
        (look_up, "look up hosts"),
        (signal_handler, "handle operating system signals"),
        (reader, "watch file descriptors"),
        (other_thread, "be called from other threads"),
        (task_factory, "change how tasks are made"),
        (stop, "stop the loop"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_ordinary_ways_to_the_outside_end_in_a_named_error(
    code: Callable[..., Any], what: str
) -> None:
    with pytest.raises(ForeignAwait, match=f"workflow code cannot .*{what}") as caught:
        play(code, registry=REGISTRY)
    place = "".join(caught.value.__notes__)
    assert "test_refusals.py" in place
    assert f"in {code.__name__}" in place


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_tasks_are_not_started_eagerly() -> None:
    async def code() -> None:
        loop: Any = asyncio.get_running_loop()
        await loop.create_task(asyncio.sleep(0), eager_start=True)

    with pytest.raises(ForeignAwait, match="start tasks eagerly"):
        play(code, registry=REGISTRY)


@pytest.mark.parametrize(
    "code",
    [
        lambda: execute_child("other", id="\ud800"),
        lambda: execute_child("other", run_name="\ud800"),
        lambda: execute_child("\ud800"),
        lambda: signal_run("\ud800", "go"),
        lambda: signal_run("other", "\ud800"),
        lambda: cancel_run("\ud800"),
    ],
)
def test_names_that_cannot_be_stored_are_refused_where_they_are_given(
    code: Callable[[], Any],
) -> None:
    """A record that cannot be written would fail the same way after each reload."""

    async def calls() -> None:
        await code()

    with pytest.raises(ValueError, match="cannot be stored"):
        play(calls, registry=REGISTRY)


# -- foreign awaits ------------------------------------------------------------------


class Odd:
    """An awaitable of another framework: it yields what asyncio does not know."""

    def __await__(self) -> Generator[Any, None, None]:
        yield "something odd"


async def deep(awaitable: Any) -> None:
    await asyncio.gather(deeper(awaitable))


async def deeper(awaitable: Any) -> None:
    await awaitable  # THE LINE


def the_line() -> str:
    lines, first = inspect.getsourcelines(deeper)
    return str(first + next(n for n, line in enumerate(lines) if "THE LINE" in line))


@pytest.fixture
def outer_loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("kind", ["future", "task", "odd"])
def test_what_is_foreign_to_the_loop_is_named_with_file_and_line(
    kind: str, outer_loop: asyncio.AbstractEventLoop
) -> None:
    async def nothing() -> None: ...

    foreign: Any = Odd()
    if kind == "future":
        foreign = outer_loop.create_future()
    elif kind == "task":
        foreign = outer_loop.create_task(nothing())

    async def code() -> None:
        await deep(foreign)

    with pytest.raises(ForeignAwait) as caught:
        play(code, registry=REGISTRY)
    text = str(caught.value)
    line = "in __await__" if kind == "odd" else f":{the_line()} in deeper"
    assert "test_refusals.py:" in text
    assert line in text
    assert "do it in a @task and await the task" in text
    assert isinstance(caught.value.__cause__, RuntimeError | ApplicationError)
    if kind == "task":
        outer_loop.run_until_complete(foreign)


def test_a_foreign_await_may_be_caught_where_it_happens() -> None:
    async def code() -> str:
        try:
            await Odd()
        except RuntimeError as error:
            return type(error).__name__
        return ""

    assert play(code, registry=REGISTRY) == "RuntimeError"


# -- code that will not stop ---------------------------------------------------------


def test_a_busy_loop_gives_others_a_turn() -> None:
    async def code() -> int:
        turns = 0
        while turns < 3 * SLICE:
            await asyncio.sleep(0)
            turns += 1
        return turns

    run = Driven(code)
    program = run.program
    answers: list[Any] = [program.activate((run.started,), run.now)]
    while answers[-1] is None:
        answers.append(program.resume())
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert len(answers) >= 3
    (closing,) = answers[-1]
    assert isinstance(closing, Complete)
    assert VALUES.decode(closing.result) == 3 * SLICE


def test_a_busy_loop_beside_a_wait_is_not_mistaken_for_the_wait() -> None:
    async def code() -> None:
        waiting = asyncio.create_task(asyncio.sleep(5))
        while not waiting.done():
            await asyncio.sleep(0)

    run = Driven(code)
    assert run.program.activate((run.started,), run.now) is None
    assert run.program.resume() is None
    run.program.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("nested", [False, True])
def test_what_would_end_the_program_is_the_runs_failure(
    kind: type[BaseException], nested: bool
) -> None:
    async def ending() -> None:
        raise kind

    async def code() -> None:
        if nested:
            await asyncio.gather(ending())
        await ending()

    run = Driven(code)
    (failed,) = run.start()
    assert isinstance(failed, Fail)
    assert failed.failure.type == kind.__name__
    run.replayed().close()
    run.program.close()


def _exit(*_: object) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("number", "handler", "kind"),
    [
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGTERM, _exit, SystemExit),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("caught", [False, True])
def test_an_interrupt_of_the_process_is_not_the_runs_outcome(
    number: signal.Signals, handler: Any, kind: Any, nested: bool, caught: bool
) -> None:
    async def interrupted() -> None:
        try:
            signal.raise_signal(number)
        except kind:
            if caught:
                sys.exit(4)  # as programs do that are asked to stop
            raise

    async def code() -> None:
        if nested:
            await asyncio.gather(interrupted())
        await interrupted()

    run, before = Driven(code), signal.signal(number, handler)
    try:
        with pytest.raises(SystemExit if caught else kind):
            run.start()
    finally:
        signal.signal(number, before)
    assert run.issued == []
    run.program.close()


def test_an_error_in_a_callback_is_logged_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise ValueError("in a callback")

    async def code() -> str:
        asyncio.get_running_loop().call_soon(broken)
        await asyncio.sleep(1)
        return "went on"

    assert play(code, registry=REGISTRY) == "went on"
    assert "a callback raised" in caplog.text
    assert "in a callback" in caplog.text


def test_an_error_that_nobody_awaits_does_not_fail_the_run() -> None:
    async def broken() -> None:
        raise ValueError("nobody looks")

    async def code() -> str:
        left = asyncio.create_task(broken())
        await asyncio.sleep(1)
        assert left.done()
        left.exception()
        return "went on"

    assert play(code, registry=REGISTRY) == "went on"


# -- eviction ------------------------------------------------------------------------


def test_being_put_away_runs_clean_up_and_refuses_what_it_asks_for() -> None:
    seen: list[str] = []

    async def inner(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(name)
            try:
                await double(1)
            except RuntimeError as error:
                seen.append(str(error))

    async def code() -> None:
        try:
            await asyncio.gather(inner("one"), inner("two"))
        finally:
            seen.append("root")

    run = Driven(code)
    run.start()
    before = list(run.program.loop.commands)
    run.program.close()
    refused = "the run is being put away: clean-up must not call out"
    assert sorted(seen) == sorted(["one", refused, "two", refused, "root"])
    assert run.program.loop.commands == before == []


@pytest.mark.parametrize("what", ["task", "timer", "more"])
def test_clean_up_that_waits_on_is_cut_off(what: str) -> None:
    reached: list[str] = []

    async def code() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            if what == "task":
                await double(1)
            elif what == "timer":
                await asyncio.sleep(5)
            else:
                await asyncio.get_running_loop().create_future()
            reached.append("beyond")

    run = Driven(code)
    run.start()
    run.program.close()
    assert run.program.loop.commands == []
    assert reached == []


def test_a_run_put_away_goes_on_as_if_it_had_not_been() -> None:
    async def code() -> list[str]:
        seen = []
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("cleaned up")
        seen.append(str(await double(4)))
        return seen

    run = Driven(code)
    run.start()
    run.restart()
    assert run.play(REGISTRY) == ["cleaned up", "8"]


def test_closing_twice_is_harmless() -> None:
    async def code() -> None:
        await asyncio.sleep(5)

    run = Driven(code)
    run.start()
    run.program.close()
    run.program.close()


# -- stuck ---------------------------------------------------------------------------


async def on_an_event() -> None:
    await asyncio.Event().wait()  # STUCK HERE


async def on_a_future() -> None:
    await asyncio.get_running_loop().create_future()  # STUCK HERE


async def on_its_own_lock() -> None:
    lock = asyncio.Lock()
    async with lock, lock:  # STUCK HERE
        pass


async def on_an_empty_queue() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.Queue[int]().get())


def stuck_line(code: Callable[..., Any]) -> str:
    lines, first = inspect.getsourcelines(code)
    return str(first + next(n for n, line in enumerate(lines) if "STUCK" in line))


@pytest.mark.parametrize("code", [on_an_event, on_a_future, on_its_own_lock])
def test_a_run_that_nothing_can_wake_says_where_it_waits(
    code: Callable[..., Any],
) -> None:
    run = Driven(code)
    assert run.start() == []
    assert run.program.stuck is not None
    assert "nothing is open that could wake it" in run.program.stuck
    assert f"test_refusals.py:{stuck_line(code)} in {code.__name__}" in (
        run.program.stuck
    )
    run.program.close()


def test_a_group_of_tasks_that_nothing_can_wake_is_stuck_too() -> None:
    run = Driven(on_an_empty_queue)
    run.start()
    assert run.program.stuck is not None
    assert "in on_an_empty_queue" in run.program.stuck
    run.program.close()


def test_a_run_that_waits_for_something_open_is_not_stuck() -> None:
    async def code() -> None:
        await asyncio.gather(asyncio.Event().wait(), asyncio.sleep(5))

    run = Driven(code)
    run.start()
    assert run.program.stuck is None
    (timer,) = (c for c, x in run.open.items() if isinstance(x, StartTimer))
    run.fire(timer)
    assert run.program.stuck is not None
    run.program.close()


def test_a_finished_run_is_not_stuck() -> None:
    async def code() -> None:
        raise ValueError("over")

    run = Driven(code)
    (closing,) = run.start()
    assert isinstance(closing, Fail)
    assert run.program.stuck is None
