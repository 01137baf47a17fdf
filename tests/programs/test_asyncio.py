"""Plain asyncio is durable: each of its tools, at any order of results, and replayed.

Every scenario is played with the first and with the last open task ending next, once
in one piece and once made anew from its records after every single step.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from everact.runtime import Registry, sleep, task
from everact.runtime.core.records import CancelCall, Complete, RunTask, StartTimer
from tests.programs.driven import Choice, Driven, first, last, play

REGISTRY = Registry()


@task(registry=REGISTRY)
def double(n: int) -> int:
    return 2 * n


@task(registry=REGISTRY)
def boom(text: str) -> None:
    raise ValueError(text)


class Way:
    """How a scenario is played."""

    def __init__(self, choose: Choice, restarts: bool) -> None:
        self.choose = choose
        self.restarts = restarts

    def __call__(self, workflow: Callable[..., Any], *args: Any) -> Any:
        return play(
            workflow,
            *args,
            registry=REGISTRY,
            choose=self.choose,
            restarts=self.restarts,
        )


@pytest.fixture(
    params=[(c, r) for c in (first, last) for r in (False, True)],
    ids=lambda p: f"{p[0].__name__}-{'restarted' if p[1] else 'whole'}",
)
def way(request: pytest.FixtureRequest) -> Way:
    return Way(*request.param)


# -- together ------------------------------------------------------------------------


def test_gather_gives_results_in_the_order_of_its_arguments(way: Way) -> None:
    async def code() -> list[int]:
        return await asyncio.gather(*(double(n) for n in range(5)))

    assert way(code) == [0, 2, 4, 6, 8]


def test_gather_starts_all_at_once() -> None:
    async def code() -> None:
        await asyncio.gather(double(1), double(2), asyncio.sleep(5))

    run = Driven(code)
    kinds = [type(command) for command in run.start()]
    assert sorted(kind.__name__ for kind in kinds) == [
        "RunTask",
        "RunTask",
        "StartTimer",
    ]


def test_gather_can_return_errors(way: Way) -> None:
    async def code() -> list[str]:
        found = await asyncio.gather(double(1), boom("b"), return_exceptions=True)
        return [repr(f) for f in found]

    assert way(code) == ["2", "ValueError('b')"]


def test_an_error_in_gather_leaves_its_siblings_running() -> None:
    async def code() -> str:
        try:
            await asyncio.gather(double(1), boom("b"))
        except ValueError as error:
            await double(9)
            return str(error)
        return ""

    run = Driven(code)
    run.start()
    assert run.fail(2, ValueError("b")) == [RunTask(3, *_nine())]
    assert sorted(run.open) == [1, 3]


def _nine() -> tuple[Any, ...]:
    from tests.programs.driven import VALUES

    return (double.everact_name, (VALUES.encode(9, ""),))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (asyncio.FIRST_COMPLETED, 1),
        (asyncio.FIRST_EXCEPTION, 3),
        (asyncio.ALL_COMPLETED, 3),
    ],
)
def test_wait_returns_when_asked_to(way: Way, when: str, expected: int) -> None:
    async def code() -> int:
        tasks = [asyncio.create_task(double(n)) for n in range(3)]
        done, pending = await asyncio.wait(tasks, return_when=when)
        assert len(done) + len(pending) == 3
        for left in pending:
            left.cancel()
        return len(done)

    assert way(code) == expected


def test_wait_with_a_timeout_gives_what_is_done(way: Way) -> None:
    async def code() -> tuple[list[int], int]:
        fast = asyncio.create_task(double(4))
        slow = asyncio.create_task(asyncio.sleep(60))
        done, pending = await asyncio.wait([slow, fast], timeout=5)
        slow.cancel()
        return [fast.result() for d in done if d is fast], len(pending)

    assert way(code) == ([8], 1)


def test_a_set_of_many_tasks_is_iterated_in_their_order(way: Way) -> None:
    """A standard set of tasks is ordered by their addresses, another on each replay."""

    async def nap(n: int) -> int:
        await asyncio.sleep(1)
        return n

    async def code() -> list[int]:
        tasks = {asyncio.create_task(nap(n)) for n in range(40)}
        done, _ = await asyncio.wait(tasks)
        seen = [d.result() for d in done]
        await asyncio.gather(*(double(n) for n in seen))
        return seen

    assert sorted(way(code)) == list(range(40))


def test_as_completed_gives_results_as_they_come() -> None:
    async def code() -> list[int]:
        awaitables = [double(n) for n in range(4)]
        return [await done for done in asyncio.as_completed(awaitables)]

    assert play(code, registry=REGISTRY, choose=first) == [0, 2, 4, 6]
    assert play(code, registry=REGISTRY, choose=last) == [6, 4, 2, 0]
    assert play(code, registry=REGISTRY, choose=last, restarts=True) == [6, 4, 2, 0]


def test_as_completed_can_time_out(way: Way) -> None:
    async def code() -> str:
        try:
            for done in asyncio.as_completed([asyncio.sleep(60)], timeout=5):
                await done
        except TimeoutError:
            return "late"
        return "in time"

    assert way(code) == "late"


def test_a_task_group_collects(way: Way) -> None:
    async def code() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(n)) for n in range(4)]
        return [t.result() for t in tasks]

    assert way(code) == [0, 2, 4, 6]


def test_a_task_group_cancels_siblings_of_an_error(way: Way) -> None:
    async def code() -> list[str]:
        seen = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1000))
                group.create_task(boom("one"))
                group.create_task(asyncio.sleep(2000))
        except* ValueError as errors:
            seen = [str(e) for e in errors.exceptions]
        return seen

    assert way(code) == ["one"]


def test_what_a_task_group_cancels_is_a_command() -> None:
    async def code() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(double(1))
            group.create_task(double(2))
            group.create_task(double(3))

    run = Driven(code)
    run.start()
    commands = run.fail(2, ValueError("b"))
    assert commands[:2] == [CancelCall(1), CancelCall(3)]
    assert run.closing is commands[-1]


def test_several_errors_come_as_a_group(way: Way) -> None:
    async def code() -> list[str]:
        async def fails(text: str) -> None:
            try:
                await asyncio.sleep(1)
            finally:
                raise KeyError(text)

        seen = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails("a"))
                group.create_task(fails("b"))
        except* KeyError as errors:
            seen = [e.args[0] for e in errors.exceptions]
        return seen

    assert way(code) == ["a", "b"]


def test_an_exception_group_can_be_the_runs_failure(way: Way) -> None:
    async def code() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(boom("one"))

    with pytest.raises(ExceptionGroup) as caught:
        way(code)
    assert [type(e) for e in caught.value.exceptions] == [ValueError]


# -- time ----------------------------------------------------------------------------


def test_sleeping_is_a_timer_and_time_stands_still_between() -> None:
    async def code() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        await asyncio.sleep(5)
        seen.append(loop.time())
        slept = await sleep("1h")
        return [*seen, slept.total_seconds()]

    run = Driven(code)
    start = run.now
    assert run.start() == [StartTimer(1, start + 5)]
    assert run.fire(1) == [StartTimer(2, start + 5 + 3600)]
    run.fire(2)
    assert run.outcome() == [start, start + 5, 3600.0]


def test_sleeping_no_time_is_no_command() -> None:
    async def code() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(-1)
        return "awake"

    run = Driven(code)
    (closing,) = run.start()
    assert isinstance(closing, Complete)


def test_wait_for_cancels_what_is_late(way: Way) -> None:
    async def code() -> str:
        try:
            await asyncio.wait_for(asyncio.sleep(100), timeout=5)
        except TimeoutError:
            return "late"
        return "in time"

    assert way(code) == "late"


def test_what_wait_for_cancels_is_a_command() -> None:
    async def code() -> str:
        try:
            await asyncio.wait_for(double(1), timeout=5)
        except TimeoutError:
            return "late"
        return "in time"

    run = Driven(code)
    kinds = {type(c): c for c in run.start()}
    timer = kinds[StartTimer]
    assert isinstance(timer, StartTimer)
    commands = run.fire(timer.call)
    assert commands[0] == CancelCall(kinds[RunTask].call)  # type: ignore[union-attr]
    assert run.outcome() == "late"


def test_what_is_in_time_cancels_the_timer(way: Way) -> None:
    async def code() -> int:
        async with asyncio.timeout(5):
            return await double(3)

    assert way(code) == 6
    run = Driven(code)
    run.start()
    timer, call = (
        next(c for c, command in run.open.items() if isinstance(command, kind))
        for kind in (StartTimer, RunTask)
    )
    assert run.complete(call, 6)[0] == CancelCall(timer)


def test_timeouts_nest_and_can_be_moved(way: Way) -> None:
    async def code() -> list[str]:
        seen = []
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(50):
                try:
                    async with asyncio.timeout(5) as inner:
                        inner.reschedule(loop.time() + 10)
                        await asyncio.sleep(100)
                except TimeoutError:
                    seen.append(f"inner after {loop.time() - begin:g}")
                await asyncio.sleep(100)
        except TimeoutError:
            seen.append(f"outer after {loop.time() - begin:g}")
        return seen

    begin = Driven(code).now
    assert way(code) == ["inner after 10", "outer after 50"]


def test_a_timer_that_was_never_recorded_is_no_command() -> None:
    """Asked for and dropped within one activation."""

    async def code() -> str:
        async with asyncio.timeout(5):
            pass
        return "done"

    (closing,) = Driven(code).start()
    assert isinstance(closing, Complete)


def test_callbacks_run_in_the_order_in_which_they_were_asked_for(way: Way) -> None:
    async def code() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_later(3, seen.append, "3 s")
        loop.call_later(1, seen.append, "1 s")
        loop.call_at(loop.time() + 2, seen.append, "2 s")
        dropped = loop.call_later(2.5, seen.append, "never")
        dropped.cancel()
        loop.call_soon(seen.append, "soon 1")
        loop.call_soon(seen.append, "soon 2")
        handle = loop.call_soon(seen.append, "never")
        handle.cancel()
        loop.call_later(0, seen.append, "soon 3")
        await asyncio.sleep(0)
        seen.append("woken")
        await asyncio.sleep(10)
        return seen

    assert way(code) == ["soon 1", "soon 2", "soon 3", "woken", "1 s", "2 s", "3 s"]


# -- taking turns --------------------------------------------------------------------


def test_a_lock_is_given_in_the_order_of_asking(way: Way) -> None:
    async def code() -> list[int]:
        lock, seen = asyncio.Lock(), list[int]()

        async def enter(n: int) -> None:
            async with lock:
                await asyncio.sleep(10 - n)
                seen.append(n)

        await asyncio.gather(*(enter(n) for n in range(5)))
        return seen

    assert way(code) == [0, 1, 2, 3, 4]


def test_an_event_wakes_all_who_wait(way: Way) -> None:
    async def code() -> list[int]:
        event, seen = asyncio.Event(), list[int]()

        async def wait(n: int) -> None:
            await event.wait()
            seen.append(await double(n))

        waiting = [asyncio.create_task(wait(n)) for n in range(3)]
        await asyncio.sleep(5)
        event.set()
        await asyncio.gather(*waiting)
        return sorted(seen)

    assert way(code) == [0, 2, 4]


def test_a_condition_and_a_barrier_work(way: Way) -> None:
    async def code() -> list[str]:
        seen: list[str] = []
        condition, barrier = asyncio.Condition(), asyncio.Barrier(2)

        async def consumer() -> None:
            async with condition:
                await condition.wait_for(lambda: "ready" in seen)
            seen.append("consumed")
            await barrier.wait()

        waiting = asyncio.create_task(consumer())
        await asyncio.sleep(1)
        async with condition:
            seen.append("ready")
            condition.notify_all()
        await barrier.wait()
        await waiting
        return seen

    assert way(code) == ["ready", "consumed"]


@pytest.mark.parametrize("kind", [asyncio.Queue, asyncio.LifoQueue])
def test_a_queue_joins_producers_and_consumers(
    way: Way, kind: type[asyncio.Queue[int]]
) -> None:
    async def code() -> int:
        queue, total = kind(maxsize=2), 0

        async def produce() -> None:
            for n in range(6):
                await queue.put(n)
                await asyncio.sleep(1)

        async def consume() -> None:
            nonlocal total
            while True:
                doubled = await double(await queue.get())
                total += doubled
                queue.task_done()

        consumers = [asyncio.create_task(consume()) for _ in range(2)]
        await produce()
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        await asyncio.gather(*consumers, return_exceptions=True)
        return total

    assert way(code) == 30


def test_a_semaphore_bounds_what_is_open() -> None:
    async def code() -> list[int]:
        semaphore = asyncio.Semaphore(3)

        async def bounded(n: int) -> int:
            async with semaphore:
                return await double(n)

        return await asyncio.gather(*(bounded(n) for n in range(10)))

    run = Driven(code)
    run.start()
    while run.closing is None:
        assert len(run.open) <= 3
        run.step(REGISTRY, last)
    assert run.outcome() == [2 * n for n in range(10)]
    run.replayed().close()


# -- tasks ---------------------------------------------------------------------------

variable = contextvars.ContextVar("variable", default="unset")


def test_context_variables_are_each_tasks_own(way: Way) -> None:
    async def code() -> list[str]:
        async def child(n: int) -> str:
            before = variable.get()
            variable.set(f"child {n}")
            await double(n)
            return f"{before} -> {variable.get()}"

        variable.set("root")
        found = await asyncio.gather(child(1), child(2))
        return [*found, variable.get()]

    assert way(code) == ["root -> child 1", "root -> child 2", "root"]
    assert variable.get() == "unset"


def test_a_context_variable_set_in_the_root_stays_set(way: Way) -> None:
    async def code() -> str:
        variable.set("root")
        await double(1)
        await asyncio.sleep(1)
        return variable.get()

    assert way(code) == "root"


def test_the_callers_context_is_not_seen() -> None:
    async def code() -> str:
        return variable.get()

    def started_elsewhere() -> Any:
        variable.set("the engine's")
        return play(code, registry=REGISTRY)

    assert contextvars.copy_context().run(started_elsewhere) == "unset"


def test_the_current_task_is_known_also_in_the_first_step(way: Way) -> None:
    async def code() -> list[str]:
        names = []

        async def child() -> None:
            for _ in range(2):
                current = asyncio.current_task()
                assert current is not None
                names.append(current.get_name())
                await double(1)

        await asyncio.create_task(child(), name="the child")
        current = asyncio.current_task()
        assert current is not None
        assert current in asyncio.all_tasks()
        return [*names, current.get_name()]

    assert way(code) == ["the child", "the child", "workflow"]


def test_a_task_group_takes_tasks_by_call(way: Way) -> None:
    """`TaskGroup.create_task` insists on a coroutine, which a call of a task is."""

    async def code() -> int:
        async with asyncio.TaskGroup() as group:
            made = group.create_task(double(5))
        return made.result()

    assert way(code) == 10


def test_async_generators_wait_durably(way: Way) -> None:
    async def pages(n: int) -> AsyncIterator[int]:
        for page in range(n):
            yield await double(page)

    async def code() -> list[int]:
        return [page async for page in pages(3)]

    assert way(code) == [0, 2, 4]


def test_abandoned_async_generators_are_closed_with_the_run_in_order() -> None:
    closed: list[int] = []

    async def endless(n: int) -> AsyncIterator[int]:
        try:
            while True:
                yield n
        finally:
            closed.append(n)

    async def code() -> None:
        generators = [endless(n) for n in range(3)]
        for generator in generators:
            await anext(generator)
        await asyncio.sleep(1)

    run = Driven(code)
    run.start()
    assert closed == []
    run.program.close()
    assert closed == [0, 1, 2]


# -- cancellation --------------------------------------------------------------------


def test_a_cancelled_run_may_clean_up_with_durable_steps() -> None:
    seen: list[str] = []

    async def code() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await double(1)
            await asyncio.sleep(5)
            seen.append("clean")
            raise

    run = Driven(code)
    run.start()
    commands = run.cancel("enough")
    assert commands[0] == CancelCall(1)
    assert isinstance(commands[1], RunTask)
    run.complete(2, 2)
    (closing,) = run.fire(3)
    assert closing.failure.message == "enough"  # type: ignore[union-attr]
    assert seen == ["cancelled", "clean"]
    run.replayed().close()


def test_a_cancelled_task_drops_its_calls_and_raises_at_once() -> None:
    async def code() -> str:
        made = asyncio.create_task(double(1))
        await asyncio.sleep(1)
        made.cancel("not wanted")
        try:
            await made
        except asyncio.CancelledError as error:
            await asyncio.sleep(1)
            return str(error)
        return ""

    run = Driven(code)
    run.start()
    sleeping = next(c for c, x in run.open.items() if isinstance(x, StartTimer))
    assert CancelCall(3 - sleeping) in run.fire(sleeping)
    run.fire(3)
    assert run.outcome() == "not wanted"
    run.replayed().close()


def test_a_shielded_call_goes_on(way: Way) -> None:
    async def code() -> list[Any]:
        inner = asyncio.ensure_future(asyncio.sleep(10, "kept"))
        try:
            async with asyncio.timeout(5):
                await asyncio.shield(inner)
        except TimeoutError:
            return ["late", await inner]
        return []

    assert way(code) == ["late", "kept"]


def test_a_call_may_be_cancelled_before_it_was_recorded() -> None:
    async def code() -> str:
        made = asyncio.create_task(double(1))
        await asyncio.sleep(0)
        made.cancel()
        await asyncio.gather(made, return_exceptions=True)
        return "done"

    (closing,) = Driven(code).start()
    assert isinstance(closing, Complete)


def test_what_a_run_leaves_behind_is_dropped_with_it() -> None:
    async def code() -> str:
        left = asyncio.create_task(double(1))
        await asyncio.sleep(1)
        assert not left.done()
        return "done"

    run = Driven(code)
    run.start()
    timer = next(c for c, x in run.open.items() if isinstance(x, StartTimer))
    run.fire(timer)
    assert run.outcome() == "done"
    run.program.close()
