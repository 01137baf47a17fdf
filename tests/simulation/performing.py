"""How simulated task functions take their time, fail, and echo after their end."""

import asyncio

from everact.runtime import context
from everact.runtime.core.records import TaskCompleted
from everact.runtime.engine.execution.attempt import Outcome, TaskActor
from everact.runtime.testing.ledger import Broken
from everact.runtime.values.payloads import PickleConverter
from tests.simulation.world import World, current

FORGED = PickleConverter().encode("an outcome that must not count")


class Hiccup(Exception):
    """A failure that a retry cures."""


def begin() -> World:
    """Note that a task's function runs; refused if it must not."""
    world, attempt = current.get(), context()
    if not world.crashed:
        world.trace("task", attempt.task_name, attempt.task_id, attempt.attempt_number)
        try:
            world.ledger.executing(attempt.task_id, attempt.attempt_number)
        except Broken as broken:
            world.broke(broken)  # raised here it would be the task's failure
            raise
        if world.chance.happens(world.plan.echoes):
            _echo(world)
    return world


def _echo(world: World) -> None:
    """Let this attempt report again, with another value, at some later time."""
    attempt = context()._attempt
    assert isinstance(attempt, TaskActor)
    outcome = Outcome(attempt, TaskCompleted(attempt.command.call, FORGED))

    def report() -> None:
        if attempt.settled:
            world.trace("echo", attempt.task_id)
            attempt.run.post(outcome)

    asyncio.get_running_loop().call_later(world.chance.between(0.0, 3.0), report)


async def perform(longest: float = 1.0, *, failures: int = 0) -> None:
    """Take some time; fail on the first attempts, `failures` at most."""
    world, attempt = begin(), context()
    if world.chance.happens(0.5):
        await asyncio.sleep(world.chance.between(0.0, longest))
    else:
        for _ in range(0 if world.chance.calm else world.chance.below(3)):
            await asyncio.sleep(0)
    if attempt.attempt_number <= world.chance.fixed(attempt.task_id, failures + 1):
        raise Hiccup(attempt.task_id)
