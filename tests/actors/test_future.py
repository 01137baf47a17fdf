"""ActorFuture: awaitable on a loop, gettable in a thread, and never a blocked loop."""

from __future__ import annotations

import asyncio
import queue
import threading

import pykka
import pytest

from everact.actors import ActorFuture, AskTimeout, BlockingCallError


def set_in_thread(future: ActorFuture[str], value: str) -> threading.Thread:
    thread = threading.Thread(target=future.set, args=(value,))
    thread.start()
    return thread


# -- set, set_exception


def test_a_value_is_set_once() -> None:
    future: ActorFuture[int] = ActorFuture()
    assert not future.done()
    future.set(1)
    assert future.done()
    with pytest.raises(queue.Full):
        future.set(2)
    with pytest.raises(queue.Full):
        future.set_error(ValueError())
    assert future.get() == 1


def test_the_exception_of_an_except_block_is_taken_over() -> None:
    future: ActorFuture[int] = ActorFuture()
    try:
        raise KeyError("gone")
    except KeyError:
        future.set_exception()
    with pytest.raises(KeyError, match="gone"):
        future.get()


def test_an_exception_can_be_got_again_and_its_traceback_does_not_grow() -> None:
    future: ActorFuture[int] = ActorFuture()
    future.set_error(ValueError("again"))
    lengths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="again") as caught:
            future.get()
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1


# -- get


def test_get_waits_for_another_thread() -> None:
    future: ActorFuture[str] = ActorFuture()
    thread = set_in_thread(future, "hello")
    assert future.get(timeout=30) == "hello"
    thread.join()


def test_get_gives_up_after_its_timeout_with_pykkas_error() -> None:
    future: ActorFuture[str] = ActorFuture()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    with pytest.raises(AskTimeout):
        future.get(timeout=0.001)


async def test_get_on_a_loop_is_an_error_and_never_a_hang() -> None:
    future: ActorFuture[str] = ActorFuture()
    with pytest.raises(BlockingCallError, match="use await"):
        future.get()
    future.set("there")
    assert future.get() == "there"


# -- await


async def test_await_gives_the_value_set_on_the_same_loop() -> None:
    future: ActorFuture[str] = ActorFuture()
    asyncio.get_running_loop().call_later(5, future.set, "later")
    assert await future == "later"
    assert await future == "later"


async def test_await_gives_the_value_set_by_a_thread() -> None:
    future: ActorFuture[str] = ActorFuture()
    thread = set_in_thread(future, "from afar")
    assert await future == "from afar"
    thread.join()


async def test_await_raises_the_exception() -> None:
    future: ActorFuture[str] = ActorFuture()
    asyncio.get_running_loop().call_later(5, future.set_error, OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        await future


async def test_several_tasks_may_await_and_one_may_be_cancelled() -> None:
    future: ActorFuture[str] = ActorFuture()

    async def wait() -> str:
        return await future

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(1)
    tasks[0].cancel()
    future.set("all")
    assert await asyncio.gather(*tasks[1:]) == ["all", "all"]
    assert tasks[0].cancelled()


# -- values made from other values


async def test_derived_futures_can_be_awaited() -> None:
    one: ActorFuture[int] = ActorFuture()
    two: ActorFuture[int] = ActorFuture()
    asyncio.get_running_loop().call_later(1, one.set, 1)
    asyncio.get_running_loop().call_later(2, two.set, 2)
    assert await one.map(lambda value: value + 10) == 11
    assert await one.join(two) == [1, 2]
    both = one.join(two)
    assert await both.filter(lambda value: value > 1) == [2]
    assert await both.reduce(lambda a, b: a + b, 100) == 103


async def test_a_derived_function_is_called_once() -> None:
    calls: list[int] = []
    one: ActorFuture[int] = ActorFuture()
    one.set(1)
    doubled = one.map(lambda value: calls.append(value) or value * 2)  # type: ignore[func-returns-value]
    assert [await doubled, await doubled, doubled.get()] == [2, 2, 2]
    assert calls == [1]


async def test_a_get_hook_may_block_without_blocking_the_loop() -> None:
    future: ActorFuture[str] = ActorFuture()
    released = threading.Event()

    def hook(timeout: float | None) -> str:
        released.wait(timeout)
        return "hooked"

    future.set_get_hook(hook)
    asyncio.get_running_loop().call_soon(released.set)
    assert await future == "hooked"
    assert await future == "hooked"


async def test_a_hook_that_is_set_while_a_task_waits_is_used() -> None:
    future: ActorFuture[str] = ActorFuture()
    asyncio.get_running_loop().call_soon(future.set_get_hook, lambda _timeout: "late")
    assert await future == "late"
