"""ActorRef: tell, ask, stop, kill, wait_stopped, proxy, and bounded mailboxes."""

from __future__ import annotations

import asyncio
import copy
import pickle
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from everact.actors import (
    Actor,
    ActorDeadError,
    ActorError,
    ActorFuture,
    ActorRef,
    ActorSystem,
    AskTimeout,
    BlockingCallError,
    Killed,
    MailboxFull,
    Normal,
    Stopped,
)


class Counter(Actor):
    """Counts, answers, fails and waits on request."""

    def __init__(self) -> None:
        self.count = 0
        self.seen: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        self.seen.append(message)
        match message:
            case "fail":
                raise ValueError("failed")
            case "wait":
                return asyncio.sleep(10, "waited")
            case "finish":
                self.finish()
            case "seen":
                return list(self.seen)
        self.count += 1
        return self.count

    def add(self, number: int) -> int:
        self.count += number
        return self.count


@pytest.fixture
def outside() -> Iterator[ActorSystem]:
    """A system on another thread: what plain programs have."""
    with ActorSystem.in_thread("outside") as system:
        yield system


# -- tell


async def test_tell_delivers_in_order() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        for number in range(5):
            ref.tell(number)
        assert await ref.ask("seen") == [0, 1, 2, 3, 4, "seen"]


def test_tell_from_another_thread_keeps_the_order_of_the_thread(
    outside: ActorSystem,
) -> None:
    ref = outside.spawn(Counter)
    for number in range(1000):
        ref.tell(number)
    assert ref.ask("seen") == [*range(1000), "seen"]


async def test_tell_to_a_stopped_actor_is_refused() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        await ref.stop()
        with pytest.raises(pykka.ActorDeadError, match="not found"):
            ref.tell(1)


async def test_messages_may_be_anything_even_none() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        anything: list[Any] = [None, [], {}, ValueError(), Counter]
        for message in anything:
            ref.tell(message)
        assert len(await ref.ask("seen")) == 6


# -- ask


async def test_ask_is_awaited_on_a_loop() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        answer = ref.ask("one")
        assert isinstance(answer, ActorFuture)
        assert await answer == 1
        assert await ref.ask("two", block=False) == 2


def test_ask_blocks_in_a_plain_thread_unless_told_not_to(outside: ActorSystem) -> None:
    ref = outside.spawn(Counter)
    assert ref.ask("one") == 1
    assert ref.ask("two", block=False).get(timeout=30) == 2


async def test_a_blocking_get_on_the_loop_is_an_error_and_not_a_hang() -> None:
    async with ActorSystem() as system:
        answer = system.spawn(Counter).ask("one")
        with pytest.raises(BlockingCallError):
            answer.get()
        assert await answer == 1


async def test_ask_from_the_loop_of_another_system(outside: ActorSystem) -> None:
    ref = outside.spawn(Counter)
    assert await ref.ask("one") == 1
    assert await ref.stop()


async def test_ask_raises_what_the_actor_raised_and_the_actor_lives_on() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        with pytest.raises(ValueError, match="failed"):
            await ref.ask("fail")
        assert await ref.ask("one") == 1


async def test_ask_with_a_timeout_gives_up_and_the_message_is_still_handled() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        with pytest.raises(AskTimeout):
            await ref.ask("wait", timeout=3)
        assert system.clock.monotonic() == 3
        assert await ref.ask("seen") == ["wait", "seen"]


def test_a_blocking_ask_can_time_out(outside: ActorSystem) -> None:
    ref = outside.spawn(Counter)
    with pytest.raises(pykka.Timeout):
        ref.ask("wait", timeout=0.001)
    ref.kill()


async def test_ask_of_a_stopped_actor_raises_when_awaited() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        await ref.stop()
        answer = ref.ask("one")
        with pytest.raises(ActorDeadError, match="not found"):
            await answer


async def test_asks_that_are_unread_when_the_actor_ends_are_refused() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        ref.tell("finish")
        answer = ref.ask("too late")
        with pytest.raises(ActorDeadError, match="before handling"):
            await answer


async def test_an_ask_whose_handler_is_cancelled_by_a_stranger_is_an_error() -> None:
    class Cancelled(Actor):
        async def on_receive(self, message: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)

    async with ActorSystem() as system:
        with pytest.raises(ActorError, match="cancelled"):
            await system.spawn(Cancelled).ask("go")


async def test_answers_work_with_gather_and_wait_for() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        both = await asyncio.gather(ref.ask("one"), ref.ask("two"))
        assert list(both) == [1, 2]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ref.ask("wait"), 3)
        assert system.clock.monotonic() == 3


async def test_several_tasks_may_await_one_answer() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        answer = ref.ask("wait")
        tasks = [asyncio.create_task(wait(answer)) for _ in range(3)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        late = asyncio.create_task(wait(answer))
        assert await asyncio.gather(*tasks[1:], late) == ["waited"] * 3
        assert tasks[0].cancelled()
        assert await answer == "waited"
        assert answer.get() == "waited"


async def test_an_answer_may_be_awaited_in_another_loop_than_it_was_asked_on(
    outside: ActorSystem,
) -> None:
    class Relay(Actor):
        async def on_receive(self, message: ActorFuture[Any]) -> Any:
            return await message

    async with ActorSystem() as system:
        answer = system.spawn(Counter).ask("one")
        assert await outside.spawn(Relay).ask(answer) == 1


async def test_even_stop_iteration_reaches_who_awaits() -> None:
    class Odd(Actor):
        def on_receive(self, message: Any) -> Any:
            raise StopIteration(message)

    async with ActorSystem() as system:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await system.spawn(Odd).ask(1)


async def test_an_answer_that_an_actor_will_set_takes_no_hook() -> None:
    async with ActorSystem() as system:
        answer = system.spawn(Counter).ask("wait")
        task = asyncio.create_task(wait(answer))
        await asyncio.sleep(1)
        with pytest.raises(queue.Full):
            answer.set_get_hook(lambda _timeout: "forged")
        assert await task == "waited"


# -- stop


async def test_stop_comes_after_the_messages_sent_before() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        waited = ref.ask("wait")
        counted = ref.ask("one")
        stopped = ref.stop()
        assert await stopped is True
        assert (await waited, await counted) == ("waited", 1)
        assert ref.exit == Stopped()


async def test_stop_of_a_dead_actor_is_false() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        assert await ref.stop() is True
        assert await ref.stop() is False


async def test_several_stops_are_all_granted() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        assert await asyncio.gather(*map(wait, [ref.stop(), ref.stop()])) == [True] * 2


async def wait(future: ActorFuture[Any]) -> Any:
    return await future


async def test_stop_with_a_timeout_gives_up_waiting() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        ref.tell("wait")
        with pytest.raises(AskTimeout):
            await ref.stop(timeout=1)
        assert await ref.wait_stopped() == Stopped()
        assert system.clock.monotonic() == 10


# -- kill


async def test_kill_ends_at_once_and_cancels_a_running_handler() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        running, unread = ref.ask("wait"), ref.ask("one")
        await asyncio.sleep(1)
        ref.kill("enough")
        assert not ref.is_alive()
        for answer in (running, unread):
            with pytest.raises(ActorDeadError):
                await answer
        assert await ref.wait_stopped() == Killed("enough")
        assert system.clock.monotonic() == 1


def test_kill_from_another_thread(outside: ActorSystem) -> None:
    ref = outside.spawn(Counter)
    running = ref.ask("wait", block=False)
    ref.kill()
    ref.kill()
    assert ref.wait_stopped().get(timeout=30) == Killed()
    with pytest.raises(ActorDeadError):
        running.get(timeout=30)


# -- wait_stopped, exit, is_alive


async def test_wait_stopped_tells_how_it_ended_also_afterwards() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        assert ref.exit is None
        ref.tell("finish")
        assert await ref.wait_stopped() == Normal()
        assert await ref.wait_stopped() == Normal()
        assert ref.exit == Normal()
        assert not ref.is_alive()


def test_the_stop_event_is_set_for_threads(outside: ActorSystem) -> None:
    early, late = outside.spawn(Counter), outside.spawn(Counter)
    event = early.actor_stopped
    assert not event.is_set()
    early.stop()
    late.stop()
    assert event.wait(30)
    assert late.actor_stopped.is_set()


# -- proxy


async def test_a_proxy_calls_methods_and_reads_and_sets_attributes() -> None:
    async with ActorSystem() as system:
        proxy = system.spawn(Counter).proxy()
        assert await proxy.add(5) == 5
        proxy.count = 20
        proxy.add.defer(1)
        assert await proxy.count == 21


def test_a_proxy_works_from_a_plain_thread(outside: ActorSystem) -> None:
    proxy = outside.spawn(Counter).proxy()
    proxy.count = 3
    assert proxy.add(4).get() == 7


# -- identity


async def test_there_is_one_reference_per_actor_and_its_urn_is_a_uuid() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Counter)
        assert actor.actor_ref is actor.actor_ref
        assert actor.actor_urn == actor.actor_ref.actor_urn
        assert actor.actor_urn.startswith("urn:uuid:")
        named = system.spawn(Counter, name="main")
        assert str(named).startswith("main: Counter (urn:uuid:")


def test_threads_that_ask_for_the_urn_at_once_get_the_same(
    outside: ActorSystem,
) -> None:
    ref = outside.spawn(Counter)
    barrier = threading.Barrier(8)
    urns = set()

    def look() -> None:
        barrier.wait()
        urns.add(ref.actor_urn)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urns) == 1


async def test_a_reference_may_be_copied_within_its_process_and_not_pickled() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        assert copy.copy(ref) is ref
        assert copy.deepcopy([ref]) == [ref]
        with pytest.raises(TypeError, match="its process"):
            pickle.dumps(ref)


async def test_a_reference_made_after_the_end_is_dead() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Counter)
        actor.finish()
        ref = actor.actor_ref
        assert not ref.is_alive()
        assert await ref.wait_stopped() == Normal()


async def test_pykkas_inbox_is_there_for_envelopes() -> None:
    from pykka._envelope import Envelope

    async with ActorSystem() as system:
        ref = system.spawn(Counter)
        answer: ActorFuture[int] = ActorFuture()
        ref.actor_inbox.put(Envelope("one"))
        ref.actor_inbox.put(Envelope("two", reply_to=answer))
        assert not ref.actor_inbox.empty()
        assert await answer == 2
        assert ref.actor_inbox.empty()


# -- bounded mailboxes


async def test_a_bounded_mailbox_refuses_what_does_not_fit() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, mailbox=2)
        ref.tell(1)
        ref.tell(2)
        with pytest.raises(MailboxFull, match="2 unread"):
            ref.tell(3)
        refused = ref.ask(4)
        with pytest.raises(MailboxFull):
            await refused
        await asyncio.sleep(1)
        assert await ref.ask("seen") == [1, 2, "seen"]


async def test_a_bounded_mailbox_counts_while_a_handler_is_busy() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, mailbox=2)
        ref.tell("wait")
        await asyncio.sleep(1)
        ref.tell(1)
        ref.tell(2)
        with pytest.raises(MailboxFull):
            ref.tell(3)
        await asyncio.sleep(20)
        ref.tell(4)


async def test_a_request_to_stop_always_fits() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Counter, mailbox=1)
        ref.tell("wait")
        assert await ref.stop() is True


def test_a_bounded_mailbox_counts_what_other_threads_sent(
    outside: ActorSystem,
) -> None:
    may_go_on = threading.Event()

    class Busy(Actor):
        def on_receive(self, message: Any) -> Any:
            return may_go_on.wait()

    ref = outside.spawn(Busy, mailbox=3)
    accepted = 0
    with pytest.raises(MailboxFull):
        for _ in range(10):
            ref.tell("x")
            accepted += 1
    # Three unread, and perhaps one that it has begun to handle.
    assert accepted in (3, 4)
    may_go_on.set()
    assert ref.stop()


async def test_posts_are_not_limited() -> None:
    class Poster(Counter):
        def on_start(self) -> None:
            for number in range(5):
                self.post(number)

    async with ActorSystem() as system:
        ref: ActorRef[Poster] = system.spawn(Poster, mailbox=1)
        await asyncio.sleep(1)
        assert await ref.ask("seen") == [0, 1, 2, 3, 4, "seen"]
