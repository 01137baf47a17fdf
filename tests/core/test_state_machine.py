"""Live equals folded: any sequence of events, against its own encoded rows.

One run lives: events come in, fitting or not, and a program that answers anything is
shown them. Beside it only the encoded rows are kept. After every step the state that
the rows fold to is the state that lives, with a checkpoint taken at any row as well.
"""

from __future__ import annotations

import pickle
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

from everact.runtime.core import chain, records
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind, cancelled
from everact.runtime.core.records import (
    AttemptStarted,
    AwaitEvent,
    Began,
    CancelCall,
    CancelRequested,
    CancelRun,
    CancelTask,
    ChildClosed,
    ChildStarted,
    Command,
    Complete,
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
from tests.core.states import NOW, started, whole

calls = st.integers(1, 12)
texts = st.sampled_from(["", "a", "b"])
payloads = st.sampled_from([b"", b"x", b"yy"])
retries = st.builds(
    RetryPolicy,
    first=st.sampled_from([0.0, 1.0, 5.0]),
    attempts=st.integers(0, 3),
    never=st.sampled_from([(), ("Final",)]),
)
failures = st.builds(
    Failure,
    kind=st.sampled_from([FailureKind.APPLICATION, FailureKind.TIMED_OUT]),
    type=st.sampled_from(["Oops", "Final"]),
    message=texts,
    non_retryable=st.booleans(),
    retry_after=st.sampled_from([None, 0.0, 3.0]),
)
reported = failures | st.just(cancelled("stopped"))
signals = st.builds(SignalReceived, name=texts, args=st.tuples(payloads))
starts = st.builds(
    StartOptions,
    run_timeout=st.sampled_from([None, 30.0]),
    execution_deadline=st.sampled_from([None, NOW + 60]),
    begin_at=st.sampled_from([None, NOW + 2]),
    retry=st.none() | retries,
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Began),
    st.builds(Held, texts),
    st.builds(TaskCompleted, calls, payloads),
    st.builds(TaskFailed, calls, failures),
    st.builds(AttemptStarted, calls, lost=st.booleans()),
    st.builds(HeartbeatRecorded, calls, st.tuples(payloads)),
    st.builds(TimerFired, calls),
    st.builds(
        TaskHandedOver, calls, deadline=st.sampled_from([None, NOW + 3, NOW + 9])
    ),
    calls.flatmap(
        lambda call: st.builds(
            TaskReported,
            st.just(call),
            st.integers(0, 1),
            st.integers(0, 3),
            st.none()
            | st.builds(TaskCompleted, st.just(call), payloads)
            | st.builds(TaskFailed, st.just(call), reported),
            st.sampled_from([(), (b"d",)]),
        )
    ),
    signals,
    st.builds(CancelRequested, texts),
    st.builds(ChildStarted, calls, texts),
    st.builds(ChildClosed, calls, payloads),
    st.builds(MessageSent, calls),
    st.builds(UpdateAccepted, texts, texts),
    st.builds(EventMatched, calls, texts, texts, payloads),
)
endings: st.SearchStrategy[Event] = st.one_of(
    st.builds(TerminateRequested, texts),
    st.builds(RunTimedOut, st.sampled_from([TimeoutKind.RUN, TimeoutKind.EXECUTION])),
)
unread = st.lists(signals, max_size=2).map(tuple)
closing: st.SearchStrategy[Command] = st.one_of(
    st.builds(Complete, payloads),
    st.builds(Fail, failures),
    st.builds(ContinueAsNew, texts, unread=unread),
)


class Replay(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.next_call = 1
        self.rows: list[bytes] = []
        self.checkpoint: tuple[int, bytes] | None = None
        self.live: RunState

    @initialize(options=starts)
    def start(self, options: StartOptions) -> None:
        self.live = RunState(started(options))
        self._take(self.live.start, [])

    # -- what happens --------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(event=events, commands=st.data())
    def event_comes(self, event: Event, commands: st.DataObject) -> None:
        self._take(
            event, commands.draw(st.lists(st.sampled_from("tickwxse"), max_size=3))
        )

    @precondition(lambda self: self.live.held is not None)
    @rule()
    def program_begins(self) -> None:
        self._take(Began(), ["t", "i"])

    @precondition(lambda self: bool(self.live.calls))
    @rule(data=st.data())
    def open_call_moves(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(sorted(self.live.calls)))
        fitting: Event = TaskFailed(call, data.draw(failures))
        if type(self.live.calls[call]) is AwaitEvent:
            fitting = EventMatched(call, "id", "a")
        elif type(self.live.calls[call]) is not RunTask:
            fitting = TimerFired(call)
        self._take(fitting, [])

    @rule(event=endings)
    def run_is_ended(self, event: Event) -> None:
        self._take(event, [])

    @precondition(lambda self: not self.live.status and self.live.held is None)
    @rule(command=closing, message=signals)
    def program_ends(self, command: Command, message: SignalReceived) -> None:
        self._take(message, [], command)

    @precondition(lambda self: not self.live.status and self.live.held is None)
    @rule(message=signals, kept=unread)
    def program_calls_another_in_its_place(
        self, message: SignalReceived, kept: tuple[SignalReceived, ...]
    ) -> None:
        self._take(message, [], TailCall("next", unread=kept))
        self.live = chain.next_generation(self.live)
        self.rows, self.checkpoint = [], None
        self._take(self.live.start, [])

    @precondition(lambda self: not self.live.status)
    @rule()
    def checkpoint_is_taken(self) -> None:
        self.checkpoint = (len(self.rows), pickle.dumps(self.live, 5))

    # -- what must hold --------------------------------------------------------------

    @invariant()
    def rows_fold_to_the_state(self) -> None:
        assert whole(self._folded(None, self.rows)) == whole(self.live)

    @invariant()
    def checkpoint_and_later_rows_fold_to_the_state(self) -> None:
        if self.checkpoint is not None:
            count, saved = self.checkpoint
            state = self._folded(pickle.loads(saved), self.rows[count:])
            assert whole(state) == whole(self.live)

    @invariant()
    def counts_are_of_what_is_open(self) -> None:
        state = self.live
        kinds = [type(command) for command in state.calls.values()]
        assert state.calls.running == kinds.count(RunTask)
        assert state.calls.children == kinds.count(StartChild)
        assert set(state.calls.tries or ()) <= set(state.calls)
        assert state.seq == len(self.rows)

    @invariant()
    def wake_time_is_the_first_moment_or_at_once(self) -> None:
        state = self.live
        wake, moments = state.wake(), [due for due, _ in state.moments()]
        if state.status:
            assert (wake, moments) == (None, [])
        elif wake != ACTIVE:
            assert wake == (min(moments) if moments else None)

    @invariant()
    def replayed_rows_show_what_the_program_saw(self) -> None:
        folded, script = self._shown(None, self.rows)
        shown = [row.events for row in script]
        assert all(shown)
        assert folded.activations == len(script)
        for kind in (
            Held,
            AttemptStarted,
            HeartbeatRecorded,
            TaskHandedOver,
            TaskReported,
        ):
            assert not any(isinstance(e, kind) for row in shown for e in row)
        # The start, which the state has already, is there as `Began`, and first.
        began = [
            (n, k)
            for n, row in enumerate(shown)
            for k, e in enumerate(row)
            if isinstance(e, Began)
        ]
        assert began in ([], [(0, 0)])

    # -- how it is driven ------------------------------------------------------------

    def _take(
        self, event: Event, answers: list[str], end: Command | None = None
    ) -> None:
        state = self.live
        before = whole(state)
        answer = state.apply(event, self.now)
        if answer is None:
            assert whole(state) == before
            return
        commands = answer.commands
        if answer.shown:
            commands = tuple(filter(None, [self._command(kind) for kind in answers]))
        if end is not None:
            commands = (*commands, end)
        transition = Transition(self.now, (event,), commands)
        state.issue(commands)
        state.record(answer.shown, self.now)
        self.rows.append(records.encode(transition))

    def _command(self, kind: str) -> Command | None:
        open_calls = [c for c in self.live.calls if c < self.next_call]
        if kind == "k":
            return CancelCall(open_calls[0]) if open_calls else None
        if kind == "w":
            return CancelTask(open_calls[0]) if open_calls else None
        call, self.next_call = self.next_call, self.next_call + 1
        made: dict[str, Command] = {
            "t": RunTask(
                call,
                "t",
                options=TaskOptions(
                    retry=RetryPolicy(first=2.0, attempts=3), heartbeat_timeout=2.5
                ),
            ),
            "i": StartTimer(call, self.now + call),
            "c": StartChild(call, "child", f"c{call}", f"r{call}"),
            "x": CancelRun(call, "other", ""),
            "s": SignalRun(call, "other", "", "s"),
            "e": AwaitEvent(call, "a"),
        }
        return made[kind]

    def _folded(self, state: RunState | None, rows: list[bytes]) -> RunState:
        return self._shown(state, rows)[0]

    def _shown(
        self, state: RunState | None, rows: list[bytes]
    ) -> tuple[RunState, list[Transition]]:
        script = []
        for body in rows:
            transition = records.decode(body)
            if state is None:
                first: Any = transition.events[0]
                state = RunState(first)
                state.generation = self.live.generation
            shown = state.fold(transition)
            if shown is not None:
                script.append(shown)
        assert state is not None
        return state, script


TestReplay = Replay.TestCase
TestReplay.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
