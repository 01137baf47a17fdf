"""Whose turn it is when a slot of a worker is free."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everact.runtime.engine.workers import Worker, Workers


class Waiting:
    """A task that wants a slot, and notes that it has one."""

    gone = False
    workflow = "w"
    worker: Worker | None = None

    def __init__(
        self, name: str, entered: list[str], *, threaded: bool, priority: int | None
    ) -> None:
        self.name = name
        self.threaded = threaded
        self.priority = priority
        self._entered = entered

    def enter(self, worker: Worker) -> None:
        self.worker = worker
        self._entered.append(self.name)

    def leave(self) -> None:
        assert self.worker is not None
        self.worker.leave(self.threaded)


class Hall:
    """One worker, and the tasks that came to it."""

    def __init__(self, worker: Worker) -> None:
        self.workers = Workers([worker])
        self.entered: list[str] = []
        self.tasks: dict[str, Waiting] = {}

    def come(
        self,
        name: str,
        queue: str = "default",
        *,
        threaded: bool = False,
        priority: int | None = None,
    ) -> None:
        task = Waiting(name, self.entered, threaded=threaded, priority=priority)
        self.tasks[name] = task
        self.workers.admit(task, queue)

    def leave(self, name: str) -> None:
        self.tasks[name].leave()

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
    hall.come("thread", "a", threaded=True)
    hall.come("a2", "a")
    hall.come("b2", "b")
    assert list(hall.served()) == ["a0", "a1", "b1", "thread", "a2", "b2"]


@pytest.mark.feature("QT-07")
@pytest.mark.parametrize(("queue", "threaded"), [("b", False), ("a", True)])
def test_nobody_starves_under_a_steady_backlog(queue: str, *, threaded: bool) -> None:
    hall = Hall(Worker(["a", "b"], slots=1))
    hall.come("first", "a")
    hall.come("second", "a")
    hall.come("other", queue, threaded=threaded)
    for turn, name in enumerate(hall.served()):
        if name == "other":
            break
        assert turn < 3, hall.entered
        hall.come(f"more {turn}", "a")
    assert hall.entered == ["first", "second", "other"]


@pytest.mark.feature("QT-07")
def test_a_task_that_needs_a_thread_holds_up_no_other_and_gets_one() -> None:
    hall = Hall(Worker(slots=2, threads=1))
    hall.come("thread 0", threaded=True)
    hall.come("async 0")
    hall.come("thread 1", threaded=True)
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
    worker.leave(threaded=False)
    hall.come("borrows")
    hall.come("waits")
    worker.take_back(threaded=False)
    hall.leave("borrows")
    assert (hall.entered, worker.busy) == (["lends", "borrows"], 1)
    hall.leave("lends")
    assert (hall.entered[2:], worker.busy) == (["waits"], 1)
