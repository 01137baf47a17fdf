"""Admission against a model: whatever comes, goes and is held, nobody waits in vain.

The model is a list of who waits and of who runs. After every step no worker is over its
numbers but by what was taken back, and of all that wait none could enter.
"""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from everact.runtime.core.admission import (
    SLOT,
    THREAD,
    Admission,
    Poll,
    lane_of,
)
from everact.runtime.engine.workers import Worker

queues = st.sampled_from(["a", "b"])
builds = st.sampled_from(["", "1", "2"])
needs = st.sampled_from([SLOT, SLOT, THREAD, "gpu", "far"])


class Task:
    """Something that asks for room."""

    worker: Worker | Poll | None = None
    gone = False
    lent = False

    def __init__(
        self, model: Model, lane: str, needs: str, workflow: str, priority: int | None
    ) -> None:
        self._model = model
        self.lane = lane
        self.needs = needs
        self.workflow = workflow
        self.priority = priority
        self.place = model.places = model.places + 1

    def enter(self, worker: Worker | Poll) -> None:
        assert not self.gone
        assert self.lane in worker.lanes
        self._model.waiting.remove(self)
        self.worker = worker
        if isinstance(worker, Poll):
            assert worker.needs == self.needs
            self._model.polls.remove(worker)
            return
        self._model.running.append(self)
        assert worker.busy <= worker.slots
        assert self.needs != THREAD or worker.busy_threads <= worker.threads
        first = min(
            one.place
            for one in (*self._model.waiting, self)
            if one.workflow == self.workflow
            and (one.lane, one.needs) == (self.lane, self.needs)
        )
        if self.priority is None and not self._model.moved:
            assert first == self.place, "one of the least urgent overtook another"


class Model(RuleBasedStateMachine):
    """Two queues and up to three workers of three builds."""

    @initialize(slots=st.integers(1, 3), threads=st.integers(1, 2), held=st.booleans())
    def begin(self, slots: int, threads: int, *, held: bool) -> None:
        self.places = 0
        self.moved = False
        self.waiting: list[Task] = []
        self.running: list[Task] = []
        self.polls: list[Poll] = []
        self.admission: Admission[Worker] = Admission(
            [Worker(["a"], slots=slots, threads=threads)]
        )
        if held:
            self.admission.hold()

    @rule(
        queue=queues,
        build=st.one_of(st.none(), builds),
        needs=needs,
        workflow=st.sampled_from("uv"),
        priority=st.sampled_from([None, 2, 3]),
        number=st.integers(1, 3),
    )
    def ask(
        self,
        queue: str,
        build: str | None,
        needs: str,
        workflow: str,
        priority: int | None,
        number: int,
    ) -> None:
        lane = queue if build is None else lane_of(queue, build)
        for _ in range(number):
            task = Task(self, lane, needs, workflow, priority)
            self.waiting.append(task)
            self.admission.ask(task)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        task = self.running.pop(which % len(self.running))
        if not task.lent:
            self.admission.leave(task.worker, task.needs)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def lend_or_take_back(self, which: int) -> None:
        task = self.running[which % len(self.running)]
        task.lent = not task.lent
        if task.lent:
            self.admission.leave(task.worker, task.needs)
        else:
            self.admission.take_back(task.worker, task.needs)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100))
    def give_up(self, which: int) -> None:
        self.waiting.pop(which % len(self.waiting)).gone = True

    @rule(kind=st.sampled_from(["gpu", "far"]), queue=queues, build=builds)
    def poll(self, kind: str, queue: str, build: str) -> None:
        poll = Poll(kind, (queue, lane_of(queue, build)), "elsewhere")
        self.polls.append(poll)
        self.admission.poll(poll)

    @precondition(lambda self: self.polls)
    @rule(which=st.integers(0, 100))
    def withdraw(self, which: int) -> None:
        self.admission.withdraw(self.polls.pop(which % len(self.polls)))

    @precondition(lambda self: len(self.admission.all) < 3)
    @rule(queue=queues, build=builds, slots=st.integers(1, 2))
    def add(self, queue: str, build: str, slots: int) -> None:
        worker = Worker([queue], slots=slots, threads=1, build_id=build)
        self.admission.add(worker)

    @rule(queue=queues, build=builds)
    def line_up(self, queue: str, build: str) -> None:
        """The version sets of a queue change: all of it stand in another lane."""
        self.moved = True
        self.admission.line_up(queue, lambda _: lane_of(queue, build))

    @rule()
    def let_go(self) -> None:
        self.admission.let_go()

    @precondition(lambda self: not self.admission.held)
    @rule()
    def hold(self) -> None:
        self.admission.hold()

    @invariant()
    def what_is_taken_is_counted(self) -> None:
        if not hasattr(self, "admission"):
            return
        for worker in self.admission.all:
            inside = [
                task for task in self.running if task.worker is worker and not task.lent
            ]
            assert worker.busy == len(inside)
            threaded = [task for task in inside if task.needs == THREAD]
            assert worker.busy_threads == len(threaded)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        if not hasattr(self, "admission") or self.admission.held:
            return
        for task in self.waiting:
            for poll in self.polls:
                assert not (poll.needs == task.needs and task.lane in poll.lanes)
            for worker in self.admission.all:
                if task.lane not in worker.lanes or task.needs not in (SLOT, THREAD):
                    continue
                full = worker.busy >= worker.slots
                no_thread = worker.busy_threads >= worker.threads
                assert full or (task.needs == THREAD and no_thread)

    @invariant()
    def the_depths_are_of_who_waits(self) -> None:
        if hasattr(self, "admission"):
            assert sum(self.admission.depths().values()) == len(self.waiting)

    def teardown(self) -> None:
        if not hasattr(self, "admission"):
            return
        self.admission.let_go()
        self.admission.add(Worker(["a", "b"], slots=500, threads=500))
        for build in ("", "1", "2"):
            self.admission.add(
                Worker(["a", "b"], slots=500, threads=500, build_id=build)
            )
        left = [task for task in self.waiting if task.needs in (SLOT, THREAD)]
        assert not left


@pytest.mark.feature("QT-07", "QT-10")
def test_nobody_waits_in_vain_and_no_worker_is_over_its_numbers() -> None:
    run_state_machine_as_test(
        Model,
        settings=settings(max_examples=200, stateful_step_count=40, deadline=None),
    )
