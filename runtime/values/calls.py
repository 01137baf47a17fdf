"""Calls and errors as plain values: what travels between registries of functions."""

from asyncio import _get_running_loop
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Self

from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.statuses import Status
from everact.runtime.errors import ApplicationError
from everact.runtime.isolation import text_of
from everact.runtime.values import outcomes
from everact.runtime.values.payloads import PickleConverter, checked_text
from everact.runtime.values.status_of import status_of

_LIBRARY = "everact.runtime.errors"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a call; a call's `input` when it was built from a function."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A description of a call: a function's name and its input, nothing sent yet.

    `input` is one value, or `Arguments`; `endpoint` names where the function lives
    (None: this runtime); `correlation_id` is handed back with the result.
    """

    function: str
    input: Any = None
    endpoint: str | None = None
    correlation_id: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.function, str) or not self.function:
            raise ValueError("a call needs the name of a function")
        checked_text(self.function, "the name of a function")

    def __await__(self) -> Generator[Any, Any, Any]:
        """Make the call, inside a run: its value, or its error."""
        loop: Any = _get_running_loop()
        if not hasattr(loop, "call_described"):
            raise RuntimeError(
                f"a call of {self.function} is awaited inside a workflow only; "
                "`dispatch` starts it as a run of its own"
            )
        made: Coroutine[Any, Any, Any] = loop.call_described(self)
        return made.__await__()

    def arguments(self) -> Arguments:
        """The positional and keyword arguments that the function is called with."""
        if isinstance(self.input, Arguments):
            return self.input
        return Arguments(() if self.input is None else (self.input,))


@dataclass(frozen=True, slots=True)
class Error:
    """An error as a value (not an exception): status, human type, message.

    `value` is the exception, `traceback` its text as bytes, filled from the value if
    absent. Raises ValueError for a missing type or message, or for status OK.
    """

    status: Status
    type: str
    message: str
    value: BaseException | None = None
    traceback: bytes | None = None

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("an error needs a type")
        if not self.message:
            raise ValueError("an error needs a message")
        if self.status is Status.OK:
            raise ValueError("an error cannot have the status OK")
        if self.traceback is None and self.value is not None:
            text = outcomes._traceback(self.value).encode()
            object.__setattr__(self, "traceback", text)

    @classmethod
    def from_exception(cls, ex: BaseException, status: Status | None = None) -> Self:
        """Describe `ex`; its status is inferred (`status_of`) unless given."""
        if not isinstance(ex, BaseException):
            raise TypeError(f"an exception is needed, not {ex!r}")
        kind = outcomes.type_name_of(ex)
        given = status_of(ex) if status is None else status
        return cls(given, kind, text_of(ex) or kind, ex)

    def to_exception(self) -> BaseException:
        """The exception: the original, else one of a known type, else RuntimeError."""
        error = self._remade() if self.value is None else self.value
        if self.traceback and error.__traceback__ is None:
            text = self.traceback.decode(errors="replace").rstrip()
            if text and text not in getattr(error, "__notes__", ()):
                error.add_note(text)
        return error

    def _remade(self) -> BaseException:
        failure = Failure(FailureKind.APPLICATION, self.type, self.message)
        found = outcomes._restored(failure, PickleConverter())
        known = type(found).__qualname__ == self.type
        return found if known else RuntimeError(self.message)


def original_of(failure: ApplicationError) -> BaseException:
    """What a failure was recorded of, as `Error.to_exception` makes it."""
    if failure.original is None and failure.type == type(failure).__qualname__:
        return failure
    told = Error(
        Status.UNSPECIFIED,
        failure.type,
        failure.message or failure.type,
        failure.original,
        failure.traceback.encode(),
    )
    return told.to_exception()
