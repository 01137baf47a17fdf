"""Starting attempts, once the request for them is durable."""

import asyncio
from typing import Any

from everact.runtime.core.records import RunTask, TaskCompleted, TaskFailed
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.execution.attempt import TaskActor
from everact.runtime.engine.execution.loop import performed, watch
from everact.runtime.engine.run.host import OwnRun
from everact.runtime.isolation import contained
from everact.runtime.values.outcomes import failure_of
from everact.runtime.values.payloads import Converter
from everact.runtime.values.status_of import results_are_mapped

_new = object.__new__


def attempt_of(run: OwnRun, command: RunTask, number: int) -> TaskActor:
    """An attempt of a task that is not under way yet, and not known to its system."""
    attempt = _new(TaskActor)
    attempt.run = run
    attempt.command = command
    attempt.task = run.engine.registry.tasks.get(command.name)
    attempt.worker = None
    if number != 1:
        attempt.number = number
    return attempt


def start(run: OwnRun, command: RunTask) -> TaskCompleted | TaskFailed | None:
    """Start the first attempt of a task; its outcome, if it has one at once.

    An attempt without limits that completes in its first step lives and dies in here,
    and nobody else has seen it. Any other is enlisted as a child of its run, waits for
    a slot if there is none, and reports to the run.
    """
    engine = run.engine
    task = engine.registry.tasks.get(command.name)
    worker = engine.admission.free(run.row.queue)
    if (
        task is None
        or worker is None
        or not task.simple
        or command.options is not None
        or engine.slow_path
        or command.call in run.work.attempts
    ):
        run.work.dispatch(command)
        return None
    attempt = _new(TaskActor)
    attempt.run, attempt.command, attempt.task = run, command, task
    attempt.worker = worker
    on_loop = engine.on_loop  # left as it is: whoever releases a batch clears it
    on_loop[0] = run.row.key
    on_loop[1] = command.call
    values = engine.values
    kwargs: dict[str, Any] = {}
    try:
        args = tuple(map(values.decode, command.args))
        if command.kwargs:
            kwargs = {k: values.decode(a) for k, a in command.kwargs.items()}
    except Exception as error:
        return TaskFailed(command.call, failure_of(error, values=values))
    worker.busy += 1
    running = engine.start_task(performed(attempt, task.function, args, kwargs))
    if running.done() and attempt._limits is None and not results_are_mapped():
        result = _result(running, values, task)
        if result is not None:
            attempt.settled = True
            attempt.worker = None
            worker.busy -= 1
            if worker.awaited:
                engine.admission.fill(worker)
            return TaskCompleted(command.call, result)
    attempt.began_at = engine.now()
    run.work.attempts[command.call] = attempt
    run.adopt(attempt)
    watch(attempt, running)
    return None


def _result(
    ended: asyncio.Task[Any], values: Converter, task: Task[..., Any]
) -> bytes | None:
    """The result of a task's function; None if it has none, whatever that means."""
    try:
        return values.encode(ended.result(), task.result_label)
    except BaseException as error:
        contained(error)
        return None
