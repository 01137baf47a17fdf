"""A failure as it is recorded: what survives of an exception.

The record knows nothing of Python exception classes; `everact.runtime.failures`
turns exceptions into failures and back.
"""

from enum import IntEnum

import msgspec

from everact.runtime.core.bounds import Seconds
from everact.runtime.core.opaque import Payload
from everact.runtime.core.statuses import Status


class FailureKind(IntEnum):
    """What ended the attempt, the call or the run."""

    APPLICATION = 0
    CANCELLED = 1
    TERMINATED = 2
    TIMED_OUT = 3
    CHILD = 4
    LOST = 5


class TimeoutKind(IntEnum):
    """Which limit was exceeded."""

    NONE = 0
    ATTEMPT = 1
    HEARTBEAT = 2
    QUEUE = 3
    RUN = 4
    EXECUTION = 5
    TOTAL = 6

    def __str__(self) -> str:
        return self.name.lower()


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An error as recorded: data only, safe to read without loading any class.

    `type` is the qualified class name, `value` the exception itself as an opaque
    payload if it could be stored, `details` the author's payloads, `retry_after`
    seconds that the author asked to wait before the next attempt. `workflow_id` and
    `run_id` are of the child run that failed, if the failure is that of a child.
    """

    kind: FailureKind
    type: str
    message: str
    status: Status = Status.UNSPECIFIED
    non_retryable: bool = False
    retry_after: Seconds | None = None
    timeout: TimeoutKind = TimeoutKind.NONE
    details: tuple[Payload, ...] = ()
    traceback: str = ""
    value: bytes | None = None
    cause: "Failure | None" = None
    workflow_id: str = ""
    run_id: str = ""

    @property
    def title(self) -> str:
        """Its type and message, on one line."""
        text = self.message.partition("\n")[0]
        return f"{self.type}: {text}" if text else self.type


def cancelled(reason: str = "", details: tuple[bytes, ...] = ()) -> Failure:
    """The failure of something that was asked to stop."""
    return Failure(FailureKind.CANCELLED, "Cancelled", reason, details=details)


def terminated(reason: str = "", details: tuple[bytes, ...] = ()) -> Failure:
    """The failure of a run that was ended from outside without running its code."""
    return Failure(FailureKind.TERMINATED, "Terminated", reason, details=details)


def timed_out(kind: TimeoutKind, message: str) -> Failure:
    """The failure of something that exceeded the limit named by `kind`."""
    return Failure(
        FailureKind.TIMED_OUT, "TimedOut", message, Status.TIMEOUT, timeout=kind
    )


def lost_alone(times: int) -> Failure:
    """The failure of a task that was alone each time that the process ended."""
    return Failure(
        FailureKind.LOST,
        "AttemptLost",
        f"the process ended {times} times while an attempt of this task was executing "
        "and nothing else was; look for a crash, an out-of-memory kill or a native "
        "fault in this task",
        Status.TEMPORARY_ERROR,
    )


def lost(attempts: int) -> Failure:
    """The failure of a task in journals of versions that counted every lost attempt."""
    return Failure(
        FailureKind.LOST,
        "AttemptLost",
        f"{attempts} attempts in a row were lost because the engine died while they "
        "ran; look for a crash, an out-of-memory kill or a native fault in this task",
        Status.TEMPORARY_ERROR,
    )


def gone_silent(times: int) -> Failure:
    """The failure of a task whose attempts were taken, and never heard of again."""
    return Failure(
        FailureKind.LOST,
        "AttemptLost",
        f"{times} workers in a row took an attempt of this task and were not heard of "
        "again; look for a crash in it where they run",
        Status.TEMPORARY_ERROR,
    )


def not_found(text: str) -> Failure:
    """The failure of a task that cannot run here: it is final."""
    return Failure(FailureKind.APPLICATION, "LookupError", text, Status.NOT_FOUND, True)
