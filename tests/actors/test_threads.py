"""ThreadActor: blocking code on a thread of its own, otherwise an actor like others."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from everact.actors import (
    Actor,
    ActorDeadError,
    ActorError,
    ActorSystem,
    ChildSpec,
    Failed,
    Killed,
    MailboxFull,
    Normal,
    Stopped,
    Supervisor,
    Terminated,
    ThreadActor,
)


class Blocking(ThreadActor):
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def on_start(self) -> None:
        self.log.append(("start", threading.get_ident()))

    def on_stop(self) -> None:
        self.log.append(("stop", threading.get_ident()))

    def on_failure(self, *args: Any) -> None:
        self.log.append(("failure", threading.get_ident()))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, threading.Event):
            return message.wait(30)
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.log.append((message, threading.get_ident()))
        return message

    def where(self) -> threading.Thread:
        return threading.current_thread()


async def test_everything_runs_on_one_daemon_thread_of_its_own() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, log)
        assert await ref.ask("hello") == "hello"
        thread = await ref.proxy().where()
        assert thread.daemon
        assert thread.name.startswith("Blocking-")
        assert await ref.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert log == [(step, thread.ident) for step in ("start", "hello", "stop")]


async def test_the_loop_goes_on_while_the_thread_blocks() -> None:
    release = threading.Event()

    class Echo(Actor):
        def on_receive(self, message: Any) -> Any:
            return message

    async with ActorSystem() as system:
        blocked = system.spawn(Blocking, []).ask(release)
        assert await system.spawn(Echo).ask("meanwhile") == "meanwhile"
        assert not blocked.done()
        release.set()
        assert await blocked is True


async def test_virtual_time_stands_still_while_the_thread_works() -> None:
    release = threading.Event()
    async with ActorSystem() as system:
        answer = system.spawn(Blocking, []).ask(release)
        alarm = asyncio.ensure_future(asyncio.sleep(1000))
        await asyncio.sleep(0)
        release.set()
        await answer
        assert system.clock.monotonic() == 0
        await alarm
        assert system.clock.monotonic() == 1000


async def test_messages_are_handled_one_at_a_time_in_order() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, log)
        answers = [ref.ask(number) for number in range(20)]
        assert [await answer for answer in answers] == list(range(20))
    assert [entry[0] for entry in log[1:-1]] == list(range(20))


async def test_exceptions_go_to_the_caller_or_end_the_actor() -> None:
    log: list[Any] = []
    error = ValueError("broken")
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, log)
        with pytest.raises(ValueError, match="broken"):
            await ref.ask(error)
        ref.tell(error)
        assert await ref.wait_stopped() == Failed(error)
    assert [entry[0] for entry in log] == ["start", "failure"]


async def test_coroutines_are_refused() -> None:
    async def handler(actor: Any) -> None:
        """Never run."""

    async with ActorSystem() as system:
        with pytest.raises(ActorError, match="plain functions"):
            await system.spawn(Blocking, []).ask(handler)


async def test_a_kill_takes_effect_at_once_and_on_stop_waits_for_the_thread() -> None:
    log: list[Any] = []
    begun, release = threading.Event(), threading.Event()

    def block(actor: Blocking) -> None:
        begun.set()
        release.wait(30)

    async with ActorSystem() as system:
        ref = system.spawn(Blocking, log)
        answer, unread = ref.ask(block), ref.ask("unread")
        await asyncio.to_thread(begun.wait, 30)
        ref.kill()
        assert not ref.is_alive()
        with pytest.raises(ActorDeadError):
            await unread
        release.set()
        assert await ref.wait_stopped() == Killed()
        with pytest.raises(ActorDeadError):
            await answer
    assert log[-1][0] == "stop"


async def test_a_kill_before_on_start_has_begun() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, log)
        await asyncio.sleep(0)
        ref.kill()
        assert await ref.wait_stopped() == Killed()
    assert [entry[0] for entry in log] == ["stop"]


async def test_its_handlers_may_spawn_watch_post_and_finish() -> None:
    seen: list[Any] = []

    class Busy(Blocking):
        def on_receive(self, message: Any) -> Any:
            match message:
                case "go":
                    self.child = self.spawn(Blocking, seen)
                    self.watch(self.child)
                    seen.append(self.child.ask("asked in a thread"))
                    self.child.stop()
                case Terminated(ref, exit):
                    seen.append((ref is self.child, exit))
                    self.post("posted")
                case "posted":
                    self.finish()

    async with ActorSystem() as system:
        ref = system.spawn(Busy, [])
        ref.tell("go")
        assert await ref.wait_stopped() == Normal()
    assert "asked in a thread" in seen
    assert (True, Stopped()) in seen


async def test_what_a_child_cannot_be_is_raised_in_the_thread() -> None:
    def hire(actor: Blocking) -> None:
        actor.spawn(Blocking)

    async with ActorSystem() as system:
        with pytest.raises(TypeError):
            await system.spawn(Blocking, []).ask(hire)


async def test_thread_actors_are_supervised_like_others() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        spec = ChildSpec(name="blocking", actor_class=Blocking, args=(log,))
        supervisor = system.spawn(Supervisor, [spec])
        ref = (await supervisor.proxy().children)["blocking"]
        ref.tell(ValueError("crash"))
        assert await ref.ask("still there") == "still there"
    steps = [entry[0] for entry in log]
    assert steps == ["start", "failure", "start", "still there", "stop"]


async def test_its_mailbox_can_be_bounded() -> None:
    release = threading.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, [], mailbox=1)
        ref.tell(release)
        with pytest.raises(MailboxFull):
            ref.tell("too much")
        release.set()


async def test_a_thread_that_does_not_come_back_does_not_hold_up_the_end() -> None:
    release = threading.Event()
    async with ActorSystem() as system:
        ref = system.spawn(Blocking, [])
        ref.tell(release)
        await asyncio.sleep(0)
        # The hold of the thread keeps virtual time from passing: cut off by hand.
        stopping = asyncio.ensure_future(system.stop(timeout=0))
        await stopping
        assert ref.exit is not None
        release.set()


def test_an_interrupt_in_the_thread_leaves_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    with ActorSystem.in_thread() as system:
        ref, other = system.spawn(Blocking, []), system.spawn(Blocking, [])
        ref.tell(SystemExit(1))
        exit = ref.wait_stopped().get(timeout=30)
        assert isinstance(exit, Failed) and isinstance(exit.error, SystemExit)
        assert other.ask("fine") == "fine"
    assert "Interrupt in an actor" in caplog.text
