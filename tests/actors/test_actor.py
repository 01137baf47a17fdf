"""Actor: one message at a time, the hooks, post, finish, watch and children."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

import pykka
import pytest

from everact.actors import (
    NORMAL,
    STOPPED,
    Actor,
    ActorDeadError,
    ActorRef,
    ActorSystem,
    Failed,
    Killed,
    Stopped,
    Terminated,
    run_virtual,
)


class Recorder(Actor):
    """Writes down what happens to it."""

    def __init__(self, log: list[Any], label: str = "") -> None:
        self.log = log
        self.label = label

    def note(self, what: Any) -> None:
        self.log.append(f"{self.label} {what}" if self.label else what)

    def on_start(self) -> None:
        self.note("start")

    def on_stop(self) -> None:
        self.note("stop")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.note(f"failure {exception_value!r}")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.note(message)
        return message


class AsyncRecorder(Actor):
    """The same, with asynchronous handlers and hooks."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def on_start(self) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        self.log.append("started")

    async def on_stop(self) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        self.log.append("stopped")

    async def on_failure(self, *args: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        self.log.append("failed")

    async def on_receive(self, message: Any) -> Any:
        self.log.append(("begin", message))
        await asyncio.sleep(1)
        if message == "fail":
            raise ValueError(message)
        self.log.append(("end", message))
        return message

    async def method(self, value: int) -> int:
        await asyncio.sleep(1)
        return value


# -- on_receive


async def test_an_actor_is_a_pykka_actor() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Recorder, [])
        assert isinstance(actor, pykka.Actor)
        assert isinstance(actor.actor_ref, pykka.ActorRef)


async def test_asynchronous_handlers_never_overlap_and_keep_the_order() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(AsyncRecorder, log)
        first, second = ref.ask(1), ref.ask(2)
        assert (await first, await second) == (1, 2)
    both = [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]
    assert log == ["started", *both, "stopped"]


async def test_messages_that_come_while_a_handler_waits_are_handled_after() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(AsyncRecorder, log)
        for message in "abc":
            ref.tell(message)
            await asyncio.sleep(0.4)
        assert await ref.ask("d") == "d"
    assert [entry[1] for entry in log if entry[0] == "end"] == ["a", "b", "c", "d"]


async def test_asynchronous_methods_work_through_a_proxy() -> None:
    async with ActorSystem() as system:
        proxy = system.spawn(AsyncRecorder, []).proxy()
        assert await proxy.method(3) == 3


async def test_asyncio_timeouts_work_inside_a_handler() -> None:
    class Impatient(Actor):
        async def on_receive(self, message: Any) -> str:
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(100)
            except TimeoutError:
                return "timed out"
            return "never"

    async with ActorSystem() as system:
        assert await system.spawn(Impatient).ask("go") == "timed out"


async def test_a_message_without_a_handler_is_logged_as_in_pykka(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf(Actor):
        pass

    async with ActorSystem() as system:
        ref = system.spawn(Deaf)
        assert await ref.ask("hello") is None
    assert "Unexpected message received by Deaf" in caplog.text


async def test_an_actor_cannot_starve_the_others_by_telling_itself() -> None:
    class Busy(Actor):
        turns = 0

        def on_receive(self, message: Any) -> None:
            type(self).turns += 1
            self.post(message)

    async with ActorSystem() as system:
        busy = system.spawn(Busy)
        busy.tell("again")
        assert await system.spawn(Recorder, []).ask("hello") == "hello"
        busy.kill()
    assert 0 < Busy.turns < 100


# -- hooks


async def test_on_start_runs_before_the_first_message_and_on_stop_after_the_last() -> (
    None
):
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Recorder, log)
        ref.tell("one")
        assert await ref.stop()
    assert log == ["start", "one", "stop"]


async def test_on_failure_instead_of_on_stop_when_nobody_takes_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[Any] = []
    error = ValueError("oops")
    async with ActorSystem() as system:
        ref = system.spawn(Recorder, log)
        ref.tell(error)
        assert await ref.wait_stopped() == Failed(error)
    assert log == ["start", "failure ValueError('oops')"]
    assert "Unhandled exception in Recorder" in caplog.text


async def test_asynchronous_on_failure_is_waited_for() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(AsyncRecorder, log)
        ref.tell("fail")
        assert isinstance(await ref.wait_stopped(), Failed)
    assert log == ["started", ("begin", "fail"), "failed"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failing_on_start_ends_the_actor_without_another_hook(
    asynchronous: bool,
) -> None:
    log: list[Any] = []

    class Stillborn(Recorder):
        def on_start(self) -> Any:
            async def later() -> None:
                await asyncio.sleep(1)
                raise OSError("no")

            if asynchronous:
                return later()
            raise OSError("no")

    async with ActorSystem() as system:
        ref = system.spawn(Stillborn, log)
        answer = ref.ask("anybody?")
        exit = await ref.wait_stopped()
        assert isinstance(exit, Failed) and isinstance(exit.error, OSError)
        with pytest.raises(ActorDeadError):
            await answer
    assert log == []


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
async def test_a_failing_last_hook_is_logged_and_the_actor_has_ended(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> None:
        raise OSError("hook failed")

    fragile = type("Fragile", (Recorder,), {hook: fail})
    async with ActorSystem() as system:
        ref: ActorRef[Any] = system.spawn(fragile, [])
        if hook == "on_stop":
            assert await ref.stop()
        else:
            ref.tell(ValueError())
            await ref.wait_stopped()
        assert len(system.registry) == 0
    assert "hook failed" in caplog.text


async def test_what_init_raises_is_raised_to_who_spawns() -> None:
    class Unbuildable(Actor):
        def __init__(self) -> None:
            raise LookupError("not today")

    async with ActorSystem() as system:
        with pytest.raises(LookupError):
            system.spawn(Unbuildable, name="free again")
        with pytest.raises(LookupError):
            system.launch(Unbuildable)
        assert len(system.registry) == 0
        assert system.spawn(Recorder, [], name="free again")


async def test_system_and_parent_are_there_in_init() -> None:
    class Curious(Actor):
        def __init__(self) -> None:
            self.seen = (self.system, self.parent, self.actor_ref)

    async with ActorSystem() as system:
        parent = system.launch(Recorder, [])
        child = system.launch(Curious, parent=parent)
        assert child.seen == (system, parent, child.actor_ref)


# -- post, finish


async def test_post_appends_without_an_envelope_and_is_dropped_after_the_end() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        actor = system.launch(Recorder, log)
        actor.post("one")
        actor.post("two")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        actor.finish()
        actor.post("three")
    assert log == ["start", "one", "two", "stop"]


async def test_an_actor_is_idle_when_nothing_is_unread_or_under_way() -> None:
    async with ActorSystem() as system:
        quick, slow = system.launch(Recorder, []), system.launch(AsyncRecorder, [])
        await asyncio.sleep(5)
        for actor in (quick, slow):
            assert actor.is_idle
            actor.post("message")
            assert not actor.is_idle
        await asyncio.sleep(0.5)
        assert (quick.is_idle, slow.is_idle) == (True, False)
        await asyncio.sleep(1)
        assert slow.is_idle


async def test_finish_is_immediate_and_the_first_exit_counts() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        actor = system.launch(Recorder, log)
        ref = actor.actor_ref
        actor.finish(Killed("first"))
        actor.finish()
        assert ref.exit == Killed("first")
    assert log == ["stop"]


async def test_finish_in_a_handler_refuses_the_unread_messages() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Recorder, log)
        ref.tell(lambda actor: actor.finish())
        answers = [ref.ask("later"), ref.ask("later still")]
        for answer in answers:
            with pytest.raises(ActorDeadError):
                await answer
        assert ref.exit == NORMAL
    assert log == ["start", "stop"]


async def test_finish_in_an_asynchronous_handler_lets_it_run_to_its_end() -> None:
    log: list[Any] = []

    class Quitter(AsyncRecorder):
        async def on_receive(self, message: Any) -> Any:
            self.finish()
            await asyncio.sleep(1)
            log.append("handler ended")
            return "answer"

    async with ActorSystem() as system:
        ref = system.spawn(Quitter, log)
        assert await ref.ask("go") == "answer"
        assert await ref.wait_stopped() == NORMAL
    assert log == ["started", "handler ended", "stopped"]


async def test_finish_from_outside_cancels_the_running_handler_before_on_stop() -> None:
    log: list[Any] = []

    class Careful(AsyncRecorder):
        async def on_receive(self, message: Any) -> Any:
            try:
                await asyncio.sleep(1000)
            finally:
                log.append("cleaned up")

    async with ActorSystem() as system:
        actor = system.launch(Careful, log)
        actor.post("go")
        await asyncio.sleep(10)
        actor.finish()
        await actor.actor_ref.wait_stopped()
    assert log == ["started", "cleaned up", "stopped"]


async def test_stop_lets_the_mailbox_be_read_first() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        ref = system.spawn(Recorder, log)
        ref.tell(lambda actor: (actor.actor_ref.tell("last"), actor.stop()))
        assert await ref.wait_stopped() == STOPPED
    assert log == ["start", "last", "stop"]


async def test_stop_of_a_dead_actor_does_nothing() -> None:
    async with ActorSystem() as system:
        actor = system.launch(Recorder, [])
        actor.finish()
        actor.stop()


# -- interrupts


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_interrupt_leaves_the_loop_and_ends_only_the_actor_that_raised_it(
    interrupt: type[BaseException], asynchronous: bool
) -> None:
    log: list[Any] = []
    systems: list[ActorSystem] = []

    def explode(actor: Recorder) -> Any:
        async def later() -> None:
            raise interrupt

        if asynchronous:
            return later()
        raise interrupt

    async def main() -> None:
        system = ActorSystem().bind()
        systems.append(system)
        victim = system.spawn(Recorder, log, "victim")
        other = system.spawn(Recorder, log, "other")
        victim.tell(explode)
        victim.tell("unread")
        other.tell("read")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            # asyncio.run ends its tasks: the rest of the actors still live.
            assert not victim.is_alive()
            assert other.is_alive()
            assert await other.ask("read later") == "read later"
            await system.stop()
            raise

    with pytest.raises(interrupt):
        run_virtual(main())
    assert "victim stop" in log
    assert "other read" in log
    assert "other read later" in log
    assert "victim unread" not in log


async def test_another_base_exception_is_reported_by_the_loop() -> None:
    class Odd(BaseException):
        pass

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context["exception"])
    )
    log: list[Any] = []
    error = Odd()
    async with ActorSystem() as system:
        odd = system.spawn(Recorder, log)
        other = system.spawn(Recorder, log)
        odd.tell(error)
        assert await other.ask("fine") == "fine"
        assert odd.exit == Failed(error)
    assert reported == [error]


# -- watch


class Watcher(Actor):
    def __init__(self) -> None:
        self.ended: list[Terminated] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case Terminated():
                self.ended.append(message)
            case "ended":
                return self.ended
            case _:
                self.watch(message)
        return None


async def test_a_watcher_is_told_how_an_actor_ended() -> None:
    async with ActorSystem() as system:
        watcher, ref = system.spawn(Watcher), system.spawn(Recorder, [])
        await watcher.ask(ref)
        assert await watcher.ask("ended") == []
        await ref.stop()
        assert await watcher.ask("ended") == [Terminated(ref, Stopped())]


async def test_watching_a_dead_actor_tells_at_once() -> None:
    async with ActorSystem() as system:
        watcher, ref = system.spawn(Watcher), system.spawn(Recorder, [])
        ref.kill("gone")
        await watcher.ask(ref)
        assert await watcher.ask("ended") == [Terminated(ref, Killed("gone"))]


async def test_actors_of_other_systems_can_be_watched() -> None:
    with ActorSystem.in_thread("elsewhere") as elsewhere:
        async with ActorSystem() as system:
            ref = elsewhere.spawn(Recorder, [])
            watcher = system.launch(Watcher)
            watcher.watch(ref)
            await ref.stop()
            while not watcher.ended:
                await asyncio.sleep(0)
            assert watcher.ended == [Terminated(ref, Stopped())]


# -- children


async def test_children_stop_before_their_parent_in_reverse_order() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Recorder, log, "parent")
        for label in ("first", "second"):
            child = system.launch(Recorder, log, label, parent=parent)
            child.spawn(Recorder, log, f"{label} grandchild")
        await parent.actor_ref.stop()
    assert [entry for entry in log if entry.endswith("stop")] == [
        *("second grandchild stop", "second stop"),
        *("first grandchild stop", "first stop", "parent stop"),
    ]


async def test_a_parent_waits_for_the_asynchronous_end_of_each_child() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Recorder, log)
        for _ in range(2):
            parent.spawn(AsyncRecorder, log)
        await asyncio.sleep(10)
        await parent.actor_ref.stop()
        assert system.clock.monotonic() == 12
    assert log == ["start", "started", "started", "stopped", "stopped", "stop"]


async def test_children_of_a_stopping_parent_read_their_mailboxes() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Recorder, log)
        child = parent.spawn(AsyncRecorder, log)
        answer = child.ask("message")
        await parent.actor_ref.stop()
        assert await answer == "message"


async def test_a_killed_parent_takes_its_children_along() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Recorder, log, "parent")
        child = parent.spawn(AsyncRecorder, log)
        unread = child.ask("message")
        parent.actor_ref.kill()
        assert await parent.actor_ref.wait_stopped() == Killed()
        assert child.exit == Stopped()
        with pytest.raises(ActorDeadError):
            await unread


async def test_kill_hurries_an_orderly_stop() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Recorder, log, "parent")

        class Endless(Actor):
            async def on_receive(self, message: Any) -> None:
                await asyncio.sleep(1e9)

        child = parent.spawn(Endless)
        child.tell("work for years")
        stopped = parent.actor_ref.stop()
        await asyncio.sleep(1)
        parent.actor_ref.kill()
        assert await stopped
        assert system.clock.monotonic() == 1


async def test_a_stopped_parent_can_have_no_more_children() -> None:
    async with ActorSystem() as system:
        parent = system.launch(Recorder, [])
        parent.finish()
        with pytest.raises(ActorDeadError, match="no children"):
            parent.spawn(Recorder, [])
        assert len(system.registry) == 0


async def test_an_exception_answered_to_the_caller_is_logged_as_information(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "everact.actors")
    async with ActorSystem() as system:
        ref = system.spawn(Recorder, [])
        with pytest.raises(ValueError, match="told you"):
            await ref.ask(ValueError("told you"))
    assert "Exception returned from Recorder" in caplog.text
