"""Whose turn it is when a slot of a worker is free."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everact.runtime.core.admission import SLOT, THREAD, Admission, Poll
from everact.runtime.engine.workers import Worker


class Waiting:
    """A task that wants a slot, and notes that it has one."""

    gone = False
    workflow = "w"
    worker: Worker | Poll | None = None

    def __init__(
        self,
        name: str,
        entered: list[str],
        lane: str,
        *,
        needs: str = SLOT,
        priority: int | None = None,
    ) -> None:
        self.name = name
        self.lane = lane
        self.needs = needs
        self.priority = priority
        self._entered = entered

    def enter(self, worker: Worker | Poll) -> None:
        self.worker = worker
        self._entered.append(self.name)


class Hall:
    """One worker, and the tasks that came to it."""

    def __init__(self, worker: Worker) -> None:
        self.admission = Admission([worker])
        self.entered: list[str] = []
        self.tasks: dict[str, Waiting] = {}

    def come(
        self,
        name: str,
        queue: str = "default",
        *,
        needs: str = SLOT,
        priority: int | None = None,
    ) -> None:
        task = Waiting(name, self.entered, queue, needs=needs, priority=priority)
        self.tasks[name] = task
        self.admission.ask(task)

    def leave(self, name: str) -> None:
        task = self.tasks[name]
        self.admission.leave(task.worker, task.needs)

    def served(self) -> Iterator[str]:
        """Each task as it enters, when the one before it has left."""
        at = 0
        while at < len(self.entered):
            yield self.entered[at]
            self.leave(self.entered[at])
            at += 1


@pytest.mark.feature("QT-07")
def test_the_oldest_place_over_all_lines_goes_first() -> None:
    hall = Hall(Worker(["a", "b"], slots=1))
    hall.come("a0", "a")
    hall.come("a1", "a")
    hall.come("b1", "b")
    hall.come("thread", "a", needs=THREAD)
    hall.come("a2", "a")
    hall.come("b2", "b")
    assert list(hall.served()) == ["a0", "a1", "b1", "thread", "a2", "b2"]


@pytest.mark.feature("QT-07")
@pytest.mark.parametrize(("queue", "needs"), [("b", SLOT), ("a", THREAD)])
def test_nobody_starves_under_a_steady_backlog(queue: str, needs: str) -> None:
    hall = Hall(Worker(["a", "b"], slots=1))
    hall.come("first", "a")
    hall.come("second", "a")
    hall.come("other", queue, needs=needs)
    for turn, name in enumerate(hall.served()):
        if name == "other":
            break
        assert turn < 3, hall.entered
        hall.come(f"more {turn}", "a")
    assert hall.entered == ["first", "second", "other"]


@pytest.mark.feature("QT-07")
def test_a_task_that_needs_a_thread_holds_up_no_other_and_gets_one() -> None:
    hall = Hall(Worker(slots=2, threads=1))
    hall.come("thread 0", needs=THREAD)
    hall.come("async 0")
    hall.come("thread 1", needs=THREAD)
    hall.leave("async 0")
    assert hall.entered == ["thread 0", "async 0"]
    hall.come("async 1")
    assert hall.entered[2:] == ["async 1"]
    hall.leave("thread 0")
    assert hall.entered[3:] == ["thread 1"]


@pytest.mark.feature("QT-07", "QT-10")
def test_an_urgent_task_takes_the_oldest_place_of_its_workflow_in_its_line() -> None:
    hall = Hall(Worker(["a", "b"], slots=1))
    hall.come("a0", "a")
    hall.come("a1", "a")
    hall.come("b1", "b")
    hall.come("urgent", "a", priority=3)
    assert list(hall.served()) == ["a0", "urgent", "b1", "a1"]


@pytest.mark.feature("QT-07")
def test_over_its_number_a_worker_starts_nothing_new() -> None:
    """As after a task that had lent its slot has taken it back."""
    worker = Worker(slots=1)
    hall = Hall(worker)
    hall.come("lends")
    hall.leave("lends")
    hall.come("borrows")
    hall.come("waits")
    hall.admission.take_back(worker, SLOT)
    hall.leave("borrows")
    assert (hall.entered, worker.busy) == (["lends", "borrows"], 1)
    hall.leave("lends")
    assert (hall.entered[2:], worker.busy) == (["waits"], 1)


@pytest.mark.feature("QT-07", "QT-10")
def test_what_is_polled_is_given_to_who_asks_in_order_and_holds_no_slot() -> None:
    hall = Hall(Worker(slots=1))
    hall.come("first", needs="gpu")
    hall.come("second", needs="gpu")
    hall.come("urgent", needs="gpu", priority=3)
    hall.come("here")
    assert hall.entered == ["here"]
    for _ in range(4):
        hall.admission.poll(Poll("gpu", ["default"], "far"))
    assert hall.entered == ["here", "urgent", "first", "second"]
    hall.come("late", needs="gpu")
    assert hall.entered[-1] == "late"


@pytest.mark.feature("QT-07")
def test_who_asks_for_another_queue_or_has_given_up_gets_nothing() -> None:
    hall = Hall(Worker(slots=1))
    hall.admission.poll(Poll("gpu", ["other"], "far"))
    gone = Poll("gpu", ["default"], "gone")
    hall.admission.poll(gone)
    hall.admission.withdraw(gone)
    hall.come("task", needs="gpu")
    assert hall.entered == []
    assert hall.admission.lacking(hall.tasks["task"]) == (
        "a worker that asks for tasks of queue 'default' on 'gpu'"
    )
    hall.admission.poll(Poll("gpu", ["default"], "far"))
    assert hall.entered == ["task"]


@pytest.mark.feature("QT-07")
def test_while_all_are_held_who_asks_waits_as_well() -> None:
    hall = Hall(Worker(slots=1))
    hall.admission.hold()
    hall.admission.poll(Poll("gpu", ["default"], "far"))
    hall.come("elsewhere", needs="gpu")
    hall.come("here")
    assert hall.entered == []
    hall.admission.let_go()
    assert hall.entered == ["here", "elsewhere"]
