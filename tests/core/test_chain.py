"""What follows a run: its retry, its continuation, the call in its place; or none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from everact.runtime.core.chain import next_generation, successor, unread
from everact.runtime.core.failures import (
    Failure,
    FailureKind,
    TimeoutKind,
    cancelled,
    lost,
    terminated,
    timed_out,
)
from everact.runtime.core.records import (
    Began,
    CancelRequested,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Extras,
    Fail,
    Held,
    RunTask,
    SignalReceived,
    StartOptions,
    TailCall,
    TimerFired,
    UpdateAccepted,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.state import RunState, begins_in_time
from tests.core.states import NOW, after, new, open_run, whole

FAILURE = Failure(FailureKind.APPLICATION, "Oops", "no")
ONE, TWO, THREE = (SignalReceived(name) for name in ("one", "two", "three"))
FULL = StartOptions(
    queue="q",
    retry=RetryPolicy(first=2.0, growth=3.0, longest=10.0, attempts=3),
    run_timeout=50.0,
    execution_timeout=500.0,
    execution_deadline=NOW + 500,
    task_timeout=7.0,
    begin_at=NOW + 1,
    memo={"m": b"1"},
    run_deadline=NOW + 40,
)


def closed(command: Complete | Fail | ContinueAsNew, options: StartOptions) -> RunState:
    state = open_run(options=options)
    state.issue([command])
    return state


def test_a_completed_run_is_the_last_of_its_chain() -> None:
    assert successor(closed(Complete(b"r"), FULL), (ONE,), "next", NOW) is None


def test_a_failed_run_without_a_policy_is_the_last_of_its_chain() -> None:
    options = replace(FULL, retry=None)
    assert successor(closed(Fail(FAILURE), options), (), "next", NOW) is None


def test_a_failed_run_is_started_again_after_the_policys_wait() -> None:
    state = closed(Fail(FAILURE), FULL)
    assert successor(state, (ONE,), "next", NOW + 9) == replace(
        state.start,
        run_id="next",
        attempt=2,
        carried=(ONE,),
        options=replace(FULL, begin_at=NOW + 11, run_deadline=None),
    )


def test_each_retry_waits_longer_until_attempts_are_used_up() -> None:
    state = closed(Fail(FAILURE), FULL)
    waits = []
    while (started := successor(state, (), "next", NOW)) is not None:
        assert started.options.begin_at is not None
        waits.append(started.options.begin_at - NOW)
        state = RunState(started)
        state.apply(started, NOW)
        state.issue([Fail(FAILURE)])
    assert waits == [2.0, 6.0]
    assert state.start.attempt == 3


@pytest.mark.parametrize(
    ("failure", "retried"),
    [
        (FAILURE, True),
        (timed_out(TimeoutKind.RUN, "late"), True),
        (lost(3), True),
        (replace(FAILURE, kind=FailureKind.CHILD), True),
        (replace(FAILURE, non_retryable=True), False),
        (cancelled("enough"), False),
        (terminated("enough"), False),
    ],
    ids=lambda given: str(getattr(given, "kind", given)),
)
def test_which_failures_of_a_run_are_retried(failure: Failure, retried: bool) -> None:
    found = successor(closed(Fail(failure), FULL), (), "next", NOW)
    assert (found is not None) is retried


def test_no_retry_begins_after_the_deadline_of_the_chain() -> None:
    state = closed(Fail(FAILURE), FULL)
    for failed_at, in_time in ((497.9, True), (498, False), (499, False)):
        started = successor(state, (), "next", NOW + failed_at)
        assert started is not None
        waiting = RunState(started)
        waiting.apply(started, NOW + failed_at)
        assert begins_in_time(waiting) is in_time
        assert (waiting.wake() == NOW + 500) is not in_time


def test_a_chain_that_timed_out_is_not_tried_again() -> None:
    late = Fail(timed_out(TimeoutKind.EXECUTION, "late"))
    assert successor(closed(late, FULL), (), "next", NOW + 400) is None


def test_no_time_of_a_cron_chain_comes_after_its_deadline() -> None:
    cron = replace(FULL, retry=None, extras=Extras(cron="@every 60s"))
    state = closed(Complete(b"r"), cron)
    assert successor(state, (), "next", NOW + 430) is not None
    assert successor(state, (), "next", NOW + 470) is None


def test_continuing_keeps_what_is_not_given() -> None:
    command = ContinueAsNew("again", (b"a",), {"k": b"b"}, unread=(ONE, TWO))
    state = closed(command, FULL)
    assert successor(state, (THREE,), "next", NOW + 9) == replace(
        state.start,
        name="again",
        args=(b"a",),
        kwargs={"k": b"b"},
        run_id="next",
        attempt=1,
        carried=(ONE, TWO, THREE),
        options=replace(FULL, begin_at=None, run_deadline=None),
    )


def test_continuing_replaces_what_is_given() -> None:
    command = ContinueAsNew("again", (), {}, "fast", 5.0, 6.0, {"n": b"2"})
    found = successor(closed(command, FULL), (), "next", NOW)
    assert found is not None
    assert found.options == replace(
        FULL,
        begin_at=None,
        run_deadline=None,
        queue="fast",
        run_timeout=5.0,
        task_timeout=6.0,
        memo={"n": b"2"},
    )


def test_a_continuation_after_retries_counts_attempts_anew() -> None:
    state = closed(ContinueAsNew("again"), FULL)
    state.start = replace(state.start, attempt=3)
    found = successor(state, (), "next", NOW)
    assert found is not None
    assert found.attempt == 1


def test_the_chain_keeps_its_identity() -> None:
    for command in (ContinueAsNew("again"), Fail(FAILURE)):
        state = closed(command, FULL)
        found = successor(state, (), "next", NOW)
        assert found is not None
        for name in (
            "workflow_id",
            "first_run_id",
            "root_run_id",
            "parent",
            "workspace",
        ):
            assert getattr(found, name) == getattr(state.start, name)


def test_a_tail_call_stays_in_the_run_with_its_deadline_and_its_messages() -> None:
    state = after(open_run(RunTask(1, "t"), options=FULL), (ONE, NOW))
    state.issue([TailCall("next", (b"a",), unread=(ONE,))])
    state.apply(TWO, NOW + 1)
    found = next_generation(state)
    start = replace(
        state.start,
        name="next",
        args=(b"a",),
        carried=(ONE, TWO),
        inbox_seq=2,
        options=replace(FULL, begin_at=None, run_deadline=NOW + 40),
    )
    expected = RunState(start)
    expected.generation = 1
    assert whole(found) == whole(expected)
    assert found.inbox_seq == 2


def test_a_tail_call_keeps_what_updates_were_answered_with() -> None:
    state = after(open_run(), *((UpdateAccepted(i, "pay"), NOW) for i in "ab"))
    answer = CompleteUpdate("a", b"r")
    state.issue([answer, TailCall("next")])
    start = next_generation(state).start
    kept, cut_off = start.answered
    assert kept == answer
    assert cut_off.update_id == "b" and cut_off.failure is not None
    assert cut_off.failure.type == "UpdateAbandoned"
    fresh = new(answered=start.answered)
    assert fresh.apply(UpdateAccepted("b", "pay"), NOW) is None
    fresh.issue([ContinueAsNew("again")])
    found = successor(fresh, (), "next", NOW)
    assert found is not None and found.answered == ()


def test_a_run_timeout_counts_on_across_tail_calls() -> None:
    state = open_run(options=StartOptions(run_timeout=60.0))
    for generation in (1, 2, 3):
        state.issue([TailCall("next")])
        state = next_generation(state)
        state.apply(state.start, NOW + 10 * generation)
        state.apply(Began(), NOW + 10 * generation)
        assert state.generation == generation
        assert state.moments() == [(NOW + 60, 0)]


def test_unread_messages_are_the_signals_never_shown() -> None:
    state = after(new(), (Held("no code"), NOW), (ONE, NOW), (TWO, NOW))
    assert unread(state) == (ONE, TWO)
    state = after(open_run(), (ONE, NOW))
    assert unread(state) == ()


def test_events_that_are_no_messages_do_not_carry_over() -> None:
    state = after(open_run(), (Held("no code"), NOW), (CancelRequested("c"), NOW))
    assert state.apply(TimerFired(1), NOW) is None
    assert unread(state) == ()
