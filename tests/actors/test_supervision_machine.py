"""Supervision against a model: any sequence of ends, time and changes of the children.

The model knows only the promises: which exit wants a restart, who goes along, and that
more than so many restarts within so many seconds end the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from everact.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Failed,
    Restart,
    RestartIntensityExceeded,
    Strategy,
    Supervisor,
    VirtualLoop,
)

NAMES = ("a", "b", "c", "d")


class Mortal(Actor):
    """Counts the births under each name; ends as it is told."""

    def __init__(self, births: dict[str, int], name: str) -> None:
        births[name] = births.get(name, 0) + 1

    def on_receive(self, message: Any) -> None:
        if message == "fail":
            raise ValueError
        self.finish()


class Supervision(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.getLogger("everact.actors").setLevel(logging.CRITICAL)
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.births: dict[str, int] = {}
        self.refs: dict[str, ActorRef[Any]] = {}
        self.now = 0.0
        # The model.
        self.kinds: dict[str, Restart] = {}
        self.expected: dict[str, int] = {}
        self.restarts: list[float] = []
        self.escalated = False

    @initialize(
        strategy=st.sampled_from(Strategy),
        max_restarts=st.integers(0, 3),
        within=st.integers(1, 10),
    )
    def begin(self, strategy: Strategy, max_restarts: int, within: int) -> None:
        self.strategy, self.max_restarts, self.within = strategy, max_restarts, within

        async def start() -> None:
            self.system = ActorSystem().bind()
            self.supervisor = self.system.spawn(
                Supervisor,
                strategy=strategy,
                max_restarts=max_restarts,
                within=float(within),
            )
            await settle()

        self.runner.run(start())

    def teardown(self) -> None:
        async def stop() -> None:
            await self.system.stop()
            assert len(self.system.registry) == 0

        self.runner.run(stop())
        self.runner.close()
        logging.getLogger("everact.actors").setLevel(logging.NOTSET)

    # -- what happens

    @precondition(lambda self: not self.escalated and len(self.kinds) < len(NAMES))
    @rule(data=st.data(), kind=st.sampled_from(Restart))
    def start_child(self, data: st.DataObject, kind: Restart) -> None:
        name = data.draw(st.sampled_from([n for n in NAMES if n not in self.kinds]))
        spec = ChildSpec(
            name=name, actor_class=Mortal, args=(self.births, name), restart=kind
        )

        async def start() -> None:
            self.refs[name] = await self.supervisor.proxy().start_child(spec)

        self.runner.run(start())
        self.kinds[name] = kind
        self.expected[name] = self.expected.get(name, 0) + 1

    @precondition(lambda self: not self.escalated and self.kinds)
    @rule(data=st.data())
    def stop_child(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.kinds)))

        async def stop() -> None:
            await self.supervisor.proxy().stop_child(name)

        self.runner.run(stop())
        del self.kinds[name]

    @precondition(lambda self: not self.escalated and self.kinds)
    @rule(data=st.data(), how=st.sampled_from(["fail", "kill", "finish", "stop"]))
    def end(self, data: st.DataObject, how: str) -> None:
        name = data.draw(st.sampled_from(list(self.kinds)))
        ref = self.refs[name]

        async def end() -> None:
            if how == "kill":
                ref.kill()
            elif how == "stop":
                await ref.stop()
            else:
                ref.tell(how)
            await settle()

        self.runner.run(end())
        self.expect_end(name, abnormal=how in ("fail", "kill"))

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.runner.run(asyncio.sleep(seconds))
        self.now += seconds

    # -- what should come of it

    def expect_end(self, name: str, *, abnormal: bool) -> None:
        kind = self.kinds[name]
        if kind is Restart.TEMPORARY or (kind is Restart.TRANSIENT and not abnormal):
            del self.kinds[name]
            return
        self.restarts.append(self.now)
        counted = [at for at in self.restarts if at > self.now - self.within]
        if len(counted) > self.max_restarts:
            self.escalated = True
            self.kinds.clear()
            return
        names = list(self.kinds)
        group = {
            Strategy.ONE_FOR_ONE: [name],
            Strategy.ONE_FOR_ALL: names,
            Strategy.REST_FOR_ONE: names[names.index(name) :],
        }
        for member in group[self.strategy]:
            if self.kinds[member] is Restart.TEMPORARY:
                del self.kinds[member]
            else:
                self.expected[member] += 1

    @invariant()
    def children_are_as_the_model_says(self) -> None:
        assert self.births == self.expected
        for name, ref in self.refs.items():
            assert ref.is_alive() is (name in self.kinds), name

    @invariant()
    def the_supervisor_fails_exactly_when_it_should(self) -> None:
        if not hasattr(self, "supervisor"):
            return
        exit = self.supervisor.exit
        assert (exit is not None) is self.escalated
        if exit is not None:
            assert isinstance(exit, Failed)
            assert isinstance(exit.error, RestartIntensityExceeded)

    @invariant()
    def nobody_else_is_in_the_registry(self) -> None:
        if hasattr(self, "system"):
            alive = len(self.kinds) + (not self.escalated)
            assert len(self.system.registry) == alive


async def settle() -> None:
    """Let everything happen that is due now, without letting time pass."""
    for _ in range(10):
        await asyncio.sleep(0)


TestSupervision = Supervision.TestCase
TestSupervision.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
