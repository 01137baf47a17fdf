"""Signals and queries as the program sees them: in order, read-only, not stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everact.runtime import (
    Registry,
    continue_as_new,
    now,
    on_query,
    on_signal,
    random,
    receive,
    sleep,
    task,
    uuid4,
    wait_condition,
    workflow,
)
from everact.runtime.core.records import (
    Complete,
    ContinueAsNew,
    Fail,
    RunTask,
    SignalReceived,
    Started,
)
from everact.runtime.errors import QueryFailed
from everact.runtime.programs.base import Query
from everact.runtime.workflows import cancel_reason
from tests.programs.driven import VALUES, Driven

REGISTRY = Registry()


@task(registry=REGISTRY)
def double(n: int) -> int:
    return 2 * n


@workflow(registry=REGISTRY)
class Cart:
    def __init__(self) -> None:
        self.lines: list[str] = ["first"]
        self.closed = False
        self.event = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    @workflow.run
    async def run(self) -> list[str]:
        self.task = asyncio.create_task(self.event.wait())
        await wait_condition(lambda: self.closed)
        return self.lines

    @workflow.signal
    def add(self, line: str) -> None:
        self.lines.append(line)

    @workflow.signal
    async def add_doubled(self, n: int) -> None:
        self.lines.append(str(await double(n)))

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.signal
    def broken(self) -> None:
        raise ValueError("in a handler")

    @workflow.signal(dynamic=True)
    def other(self, name: str, args: tuple[Any, ...]) -> None:
        self.lines.append(f"{name}{args}")

    @workflow.query
    def size(self, at_least: int = 0) -> int:
        return max(len(self.lines), at_least)

    @workflow.query
    def when(self) -> list[Any]:
        return [now(), random().random(), str(uuid4())]

    @workflow.query
    def failing(self) -> None:
        raise KeyError("in a query")

    # -- queries that are none -----------------------------------------------------

    @workflow.query
    def append(self) -> None:
        self.lines.append("by a query")

    @workflow.query
    def append_and_fail(self) -> None:
        self.lines.append("by a query")
        raise KeyError("and failed")

    @workflow.query
    def assign(self) -> None:
        self.closed = True

    @workflow.query
    def new_attribute(self) -> None:
        self.more = 1

    @workflow.query
    def set_event(self) -> None:
        self.event.set()

    @workflow.query
    def cancel_task(self) -> None:
        assert self.task is not None
        self.task.cancel()

    @workflow.query
    def call_task(self) -> Any:
        return double(1)

    @workflow.query
    def spawn(self) -> None:
        self.task = asyncio.ensure_future(double(1))

    @workflow.query
    def call_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.add, "later")

    @workflow.query
    def start_timer(self) -> None:
        asyncio.get_running_loop().call_later(5, self.add, "later")

    @workflow.query
    def continue_elsewhere(self) -> None:
        continue_as_new()


@pytest.fixture
def cart() -> Any:
    run = Driven(Cart)
    run.start()
    yield run
    run.program.close()


def ask(run: Driven, name: str, *args: Any, **kwargs: Any) -> Any:
    return run.program.query(Query(name, args, kwargs, {}))


# -- signals -------------------------------------------------------------------------


def test_handlers_start_in_the_order_of_arrival(cart: Driven) -> None:
    cart.signal("add", "a")
    (command,) = cart.signal("add_doubled", 4)
    assert isinstance(command, RunTask)
    cart.signal("add", "b")
    cart.complete(command.call, 8)
    (closing,) = cart.signal("close")
    assert isinstance(closing, Complete)
    assert cart.outcome() == ["first", "a", "b", "8"]
    cart.replayed().close()


def test_a_signal_that_no_handler_takes_goes_to_the_dynamic_one(cart: Driven) -> None:
    cart.signal("unheard of", 1, 2)
    cart.signal("close")
    assert cart.outcome() == ["first", "unheard of(1, 2)"]


def test_a_signal_with_misfitting_arguments_is_dropped_with_a_warning(
    cart: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    assert cart.signal("add") == []
    assert "signal 'add' dropped, its arguments misfit" in caplog.text
    assert ask(cart, "size") == 1


def test_a_handler_that_fails_fails_the_run(cart: Driven) -> None:
    (closing,) = cart.signal("broken")
    assert isinstance(closing, Fail)
    assert (closing.failure.type, closing.failure.message) == (
        "ValueError",
        "in a handler",
    )


def test_signals_that_came_with_the_start_are_not_lost() -> None:
    run = Driven(Cart)
    early = SignalReceived("add", (VALUES.encode("early", ""),))
    run.show(run.started, early, SignalReceived("close"))
    assert run.outcome() == ["first", "early"]
    run.replayed().close()


def test_functions_receive_signals_oldest_first_and_time_out() -> None:
    async def code() -> list[Any]:
        seen = [await receive("go")]
        try:
            seen.append(await receive("stop", timeout=5))
        except TimeoutError:
            seen.append("late")
        seen.append(await receive("go"))
        seen.append(await receive("go"))
        return seen

    run = Driven(code)
    run.show(run.started)
    run.signal("go", 1)
    run.signal("go", 2, 3)
    run.signal("go")
    (timer,) = run.open
    run.fire(timer)
    assert run.outcome() == [1, "late", (2, 3), None]
    run.replayed().close()


def test_a_receiver_that_gave_up_takes_no_signal() -> None:
    async def code() -> Any:
        try:
            await receive("go", timeout=5)
        except TimeoutError:
            await sleep(5)
        return await receive("go")

    run = Driven(code)
    run.start()
    (timer,) = run.open
    run.fire(timer)
    run.signal("go", "kept")
    (timer,) = run.open
    run.fire(timer)
    assert run.outcome() == "kept"
    run.replayed().close()


def test_handlers_of_a_function_take_what_waited_first() -> None:
    async def code() -> list[int]:
        seen: list[int] = []
        await sleep(5)
        on_signal("add", seen.append)
        await wait_condition(lambda: len(seen) == 3)
        return seen

    run = Driven(code)
    run.start()
    run.signal("add", 1)
    run.signal("add", 2)
    (timer,) = run.open
    run.fire(timer)
    run.signal("add", 3)
    assert run.outcome() == [1, 2, 3]
    run.replayed().close()


def test_unread_signals_go_along_when_the_run_continues() -> None:
    async def code() -> None:
        await receive("go")
        continue_as_new()

    run = Driven(code)
    kept = SignalReceived("other", (VALUES.encode(1, ""),))
    run.start()
    run.show(kept)
    run.signal("go")
    assert isinstance(run.closing, ContinueAsNew)
    assert run.closing.unread == (kept,)


def test_the_reason_of_a_cancellation_is_known_and_delivered_once() -> None:
    async def code() -> list[Any]:
        seen: list[Any] = [cancel_reason()]
        try:
            await sleep(100)
        except asyncio.CancelledError as error:
            seen += [cancel_reason(), error.args]
        return seen

    run = Driven(code)
    run.start()
    run.cancel("enough")
    assert run.outcome() == [None, "enough", ("enough",)]


# -- queries -------------------------------------------------------------------------


def test_a_query_answers_from_the_present_state(cart: Driven) -> None:
    assert ask(cart, "size") == 1
    cart.signal("add", "a")
    assert ask(cart, "size") == 2
    assert ask(cart, "size", 7) == 7
    assert ask(cart, "size", at_least=9) == 9


@pytest.mark.parametrize(
    "name",
    [
        "append",
        "append_and_fail",
        "assign",
        "new_attribute",
        "set_event",
        "cancel_task",
        "call_task",
        "spawn",
        "call_soon",
        "start_timer",
        "continue_elsewhere",
    ],
)
def test_a_query_that_would_change_something_is_refused(
    cart: Driven, name: str
) -> None:
    with pytest.raises(QueryFailed, match=name):
        ask(cart, name)


def test_a_refused_query_says_why(cart: Driven) -> None:
    for name in ("append", "append_and_fail", "set_event", "call_soon"):
        with pytest.raises(QueryFailed, match="changed the run's state"):
            ask(cart, name)
    with pytest.raises(QueryFailed, match="must not be async"):
        ask(cart, "call_task")
    with pytest.raises(QueryFailed, match="must not change or start anything"):
        ask(cart, "start_timer")


def test_a_query_that_raises_is_a_failed_query(cart: Driven) -> None:
    with pytest.raises(QueryFailed, match="in a query") as caught:
        ask(cart, "failing")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_query_of_an_unknown_name_lists_the_known_ones(cart: Driven) -> None:
    with pytest.raises(QueryFailed, match=r"answers no query 'sise'.*size"):
        ask(cart, "sise")


def test_asking_does_not_disturb_the_runs_random_numbers() -> None:
    @workflow(registry=Registry())
    class Lucky:
        @workflow.run
        async def run(self) -> list[float]:
            one = random().random()
            await sleep(5)
            return [one, random().random()]

        @workflow.query
        def draw(self) -> list[Any]:
            return [random().random(), str(uuid4())]

    def outcome(questions: int) -> Any:
        run = Driven(Lucky)
        run.start()
        answers = [ask(run, "draw") for _ in range(questions)]
        assert all(answer == answers[0] for answer in answers)
        (timer,) = run.open
        run.fire(timer)
        run.replayed().close()
        return run.outcome()

    assert outcome(0) == outcome(3)


def test_functions_declare_queries() -> None:
    async def code() -> None:
        progress = [0]
        on_query("progress", lambda: progress[0])
        for n in range(3):
            await sleep(5)
            progress[0] = n + 1

    run = Driven(code)
    run.start()
    assert ask(run, "progress") == 0
    (timer,) = run.open
    run.fire(timer)
    assert ask(run, "progress") == 1
    replayed = run.replayed()
    assert replayed.query(Query("progress", (), {}, {})) == 1
    replayed.close()
    run.program.close()


def test_a_run_that_takes_signals_is_not_stuck(cart: Driven) -> None:
    assert cart.program.stuck is None


def test_a_function_that_waits_for_a_signal_is_not_stuck() -> None:
    async def code() -> None:
        await receive("go")

    run = Driven(code)
    run.start()
    assert run.program.stuck is None
    run.program.close()


def test_arguments_that_misfit_fail_the_run_before_its_code() -> None:
    @workflow(registry=Registry())
    async def strict(one: int) -> None:
        raise AssertionError("not reached")

    run = Driven(strict)
    start: Started = run.started
    (closing,) = run.show(start)
    assert isinstance(closing, Fail)
    assert closing.failure.type == "TypeError"


def test_a_constructor_that_fails_fails_the_run() -> None:
    @workflow(registry=Registry())
    class Unborn:
        def __init__(self) -> None:
            raise ValueError("in the constructor")

        @workflow.run
        async def run(self) -> None: ...

    (closing,) = Driven(Unborn).start()
    assert isinstance(closing, Fail)
    assert closing.failure.message == "in the constructor"
