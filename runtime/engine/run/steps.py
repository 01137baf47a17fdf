"""The common case, for many runs at once: a task completes, the code asks for more.

`RunActor.take` and `Recording.committed` do the same for one run, and for everything
that can happen to it. Here is what happens nearly always, in three rounds over a batch
that has become durable: start attempts, show their outcomes to the code, record what it
answers. Doing the same for many runs in a row keeps the processor's caches warm, and
the writer gets its first rows early. Whatever is not common takes the slow path.

The rule kept here: a step that was taken is recorded before the turn of the loop is
over, and before anything else is recorded (`RunActor` sees to that by `record`).
"""

from typing import Any

from everact.runtime.core.blame import CODE
from everact.runtime.core.records import (
    Command,
    RunTask,
    TaskCompleted,
    Transition,
    encode,
)
from everact.runtime.core.state import ACTIVE
from everact.runtime.engine.run.host import OwnRun, RunHost
from everact.runtime.engine.run.starting import start
from everact.runtime.engine.run.turn import Turn
from everact.runtime.store.base import Write

CHECKPOINT_BYTES = 16 * 1024
"""Journal bytes since the last checkpoint below which none is written."""

EARLY = 64
"""Steps of a batch after which the writer is given what there is."""


def release(engine: RunHost, writes: list[Write]) -> None:
    """Release what a commit made durable."""
    outcomes: list[tuple[OwnRun, Any]] = []
    watched = engine.refusals or engine.waiting.followers
    for write in writes:
        tasks = write.tasks
        run: OwnRun = write.effects
        if tasks is None or watched or run.dropped or run.journal.replies:
            write.done(write, None)
        else:
            run.journal.in_flight -= 1
            _start(run, tasks, outcomes)
    left = EARLY
    for run, outcome in outcomes:
        if run.has_mail:
            run.post(outcome)
            continue
        try:
            if type(outcome) is TaskCompleted:
                take(run, outcome)
            else:
                run.take(outcome, None)
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


def _start(
    run: OwnRun,
    tasks: tuple[RunTask, ...],
    outcomes: list[tuple[OwnRun, Any]],
) -> None:
    """Start attempts, and add the outcomes of those that have one at once."""
    calls, early = run.state.calls, False
    try:
        for command in tasks:
            if command.call in calls:
                outcome = start(run, command)
                if outcome is not None:
                    outcomes.append((run, outcome))
                    early = True
    except Exception as bug:  # the rest of the batch must not wait for ever
        run.engine.discard(run, bug)
    if not early:
        run.rest()


def take(run: OwnRun, event: TaskCompleted) -> None:
    """Take a task's completion, and show it to the code."""
    state, engine, code = run.state, run.engine, run.code
    if run.dropped or code.paused is not None or not state.complete(event):
        run.take(event, None)
        return
    now = engine.now()
    now = max(now, state.time)
    events = (event,)
    row = run.row
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
        code.interrupted(Turn(events, events, now), error)
        return
    if (
        commands is None
        or over
        or state.tries is not None
        or row.wake_at != ACTIVE
        or row.aside
        or not (commands or state.running)
        or not _only_tasks(commands)
    ):
        code.activated(Turn(events, events, now), commands, over)
        return
    # Nothing of the index row changes: a journal row will say it all.
    tasks: tuple[Any, ...] = tuple(commands)
    state.open(tasks, now)
    run.journal.in_flight += 1
    engine.steps.append((run, now, events, tasks))


def record(engine: RunHost, midway: OwnRun | None = None) -> None:
    """Record the steps that were taken; `midway` is a run that has taken one more.

    A checkpoint is of the state as it is now, so only the last row of a run can have
    one, and none while the state holds an event that no row tells yet.
    """
    steps, engine.steps = engine.steps, []
    seal, add = engine.seal.row, engine.commits.add
    outgrown: dict[OwnRun, Write] | None = None
    for run, now, events, tasks in steps:
        journal = run.journal
        if run.dropped:
            journal.in_flight -= 1
            if not journal.in_flight:
                engine.drained(run)
            continue
        state, row = run.state, run.row
        try:
            body = encode(Transition(now, events, tasks))
        except Exception as bug:  # the other steps must be recorded all the same
            journal.in_flight -= 1
            engine.discard(run, bug)
            continue
        sealed = seal(row.key, row.run_id, state.generation, state.seq, body)
        state.append(body)
        write = Write(sealed, journal.committed, tasks=tasks, effects=run)
        journal.grown = grown = journal.grown + len(body)
        if grown > CHECKPOINT_BYTES:
            outgrown = outgrown or {}
            outgrown[run] = write
        add(write)
    for run, write in (outgrown or {}).items():
        if run is not midway and run.code.paused is None:
            run.journal.save(write)


def _only_tasks(commands: list[Command]) -> bool:
    for command in commands:  # noqa: SIM110 (a generator costs more than the loop)
        if type(command) is not RunTask:
            return False
    return True
