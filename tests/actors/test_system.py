"""ActorSystem: where it is hosted, spawn and launch, and its ordered end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import pykka
import pytest

from everact.actors import (
    STOPPED,
    Actor,
    ActorDeadError,
    ActorSystem,
    Killed,
    NameTakenError,
    Stopped,
    SystemClock,
    SystemStoppedError,
    VirtualClock,
    VirtualLoop,
    WrongThreadError,
    run_virtual,
)


class Worker(Actor):
    def __init__(self, log: list[Any] | None = None, label: str = "") -> None:
        self.log = [] if log is None else log
        self.label = label

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.log.append(message)
        return threading.get_ident()

    def on_stop(self) -> None:
        self.log.append(f"{self.label} stopped")


class Sleeper(Actor):
    async def on_receive(self, message: float) -> float:
        await asyncio.sleep(message)
        return message


# -- hosting


async def test_a_system_runs_on_the_loop_it_was_entered_on() -> None:
    async with ActorSystem("mine") as system:
        assert system.is_open
        assert await system.spawn(Worker).ask("hello") == threading.get_ident()
    assert not system.is_open
    assert repr(system) == "<ActorSystem 'mine' stopped, 0 actors>"


async def test_the_clock_is_that_of_the_loop_unless_one_is_given() -> None:
    async with ActorSystem() as system:
        assert isinstance(system.clock, VirtualClock)
    clock = SystemClock()
    async with ActorSystem(clock=clock) as system:
        assert system.clock is clock


@pytest.mark.real_time
async def test_the_clock_on_a_real_loop_is_the_machines() -> None:
    async with ActorSystem() as system:
        assert isinstance(system.clock, SystemClock)


def test_a_system_in_a_thread_runs_elsewhere() -> None:
    with ActorSystem.in_thread() as system:
        assert system.spawn(Worker).ask("hello") != threading.get_ident()
    assert not system.is_open


def test_a_system_in_a_thread_can_be_closed_again_and_again() -> None:
    system = ActorSystem.in_thread()
    ref = system.spawn(Worker)
    system.close()
    system.close()
    assert not ref.is_alive()
    with pytest.raises(SystemStoppedError):
        system.spawn(Worker)


async def test_a_system_is_hosted_once() -> None:
    async with ActorSystem() as system:
        with pytest.raises(SystemStoppedError, match="only once"):
            system.bind()


def test_a_loop_that_is_dropped_with_its_open_systems_is_let_go() -> None:
    """As a test, or a simulation of crashes, drops one in the middle of things."""

    async def host() -> ActorSystem:
        system = ActorSystem().bind()
        system.spawn(Worker)
        return system

    loop = VirtualLoop()
    dropped = weakref.ref(loop.run_until_complete(host()))
    loop.close()
    del loop
    gc.collect()
    assert dropped() is None


def test_a_system_that_is_not_hosted_says_so() -> None:
    system = ActorSystem()
    for attempt in (
        lambda: system.spawn(Worker),
        lambda: system.launch(Worker),
        lambda: system.clock,
        system.__enter__,
        system.close,
    ):
        with pytest.raises(SystemStoppedError):
            attempt()
    asyncio.run(system.stop())


def test_an_interrupt_in_an_actor_does_not_end_a_system_in_a_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leave(actor: Actor) -> None:
        raise SystemExit(3)

    with ActorSystem.in_thread() as system:
        victim, other = system.spawn(Worker), system.spawn(Worker)
        victim.tell(leave)
        victim.wait_stopped().get(timeout=30)
        assert other.ask("still here?")
    assert "Interrupt in an actor" in caplog.text


# -- spawn


async def test_names_are_unique_among_live_actors() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Worker, name="one")
        with pytest.raises(NameTakenError, match="'one'"):
            system.spawn(Worker, name="one")
        assert system.registry.get_by_name("one") is ref
        await ref.stop()
        assert system.registry.get_by_name("one") is None
        assert system.spawn(Worker, name="one").name == "one"


def test_threads_may_spawn_at_the_same_time() -> None:
    with ActorSystem.in_thread() as system:
        threads = [
            threading.Thread(target=lambda: [system.spawn(Worker) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(system.registry) == 200


def test_what_a_thread_tells_after_spawn_comes_after_on_start() -> None:
    class Careful(Worker):
        def on_start(self) -> None:
            self.log.append("started")

    with ActorSystem.in_thread() as system:
        for _ in range(50):
            log: list[Any] = []
            ref = system.spawn(Careful, log)
            ref.tell("told")
            assert ref.stop()
            assert log == ["started", "told", " stopped"]


# -- launch


async def test_launch_gives_the_object_itself() -> None:
    async with ActorSystem() as system:
        parent = system.launch(Worker, label="parent")
        child = system.launch(Worker, [], "child", parent=parent)
        assert isinstance(child, Worker)
        assert child.parent is parent
        assert child.system is system
        assert system.registry.get_by_class(Worker) == [
            parent.actor_ref,
            child.actor_ref,
        ]


def test_launch_belongs_on_the_loop_thread() -> None:
    with ActorSystem.in_thread() as system, pytest.raises(WrongThreadError):
        system.launch(Worker)


# -- Actor.start


async def test_start_uses_the_system_of_the_running_loop() -> None:
    async with ActorSystem() as system:
        ref = Worker.start()
        assert ref.system is system
        async with ActorSystem() as inner:
            assert Worker.start().system is inner
        assert Worker.start().system is system
        assert ref in pykka.ActorRegistry.get_all()
    assert ref not in pykka.ActorRegistry.get_all()


def test_start_without_a_loop_uses_one_background_system() -> None:
    one, two = Worker.start(), Worker.start()
    assert one.system is two.system
    assert one.ask("hello") != threading.get_ident()
    assert one.stop() and two.stop()


def test_a_program_with_background_actors_stops_them_and_exits() -> None:
    program = """
        from everact.actors import Actor
        class Polite(Actor):
            def on_receive(self, message):
                return message
            def on_stop(self):
                print("goodbye", flush=True)
        print(Polite.start().ask("hello"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("hello\ngoodbye\n", 0), done.stderr


# -- stop


async def test_the_last_spawned_stops_first_and_children_before_parents() -> None:
    log: list[Any] = []
    async with ActorSystem() as system:
        parent = system.launch(Worker, log, "one")
        system.spawn(Worker, log, "two")
        parent.spawn(Worker, log, "one's child")
    assert log == ["two stopped", "one's child stopped", "one stopped"]


async def test_stop_lets_actors_read_their_mailboxes() -> None:
    async with ActorSystem() as system:
        answers = [system.spawn(Sleeper).ask(number) for number in (1.0, 2.0)]
        await system.stop()
        assert [await answer for answer in answers] == [1.0, 2.0]
        assert len(system.registry) == 0


async def test_stop_is_idempotent_and_may_be_awaited_by_many() -> None:
    async with ActorSystem() as system:
        system.spawn(Sleeper).tell(3.0)
        await asyncio.gather(system.stop(), system.stop())
        await system.stop()
        assert system.clock.monotonic() == 3


async def test_stop_cuts_off_what_takes_too_long() -> None:
    class Stubborn(Sleeper):
        async def on_stop(self) -> None:  # type: ignore[override]
            await asyncio.sleep(1e9)

    async with ActorSystem() as system:
        busy, stubborn = system.spawn(Sleeper), system.spawn(Stubborn)
        answer = busy.ask(1e9)
        await asyncio.sleep(1)
        await system.stop(timeout=5)
        assert system.clock.monotonic() == 6
        assert busy.exit == Killed("shutdown timed out")
        assert stubborn.exit == Stopped()
        with pytest.raises(ActorDeadError):
            await answer


async def test_a_parent_that_is_cut_off_while_it_waits_for_a_child() -> None:
    async with ActorSystem() as system:
        parent = system.launch(Worker, [], "parent")
        child = parent.spawn(Sleeper)
        child.tell(1e9)
        stopped = parent.actor_ref.stop()
        await system.stop(timeout=5)
        assert await stopped
        assert child.exit == Killed("shutdown timed out")
        assert parent.actor_ref.exit == Stopped()
        assert len(system.registry) == 0


async def test_actors_end_even_if_the_shutdown_is_cancelled() -> None:
    system = ActorSystem().bind()
    ref = system.spawn(Sleeper)
    ref.tell(1e9)
    stopping = asyncio.ensure_future(system.stop())
    await asyncio.sleep(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert isinstance(await ref.wait_stopped(), Killed)
    assert not system.is_open


async def test_new_actors_are_refused_once_a_stop_has_begun_but_not_children() -> None:
    log: list[Any] = []

    def hire(actor: Actor) -> None:
        actor.spawn(Worker, log, "child")

    async with ActorSystem() as system:
        parent = system.spawn(Worker, log, "parent")
        sleeper = system.spawn(Sleeper)
        sleeper.tell(5.0)
        stopping = asyncio.ensure_future(system.stop())
        await asyncio.sleep(1)
        with pytest.raises(SystemStoppedError):
            system.spawn(Worker)
        parent.tell(hire)
        await stopping
    assert log == ["child stopped", "parent stopped"]


def test_a_system_can_be_stopped_from_another_loop() -> None:
    with ActorSystem.in_thread() as system:
        ref = system.spawn(Worker)
        asyncio.run(system.stop())
        assert ref.exit == STOPPED


def test_what_threads_send_while_the_system_stops_is_refused_not_lost() -> None:
    with ActorSystem.in_thread() as system:
        ref = system.spawn(Worker)
        answers: list[pykka.Future[Any]] = []
        begun = threading.Event()

        def ask_on() -> None:
            while ref.is_alive() and len(answers) < 100_000:
                answers.append(ref.ask("hello", block=False))
                begun.set()

        thread = threading.Thread(target=ask_on)
        thread.start()
        begun.wait()
        system.close()
        thread.join()
    for answer in answers:
        try:
            answer.get(timeout=30)
        except ActorDeadError:
            continue


def test_actors_die_with_their_loop_only_if_the_system_is_stopped() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> ActorSystem:
        loops.append(asyncio.get_running_loop())
        async with ActorSystem() as system:
            system.spawn(Worker)
        return system

    system = run_virtual(main())
    assert isinstance(loops[0], VirtualLoop)
    assert loops[0].is_closed()
    asyncio.run(system.stop())


# -- drains


async def test_an_error_in_the_machinery_does_not_stop_other_actors() -> None:
    class Broken(Worker):
        def _actor_turn(self) -> None:
            super()._actor_turn()
            raise RuntimeError("a bug")

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(str(context["exception"]))
    )
    log: list[Any] = []
    async with ActorSystem() as system:
        broken, other = system.spawn(Broken, log), system.spawn(Worker, log)
        broken.tell("one")
        other.tell("two")
        await other.ask("three")
        assert log == ["one", "two", "three"]
        await broken.stop()
    assert reported[0] == "a bug"
