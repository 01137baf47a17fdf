"""The task actor: one attempt of one task, child of its run's actor.

It stands in line until there is room for it, is given to its executor, watches its
limits, and reports one outcome to its run. An attempt that was told to stop, or that
exceeded a limit, has reported already: whatever it still returns goes nowhere, and it
keeps its slot until its function ends.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from everact.runtime.core import failures
from everact.runtime.core.admission import Poll
from everact.runtime.core.blame import Place
from everact.runtime.core.failures import Failure, FailureKind, TimeoutKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    TaskCompleted,
    TaskFailed,
    TaskHandedOver,
)
from everact.runtime.core.statuses import RETRIED, Status
from everact.runtime.core.tries import LOST_LIMIT
from everact.runtime.definitions.control import CompleteElsewhere
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine import logs
from everact.runtime.engine.execution.base import Executor
from everact.runtime.engine.execution.facts import AttemptFacts
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import TaskCancelled, ValueNotStorable
from everact.runtime.isolation import (
    class_name,
    is_a,
    read,
    text_of,
)
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
    began_at: float | None = None
    """When its function was begun, epoch seconds."""
    slot: int | None = None
    enlisted = False
    over = False
    awaits: list[int] | None = None
    """The keys of the runs that it awaits, and has lent its slot for; see `lending`."""
    lane = ""
    """Where it stands in line."""
    kept: Any = None
    """What its executor keeps of it."""
    _executor: Executor | None = None
    lapses = 0
    """How often who took it was not heard of again."""

    @property
    def about(self) -> str:
        """The name of the task."""
        return self.command.name

    def know(self, task: Task[..., Any] | None) -> None:
        """It calls `task`, if that is registered here: which says where it runs."""
        self.task = task
        self._executor = None

    @property
    def executor(self) -> Executor:
        """Where it runs."""
        found = self._executor
        if found is None:
            found = self._executor = self.run.engine.executor(self.command, self.task)
        return found

    # -- a slot ---------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        return self.settled

    @property
    def workflow(self) -> str:
        return self.run.row.name

    @property
    def needs(self) -> str:
        return self.executor.needs

    @property
    def _given_up(self) -> bool:
        """Whether its run has cancelled it, or ended, in a row that is on its way."""
        return self.run.state.calls.get(self.command.call) is not self.command

    def enter(self, worker: Worker | Poll) -> None:
        """There is room for it: it is for its executor now."""
        self.worker = worker
        executor = self.executor
        if worker.registry is not None:
            found = worker.registry.tasks.get(self.command.name)
            fits = self.run.engine.executor(self.command, found) is executor
            if found is not None and fits:
                self.task = found
        if self._limits is not None:
            self._limits.stop_queue()
        if self.settled or self.cancelled or self._given_up:
            self._begun_too_late()
            return
        try:
            executor.start(self)
        except Exception as error:  # what it needs is given back, whatever went wrong
            self.fail(failure_of(error, values=self.run.engine.values))

    @property
    def place(self) -> Place:
        """What it is called where it is noted what executes."""
        return self.run.row.key, self.command.call

    # -- what its executor says ------------------------------------------------------

    def begins(self) -> None:
        """It is executed from now on, and its time runs."""
        self.began_at = self.run.engine.clock.now()
        if self.run.engine.debugs:
            logs.attempt_began(self)
        options, here = self.command.options or DEFAULT_TASK, self.executor.here
        # Here this process is the sign of life: the attempt dies only with it.
        watched = options.manual_heartbeat or not here
        silence = options.heartbeat_timeout if watched else None
        if options.timeout or silence or not here:
            self.limits().start(options.timeout, silence)

    def goes_on(self, *, threaded: bool) -> None:
        """Its function goes on beside the loop's other work."""
        if self.slot is None:
            self.slot = self.run.engine.stage.begun(self.place, threaded=threaded)

    def returned(self, value: Any, error: BaseException | None) -> None:
        """Its function has ended: the one outcome that counts, if none did before."""
        if not self.settled:
            command, values = self.command, self.run.engine.values
            if error is None:
                try:
                    assert self.task is not None
                    result = values.encode(value, self.task.result_label)
                except ValueNotStorable as unstorable:
                    error = unstorable
                else:
                    again = self._tried_again(value) if results_are_mapped() else None
                    if again is not None:
                        self.fail(again)
                        return
                    self._settle(TaskCompleted(command.call, result))
            if is_a(error, CompleteElsewhere):
                self.hand_over()
                return
            if error is not None:
                stopped = self.cancelled and is_a(error, _STOPPED)
                self.fail(
                    self._stopped(error)
                    if stopped
                    else failure_of(error, values=values)
                )
                return
        self._ended()

    def stopped(self, error: BaseException) -> None:
        """Its function was cancelled."""
        if self.settled:
            self._ended()
        else:
            self.fail(self._stopped(error))

    def fail(self, failure: Failure) -> None:
        """It has failed, if it had no outcome yet, and its function is not running."""
        if not self.settled:
            self._settle(TaskFailed(self.command.call, failure))
        self._ended()

    def hand_over(self, durable: "asyncio.Future[Any] | None" = None) -> None:
        """It goes on elsewhere, without this actor, until its time is over.

        `durable` is done when that is; cancelled if it does not count.
        """
        limits, deadline = self._limits, self.command.deadline
        if limits is not None and limits.left is not None:
            own = self.run.engine.clock.now() + limits.left
            deadline = own if deadline is None else min(own, deadline)
        call = self.command.call
        self._settle(
            TaskHandedOver(call, self.number, deadline, self.dispatch), durable
        )
        self._ended()

    def offer_again(self, *, lost: bool) -> None:
        """Who took it does not have it: it stands in line again, as if it were new.

        One that was lost three times fails.
        """
        self.lapses += lost
        if self.settled or self.lapses >= LOST_LIMIT:
            self.fail(failures.gone_silent(self.lapses))
        elif self.cancelled:
            self._begun_too_late()
        else:
            details = None if self._limits is None else self._limits.put_back()
            if details is not None:
                self.run.post(details)
            self.worker, self.dispatch, self.kept = None, 0, None
            self.stand_in_line()

    def stand_in_line(self, *, held: bool = True) -> None:
        """Wait until there is room for it, for so long as its options say."""
        options = self.command.options
        if options is not None:
            if options.queue_timeout is not None:
                self.limits().start_queue(options.queue_timeout)
            if self.command.deadline is not None:
                limit = options.total_timeout or 0.0
                left = self.command.deadline - self.run.engine.clock.now()
                if left <= 0:
                    self.exceeded(TimeoutKind.TOTAL, limit)
                    return
                self.limits().start_total(limit, left)
        self.run.engine.admission.ask(self, held=held)

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
        self.outdo(stop=True)

    def ask_to_stop(self) -> None:
        """Tell the function to stop; what becomes of it still counts."""
        self.cancelled = True
        if self.worker is not None:
            self.executor.stop(self)
        elif not self.settled:
            self._begun_too_late()

    def outdo(self, *, stop: bool = False) -> None:
        """The outcome came from outside: the function may end, and is not heard."""
        self.settled = True
        if self.worker is None:
            self._ended()
            return
        executor = self.executor
        if stop:
            executor.stop(self)
        if not executor.here:
            self._ended()

    def _begun_too_late(self) -> None:
        """The function need not run any more."""
        self.fail(failures.cancelled("the task was cancelled"))

    def exceeded(self, kind: TimeoutKind, limit: float) -> None:
        """A limit is over: the attempt has failed, whatever its function does."""
        if self.settled:
            return
        if kind is TimeoutKind.QUEUE and self.run.engine.admission.held:
            self.limits().start_queue(limit)  # it was not for want of room
            return
        tries = self.run.state.calls.tried(self.command.call)
        before = tries.failure if tries and kind is TimeoutKind.TOTAL else None
        failure = task_timed_out(kind, self.command.name, limit, before)
        self._settle(TaskFailed(self.command.call, failure))
        self.stop_now()

    def _settle(
        self, event: "Reported", durable: "asyncio.Future[Any] | None" = None
    ) -> None:
        self.settled = True
        self.run.report(Outcome(self, event, durable))

    def _ended(self) -> None:
        """The function is over, or never began: there is room for another."""
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
                engine.admission.leave(worker, self.needs)
        self.kept = None
        self.over = True
        if self.enlisted:
            self.finish()


Reported: TypeAlias = TaskCompleted | TaskFailed | TaskHandedOver


class Outcome(msgspec.Struct, eq=False):
    """What an attempt reports; it counts only while the attempt is the current one."""

    attempt: TaskActor
    event: Reported
    durable: "asyncio.Future[Any] | None" = None
    """Who waits until it is; cancelled if it does not count."""
