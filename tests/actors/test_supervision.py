"""Supervision: who is restarted, when, how often, and what a restart keeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from everact.actors import (
    NORMAL,
    STOPPED,
    Actor,
    ActorDeadError,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Exit,
    Failed,
    Killed,
    NameTakenError,
    Normal,
    Restart,
    RestartIntensityExceeded,
    Stopped,
    Strategy,
    Supervisor,
    Terminated,
)
from everact.actors.supervision import recent


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "everact.actors")


class Child(Actor):
    """Writes down its lives; fails, ends or answers as it is told."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    def on_start(self) -> None:
        self.log.append(f"+{self.name}")

    def on_stop(self) -> None:
        self.log.append(f"-{self.name}")

    def on_failure(self, *args: Any) -> None:
        self.log.append(f"!{self.name}")

    def on_receive(self, message: Any) -> Any:
        match message:
            case "fail":
                raise ValueError(self.name)
            case "finish":
                self.finish()
        return id(self)


class SlowChild(Child):
    """Takes a second to end."""

    async def on_stop(self) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        super().on_stop()

    async def on_failure(self, *args: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(1)
        super().on_failure()


def specs(
    log: list[str], names: Iterable[str] = "abc", kind: type[Actor] = Child, **more: Any
) -> list[ChildSpec]:
    return [
        ChildSpec(name=name, actor_class=kind, args=(log, name), **more)
        for name in names
    ]


async def settle() -> None:
    await asyncio.sleep(0.001)


async def children(supervisor: ActorRef[Supervisor]) -> dict[str, ActorRef[Any]]:
    found: dict[str, ActorRef[Any]] = await supervisor.proxy().children
    return found


# -- the pure parts


@pytest.mark.parametrize(
    ("restart", "wanted"),
    [
        (Restart.PERMANENT, [True, True, True, True]),
        (Restart.TRANSIENT, [False, False, True, True]),
        (Restart.TEMPORARY, [False, False, False, False]),
    ],
)
def test_which_exit_calls_for_a_restart(restart: Restart, wanted: list[bool]) -> None:
    exits: list[Exit] = [NORMAL, STOPPED, Killed(), Failed(ValueError())]
    assert [restart.wanted(exit) for exit in exits] == wanted


@pytest.mark.parametrize(
    ("strategy", "affected"),
    [
        (Strategy.ONE_FOR_ONE, ["b"]),
        (Strategy.ONE_FOR_ALL, ["a", "b", "c"]),
        (Strategy.REST_FOR_ONE, ["b", "c"]),
    ],
)
def test_who_is_restarted_with_a_child(strategy: Strategy, affected: list[str]) -> None:
    assert strategy.affected(["a", "b", "c"], "b") == affected


def test_restarts_count_for_less_than_the_time_allowed() -> None:
    assert recent([0.0, 4.9, 5.0, 5.1, 10.0], now=10.0, within=5.0) == [5.1, 10.0]
    assert recent([], now=10.0, within=5.0) == []


# -- strategies


@pytest.mark.parametrize("kind", [Child, SlowChild])
@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["!b", "+b"]),
        (Strategy.ONE_FOR_ALL, ["!b", "-c", "-a", "+a", "+b", "+c"]),
        (Strategy.REST_FOR_ONE, ["!b", "-c", "+b", "+c"]),
    ],
)
async def test_a_strategy_stops_in_reverse_and_starts_in_order(
    kind: type[Actor], strategy: Strategy, expected: list[str]
) -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, kind=kind), strategy=strategy)
        refs = await children(supervisor)
        await settle()
        assert log == ["+a", "+b", "+c"]
        log.clear()
        refs["b"].tell("fail")
        await asyncio.sleep(10)
        assert log == expected
        assert await children(supervisor) == refs
        assert all(ref.is_alive() for ref in refs.values())


async def test_a_second_failure_while_a_group_is_restarting_joins_it() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(
            Supervisor, specs(log, kind=SlowChild), strategy=Strategy.REST_FOR_ONE
        )
        refs = await children(supervisor)
        await settle()
        log.clear()
        refs["c"].tell("fail")
        await asyncio.sleep(0.5)
        refs["b"].tell("fail")
        await asyncio.sleep(10)
        assert all(ref.is_alive() for ref in refs.values())
        assert log[-1] == "+c"
        assert "+b" in log


async def test_temporary_children_of_a_restarted_group_are_only_stopped() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        mixed = [*specs(log, "a"), *specs(log, "t", restart=Restart.TEMPORARY)]
        supervisor = system.spawn(
            Supervisor, [*mixed, *specs(log, "c")], strategy=Strategy.ONE_FOR_ALL
        )
        refs = await children(supervisor)
        refs["a"].tell("fail")
        assert await refs["t"].wait_stopped() == Stopped()
        await settle()
        assert list(await children(supervisor)) == ["a", "c"]
        assert log[3:] == ["!a", "-c", "-t", "+a", "+c"]


# -- kinds of restart


@pytest.mark.parametrize("end", ["fail", "finish", "stop", "kill"])
@pytest.mark.parametrize("restart", list(Restart))
async def test_a_child_lives_again_if_its_specification_says_so(
    end: str, restart: Restart
) -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, "a", restart=restart))
        ref = (await children(supervisor))["a"]
        before = await ref.ask("who")
        if end == "stop":
            await ref.stop()
        elif end == "kill":
            ref.kill()
        else:
            ref.tell(end)
        await settle()
        abnormal = end in ("fail", "kill")
        lives = restart is Restart.PERMANENT or (
            restart is Restart.TRANSIENT and abnormal
        )
        assert ref.is_alive() is lives
        assert list(await children(supervisor)) == (["a"] if lives else [])
        if lives:
            assert await ref.ask("who") != before
        else:
            assert await ref.wait_stopped() == ref.exit


# -- what a restart keeps


async def test_reference_name_and_unread_messages_survive_a_restart() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, "a"))
        ref = (await children(supervisor))["a"]
        urn = ref.actor_urn
        before = await ref.ask("who")
        ref.tell("fail")
        answers = [ref.ask("who") for _ in range(3)]
        lives = {await answer for answer in answers}
        assert len(lives) == 1
        assert before not in lives
        assert ref.actor_urn == urn
        assert system.registry.get_by_urn(urn) is ref
        assert (await children(supervisor))["a"] is ref


async def test_messages_sent_between_two_lives_wait_for_the_next() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, "a", kind=SlowChild))
        ref = (await children(supervisor))["a"]
        ref.tell("fail")
        await asyncio.sleep(0.5)
        assert ref.is_alive()
        assert ref.exit is None
        answer = ref.ask("who")
        assert await answer
        assert log == ["+a", "!a", "+a"]


async def test_watchers_are_told_of_the_end_not_of_a_restart() -> None:
    ended: list[Any] = []

    class Watcher(Actor):
        def on_receive(self, message: Any) -> None:
            ended.append(message)

    async with ActorSystem() as system:
        watcher = system.launch(Watcher)
        supervisor = system.spawn(Supervisor, specs([], "a"))
        ref = (await children(supervisor))["a"]
        watcher.watch(ref)
        ref.tell("fail")
        await settle()
        assert ended == []
        await supervisor.proxy().stop_child("a")
        await settle()
        assert ended == [Terminated(ref, Stopped())]


async def test_a_bounded_mailbox_stays_bounded_after_a_restart() -> None:
    from everact.actors import MailboxFull

    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs([], "a", mailbox=2))
        ref = (await children(supervisor))["a"]
        await settle()
        ref.tell("fail")
        await settle()
        ref.tell(1)
        ref.tell(2)
        with pytest.raises(MailboxFull):
            ref.tell(3)


async def test_children_of_a_failed_child_end_before_it_lives_again() -> None:
    log: list[str] = []

    class Parent(Child):
        def on_start(self) -> None:
            super().on_start()
            self.spawn(SlowChild, self.log, f"{self.name}'s child")

    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, "a", kind=Parent))
        ref = (await children(supervisor))["a"]
        await settle()
        log.clear()
        ref.tell("fail")
        await asyncio.sleep(10)
        assert log == ["-a's child", "!a", "+a", "+a's child"]


# -- restart intensity and escalation


async def fail_times(ref: ActorRef[Any], times: int) -> None:
    for _ in range(times):
        ref.tell("fail")
        await settle()


async def test_a_supervisor_fails_when_restarts_do_not_help() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log), max_restarts=2, within=10)
        refs = await children(supervisor)
        await fail_times(refs["b"], 2)
        assert supervisor.is_alive()
        refs["b"].tell("fail")
        late = refs["b"].ask("never read")
        exit = await supervisor.wait_stopped()
        assert isinstance(exit, Failed)
        assert isinstance(exit.error, RestartIntensityExceeded)
        assert isinstance(exit.error.__cause__, ValueError)
        assert "'b'" in str(exit.error)
        with pytest.raises(ActorDeadError):
            await late
        assert not any(ref.is_alive() for ref in refs.values())
        assert isinstance(await refs["b"].wait_stopped(), Failed)
        assert await refs["a"].wait_stopped() == Stopped()
        assert len(system.registry) == 0
    assert log[-3:] == ["!b", "-c", "-a"]


async def test_restarts_that_are_long_ago_do_not_count() -> None:
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs([], "a"), max_restarts=1, within=5)
        ref = (await children(supervisor))["a"]
        for _ in range(10):
            await fail_times(ref, 1)
            await asyncio.sleep(5)
        assert supervisor.is_alive()
        await fail_times(ref, 2)
        assert not supervisor.is_alive()


async def test_without_restarts_allowed_the_first_failure_escalates() -> None:
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs([], "a"), max_restarts=0)
        ref = (await children(supervisor))["a"]
        ref.tell("fail")
        assert isinstance(await supervisor.wait_stopped(), Failed)


async def test_a_failed_supervisor_is_restarted_by_its_own_supervisor() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        inner = ChildSpec(
            name="inner",
            actor_class=Supervisor,
            args=(specs(log, "a"),),
            kwargs={"max_restarts": 0},
        )
        outer = system.spawn(Supervisor, [inner])
        inner_ref = (await children(outer))["inner"]
        leaf = (await children(inner_ref))["a"]
        leaf.tell("fail")
        assert isinstance(await leaf.wait_stopped(), Failed)
        new_leaf = (await children(inner_ref))["a"]
        assert new_leaf is not leaf
        assert await new_leaf.ask("who")
        assert outer.is_alive()
    assert log == ["+a", "!a", "+a", "-a"]


async def test_a_child_that_cannot_be_built_again_counts_as_failing() -> None:
    class Once(Child):
        built = 0

        def __init__(self, log: list[str], name: str) -> None:
            super().__init__(log, name)
            type(self).built += 1
            if self.built > 1:
                raise OSError("cannot be built twice")

    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs([], "a", kind=Once), max_restarts=3)
        ref = (await children(supervisor))["a"]
        ref.tell("fail")
        answer = ref.ask("who")
        exit = await supervisor.wait_stopped()
        assert isinstance(exit, Failed)
        assert isinstance(exit.error.__cause__, OSError)
        assert Once.built == 4
        with pytest.raises(ActorDeadError):
            await answer
        assert not ref.is_alive()


async def test_a_child_whose_on_start_fails_is_restarted_too() -> None:
    class Flaky(Child):
        starts = 0

        def on_start(self) -> None:
            type(self).starts += 1
            if self.starts < 3:
                raise OSError("not yet")

    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs([], "a", kind=Flaky))
        ref = (await children(supervisor))["a"]
        assert await ref.ask("who")
        assert Flaky.starts == 3


# -- children by name


async def test_children_can_be_added_and_stopped_for_good() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor)
        proxy = supervisor.proxy()
        ref = await proxy.start_child(specs(log, "a")[0])
        assert await proxy.child("a") is ref
        with pytest.raises(NameTakenError):
            await proxy.start_child(specs(log, "a")[0])
        assert await proxy.stop_child("a") is ref
        assert await ref.wait_stopped() == Stopped()
        assert await children(supervisor) == {}
        with pytest.raises(KeyError):
            await proxy.child("a")
    assert log == ["+a", "-a"]


async def test_a_child_can_be_stopped_for_good_between_two_lives() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, "a", kind=SlowChild))
        ref = (await children(supervisor))["a"]
        ref.tell("fail")
        await asyncio.sleep(0.5)
        await supervisor.proxy().stop_child("a")
        answer = ref.ask("who")
        assert isinstance(await ref.wait_stopped(), Failed)
        with pytest.raises(ActorDeadError):
            await answer
        assert supervisor.is_alive()
    assert log == ["+a", "!a"]


async def test_a_supervisor_that_stops_takes_its_children_along() -> None:
    log: list[str] = []
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, specs(log, kind=SlowChild))
        refs = await children(supervisor)
        refs["b"].tell("fail")
        await asyncio.sleep(0.5)
        assert await supervisor.stop()
        assert {name: type(ref.exit) for name, ref in refs.items()} == {
            "a": Stopped,
            "b": Failed,
            "c": Stopped,
        }
        assert len(system.registry) == 0
    assert log == ["+a", "+b", "+c", "!b", "-c", "-a"]


async def test_a_supervisor_that_cannot_start_a_child_fails() -> None:
    log: list[str] = []
    broken = ChildSpec(name="x", actor_class=Child)
    async with ActorSystem() as system:
        supervisor = system.spawn(Supervisor, [*specs(log, "a"), broken])
        exit = await supervisor.wait_stopped()
        assert isinstance(exit, Failed) and isinstance(exit.error, TypeError)


def test_a_supervisor_refuses_limits_without_sense() -> None:
    for wrong in ({"max_restarts": -1}, {"within": 0}):
        with pytest.raises(ValueError, match="max_restarts"):
            Supervisor(**wrong)  # type: ignore[arg-type]


async def test_a_supervisor_may_handle_messages_of_its_own() -> None:
    class Boss(Supervisor):
        def on_receive(self, message: Any) -> Any:
            return sorted(self.children)

    async with ActorSystem() as system:
        boss = system.spawn(Boss, specs([], "ba"))
        assert await boss.ask("who works here?") == ["a", "b"]


async def test_other_children_of_a_supervisor_are_not_restarted() -> None:
    class Boss(Supervisor):
        def on_receive(self, message: Any) -> Any:
            return self.spawn(Child, [], "temp")

    async with ActorSystem() as system:
        boss = system.spawn(Boss)
        ref = await boss.ask("hire")
        ref.tell("finish")
        assert await ref.wait_stopped() == Normal()
        assert boss.is_alive()
