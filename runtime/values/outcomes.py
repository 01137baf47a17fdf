"""Exceptions into recorded failures, and back.

A failure keeps type name, message, details, traceback text and the whole cause
chain as data; the exception itself travels beside them if it pickles. Coming back,
a workflow gets the original exception (so that ``except ValueError`` works), and a
caller gets an `ApplicationError` that names it.
"""

import builtins
import traceback
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from everact.runtime import errors
from everact.runtime.core import failures
from everact.runtime.core.durations import seconds
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.statuses import Status
from everact.runtime.errors import ValueNotReadable
from everact.runtime.isolation import (
    cause_in,
    chain_to,
    class_name,
    contained,
    is_a,
    read,
    text_of,
)
from everact.runtime.values.payloads import (
    Converter,
    PickleConverter,
    by_value,
    unwrapped,
)
from everact.runtime.values.status_of import status_of

_NEVER_RAISED = (
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    CancelledError,
    StopIteration,
)
"""What would end more than the call, be taken for a cancellation, or can be in no
future, if a task's error of that class were raised again: an `ApplicationError` names
it instead."""

_ENDING = (KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration)

_add_note = BaseException.add_note
_DEEPEST = 20
_CARRIED = 1 << 20
"""Bytes of an exception itself that travel with its failure."""
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
    """`FailureConverter.to_failure` of the converter in use; it always gives one."""
    converter = _failures(values)
    try:
        made = converter.to_failure(error, values, status)
    except BaseException as raised:
        contained(raised)
    else:
        if type(converter) is FailureConverter or _fits(made):
            return made
    return _recorded(error, values, status, 0)


def exception_of(failure: Failure, *, values: Converter) -> BaseException:
    """`FailureConverter.to_exception` of the converter in use."""
    return _made(_failures(values).to_exception, _for_workflow, failure, values)


def cause_of(failure: Failure, *, values: Converter) -> BaseException:
    """`FailureConverter.to_cause` of the converter in use."""
    return _made(_failures(values).to_cause, _for_caller, failure, values)


def _made(
    make: Callable[[Failure, Converter], BaseException],
    otherwise: Callable[[Failure, Converter], BaseException],
    failure: Failure,
    values: Converter,
) -> BaseException:
    """What an application's converter makes; what ours does, if it goes astray."""
    try:
        made = make(failure, values)
    except BaseException as raised:
        if is_a(contained(raised), ValueNotReadable):
            raise  # of a detail, which might be read elsewhere
        return otherwise(failure, values)
    fits = is_a(made, BaseException) and not is_a(made, _ENDING)
    return made if fits else otherwise(failure, values)


def _fits(made: object) -> bool:
    """Whether what an application's converter made can be recorded, and read again."""
    return read(lambda: _decode_failure(_encode_failure(made)) == made, False)


_encode_failure = msgspec.msgpack.Encoder().encode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode


def _failures(values: Converter) -> FailureConverter:
    found: FailureConverter = getattr(values, "failures", _DEFAULT)
    return found


def _recorded(
    error: BaseException, values: Converter, status: Status | None, depth: int
) -> Failure:
    details: tuple[bytes, ...] = ()
    non_retryable, type_name, message = False, class_name(error), text_of(error)
    if is_a(error, errors.ApplicationError):
        given: Any = error
        told: tuple[Any, ...] = read(lambda: tuple(given.details), ())
        details = tuple(detail_of(d, values) for d in told)
        non_retryable = read(lambda: bool(given.non_retryable), False)
        message = text_of(read(lambda: given.message, message))
        chosen = text_of(read(lambda: given.type, type_name))
        if chosen != "ApplicationError":
            type_name = chosen
    cause = cause_in(error)
    return Failure(
        FailureKind.APPLICATION,
        type_name,
        message,
        status=_status(error) if status is None else status,
        non_retryable=non_retryable,
        retry_after=read(lambda: _retry_after(error), None),
        timeout=read(lambda: _limit(error), failures.TimeoutKind.NONE),
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
    if not is_a(error, errors.ChildFailure):
        return {}
    about: Any = error
    return read(
        lambda: {"workflow_id": str(about.workflow_id), "run_id": str(about.run_id)}, {}
    )


def _for_workflow(failure: Failure, values: Converter) -> BaseException:
    if failure.kind is FailureKind.TIMED_OUT:
        late = errors.TaskTimeout(failure.message, failure.timeout)
        if failure.cause is not None:
            chain_to(late, cause_of(failure.cause, values=values))
        return late
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
    if (
        original is not None
        and is_a(original, errors.EveractError)
        and not is_a(original, errors.ApplicationError)
    ):
        found = original
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
        chain_to(found, cause_of(failure.cause, values=values))
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
    return found if text_of(found) == failure.message else None


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


def task_timed_out(
    kind: failures.TimeoutKind, name: str, limit: float, cause: Failure | None = None
) -> Failure:
    """The failure of a task that exceeded the limit `kind` of its attempt, or of all.

    No attempt follows one that found no slot, nor the end of a task's total time, whose
    `cause` is the failure of its last attempt, if one failed.
    """
    what = {
        failures.TimeoutKind.ATTEMPT: "ran longer than its timeout of",
        failures.TimeoutKind.HEARTBEAT: "sent no heartbeat for",
        failures.TimeoutKind.QUEUE: "waited for a slot longer than",
        failures.TimeoutKind.TOTAL: "did not end within its total timeout of",
    }[kind]
    final = kind in (failures.TimeoutKind.QUEUE, failures.TimeoutKind.TOTAL)
    failure = failures.timed_out(kind, f"task {name!r} {what} {limit:g} s")
    return replace(failure, non_retryable=final, cause=cause)


def type_name_of(error: BaseException) -> str:
    """The qualified class name of `error`, without the module."""
    return class_name(error)


def _restored(failure: Failure, values: Converter) -> BaseException:
    original = _load(failure, values)
    if original is None:
        known = getattr(builtins, failure.type, None)
        if isinstance(known, type) and issubclass(known, Exception):
            original = read(lambda: known(failure.message), None)
    if original is None:
        original = errors.ApplicationError(
            failure.message,
            *(values.decode(d) for d in failure.details),
            type=failure.type,
            non_retryable=failure.non_retryable,
            traceback=failure.traceback,
        )
    cause, note = failure.cause, failure.traceback.rstrip()
    if cause is not None and cause_in(original) is None:
        chain_to(original, _restored(cause, values))
    if note:
        read(lambda: _add_note(original, "raised in a task:\n" + note), None)
    return original


def _load(failure: Failure, values: Converter) -> BaseException | None:
    if failure.value is None:
        return None
    try:
        found = PickleConverter().decode(unwrapped(values, failure.value))
    except BaseException as error:
        contained(error)
        return None
    if not is_a(found, BaseException) or is_a(found, _NEVER_RAISED):
        return None
    loaded: BaseException = found
    return loaded


def detail_of(value: Any, values: Converter) -> bytes:
    """A detail of an error as a payload; one that cannot be stored must not hide it."""
    try:
        return values.encode(value, "a detail of the error")
    except BaseException as error:
        contained(error)
        return values.encode(f"<{class_name(value)} that cannot be stored>", "")


def _carried(error: BaseException, values: Converter) -> bytes | None:
    wrap = getattr(values, "wrap", None)
    try:
        payload = b"c" + by_value(error, _CARRIED)
        PickleConverter().decode(payload)
        carried: bytes = wrap(payload, "the error") if wrap else payload
    except BaseException as raised:
        contained(raised)
        return None
    return carried


def _traceback(error: BaseException) -> str:
    def formatted() -> str:
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, chain=False
        )
        return "".join(lines).encode(errors="backslashreplace").decode()

    text = read(formatted, "") or read(lambda: _frames(error), "")
    return text if len(text) <= _TRACEBACK else "…" + text[-_TRACEBACK:]


def _frames(error: BaseException) -> str:
    """Where it was raised, for an error that cannot be shown itself."""
    lines = traceback.format_tb(error.__traceback__)
    return "".join([*lines, class_name(error), "\n"])


def _status(error: BaseException) -> Status:
    return read(lambda: status_of(error), Status.TEMPORARY_ERROR)


def _limit(error: BaseException) -> failures.TimeoutKind:
    found = getattr(error, "kind", None)
    none = failures.TimeoutKind.NONE
    return found if type(found) is failures.TimeoutKind else none


def _retry_after(error: BaseException) -> float | None:
    given = getattr(error, "retry_after", None)
    return None if given is None else seconds(given, what="retry_after")
