"""Exceptions into recorded failures, and back.

A failure keeps type name, message, details, traceback text and the whole cause
chain as data; the exception itself travels beside them if it pickles. Coming back,
a workflow gets the original exception (so that ``except ValueError`` works), and a
caller gets an `ApplicationError` that names it.
"""

import builtins
import traceback
from asyncio import CancelledError
from typing import Any

from everact.runtime import errors
from everact.runtime.core import failures
from everact.runtime.core.durations import seconds
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.statuses import Status
from everact.runtime.values.payloads import (
    Converter,
    PickleConverter,
    by_value,
    unwrapped,
)
from everact.runtime.values.status_of import status_of

_NEVER_RAISED = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)
"""What would end the engine, or be taken for a cancellation, if a task's error of
that class were raised again: an `ApplicationError` names it instead."""

_DEEPEST = 20
_TRACEBACK = 8000


class FailureConverter:
    """How exceptions become failures, and back: subclass it to change that.

    `values` is what encodes and decodes the details, and applies the codec, if any.
    Message, type and traceback of a failure are stored and shown as they are.
    """

    def to_failure(
        self, error: BaseException, values: Converter, status: Status | None = None
    ) -> Failure:
        """Record `error`, with its cause chain, as a failure of kind APPLICATION.

        `status` is what it counts as, if not what `status_of` says.
        """
        return _recorded(error, values, status, 0)

    def to_exception(self, failure: Failure, values: Converter) -> BaseException:
        """The exception that workflow code gets: the original where it travelled."""
        return _for_workflow(failure, values)

    def to_cause(self, failure: Failure, values: Converter) -> BaseException:
        """The exception that tells a caller how a run ended, its kind by its class."""
        return _for_caller(failure, values)


_DEFAULT = FailureConverter()


def failure_of(
    error: BaseException, *, values: Converter, status: Status | None = None
) -> Failure:
    """`FailureConverter.to_failure` of the converter in use."""
    return _failures(values).to_failure(error, values, status)


def exception_of(failure: Failure, *, values: Converter) -> BaseException:
    """`FailureConverter.to_exception` of the converter in use."""
    return _failures(values).to_exception(failure, values)


def cause_of(failure: Failure, *, values: Converter) -> BaseException:
    """`FailureConverter.to_cause` of the converter in use."""
    return _failures(values).to_cause(failure, values)


def _failures(values: Converter) -> FailureConverter:
    found: FailureConverter = getattr(values, "failures", _DEFAULT)
    return found


def _recorded(
    error: BaseException, values: Converter, status: Status | None, depth: int
) -> Failure:
    details: tuple[bytes, ...] = ()
    non_retryable, retry_after = False, getattr(error, "retry_after", None)
    type_name, message = type_name_of(error), _text(error)
    if isinstance(error, errors.ApplicationError):
        details = tuple(detail_of(d, values) for d in error.details)
        non_retryable, type_name = error.non_retryable, _storable(str(error.type))
        message = _storable(str(error.message))
        if type_name == "ApplicationError" and type(error).__name__ != type_name:
            type_name = type_name_of(error)
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    limit = getattr(error, "kind", None)
    return Failure(
        FailureKind.APPLICATION,
        type_name,
        message,
        status=status_of(error) if status is None else status,
        non_retryable=bool(non_retryable),
        retry_after=_retry_after(retry_after),
        timeout=limit
        if isinstance(limit, failures.TimeoutKind)
        else failures.TimeoutKind.NONE,
        details=details,
        traceback=_traceback(error),
        value=_carried(error, values),
        cause=_recorded(cause, values, None, depth + 1)
        if cause is not None and depth < _DEEPEST
        else None,
        **_child_of(error),
    )


def _child_of(error: BaseException) -> dict[str, str]:
    """Which child run the error is about, if it is about one."""
    if not isinstance(error, errors.ChildFailure):
        return {}
    return {"workflow_id": error.workflow_id, "run_id": error.run_id}


def _for_workflow(failure: Failure, values: Converter) -> BaseException:
    if failure.kind is FailureKind.TIMED_OUT:
        return errors.TaskTimeout(failure.message, failure.timeout)
    if failure.kind is FailureKind.LOST:
        return errors.AttemptLost(failure.message)
    if failure.kind is FailureKind.CANCELLED:
        return errors.TaskCancelled(failure.message or "the task was cancelled")
    if failure.kind is FailureKind.CHILD and failure.cause is not None:
        error = errors.ChildFailure(
            failure.message, failure.workflow_id, failure.run_id
        )
        error.__cause__ = cause_of(failure.cause, values=values)
        return error
    return _restored(failure, values)


def _for_caller(failure: Failure, values: Converter) -> BaseException:
    details = tuple(values.decode(d) for d in failure.details)
    match failure.kind:
        case FailureKind.CANCELLED:
            return errors.RunCancelled(failure.message, *details)
        case FailureKind.TERMINATED:
            return errors.RunTerminated(failure.message, *details)
        case FailureKind.TIMED_OUT:
            return errors.RunTimedOut(failure.message, failure.timeout)
    original = _load(failure, values)
    if isinstance(original, errors.EveractError) and not isinstance(
        original, errors.ApplicationError
    ):
        found: BaseException = original
    else:
        found = _of_library(failure) or errors.ApplicationError(
            failure.message,
            *details,
            type=failure.type,
            non_retryable=failure.non_retryable,
            retry_after=failure.retry_after,
            traceback=failure.traceback,
            original=original,
        )
    if failure.cause is not None:
        found.__cause__ = cause_of(failure.cause, values=values)
    return found


def _of_library(failure: Failure) -> BaseException | None:
    """An error of this library that came without itself, as those over HTTP do."""
    if failure.value is not None or failure.type not in errors.__all__:
        return None
    kind: Any = getattr(errors, failure.type)
    if issubclass(kind, errors.ApplicationError):
        return None
    more: tuple[Any, ...] = ()
    if failure.timeout is not failures.TimeoutKind.NONE:
        more = (failure.timeout,)
    elif issubclass(kind, errors.ChildFailure):
        more = (failure.workflow_id, failure.run_id)
    try:
        found: BaseException = kind(failure.message, *more)
    except Exception:  # made from more than its message
        return None
    return found if str(found) == failure.message else None


def child_failure(
    failure: Failure, name: str, workflow_id: str, run_id: str
) -> Failure:
    """What the parent of a child run that ended with `failure` is shown.

    `run_id` is that of the run that ended: of a chain its last.
    """
    return Failure(
        FailureKind.CHILD,
        "ChildFailure",
        f"child run {workflow_id!r} of {name!r} ended: "
        f"{failure.type}: {failure.message}",
        status=failure.status,
        cause=failure,
        workflow_id=workflow_id,
        run_id=run_id,
    )


def task_timed_out(kind: failures.TimeoutKind, name: str, limit: float) -> Failure:
    """The failure of a task attempt that exceeded the limit `kind`."""
    what = {
        failures.TimeoutKind.ATTEMPT: "ran longer than its timeout of",
        failures.TimeoutKind.HEARTBEAT: "sent no heartbeat for",
        failures.TimeoutKind.QUEUE: "waited for a slot longer than",
    }[kind]
    return failures.timed_out(kind, f"task {name!r} {what} {limit:g} s")


def type_name_of(error: BaseException) -> str:
    """The qualified class name of `error`, without the module."""
    return type(error).__qualname__


def _restored(failure: Failure, values: Converter) -> BaseException:
    original = _load(failure, values)
    if original is None:
        known = getattr(builtins, failure.type, None)
        if isinstance(known, type) and issubclass(known, Exception):
            try:
                original = known(failure.message)
            except Exception:
                original = None
    if original is None:
        original = errors.ApplicationError(
            failure.message,
            *(values.decode(d) for d in failure.details),
            type=failure.type,
            non_retryable=failure.non_retryable,
            traceback=failure.traceback,
        )
    if failure.cause is not None and original.__cause__ is None:
        original.__cause__ = _restored(failure.cause, values)
    if failure.traceback:
        original.add_note("raised in a task:\n" + failure.traceback.rstrip())
    return original


def _load(failure: Failure, values: Converter) -> BaseException | None:
    if failure.value is None:
        return None
    try:
        found = PickleConverter().decode(unwrapped(values, failure.value))
    except Exception:
        return None
    if not isinstance(found, BaseException) or isinstance(found, _NEVER_RAISED):
        return None
    return found


def detail_of(value: Any, values: Converter) -> bytes:
    """A detail of an error as a payload; one that cannot be stored must not hide it."""
    try:
        return values.encode(value, "a detail of the error")
    except Exception:
        return values.encode(f"<{type(value).__name__} that cannot be stored>", "")


def _carried(error: BaseException, values: Converter) -> bytes | None:
    wrap = getattr(values, "wrap", None)
    try:
        payload = b"c" + by_value(error)
        PickleConverter().decode(payload)
        if len(payload) > 1 << 20:
            return None
        carried: bytes = wrap(payload, "the error") if wrap else payload
    except Exception:
        return None
    return carried


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(
            traceback.format_exception(
                type(error), error, error.__traceback__, chain=False
            )
        )
    except Exception:
        return ""
    text = _storable(text)
    return text if len(text) <= _TRACEBACK else "…" + text[-_TRACEBACK:]


def _text(error: BaseException) -> str:
    try:
        return _storable(str(error))
    except Exception:
        return f"<{type(error).__name__} whose text cannot be made>"


def _storable(text: str) -> str:
    """Text as UTF-8 can hold it: file names may come with lone surrogates."""
    return text.encode(errors="backslashreplace").decode()


def _retry_after(given: Any) -> float | None:
    try:
        return None if given is None else seconds(given, what="retry_after")
    except (ValueError, TypeError):
        return None
