"""What is known of an open task beside its call: its attempts, and who has one."""

from typing import Any

from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    DEFAULT_TASK,
    RunTask,
    TaskHandedOver,
    TaskReported,
)

LOST_LIMIT = 3
"""Lost attempts after which a task failed when every one was counted: old journals."""


class Tries:
    """The retry state of one open task: made on first need.

    Of an open child there may be one too, which tells only that it is `stopping`.
    `due` is when its next attempt begins, or when one that was handed over has been
    silent, or has taken, too long; or when the time for all is over, if there is none
    left for a next one. `stopping` is why it was asked to stop.
    """

    __slots__ = (
        "attempt",
        "details",
        "due",
        "failure",
        "handed",
        "lost",
        "stopping",
    )

    def __init__(self) -> None:
        self.attempt = 1
        self.lost = 0
        self.due: float | None = None
        self.details: tuple[bytes, ...] = ()
        self.failure: Failure | None = None
        self.handed: TaskHandedOver | None = None
        self.stopping: str | None = None

    def __setstate__(self, saved: tuple[None, dict[str, Any]]) -> None:
        Tries.__init__(self)
        for name, value in saved[1].items():
            setattr(self, name, value)

    @property
    def waits(self) -> bool:
        """Whether nothing runs here: it waits for its moment, or goes on elsewhere."""
        later = self.due is not None and self.stopping is None
        return later or self.handed is not None

    def again(self, failure: Failure, command: RunTask, now: float) -> bool:
        """Take in the failure of an attempt; whether it is not the end before `due`."""
        self.failure = failure
        self.handed = None
        final = self.stopping is not None or failure.kind is FailureKind.LOST
        policy = (command.options or DEFAULT_TASK).retry
        if final or not policy.allows(failure, self.attempt):
            return False
        self.due = now + policy.delay(failure, self.attempt)
        self.lost = 0
        if command.deadline is not None and self.due >= command.deadline:
            self.due = command.deadline
        else:
            self.attempt += 1
        return True

    def heard(self, silence: float | None, now: float) -> None:
        """A handed over attempt was heard of; it may be silent for so many seconds."""
        assert self.handed is not None
        limits = (self.handed.deadline, None if silence is None else now + silence)
        self.due = min((at for at in limits if at is not None), default=None)

    def under_way(self, event: TaskReported, now: float) -> bool:
        """Whether the attempt that `event` is about is the current one."""
        if self.handed is None:
            if self.due is not None and self.due > now:
                return False  # it waits for its next attempt
        elif event.dispatch not in (0, self.handed.dispatch):
            return False  # another has it now
        return event.attempt in (0, self.attempt)
