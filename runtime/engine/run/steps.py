"""The common case, for many runs at once: what begins, goes on and ends as planned.

`RunActor.take` and `Recording` do the same for everything that can happen to a run.
Here is what happens nearly always, in three rounds over a batch that has become
durable: start attempts and let go of runs that have ended, show outcomes to the code,
record what it answers. Doing the same for many runs in a row keeps the processor's
caches warm, and the writer gets its first rows early. `taken` decides, for all who show
anything to code, whether a turn is of the common case; any other takes the slow path.

The rule kept here: a step that was taken is recorded before the turn of the loop is
over, and before anything else is recorded (`RunActor` sees to that by `record`).
"""

from typing import Any

from msgspec.structs import replace

from everact.runtime.core.blame import CODE
from everact.runtime.core.records import (
    ChildClosed,
    Command,
    Complete,
    RunTask,
    SignalReceived,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    Transition,
    encode,
)
from everact.runtime.core.state import ACTIVE
from everact.runtime.engine.messages import Envelope
from everact.runtime.engine.run.host import OwnRun, RunHost
from everact.runtime.engine.run.starting import start
from everact.runtime.engine.run.turn import Turn
from everact.runtime.store.base import RunRow, Write

EARLY = 64
"""Steps of a batch after which the writer is given what there is."""

COMMON: frozenset[type] = frozenset(
    {TaskCompleted, ChildClosed, TimerFired, SignalReceived}
)
"""Events that entail nothing but what the code makes of them."""


def release(engine: RunHost, writes: list[Write]) -> None:
    """Release what a commit made durable."""
    left = EARLY
    for run, outcome in _effects(engine, writes):
        if run.has_mail:
            run.post(outcome)
            continue
        kind = type(outcome)
        try:
            if kind is TaskFailed:
                run.take(outcome, None)
                continue
            if kind is ChildClosed:
                engine.relations.end_taken(run.row.key, outcome.call)
            take(run, outcome)
        except Exception as bug:
            engine.discard(run, bug)
        left -= 1
        if not left:
            left = EARLY
            record(engine)
            engine.commits.hurry()
    engine.on_loop[0] = 0
    if engine.steps:
        record(engine)


def _effects(  # noqa: C901 (each call in here would be one more of each step)
    engine: RunHost, writes: list[Write]
) -> list[tuple[OwnRun, Any]]:
    """Start attempts and let go of what has ended; what there is to be taken now."""
    outcomes: list[tuple[OwnRun, Any]] = []
    watched = engine.refusals or engine.waiting.followers or engine.updates.admitted
    for write in writes:
        if watched or not write.common:
            write.done(write, None)
            continue
        run: OwnRun
        run, turn, commands = write.effects
        journal = run.journal
        if run.dropped or journal.replies:
            write.done(write, None)
            continue
        journal.in_flight -= 1
        calls, early = run.state.calls, False
        try:
            if turn.insert:
                engine.start_durable(run)
            for command in commands:
                if type(command) is not RunTask:
                    told = run.work.closed()
                    if told is not None:
                        outcomes.append(told)
                elif command.call in calls:
                    outcome = start(run, command)
                    if outcome is not None:
                        outcomes.append((run, outcome))
                        early = True
        except Exception as bug:  # the rest of the batch must not wait for ever
            engine.discard(run, bug)
        envelope = turn.envelope
        if envelope is not None:
            envelope.settle(run)
        if not run.dropped:
            if not early:
                run.rest()
        elif not journal.in_flight:
            run.untie()
    return outcomes


def take(
    run: OwnRun,
    event: TaskCompleted | ChildClosed | SignalReceived,
    envelope: Envelope | None = None,
) -> None:
    """Take the end of a task or a child, or a signal, and show it to the code."""
    state, engine, code = run.state, run.engine, run.code
    row = run.row
    if run.dropped or code.paused is not None or not state.complete(event):
        run.take(event, envelope)
        return
    now = engine.now()
    now = max(now, state.time)
    events = (event,)
    turn = Turn(events, events, now, envelope)
    on_loop = engine.on_loop  # left as it is: whoever takes a batch clears it
    on_loop[0] = row.key
    on_loop[1] = CODE
    watchdog = engine.watchdog
    watchdog.serial += 1
    watchdog.limit = state.start.options.task_timeout
    watchdog.run = run
    try:
        commands = code.program.activate(events, now)  # type: ignore[union-attr]
        watchdog.run = None
        over = watchdog.armed and watchdog.leave()
    except BaseException as error:
        code.interrupted(turn, error)
        return
    if commands is None or over or not _fold(run, turn, commands):
        code.activated(turn, commands, over)
    elif not commands and not state.calls:
        code.check_stuck()


def take_alone(run: OwnRun, event: SignalReceived, envelope: Envelope) -> None:
    """Take an event that came by itself, and record it."""
    engine = run.engine
    on_loop = engine.on_loop
    before = on_loop[0], on_loop[1]
    try:
        take(run, event, envelope)
    finally:
        on_loop[0], on_loop[1] = before
    if engine.steps:
        record(engine)


def taken(run: OwnRun, turn: Turn, commands: list[Command]) -> bool:
    """Take a turn that code has answered, if it is of the common case; whether it is.

    Then it is folded, and is to be recorded by `record`. If not, nothing has changed.
    """
    state = run.state
    if state.calls.tries is not None or run.row.aside or state.held is not None:
        return False
    if turn.insert:
        if len(turn.shown) != 1 or state.span or state.generation:
            return False
    elif (
        turn.within is not None
        or len(turn.events) != 1
        or type(turn.events[0]) not in run.engine.common
    ):
        return False
    return _fold(run, turn, commands)


def _fold(run: OwnRun, turn: Turn, commands: list[Command]) -> bool:
    """Fold the answer to a common turn, if it is tasks or the end alone."""
    state, row = run.state, run.row
    change: RunRow | None = None
    for command in commands:
        if type(command) is not RunTask:
            if type(command) is not Complete or not _only_ends(run, commands):
                return False
            state.end(command, turn.now)
            row.status, row.closed_at, row.wake_at = int(state.status), turn.now, None
            row.inbox_seq = state.inbox_seq
            change = row
            break
    else:
        state.open(commands, turn.now)  # type: ignore[arg-type]
        wake = ACTIVE if state.calls.running else run.journal.wake()
        if wake != row.wake_at:
            row.wake_at = wake
            change = replace(row)
    run.journal.in_flight += 1
    run.engine.steps.append((run, turn, tuple(commands), change))
    return True


def _only_ends(run: OwnRun, commands: list[Command]) -> bool:
    """Whether a run that completes leaves nothing behind, and nothing follows it."""
    state = run.state
    if state.calls.children or len(commands) != 1 or state.labels.name is not None:
        return False
    extras = state.start.options.extras
    if extras is not None and extras.cron:
        return False
    return Complete not in run.engine.after_commit


def record(engine: RunHost, midway: OwnRun | None = None) -> None:
    """Record the steps that were taken; `midway` is a run that has taken one more.

    A checkpoint is of the state as it is now, so only the last row of a run can have
    one, and none while the state holds an event that no row tells yet.
    """
    steps, engine.steps = engine.steps, []
    seal = engine.seal.row
    writes: list[Write] = []
    outgrown: dict[OwnRun, Write] | None = None
    for run, turn, commands, change in steps:
        journal = run.journal
        if run.dropped:
            journal.in_flight -= 1
            if not journal.in_flight:
                engine.drained(run)
            continue
        state, row = run.state, run.row
        try:
            body = encode(Transition(turn.now, turn.events, commands))
            write = Write(
                seal(row.key, row.run_id, state.generation, state.seq, body),
                journal.committed,
                change=change,
                effects=(run, turn, commands),
                common=True,
            )
            if turn.insert:
                journal.begin(write, turn)
        except Exception as bug:  # the other steps must be recorded all the same
            journal.in_flight -= 1
            engine.discard(run, bug)
            if turn.envelope is not None:
                turn.envelope.fail(bug)
            continue
        if turn.envelope is not None:
            write.request = turn.envelope.request
        state.append()
        journal.size = size = journal.size + len(body)
        if size > journal.outgrown:
            outgrown = outgrown or {}
            outgrown[run] = write
        if change is row:
            journal.tell_parent(write)
        writes.append(write)
    engine.commits.extend(writes)
    for run, write in (outgrown or {}).items():
        if run is not midway and run.code.paused is None:
            run.journal.save(write)
