"""Attempts that go on elsewhere: which reports count, and what they change."""

from __future__ import annotations

import pickle

import pytest

from everact.runtime.core.failures import Failure, FailureKind, cancelled
from everact.runtime.core.records import (
    AttemptStarted,
    CancelCall,
    CancelRequested,
    CancelTask,
    Complete,
    Fail,
    RunTask,
    TailCall,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    TaskReported,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.state import ACTIVE, NOTHING, RunState
from everact.runtime.core.tries import Tries
from tests.core.states import NOW, after, open_run, whole

FAILURE = Failure(FailureKind.APPLICATION, "Oops", "no")
TASK = RunTask(1, "t", options=TaskOptions(RetryPolicy(first=5.0, attempts=3)))
WATCHED = RunTask(1, "t", options=TaskOptions(heartbeat_timeout=10.0))
DONE = TaskCompleted(1, b"r")
STOPPED = TaskFailed(1, cancelled("stopped", (b"d",)))


def handed(task: RunTask = TASK, deadline: float | None = None) -> RunState:
    """A run with one task, which goes on elsewhere."""
    return after(open_run(task), (TaskHandedOver(1, 1, deadline), NOW))


def retried() -> RunState:
    """Its second attempt was handed over, after five seconds."""
    return after(
        open_run(TASK),
        (TaskFailed(1, FAILURE), NOW),
        (AttemptStarted(1, lost=False), NOW + 5),
        (TaskHandedOver(1, 2), NOW + 5),
    )


def asked_to_stop() -> RunState:
    state = after(handed(), (CancelRequested("enough"), NOW))
    state.issue((CancelTask(1),))
    return state


def abandoned(reason: str = "enough") -> RunState:
    state = after(handed(), (CancelRequested(reason), NOW))
    state.issue((CancelCall(1),))
    return state


@pytest.mark.feature("AC-05")
@pytest.mark.parametrize("attempt", [0, 1])
def test_a_completion_is_shown_as_the_tasks_own(attempt: int) -> None:
    for given in (handed(), open_run(TASK)):  # its function may not have ended
        answer = given.apply(TaskReported(1, 0, attempt, DONE), NOW + 1)
        assert answer is not None
        assert answer.shown == (DONE,)
        assert not given.calls


@pytest.mark.feature("AC-05")
@pytest.mark.parametrize(
    "report",
    [
        TaskReported(1, 0, 1, DONE),
        TaskReported(1, 0, 3, DONE),
        TaskReported(1, 1, 2, DONE),
        TaskReported(2, 0, 0, TaskCompleted(2, b"r")),
        TaskReported(1, 0, 1),
        TaskReported(1, 0, 2, STOPPED),
    ],
    ids=["old attempt", "no attempt", "generation", "call", "old beat", "unasked"],
)
def test_a_report_of_another_attempt_changes_nothing(report: TaskReported) -> None:
    state = retried()
    before = whole(state)
    assert state.apply(report, NOW + 6) is None
    assert whole(state) == before


@pytest.mark.feature("AC-05")
@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_between_two_attempts_nothing_is_reported(attempt: int) -> None:
    state = after(handed(), (TaskReported(1, 0, 1, TaskFailed(1, FAILURE)), NOW))
    assert state.calls.trial(1).attempt == 2
    for outcome in (DONE, None):
        report = TaskReported(1, 0, attempt, outcome)
        assert state.apply(report, NOW + 4) is None
    assert state.wake() == NOW + 5


@pytest.mark.feature("AC-01", "AC-07")
@pytest.mark.parametrize(
    ("task", "deadline", "wake"),
    [
        (TASK, None, None),
        (TASK, NOW + 60, NOW + 60),
        (WATCHED, None, NOW + 10),
        (WATCHED, NOW + 4, NOW + 4),
    ],
)
def test_a_run_is_needed_when_a_limit_of_the_attempt_is_over(
    task: RunTask, deadline: float | None, wake: float | None
) -> None:
    state = handed(task, deadline)
    assert state.wake() == wake
    assert state.moments() == ([] if wake is None else [(wake, 1)])


@pytest.mark.feature("AC-07")
def test_a_sign_of_life_moves_the_end_of_the_silence_and_keeps_details() -> None:
    state = handed(WATCHED, NOW + 18)
    assert state.apply(TaskReported(1, 0, 1, None, (b"d",)), NOW + 6) is NOTHING
    assert state.wake() == NOW + 16
    assert state.apply(TaskReported(1, 0, 1), NOW + 12) is NOTHING
    assert state.wake() == NOW + 18
    assert state.calls.trial(1).details == (b"d",)


@pytest.mark.feature("AC-06")
def test_a_failure_is_retried_and_the_next_attempt_is_not_handed_over() -> None:
    state = handed()
    report = TaskReported(1, 0, 1, TaskFailed(1, FAILURE), (b"d",))
    assert state.apply(report, NOW) is NOTHING
    tries = state.calls.trial(1)
    assert (tries.attempt, tries.due, tries.details) == (2, NOW + 5, (b"d",))
    assert tries.handed is None


@pytest.mark.feature("AC-08")
def test_who_was_asked_to_stop_may_end_in_any_way_and_is_not_retried() -> None:
    for outcome in (DONE, TaskFailed(1, FAILURE), STOPPED):
        state = asked_to_stop()
        answer = state.apply(TaskReported(1, 0, 1, outcome), NOW)
        assert answer is not None
        assert answer.shown == (outcome,)
        assert not state.calls


@pytest.mark.feature("AC-07", "AC-08")
def test_a_sign_of_life_after_a_request_to_stop_is_not_taken() -> None:
    state = asked_to_stop()
    before = whole(state)
    assert state.apply(TaskReported(1, 0, 1), NOW) is None
    assert whole(state) == before
    assert state.calls.trial(1).stopping == "enough"


@pytest.mark.feature("AC-08")
def test_a_task_asked_to_stop_between_attempts_is_needed_at_once() -> None:
    state = after(open_run(TASK), (TaskFailed(1, FAILURE), NOW))
    state.issue((CancelTask(1),))
    assert state.wake() == ACTIVE


@pytest.mark.feature("AC-07", "AC-08")
def test_an_abandoned_attempt_is_remembered_until_it_says_that_it_stopped() -> None:
    state = abandoned()
    beat = TaskReported(1, 0, 1)
    assert state.apply(beat, NOW) is None
    assert state.calls.unheeded(beat) == "enough"
    assert state.apply(TaskReported(1, 0, 1, DONE), NOW) is None
    assert state.apply(TaskReported(1, 0, 1, STOPPED), NOW) is NOTHING
    assert state.calls.unheeded(beat) is None
    assert state.apply(TaskReported(1, 0, 1, STOPPED), NOW) is None


@pytest.mark.feature("AC-07")
def test_only_attempts_that_were_handed_over_are_remembered() -> None:
    state = open_run(TASK)
    state.issue((CancelCall(1),))
    assert state.calls.abandoned is None


@pytest.mark.feature("AC-07")
def test_a_closed_run_remembers_the_attempts_that_were_open() -> None:
    state = after(handed(), (CancelRequested("enough"), NOW))
    state.issue((Fail(cancelled("enough")),))
    assert state.calls.unheeded(TaskReported(1, 0, 1)) == "enough"
    assert state.apply(TaskReported(1, 0, 1, STOPPED), NOW) is None
    for closing in (Complete(b""), TailCall("next")):
        quiet = open_run(TASK)
        quiet.issue((closing,))
        assert quiet.calls.abandoned is None


def test_a_checkpoint_from_before_attempts_could_be_handed_over_is_read() -> None:
    old = {"attempt": 2, "details": (), "due": 7.0, "failure": None, "lost": 1}
    tries = Tries.__new__(Tries)
    tries.__setstate__((None, old))
    assert (tries.attempt, tries.due, tries.lost) == (2, 7.0, 1)
    assert (tries.handed, tries.stopping) == (None, None)
    again = pickle.loads(pickle.dumps(asked_to_stop()))
    assert whole(again) == whole(asked_to_stop())
