"""What each event makes of a run: the answer, and the whole state after it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

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
    AttemptStarted,
    AwaitEvent,
    Began,
    CancelCall,
    CancelRequested,
    CancelRun,
    ChildClosed,
    ChildStarted,
    Command,
    Complete,
    CompleteUpdate,
    ContinueAsNew,
    Event,
    EventMatched,
    Fail,
    HeartbeatRecorded,
    Held,
    MessageSent,
    RunTask,
    RunTimedOut,
    SignalReceived,
    SignalRun,
    StartChild,
    StartOptions,
    StartTimer,
    TailCall,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
    TaskOptions,
    TaskReported,
    TerminateRequested,
    TimerFired,
    Transition,
    UpdateAccepted,
)
from everact.runtime.core.retry import RetryPolicy
from everact.runtime.core.state import ACTIVE, RunState
from everact.runtime.core.statuses import RunStatus
from everact.runtime.core.tries import LOST_LIMIT
from tests.core.states import NOW, after, new, open_run, started, whole

TASK = RunTask(1, "t")
TWICE = RunTask(1, "t", options=TaskOptions(retry=RetryPolicy(attempts=2)))
TIMER = StartTimer(1, NOW + 10)
CHILD = StartChild(1, "child", "c", "cr")
SIGNAL_OUT = SignalRun(1, "other", "", "s")
CANCEL_OUT = CancelRun(1, "other", "")
WAIT = AwaitEvent(1, "paid", "order-1", "amount > 3")
MATCHED = EventMatched(1, "e", "paid", b"j1")
FAILURE = Failure(FailureKind.APPLICATION, "Oops", "no")
SIGNAL = SignalReceived("s", (b"1",))

NO_TRIES = {
    "attempt": 1,
    "lost": 0,
    "due": None,
    "details": (),
    "failure": None,
    "handed": None,
    "stopping": None,
}
CLOSED = {"calls": {}, "running": 0, "children": 0, "tries": {}, "timers": []}


class Case(NamedTuple):
    """One row: what is given, what comes in, what is answered, what has changed."""

    name: str
    given: Callable[[], RunState]
    event: Event
    shown: tuple[Event, ...] | None = ()
    commands: tuple[Command, ...] = ()
    changes: dict[str, Any] = {}
    now: float = NOW + 1


def held(*commands: Command) -> RunState:
    return after(open_run(*commands), (Held("no worker"), NOW))


UPDATE = UpdateAccepted("u", "pay", (b"a",))
ANSWER = CompleteUpdate("u", b"r")


def answered() -> RunState:
    state = after(open_run(), (UPDATE, NOW))
    state.issue([ANSWER])
    return state


def delayed() -> RunState:
    return new(StartOptions(begin_at=NOW + 5))


def tried(*steps: Event) -> RunState:
    return after(open_run(TWICE), *((step, NOW) for step in steps))


def lost_often() -> RunState:
    again = AttemptStarted(1, lost=True)
    return after(open_run(TASK), *[(again, NOW)] * (LOST_LIMIT - 1))


STALE = [
    Case(f"{what}: {type(event).__name__} is stale", given, event, None)
    for what, given, events in (
        (
            "an unknown call",
            open_run,
            (
                TaskCompleted(9, b"r"),
                TaskFailed(9, FAILURE),
                AttemptStarted(9, lost=True),
                HeartbeatRecorded(9, (b"d",)),
                TaskHandedOver(9),
                TaskReported(9),
                TimerFired(9),
                ChildStarted(9, "cr"),
                ChildClosed(9),
                MessageSent(9),
                EventMatched(9, "e", "paid"),
            ),
        ),
        (
            "a timer is no task",
            lambda: open_run(TIMER),
            (
                TaskCompleted(1, b"r"),
                TaskFailed(1, FAILURE),
                AttemptStarted(1, lost=True),
                HeartbeatRecorded(1, (b"d",)),
                ChildClosed(1),
                MATCHED,
            ),
        ),
        (
            "a wait for other events",
            lambda: open_run(AwaitEvent(1, "sent")),
            (MATCHED,),
        ),
        (
            "a task is no timer or child",
            lambda: open_run(TASK),
            (TimerFired(1), ChildClosed(1)),
        ),
        ("a run that began", open_run, (Began(),)),
        (
            "a run asked to stop",
            lambda: after(open_run(), (CancelRequested("a"), NOW)),
            (CancelRequested("b"),),
        ),
        (
            "a cancelled call",
            lambda: open_run(TASK, CancelCall(1)),
            (TaskCompleted(1, b"r"), TaskFailed(1, FAILURE)),
        ),
    )
    for event in events
]

BEGINNING = [
    Case(
        "Began shows what was kept, the start first",
        lambda: after(new(), (SIGNAL, NOW)),
        Began(),
        (started(), SIGNAL),
        changes={"held": None, "began": True, "pending": []},
    ),
    Case(
        "Held keeps the program from events",
        open_run,
        Held("why"),
        changes={"held": "why"},
    ),
    Case(
        "Held again changes the reason",
        lambda: held(TASK),
        Held("other"),
        changes={"held": "other"},
    ),
]

TASKS = [
    Case(
        "a completed task is shown and forgotten",
        lambda: open_run(TASK),
        TaskCompleted(1, b"r"),
        (TaskCompleted(1, b"r"),),
        changes={"calls": {}, "running": 0},
    ),
    Case(
        "a completed task of a held run is kept",
        lambda: held(TASK),
        TaskCompleted(1, b"r"),
        changes={"calls": {}, "running": 0, "pending": [TaskCompleted(1, b"r")]},
    ),
    Case(
        "a failed task without retries is shown",
        lambda: open_run(TASK),
        TaskFailed(1, FAILURE),
        (TaskFailed(1, FAILURE),),
        changes={"calls": {}, "running": 0},
    ),
    Case(
        "a failed task with a retry waits for its moment",
        lambda: open_run(TWICE),
        TaskFailed(1, FAILURE),
        changes={
            "tries": {
                1: {**NO_TRIES, "attempt": 2, "due": NOW + 2, "failure": FAILURE}
            },
            "timers": [(NOW + 2, 1)],
        },
    ),
    Case(
        "the last attempt's failure is shown",
        lambda: tried(TaskFailed(1, FAILURE), AttemptStarted(1, lost=False)),
        TaskFailed(1, FAILURE),
        (TaskFailed(1, FAILURE),),
        changes={"calls": {}, "running": 0, "tries": {}, "timers": []},
    ),
    Case(
        "a failure that says so is final",
        lambda: open_run(TWICE),
        TaskFailed(1, replace(FAILURE, non_retryable=True)),
        (TaskFailed(1, replace(FAILURE, non_retryable=True)),),
        changes={"calls": {}, "running": 0},
    ),
    Case(
        "a late outcome of a task that waits for its retry counts",
        lambda: tried(TaskFailed(1, FAILURE)),
        TaskCompleted(1, b"r"),
        (TaskCompleted(1, b"r"),),
        changes={"calls": {}, "running": 0, "tries": {}, "timers": []},
    ),
    Case(
        "a dispatch after a restart is noted",
        lambda: open_run(TASK),
        AttemptStarted(1, lost=False),
        changes={"tries": {1: {**NO_TRIES}}},
    ),
    Case(
        "a retry's dispatch ends its waiting",
        lambda: tried(TaskFailed(1, FAILURE)),
        AttemptStarted(1, lost=False),
        changes={
            "tries": {1: {**NO_TRIES, "attempt": 2, "failure": FAILURE}},
            "timers": [],
        },
    ),
    Case(
        "a lost attempt has a counter of its own",
        lambda: open_run(TASK),
        AttemptStarted(1, lost=True),
        changes={"tries": {1: {**NO_TRIES, "lost": 1}}},
    ),
    Case(
        "attempts lost too often fail the task",
        lost_often,
        AttemptStarted(1, lost=True),
        (TaskFailed(1, lost(LOST_LIMIT)),),
        changes={"calls": {}, "running": 0, "tries": {}},
    ),
    Case(
        "a failed attempt clears the counter of lost ones",
        lambda: tried(AttemptStarted(1, lost=True)),
        TaskFailed(1, FAILURE),
        changes={
            "tries": {
                1: {**NO_TRIES, "attempt": 2, "due": NOW + 2, "failure": FAILURE}
            },
            "timers": [(NOW + 2, 1)],
        },
    ),
    Case(
        "a heartbeat's details are kept",
        lambda: open_run(TASK),
        HeartbeatRecorded(1, (b"d",)),
        changes={"tries": {1: {**NO_TRIES, "details": (b"d",)}}},
    ),
]

OTHERS = [
    Case(
        "a timer that fired is shown",
        lambda: open_run(TIMER),
        TimerFired(1),
        (TimerFired(1),),
        changes={"calls": {}, "timers": []},
    ),
    Case(
        "a timer of a held run is kept",
        lambda: held(TIMER),
        TimerFired(1),
        changes={"calls": {}, "timers": [], "pending": [TimerFired(1)]},
    ),
    Case(
        "a signal is counted and shown",
        open_run,
        SIGNAL,
        (SIGNAL,),
        (),
        {"inbox_seq": 1},
    ),
    Case(
        "a signal to a held run is counted and kept",
        held,
        SIGNAL,
        changes={"inbox_seq": 1, "pending": [SIGNAL]},
    ),
    Case(
        "an update is counted, kept by its ID and shown",
        open_run,
        UPDATE,
        (UPDATE,),
        (),
        {"inbox_seq": 1, "updates": {"u": UPDATE}},
    ),
    Case(
        "an update to a held run is counted and kept",
        held,
        UPDATE,
        changes={"inbox_seq": 1, "updates": {"u": UPDATE}, "pending": [UPDATE]},
    ),
    Case(
        "an update that was accepted before is stale",
        lambda: after(open_run(), (UPDATE, NOW)),
        UPDATE,
        None,
    ),
    Case(
        "an update that was answered before is stale",
        answered,
        replace(UPDATE, name="other"),
        None,
    ),
    Case(
        "a child that is there is shown",
        lambda: open_run(CHILD),
        ChildStarted(1, "cr"),
        (ChildStarted(1, "cr"),),
    ),
    Case(
        "a child that ended is shown and forgotten",
        lambda: open_run(CHILD),
        ChildClosed(1, b"r"),
        (ChildClosed(1, b"r"),),
        changes={"calls": {}, "children": 0},
    ),
    *(
        Case(
            f"a {type(message).__name__} that arrived is shown and forgotten",
            lambda message=message: open_run(message),  # type: ignore[misc]
            MessageSent(1),
            (MessageSent(1),),
            changes={"calls": {}, "unsettled": None},
        )
        for message in (SIGNAL_OUT, CANCEL_OUT)
    ),
    Case(
        "an event that meets a wait is shown and the wait forgotten",
        lambda: open_run(WAIT),
        MATCHED,
        (MATCHED,),
        changes={"calls": {}},
    ),
    Case(
        "an event that meets the wait of a held run is kept",
        lambda: held(WAIT),
        MATCHED,
        changes={"calls": {}, "pending": [MATCHED]},
    ),
]

ENDING = [
    Case(
        "a request to stop is shown",
        open_run,
        CancelRequested("enough"),
        (CancelRequested("enough"),),
        changes={"cancel_reason": "enough"},
    ),
    Case(
        "a request to stop a held run is kept",
        held,
        CancelRequested("enough"),
        changes={"cancel_reason": "enough", "pending": [CancelRequested("enough")]},
    ),
    Case(
        "a run that did not begin is cancelled without running code",
        delayed,
        CancelRequested("enough"),
        (),
        (Fail(cancelled("enough")),),
        {
            "cancel_reason": "enough",
            "closing": Fail(cancelled("enough")),
            "status": RunStatus.CANCELLED,
            "pending": [],
            **CLOSED,
        },
    ),
    Case(
        "termination ends the run at once",
        lambda: open_run(TASK, StartTimer(2, NOW + 9)),
        TerminateRequested("bad", (b"d",)),
        (),
        (Fail(terminated("bad", (b"d",))),),
        {
            "closing": Fail(terminated("bad", (b"d",))),
            "status": RunStatus.TERMINATED,
            "pending": [],
            **CLOSED,
        },
    ),
    *(
        Case(
            f"the {what} timeout ends the run",
            lambda: open_run(CHILD),
            RunTimedOut(kind),
            (),
            (Fail(timed_out(kind, f"the {what} timeout of 'w' expired")),),
            {
                "closing": Fail(timed_out(kind, f"the {what} timeout of 'w' expired")),
                "status": RunStatus.TIMED_OUT,
                "pending": [],
                **CLOSED,
            },
        )
        for what, kind in (
            ("run", TimeoutKind.RUN),
            ("execution", TimeoutKind.EXECUTION),
        )
    ),
]


@pytest.mark.parametrize(
    "case", [*STALE, *BEGINNING, *TASKS, *OTHERS, *ENDING], ids=lambda c: str(c.name)
)
def test_an_event_gives_its_answer_and_changes_exactly_that(case: Case) -> None:
    state = case.given()
    before = whole(state)
    answer = state.apply(case.event, case.now)
    if case.shown is None:
        assert answer is None
    else:
        assert answer is not None
        assert (answer.shown, answer.commands) == (case.shown, case.commands)
        state.issue(answer.commands)
    assert whole(state) == {**before, **case.changes}


EVERY_EVENT: list[Event] = [
    Began(),
    Held("why"),
    TaskCompleted(1, b"r"),
    TaskFailed(1, FAILURE),
    AttemptStarted(1, lost=True),
    HeartbeatRecorded(1, (b"d",)),
    TimerFired(1),
    SIGNAL,
    CancelRequested("again"),
    TerminateRequested("again"),
    RunTimedOut(TimeoutKind.RUN),
    ChildStarted(1, "cr"),
    ChildClosed(1),
    MessageSent(1),
    TaskHandedOver(1),
    TaskReported(1),
    UPDATE,
    MATCHED,
]


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "closing",
    [Complete(b"r"), Fail(FAILURE), ContinueAsNew("w")],
    ids=lambda c: type(c).__name__,
)
def test_a_closed_run_refuses_everything(event: Event, closing: Command) -> None:
    state = open_run(TASK, StartTimer(2, NOW + 1), closing)
    before = whole(state)
    assert state.apply(event, NOW + 2) is None
    assert whole(state) == before
    assert state.wake() is None
    assert state.moments() == []


@pytest.mark.parametrize(
    ("closing", "status"),
    [
        (Complete(b"r"), RunStatus.COMPLETED),
        (Fail(FAILURE), RunStatus.FAILED),
        (Fail(replace(FAILURE, kind=FailureKind.CHILD)), RunStatus.FAILED),
        (Fail(lost(3)), RunStatus.FAILED),
        (Fail(cancelled("c")), RunStatus.CANCELLED),
        (Fail(terminated("t")), RunStatus.TERMINATED),
        (Fail(timed_out(TimeoutKind.RUN, "late")), RunStatus.TIMED_OUT),
        (ContinueAsNew("w"), RunStatus.CONTINUED_AS_NEW),
    ],
)
def test_how_a_run_closes_decides_its_status(
    closing: Command, status: RunStatus
) -> None:
    state = open_run(TASK)
    before = whole(state)
    state.issue([closing])
    changes = {"closing": closing, "status": status, "pending": [], **CLOSED}
    assert whole(state) == {**before, **changes}


COMMON: list[tuple[tuple[Command, ...], Event]] = [
    ((TASK,), TaskCompleted(TASK.call, b"r")),
    ((CHILD,), ChildClosed(CHILD.call, b"r")),
    ((), SIGNAL),
    ((TASK,), SIGNAL),
]


@pytest.mark.parametrize(("commands", "event"), COMMON)
def test_a_common_event_is_folded_as_any_is(
    commands: tuple[Command, ...], event: Any
) -> None:
    state = open_run(*commands)
    assert state.complete(event)
    assert whole(state) == whole(after(open_run(*commands), (event, NOW)))


@pytest.mark.parametrize(("commands", "event"), COMMON)
def test_a_common_event_is_left_alone_where_it_is_not_shown_at_once(
    commands: tuple[Command, ...], event: Any
) -> None:
    closed, held = open_run(Complete(b"v")), open_run(*commands)
    held.apply(Held("no code"), NOW)
    for state in (closed, held):
        before = whole(state)
        assert not state.complete(event)
        assert whole(state) == before


def test_an_answer_takes_the_place_of_its_update_for_good() -> None:
    state = after(open_run(), (UPDATE, NOW), (replace(UPDATE, update_id="v"), NOW))
    assert [update.update_id for update in state.open_updates] == ["u", "v"]
    state.issue([ANSWER, Complete(b"r")])
    assert [update.update_id for update in state.open_updates] == ["v"]
    assert state.updates is not None and state.updates["u"] == ANSWER


def test_an_update_that_came_with_the_start_is_accepted_and_shown_first() -> None:
    state = new(carried=(UPDATE,))
    assert state.updates == {"u": UPDATE}
    answer = state.apply(Began(), NOW)
    assert answer is not None and answer.shown == (state.start, UPDATE)


def test_a_tail_call_leaves_the_run_open_and_its_frames_forgotten() -> None:
    options = StartOptions(run_timeout=50.0)
    state = open_run(TASK, StartTimer(2, NOW + 1), CHILD, options=options)
    before = whole(state)
    call = TailCall("next")
    state.issue([call])
    changes = {
        "closing": call,
        "calls": {},
        "running": 0,
        "children": 0,
        "held": "",
        "began": False,
        "timers": [(NOW + 50, 0)],
    }
    assert whole(state) == {**before, **changes}
    assert state.wake() == ACTIVE


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        (TASK, {"calls": {1: TASK}, "running": 1}),
        (TIMER, {"calls": {1: TIMER}, "timers": [(NOW + 10, 1)]}),
        (CHILD, {"calls": {1: CHILD}, "children": 1}),
        (SIGNAL_OUT, {"calls": {1: SIGNAL_OUT}, "unsettled": {1}}),
        (CANCEL_OUT, {"calls": {1: CANCEL_OUT}, "unsettled": {1}}),
        (WAIT, {"calls": {1: WAIT}}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_call_is_open_until_it_is_dropped(
    command: Command, changes: dict[str, Any]
) -> None:
    state = open_run()
    before = whole(state)
    state.issue([command])
    assert whole(state) == {**before, **changes}
    state.issue([CancelCall(1)])
    assert whole(state) == before


class Waking(NamedTuple):
    name: str
    state: Callable[[], RunState]
    wake: float | None
    moments: list[tuple[float, int]]


WAKING = [
    Waking("a new run is loaded at once", new, ACTIVE, []),
    Waking("a run that waits for messages sleeps", open_run, None, []),
    Waking("a running task", lambda: open_run(TASK), ACTIVE, []),
    Waking("a wait for an event sleeps", lambda: open_run(WAIT), None, []),
    Waking("a message on its way", lambda: open_run(SIGNAL_OUT), ACTIVE, []),
    Waking("a timer", lambda: open_run(TIMER), NOW + 10, [(NOW + 10, 1)]),
    Waking(
        "the earlier of two timers",
        lambda: open_run(TIMER, StartTimer(2, NOW + 3)),
        NOW + 3,
        [(NOW + 3, 2), (NOW + 10, 1)],
    ),
    Waking(
        "a cancelled timer wakes nobody",
        lambda: open_run(TIMER, CancelCall(1)),
        None,
        [],
    ),
    Waking(
        "a task that waits for its retry",
        lambda: tried(TaskFailed(1, FAILURE)),
        NOW + 1,
        [(NOW + 1, 1)],
    ),
    Waking(
        "one task runs while another waits for its retry",
        lambda: after(open_run(TWICE, RunTask(2, "t")), (TaskFailed(1, FAILURE), NOW)),
        ACTIVE,
        [(NOW + 1, 1)],
    ),
    Waking("a child that is awaited", lambda: open_run(CHILD), None, []),
    Waking("a start delay", delayed, NOW + 5, [(NOW + 5, -2)]),
    Waking(
        "a run held for want of its code",
        lambda: after(new(), (Held("no code"), NOW)),
        None,
        [],
    ),
    Waking(
        "a run timeout, counted from the start",
        lambda: open_run(options=StartOptions(run_timeout=60.0)),
        NOW + 60,
        [(NOW + 60, 0)],
    ),
    Waking(
        "a run timeout, counted from the end of the start delay",
        lambda: new(StartOptions(run_timeout=60.0, begin_at=NOW + 5)),
        NOW + 5,
        [(NOW + 5, -2), (NOW + 65, 0)],
    ),
    Waking(
        "a run deadline inherited from the generation before",
        lambda: open_run(options=StartOptions(run_timeout=60.0, run_deadline=NOW + 7)),
        NOW + 7,
        [(NOW + 7, 0)],
    ),
    Waking(
        "the deadline of the whole chain",
        lambda: open_run(options=StartOptions(execution_deadline=NOW + 30)),
        NOW + 30,
        [(NOW + 30, -1)],
    ),
    Waking(
        "a start delay that is over is not due again",
        lambda: after(delayed(), (Began(), NOW + 5)),
        None,
        [],
    ),
]


@pytest.mark.parametrize("case", WAKING, ids=lambda c: str(c.name))
def test_a_run_says_when_it_must_be_in_memory(case: Waking) -> None:
    assert case.state().wake() == case.wake
    assert case.state().moments() == case.moments


def test_what_is_recorded_for_replay_is_what_was_shown() -> None:
    start = new().start
    state = RunState(start)
    assert state.fold(Transition(NOW, (start, Held("no code")), ())) is None
    assert (state.seq, state.activations) == (1, 0)
    second = Transition(NOW + 1, (Began(),), (TASK,))
    # The state has its own start already: `Began` stands for it.
    assert state.fold(second) == second
    assert (state.seq, state.time, state.activations) == (2, NOW + 1, 1)
    third = Transition(NOW + 2, (TaskCompleted(TASK.call, b"r"),))
    assert state.fold(third) is third


def test_a_checkpoint_of_an_earlier_version_counts_what_it_kept() -> None:
    state = open_run()
    kept = {**state.__getstate__(), "script": [b"row", b"row"]}
    del kept["activations"]
    read = RunState.__new__(RunState)
    read.__setstate__(kept)
    assert read.activations == 2


def test_a_row_that_does_not_fit_is_refused_by_name() -> None:
    state = open_run()
    row = Transition(NOW, (TaskCompleted(7, b"r"),))
    with pytest.raises(ValueError, match="TaskCompleted"):
        state.fold(row)


def test_a_pickled_state_is_the_state() -> None:
    state = after(
        open_run(TWICE, StartTimer(2, NOW + 9), options=StartOptions(run_timeout=9.0)),
        (TaskFailed(1, FAILURE), NOW),
        (SIGNAL, NOW),
    )
    copied = pickle.loads(pickle.dumps(state, 5))
    assert whole(copied) == whole(state)


def test_a_state_pickled_before_a_field_was_added_still_loads() -> None:
    state = open_run(TASK)
    saved = state.__getstate__()
    del saved["inbox_seq"], saved["pending"]
    loaded = RunState.__new__(RunState)
    loaded.__setstate__(saved)
    assert whole(loaded) == whole(state)
