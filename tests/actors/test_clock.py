"""The clocks: what is promised about timers, and about virtual time."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from everact.actors import Clock, SystemClock, VirtualClock, VirtualLoop, run_virtual


def virtual_clock() -> VirtualClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return VirtualClock(loop)


class SettableClock(SystemClock):
    """The real clock, but with a wall time that the test sets."""

    __slots__ = ("wall",)

    def __init__(self, wall: float) -> None:
        super().__init__()
        self.wall = wall

    def now(self) -> float:
        return self.wall


# -- call_at


async def test_call_at_fires_at_its_wall_time_and_not_before() -> None:
    clock = virtual_clock()
    fired: list[float] = []
    due = clock.now() + 3600.123456
    clock.call_at(due, lambda: fired.append(clock.now()))
    await asyncio.sleep(3600)
    assert fired == []
    await asyncio.sleep(1)
    assert fired[0] >= due
    assert fired[0] - due < 1e-5


async def test_call_at_passes_its_arguments_and_never_fires_synchronously() -> None:
    clock = virtual_clock()
    got: list[object] = []
    clock.call_at(clock.now() - 10, got.append, "overdue")
    assert got == []
    await asyncio.sleep(0.001)
    assert got == ["overdue"]


async def test_call_at_fires_in_order_of_due_time_then_of_arming() -> None:
    clock = virtual_clock()
    got: list[str] = []
    now = clock.now()
    clock.call_at(now + 2, got.append, "late")
    clock.call_at(now + 1, got.append, "first")
    clock.call_at(now + 1, got.append, "second")
    await asyncio.sleep(3)
    assert got == ["first", "second", "late"]


async def test_a_cancelled_timer_never_fires_and_cancel_is_idempotent() -> None:
    clock = virtual_clock()
    got: list[str] = []
    now = clock.now()
    handles = [clock.call_at(now + 1, got.append, name) for name in "abc"]
    handles[0].cancel()
    handles[0].cancel()
    await asyncio.sleep(2)
    handles[1].cancel()
    assert got == ["b", "c"]


async def test_a_callback_that_fails_does_not_stop_the_other_timers() -> None:
    clock = virtual_clock()
    got: list[str] = []
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context["exception"])
    )
    now = clock.now()
    error = ValueError("no")

    def fail() -> None:
        raise error

    clock.call_at(now + 1, fail)
    clock.call_at(now + 1, got.append, "next")
    await asyncio.sleep(2)
    assert got == ["next"]
    assert reported == [error]


async def test_a_callback_may_arm_the_next_timer() -> None:
    clock = virtual_clock()
    ticks: list[float] = []
    start = clock.monotonic()

    def tick() -> None:
        ticks.append(round(clock.monotonic() - start))
        if len(ticks) < 3:
            clock.call_at(clock.now() + 10, tick)

    clock.call_at(clock.now() + 10, tick)
    await asyncio.sleep(100)
    assert ticks == [10, 20, 30]


async def test_a_wall_clock_set_back_makes_a_timer_wait_for_its_time() -> None:
    clock = virtual_clock()
    fired: list[float] = []
    due = clock.now() + 10
    clock.call_at(due, lambda: fired.append(clock.now()))
    await asyncio.sleep(5)
    clock.jump(-100)
    await asyncio.sleep(100)
    assert fired == []
    await asyncio.sleep(6)
    assert fired and fired[0] >= due


async def test_a_wall_clock_set_forward_makes_a_timer_fire_at_once() -> None:
    clock = virtual_clock()
    fired: list[float] = []
    before = clock.monotonic()
    clock.call_at(clock.now() + 1000, lambda: fired.append(clock.monotonic()))
    clock.jump(2000)
    await asyncio.sleep(0.5)
    assert fired == [before]


@pytest.mark.real_time
async def test_the_system_clock_does_not_fire_before_its_wall_time() -> None:
    clock = SettableClock(wall=1000.0)
    fired = asyncio.Event()
    clock.call_at(1000.01, fired.set)
    # The monotonic time of the timer passes, the wall time does not.
    await asyncio.sleep(0.05)
    assert not fired.is_set()
    clock.wall = 1000.02
    await asyncio.wait_for(fired.wait(), 10)


@pytest.mark.real_time
async def test_the_system_clock_notices_a_wall_clock_set_forward() -> None:
    clock = SettableClock(wall=1000.0)
    fired = asyncio.Event()
    clock.call_at(1_000_000.0, fired.set)
    clock.wall = 2_000_000.0
    # Far sooner than the 999,000 seconds that the timer was armed for.
    await asyncio.wait_for(fired.wait(), 30)


@pytest.mark.real_time
def test_a_system_clock_serves_one_loop_after_the_other() -> None:
    clock = SystemClock()

    async def wait() -> float:
        fired = asyncio.Event()
        clock.call_at(clock.now() + 0.01, fired.set)
        await asyncio.wait_for(fired.wait(), 10)
        return clock.now()

    assert asyncio.run(wait()) <= asyncio.run(wait())


# -- call_later


async def test_call_later_knows_nothing_of_the_wall_clock() -> None:
    clock = virtual_clock()
    fired: list[float] = []
    start = clock.monotonic()
    clock.call_later(10, lambda: fired.append(clock.monotonic() - start))
    clock.jump(-1_000_000)
    await asyncio.sleep(20)
    assert fired == [10]


async def test_call_later_can_be_cancelled() -> None:
    clock = virtual_clock()
    fired: list[str] = []
    clock.call_later(1, fired.append, "no").cancel()
    await asyncio.sleep(2)
    assert fired == []


# -- virtual time


def test_waiting_costs_no_time_on_a_virtual_loop() -> None:
    async def month() -> float:
        await asyncio.sleep(30 * 86400)
        return asyncio.get_running_loop().time()

    started = time.monotonic()
    assert run_virtual(month()) == 30 * 86400
    assert time.monotonic() - started < 60


def test_asyncio_timeouts_are_virtual_too() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(1000):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        run_virtual(impatient())


async def test_timers_see_exactly_the_time_they_were_armed_for() -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []
    for due in (0.1, 0.1 + 0.2, 7.7):
        loop.call_at(due, lambda: seen.append(loop.time()))
    await asyncio.sleep(10)
    assert seen == [0.1, 0.1 + 0.2, 7.7]


async def test_virtual_time_stands_still_while_it_is_held() -> None:
    clock = virtual_clock()
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    woken: list[float] = []
    clock.call_later(1000, lambda: woken.append(clock.monotonic()))
    may_finish = threading.Event()

    def work() -> None:
        may_finish.wait()
        loop.call_soon_threadsafe(done.set)
        clock.release()

    before = clock.monotonic()
    clock.hold()
    thread = threading.Thread(target=work)
    thread.start()
    may_finish.set()
    await done.wait()
    assert clock.monotonic() == before
    assert woken == []
    thread.join()
    await asyncio.sleep(1001)
    assert woken == [before + 1000]


async def test_a_hold_in_one_place_is_not_ended_by_a_release_in_another() -> None:
    clock = virtual_clock()
    clock.hold()
    clock.hold()
    clock.release()
    clock.release()
    with pytest.raises(RuntimeError, match="without hold"):
        clock.release()


async def test_work_in_the_default_executor_holds_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    may_finish = threading.Event()
    before = loop.time()
    working = asyncio.ensure_future(asyncio.to_thread(may_finish.wait))
    with pytest.raises(TimeoutError):
        # Released by the thread's own end only, so no time may pass until then.
        async with asyncio.timeout(100):
            await asyncio.sleep(0)
            may_finish.set()
            await working
            assert loop.time() == before
            await loop.create_future()
    assert loop.time() == before + 100


async def test_a_virtual_loop_with_nothing_to_do_waits_for_other_threads() -> None:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    thread = threading.Thread(
        target=lambda: loop.call_soon_threadsafe(woken.set_result, "hello")
    )
    thread.start()
    assert await woken == "hello"
    thread.join()


async def test_the_wall_clock_of_virtual_time_moves_with_it() -> None:
    clock = virtual_clock()
    before = clock.now()
    await asyncio.sleep(60)
    assert clock.now() == pytest.approx(before + 60)
    clock.jump(5)
    assert clock.now() == pytest.approx(before + 65)
    assert clock.monotonic() == 60


async def test_both_clocks_are_clocks() -> None:
    clocks: list[Clock] = [SystemClock(), virtual_clock()]
    for clock in clocks:
        clock.hold()
        clock.release()
        assert clock.monotonic() <= clock.monotonic()
    assert clocks[0].now() == pytest.approx(time.time(), abs=60)
