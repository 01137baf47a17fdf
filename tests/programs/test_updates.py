"""Updates in a program: how handlers end, and what replay makes of their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from everact.runtime import Registry, continue_as_new, sleep, wait_condition, workflow
from everact.runtime.core.failures import FailureKind
from everact.runtime.core.records import (
    CompleteUpdate,
    ContinueAsNew,
    UpdateAccepted,
)
from everact.runtime.errors import NonDeterminismError, ReadOnlyError
from everact.runtime.workflows import all_handlers_finished
from tests.programs.driven import VALUES, Driven

REGISTRY = Registry()


@workflow(registry=REGISTRY)
class Asked:
    def __init__(self) -> None:
        self.asked = 0

    @workflow.run
    async def run(self) -> int:
        await wait_condition(lambda: self.asked == 2)
        await wait_condition(all_handlers_finished)
        return self.asked

    @workflow.update
    async def slowly(self, number: int) -> int:
        self.asked += 1
        await sleep(number)
        return number

    @workflow.update
    def at_once(self, number: int) -> int:
        self.asked += 1
        return number

    @workflow.update
    async def cancels_itself(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await sleep(1)

    @workflow.update
    def cancels_at_once(self) -> None:
        raise asyncio.CancelledError

    @cancels_at_once.validator
    def check(self) -> None:
        continue_as_new()

    @workflow.update
    def unstorable(self) -> object:
        return asyncio.get_running_loop()

    @workflow.update
    async def goes_on(self) -> None:
        continue_as_new()

    @workflow.update
    def goes_on_at_once(self) -> None:
        continue_as_new()

    @workflow.signal
    def signal_to_go_on(self) -> None:
        continue_as_new()


def answer(value: Any, id: str = "u") -> CompleteUpdate:
    return CompleteUpdate(id, VALUES.encode(value, ""))


def test_a_sync_handler_answers_in_the_activation_that_shows_the_update() -> None:
    run = Driven(Asked)
    run.start()
    assert run.update("at_once", 5) == [answer(5)]


def test_an_async_handler_answers_when_it_returns() -> None:
    run = Driven(Asked)
    run.start()
    run.update("slowly", 5)
    assert run.fire(1) == [answer(5)]


def test_a_run_that_waits_for_its_handlers_answers_before_it_ends() -> None:
    run = Driven(Asked)
    run.start()
    run.update("slowly", 5, id="a")
    assert run.update("at_once", 1, id="b") == [answer(1, "b")]
    *answers, _end = run.fire(1)
    assert answers == [answer(5, "a")]
    assert run.closing is not None


@pytest.mark.parametrize("name", ["cancels_itself", "cancels_at_once"])
def test_a_handler_that_is_cancelled_answers_so(name: str) -> None:
    run = Driven(Asked)
    run.start()
    commands = run.update(name)
    (found,) = [c for c in commands if isinstance(c, CompleteUpdate)]
    assert found.failure is not None
    assert found.failure.kind is FailureKind.CANCELLED


def test_a_validator_cannot_end_its_run() -> None:
    run = Driven(Asked)
    run.start()
    with pytest.raises(ReadOnlyError, match="tried to end its run"):
        run.program.validate(UpdateAccepted("u", "cancels_at_once"))
    assert run.show() == []


def test_an_answer_that_cannot_be_stored_fails_the_update() -> None:
    run = Driven(Asked)
    run.start()
    (found,) = run.update("unstorable")
    assert isinstance(found, CompleteUpdate) and found.failure is not None
    assert found.failure.type == "ValueNotStorable"


@pytest.mark.feature("CH-06")
@pytest.mark.parametrize("name", ["goes_on", "goes_on_at_once", "signal_to_go_on"])
def test_a_handler_may_let_the_run_continue_as_new(name: str) -> None:
    run = Driven(Asked)
    run.start()
    (end,) = run.signal(name) if name.startswith("signal") else run.update(name)
    assert isinstance(end, ContinueAsNew)


def test_replay_gives_the_same_answers() -> None:
    run = Driven(Asked)
    run.start()
    run.update("slowly", 5, id="a")
    run.fire(1)
    run.replayed()


def test_other_code_that_answers_otherwise_is_told() -> None:
    run = Driven(Asked)
    run.start()
    run.update("at_once", 5)

    @workflow(name="Asked", registry=Registry())
    class Changed:
        @workflow.run
        async def run(self) -> None:
            await asyncio.Event().wait()

        @workflow.update
        def at_once(self, number: int) -> int:
            return number + 1

    with pytest.raises(NonDeterminismError, match="CompleteUpdate"):
        run.replayed(Changed)
