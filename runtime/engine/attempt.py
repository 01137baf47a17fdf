"""The task actor: one attempt of one task, child of its run's actor.

It waits for a slot, runs the function (async functions on the loop, others in a
thread), watches its limits, and reports one outcome to its run. An attempt that was
told to stop, or that exceeded a limit, has reported already: whatever it still
returns goes nowhere, and it keeps its slot until its function ends.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any

import msgspec

from everact.runtime.core import failures
from everact.runtime.core.blame import Place
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
)
from everact.runtime.core.statuses import RETRIED, Status
from everact.runtime.definitions.context import TaskContext, current_attempt
from everact.runtime.definitions.control import CompleteElsewhere
from everact.runtime.definitions.interceptors import Invocation, chained
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine import logs
from everact.runtime.engine.execution.facts import AttemptFacts
from everact.runtime.engine.execution.loop import performed
from everact.runtime.engine.stage import on_stage, watched
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import TaskCancelled, ValueNotStorable
from everact.runtime.isolation import (
    Exited,
    class_name,
    is_a,
    is_interrupt,
    read,
    text_of,
)
from everact.runtime.programs.workflow_loop import decode_arguments
from everact.runtime.values.outcomes import detail_of, failure_of, task_timed_out
from everact.runtime.values.status_of import results_are_mapped, status_of_result

_STOPPED = (asyncio.CancelledError, TaskCancelled)
"""What a function raises that stopped because it was asked to."""


class TaskActor(AttemptFacts):
    """One attempt. All methods but those of its facts: on the loop's thread."""

    __slots__ = ("task",)

    task: Task[..., Any] | None

    suspect = False
    on_end: "Callable[[TaskActor], None] | None" = None
    """Who is told of its end: an attempt on trial, see `suspects`."""
    slot: int | None = None
    enlisted = False
    over = False
    awaits: list[int] | None = None
    """The keys of the runs that it awaits, and has lent its slot for; see `lending`."""
    _task: "asyncio.Task[Any] | None" = None

    @property
    def about(self) -> str:
        """The name of the task."""
        return self.command.name

    # -- a slot ---------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        return self.settled

    @property
    def workflow(self) -> str:
        return self.run.row.name

    @property
    def threaded(self) -> bool:
        return self.task is not None and not self.task.is_async

    def queued(self, limit: float) -> None:
        """Give up if no slot is free within `limit` seconds."""
        self.limits().start_queue(limit)

    def enter(self, worker: Worker) -> None:
        self.worker = worker
        if worker.registry is not None:
            found = worker.registry.tasks.get(self.command.name)
            if found is not None and found.is_async is not self.threaded:
                self.task = found
        if self._limits is not None:
            self._limits.stop_queue()
        if self.settled or self.cancelled:
            self._begun_too_late()
            return
        with on_stage(self.run.engine.on_loop, self.place):
            self._begin()

    def _begin(self) -> None:
        """Run the function."""
        engine, command, task = self.run.engine, self.command, self.task
        if task is None:
            known = ", ".join(sorted(engine.registry.tasks)) or "none"
            text = f"no task {command.name!r} is registered here; known: {known}"
            self._settle_failed(_not_found(text))
            self._ended()
            return
        try:
            args, kwargs = decode_arguments(
                engine.values, command.args, command.kwargs, task.signature
            )
        except Exception as error:
            self._settle_failed(failure_of(error, values=engine.values))
            self._ended()
            return
        if engine.debugs:
            logs.attempt_began(self)
        options = command.options
        if options is not None and (options.timeout or options.manual_heartbeat):
            # Else this process is the sign of life: the attempt dies only with it.
            silence = options.heartbeat_timeout if options.manual_heartbeat else None
            self.limits().start(options.timeout, silence)
        if engine.interceptors.tasks:
            self._run_intercepted(task, args, kwargs)
            return
        args, kwargs = self._injected(task, args, kwargs)
        if not task.is_async:
            self._run_in_thread(task, args, kwargs, self._returned)
            return
        self.watch_task(self._started(task.function, args, kwargs))

    def _started(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "asyncio.Task[Any]":
        """A task that runs `function`; a suspect's notes when it is on the loop."""
        if self.suspect:
            function = partial(watched, self.run.engine.on_loop, self.place, function)
        return self.run.engine.start_task(performed(self, function, args, kwargs))

    def watch_task(self, running: "asyncio.Task[Any]") -> None:
        """Report how `running` ends, now or later."""
        if running.done():
            self._done(running)
        else:
            self._task = running
            self._goes_on(threaded=False)
            running.add_done_callback(self._done)

    @property
    def place(self) -> Place:
        """What it is called where it is noted what executes."""
        return self.run.row.key, self.command.call

    def _goes_on(self, *, threaded: bool) -> None:
        """Note that the function goes on beside the loop's other work."""
        if self.slot is None:
            self.slot = self.run.engine.stage.begun(self.place, threaded=threaded)

    def _injected(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments together with the context, if the task takes it."""
        if task.signature.injected is None:
            return args, kwargs
        return task.signature.inject(TaskContext(self), args, kwargs)

    def _run_intercepted(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Run the function with interceptors around it."""
        engine, command = self.run.engine, self.command
        call = Invocation("task", command.name, args, kwargs, self.headers)
        proceed = chained(engine.interceptors.tasks, partial(self._perform, task))
        running = self._started(proceed, (call,), {})
        if task.is_async:
            self.watch_task(running)
        elif running.done():
            self._done(running)
        else:  # not to be interrupted: it keeps its slot until the thread is through
            running.add_done_callback(self._done)

    async def _perform(self, task: Task[..., Any], call: Invocation) -> Any:
        """What interceptors proceed to: the function itself."""
        args, kwargs = self._injected(task, call.args, call.kwargs)
        if task.is_async:
            return await task.function(*args, **kwargs)
        ended: asyncio.Future[tuple[Any, BaseException | None]]
        ended = self.run.engine.loop.create_future()

        def done(value: Any, error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result((value, error))

        self._run_in_thread(task, args, kwargs, done)
        value, error = await ended
        if error is not None:
            raise error
        return value

    def _run_in_thread(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        then: Callable[[Any, BaseException | None], None],
    ) -> None:
        engine = self.run.engine
        context = copy_context()
        context.run(current_attempt.set, self)
        engine.clock.hold()
        self._goes_on(threaded=True)

        def done(value: Any, error: BaseException | None) -> None:
            engine.clock.release()
            then(value, error)

        engine.threads.run(lambda: context.run(task.function, *args, **kwargs), done)

    def _done(self, running: "asyncio.Task[Any]") -> None:
        try:
            value = running.result()
        except Exited as exited:
            self._returned(None, exited.error)
        except asyncio.CancelledError as error:
            if not self.settled:
                self._settle_failed(self._stopped(error))
            self._ended()
        except BaseException as error:
            if is_interrupt(error):  # the process ends: it has not failed
                self.settled = True
            self._returned(None, error)
        else:
            self._returned(value, None)

    def _returned(self, value: Any, error: BaseException | None) -> None:
        if not self.settled:
            command, values = self.command, self.run.engine.values
            if error is None:
                try:
                    assert self.task is not None
                    result = values.encode(value, self.task.result_label)
                except ValueNotStorable as unstorable:
                    error = unstorable
                else:
                    if results_are_mapped():
                        again = self._tried_again(value)
                        if again is not None:
                            self._settle_failed(again)
                            self._ended()
                            return
                    self.settled = True
                    self.run.report(Outcome(self, TaskCompleted(command.call, result)))
            if is_a(error, CompleteElsewhere):
                self._hand_over()
            elif error is not None:
                stopped = self.cancelled and is_a(error, _STOPPED)
                self._settle_failed(
                    self._stopped(error)
                    if stopped
                    else failure_of(error, values=values)
                )
        self._ended()

    def _hand_over(self) -> None:
        """The attempt stays open without this actor, until its time is over."""
        self.settled = True
        limits, deadline = self._limits, None
        if limits is not None and limits.left is not None:
            deadline = self.run.engine.clock.now() + limits.left
        handed = TaskHandedOver(self.command.call, self.number, deadline)
        self.run.report(Outcome(self, handed))

    def _stopped(self, error: BaseException) -> Failure:
        """The failure of a function that was cancelled, with what it says to that."""
        values = self.run.engine.values
        details: tuple[Any, ...] = ()
        if self.cancelled:
            details = read(lambda: error.args, ())
        encoded = tuple(detail_of(detail, values) for detail in details)
        return failures.cancelled("the task was cancelled", encoded)

    def _tried_again(self, value: Any) -> Failure | None:
        """Why a returned value is another failed attempt: its class has a status that
        is retried (`register_status`), and the policy has an attempt left.
        """
        status = read(lambda: status_of_result(value), Status.OK)
        if status is Status.OK:
            return None
        failure = Failure(
            FailureKind.APPLICATION, class_name(value), text_of(value), status
        )
        policy = (self.command.options or DEFAULT_TASK).retry
        again = status in RETRIED and policy.allows(failure, self.number)
        return failure if again else None

    # -- the end ----------------------------------------------------------------------

    def stop_now(self) -> None:
        """Nobody waits for the outcome any more: tell the function, forget it."""
        self.settled = True
        self.cancelled = True
        if self._task is not None:
            self._task.cancel()
        if self.worker is None:
            self._ended()

    def ask_to_stop(self) -> None:
        """Tell the function to stop; what becomes of it still counts."""
        self.cancelled = True
        if self._task is not None:
            self._task.cancel()
        elif self.worker is None and not self.settled:
            self._begun_too_late()

    def outdo(self) -> None:
        """The outcome came from outside: the function may end, and is not heard."""
        self.settled = True
        if self.worker is None:
            self._ended()

    def _begun_too_late(self) -> None:
        """The function need not run any more."""
        if not self.settled:
            self._settle_failed(failures.cancelled("the task was cancelled"))
        self._ended()

    def exceeded(self, kind: TimeoutKind, limit: float) -> None:
        """A limit is over: the attempt has failed, whatever its function does."""
        if self.settled:
            return
        if kind is TimeoutKind.QUEUE and self.run.engine.workers.held:
            self.queued(limit)  # it was not for want of a slot that it waited
            return
        failure = task_timed_out(kind, self.command.name, limit)
        if kind is TimeoutKind.QUEUE:
            failure = _final(failure)
        self._settle_failed(failure)
        self.stop_now()

    def _settle_failed(self, failure: Failure) -> None:
        self.settled = True
        self.run.report(Outcome(self, TaskFailed(self.command.call, failure)))

    def _ended(self) -> None:
        """The function is over, or never began: the slot is free."""
        engine = self.run.engine
        if self.slot is not None:
            engine.stage.ended(self.slot)
            self.slot = None
        if self.on_end is not None:
            self.on_end(self)
        if self._limits is not None:
            self._limits.stop()
        worker = self.worker
        if worker is not None:
            self.worker = None
            if not self.awaits:
                worker.leave(self.threaded)
        self._task = None
        self.over = True
        if self.enlisted:
            self.finish()


class Outcome(msgspec.Struct, eq=False):
    """What an attempt reports; it counts only while the attempt is the current one."""

    attempt: TaskActor
    event: TaskCompleted | TaskFailed | TaskHandedOver


def _not_found(text: str) -> Failure:
    return Failure(FailureKind.APPLICATION, "LookupError", text, Status.NOT_FOUND, True)


def _final(failure: Failure) -> Failure:
    return Failure(
        failure.kind,
        failure.type,
        failure.message,
        failure.status,
        non_retryable=True,
        timeout=failure.timeout,
    )
