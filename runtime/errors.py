"""Every error that a user of the runtime can meet, split by who must act.

All derive from `EveractError`. The author of a workflow meets failures
(`ApplicationError`, `TaskTimeout`, …), a caller meets refusals (`RPCError`,
`WorkflowAlreadyStarted`, …), an operator meets the store's errors. All can be
pickled. Control flow that must not be caught by accident is not here but in
`everact.runtime.definitions.control`.
"""

from typing import Any, Self

from everact.actors import EveractError
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.statuses import RPCStatus, RunStatus

__all__ = [
    "AddressInUse",
    "ApplicationError",
    "AsyncTaskCancelled",
    "AttemptLost",
    "AuthorizationError",
    "ChildFailure",
    "ClientError",
    "ContinuedAsNew",
    "EndpointError",
    "EngineUnreachable",
    "EveractError",
    "ForeignAwait",
    "InvalidFilter",
    "NonDeterminismError",
    "QueryFailed",
    "QueryRejected",
    "RPCError",
    "ReadOnlyError",
    "RequestIdReused",
    "RunCancelled",
    "RunPutAside",
    "RunTerminated",
    "RunTimedOut",
    "RuntimeStateError",
    "ScheduleAlreadyRunning",
    "SecretFileError",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreKeyError",
    "StoreLost",
    "StoreTampered",
    "StoreTooNew",
    "TaskCancelled",
    "TaskTimeout",
    "UpdateFailed",
    "UpdateTimedOutOrCancelled",
    "ValueNotReadable",
    "ValueNotStorable",
    "WorkflowAlreadyStarted",
    "WorkflowFailure",
]


class _Carrying(EveractError):
    """An error whose constructor arguments are kept, so that it can be pickled."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # An OSError, as timeouts are, takes two arguments for a number and its text.
        shown = args[:1] if issubclass(cls, OSError) else args
        self = super().__new__(cls, *shown)
        self._made_from = (args, kwargs)
        return self

    _made_from: tuple[tuple[Any, ...], dict[str, Any]]

    def __reduce__(self) -> tuple[Any, ...]:
        args, kwargs = self._made_from
        state = {"__cause__": self.__cause__} if self.__cause__ else None
        return (_remake, (type(self), args, kwargs), state)

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        if state:
            self.__cause__ = state["__cause__"]


class _Told(_Carrying):
    """An error that is made from its message alone."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Caused(_Carrying):
    """An error that says what it comes from."""

    @property
    def cause(self) -> BaseException | None:
        """What this comes from: how the child or run ended, why it failed."""
        return self.__cause__


class _Failed(_Caused):
    """An error that is made from its message and its cause."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.__cause__ = cause


def _remake(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kind(*args, **kwargs)


# -- failures: met in workflows, and as causes of a failed run -----------------------


class ApplicationError(_Caused):
    """A failure of author code, as recorded.

    Raise it to choose what is recorded: `type` (default: this class), `details` (any
    storable values), `non_retryable`, and `retry_after` (seconds or a duration before
    the next attempt). Errors of other classes arrive as one, with `type` naming the
    class; `original` then is the exception itself if it could be carried.
    """

    def __init__(
        self,
        message: str = "",
        *details: Any,
        type: str | None = None,
        non_retryable: bool = False,
        retry_after: Any = None,
        traceback: str = "",
        original: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.type = type or "ApplicationError"
        self.non_retryable = non_retryable
        self.retry_after = retry_after
        self.traceback = traceback
        self.original = original

    def __str__(self) -> str:
        shown = self.type != "ApplicationError"
        return f"{self.type}: {self.message}" if shown else self.message


class TaskTimeout(_Carrying, TimeoutError):
    """A task exceeded one of its limits; `kind` tells which."""

    def __init__(self, message: str, kind: TimeoutKind = TimeoutKind.ATTEMPT) -> None:
        self.args = (message,)
        self.message = message
        self.kind = kind


class TaskCancelled(_Carrying):
    """A task was cancelled by something other than its own run."""

    def __init__(self, message: str = "the task was cancelled") -> None:
        super().__init__(message)
        self.message = message


class AttemptLost(_Told):
    """The process ended too often while the task, and nothing else, was executing."""


class ChildFailure(_Caused):
    """A child run did not succeed; `cause` tells how it ended.

    `workflow_id` and `run_id` are its own: of a child that was tried again, or that
    continued as new, the run ID of its last run. Of one that could not be started
    `run_id` is empty.
    """

    def __init__(self, message: str, workflow_id: str = "", run_id: str = "") -> None:
        super().__init__(message)
        self.workflow_id = workflow_id
        self.run_id = run_id


class RunCancelled(_Carrying):
    """The run was cancelled; `details` are what its code supplied."""

    def __init__(self, message: str = "", *details: Any) -> None:
        super().__init__(message or "the run was cancelled")
        self.reason = message
        self.details = details


class RunTerminated(_Carrying):
    """The run was ended from outside without running its code."""

    def __init__(self, reason: str = "", *details: Any) -> None:
        super().__init__(reason or "the run was terminated")
        self.reason = reason
        self.details = details


class RunTimedOut(_Carrying, TimeoutError):
    """The run, or its chain, exceeded the limit named by `kind`."""

    def __init__(self, message: str, kind: TimeoutKind = TimeoutKind.RUN) -> None:
        self.args = (message,)
        self.message = message
        self.kind = kind


# -- refusals: met by callers --------------------------------------------------------


class WorkflowFailure(_Failed):
    """A run did not succeed; `cause` tells how it ended.

    The cause is an `ApplicationError`, `RunCancelled`, `RunTerminated`, or
    `RunTimedOut`.
    """


class ContinuedAsNew(_Carrying):
    """The addressed run was succeeded by the run `next_run_id` of its chain."""

    def __init__(self, next_run_id: str) -> None:
        super().__init__(f"the run was continued by run {next_run_id}")
        self.next_run_id = next_run_id


class RPCError(_Carrying):
    """A request was refused; `status` tells why, `details` may tell more."""

    def __init__(
        self, message: str, status: RPCStatus, details: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details


def not_found(message: str) -> RPCError:
    """What is refused because there is no such thing, or it is over."""
    return RPCError(message, RPCStatus.NOT_FOUND)


def invalid(message: str) -> RPCError:
    """What is refused because it cannot be meant."""
    return RPCError(message, RPCStatus.INVALID_ARGUMENT)


class InvalidFilter(RPCError, ValueError):
    """A filter cannot be read, or asks for what there is not; INVALID_ARGUMENT.

    `position` counts the characters of the filter before the fault.
    """

    def __init__(self, reason: str, position: int = 0) -> None:
        self.message = f"the filter is wrong at character {position + 1}: {reason}"
        self.args = (self.message,)
        self.status = RPCStatus.INVALID_ARGUMENT
        self.details = ()
        self.reason = reason
        self.position = position


class EngineUnreachable(RPCError, ConnectionError):
    """No engine answered at `target`; its status is always UNAVAILABLE.

    If `sent` is true the request may have been carried out all the same.
    """

    def __init__(self, message: str, target: str = "", sent: bool = False) -> None:
        self.args = (message,)
        self.message = message
        self.status = RPCStatus.UNAVAILABLE
        self.details = ()
        self.target = target
        self.sent = sent


class ClientError(_Carrying):
    """An engine refused a plain request: HTTP `status`, its `code` and `message`.

    `code` names the kind of refusal (an `RPCStatus`, where an operation refused).
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.code}".rstrip() + f": {self.message}"


class AuthorizationError(ClientError):
    """The token is missing or unknown (401), or does not allow the request (403)."""


class WorkflowAlreadyStarted(_Carrying):
    """A run of that workflow ID is in the way of the start; `closed` if it ended."""

    def __init__(
        self, workflow_id: str, workflow_type: str, run_id: str, closed: bool = False
    ) -> None:
        by = f"by run {run_id} of {workflow_type!r}"
        if closed:
            text = f"was used {by}, which ended: on_reuse allows no other run of it"
        else:
            text = (
                f"is taken {by}; wait for it, or start with on_conflict='use_existing' "
                "or 'attach'"
            )
        super().__init__(f"workflow ID {workflow_id!r} {text}")
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.run_id = run_id
        self.closed = closed


class RequestIdReused(_Carrying):
    """One request ID was given to two requests; the second one changed nothing.

    `first` and `second` tell the operation and the target of each.
    """

    def __init__(self, request_id: str, first: str, second: str) -> None:
        super().__init__(
            f"request ID {request_id!r} was used for {first}, and now for {second}, "
            "which was not carried out: give every request an ID of its own"
        )
        self.request_id = request_id
        self.first = first
        self.second = second


class QueryRejected(_Carrying):
    """The query's reject condition holds; `status` is the run's."""

    def __init__(self, status: RunStatus) -> None:
        super().__init__(f"query rejected: the run is {status}")
        self.status = status


class QueryFailed(_Told):
    """The query handler raised, changed state, or does not exist."""


class UpdateFailed(_Failed):
    """The update was refused or its handler raised; `cause` tells why."""


class UpdateTimedOutOrCancelled(_Carrying):
    """The wait for an update was cut short; the update itself may still complete.

    Also raised where the awaiting task is cancelled, in place of CancelledError.
    """

    def __init__(self, update_id: str = "", how: str = "") -> None:
        super().__init__(
            f"the wait for update {update_id!r} ended {how}; it says nothing of the "
            "update, whose answer can be asked for by its ID"
        )
        self.update_id = update_id
        self.how = how


class AsyncTaskCancelled(_Carrying):
    """A task that is completed from outside was cancelled; `details` tell more."""

    def __init__(self, message: str = "the task was cancelled", *details: Any) -> None:
        super().__init__(message)
        self.details = details


class ScheduleAlreadyRunning(_Carrying):
    """A schedule of that ID exists."""

    def __init__(self, schedule_id: str = "") -> None:
        super().__init__(f"schedule {schedule_id!r} is already running")
        self.schedule_id = schedule_id


class RunPutAside(_Carrying):
    """The run's code cannot be run now; it waits, and nothing of it is lost."""

    def __init__(self, workflow_id: str, run_id: str, reason: str) -> None:
        super().__init__(f"run {workflow_id!r} ({run_id}) is put aside: {reason}")
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.reason = reason


class RuntimeStateError(_Told):
    """The runtime or client is not in a state for this call (closed, other loop)."""


# -- mistakes in workflow code -------------------------------------------------------


class NonDeterminismError(_Carrying):
    """Replaying the run's code gave other commands than were recorded."""

    def __init__(self, message: str, recorded: str = "", produced: str = "") -> None:
        super().__init__(message)
        self.recorded = recorded
        self.produced = produced


class ForeignAwait(_Told):
    """Workflow code awaited, or called, something that is not durable."""


class ReadOnlyError(_Told):
    """A query handler tried to do what only a workflow may do."""


class ValueNotStorable(_Told, TypeError):
    """A value cannot be stored, or is too large; the message names it."""


class ValueNotReadable(_Told, ValueError):
    """A stored value cannot be decoded: its codec is missing, or failed."""


# -- the store: met by operators -----------------------------------------------------


class StoreError(_Told):
    """The database refused or failed; nothing acknowledged is lost."""


class StoreInUse(StoreError):
    """Another process has the database open."""


class StoreTooNew(StoreError):
    """The database was written by a newer version of everact."""


class StoreKeyError(StoreError):
    """The key that authenticates the database is missing or another one."""


class StoreTampered(StoreError):
    """A row or checkpoint does not carry the right authentication code."""


class StoreLost(StoreError):
    """The database was deleted, replaced, cut short, or opened by another engine."""


class StoreDamaged(StoreError):
    """The database file is damaged; the message says what to do."""


class StoreFull(StoreError):
    """The disk is full; work is held until there is room again."""


# -- the control endpoint: met by operators ------------------------------------------


class EndpointError(_Told):
    """The control endpoint cannot be opened as asked; the message says what to do."""


class AddressInUse(EndpointError):
    """Another program listens at the address."""


class SecretFileError(_Told):
    """A file of secrets is damaged, or others can open it; nothing in it is used."""
