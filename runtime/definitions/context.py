"""What a task attempt knows of itself, and what it may tell the engine."""

from collections.abc import Coroutine
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

import msgspec

from everact.runtime.core.durations import Duration, seconds
from everact.runtime.core.records import NO_EXTRAS, Extras, RunTask, Started
from everact.runtime.definitions.control import CompleteElsewhere
from everact.runtime.definitions.durable import durable_loop

if TYPE_CHECKING:
    from everact.runtime.definitions.waits import AnyOf, Condition


def decoded(stored: bytes) -> dict[str, Any]:
    """A JSON object as it is stored with a start; empty for none."""
    found: dict[str, Any] = msgspec.json.decode(stored or b"{}")
    return found


class EndpointAccess(NamedTuple):
    """How a task reaches the control endpoint of its own engine."""

    url: str
    token: str


class Attempt(Protocol):
    """The engine's side of an attempt; every method may be called from any thread."""

    cancelled: bool
    number: int

    @property
    def command(self) -> RunTask:
        """What the workflow asked for."""

    @property
    def started(self) -> Started:
        """The start of the run that the attempt belongs to."""

    @property
    def task_id(self) -> str:
        """The same in all attempts of the task."""

    @property
    def token(self) -> bytes:
        """What names this attempt to whoever completes it from outside."""

    @property
    def endpoint(self) -> EndpointAccess | None:
        """How this engine's control endpoint is reached; None while it has none."""

    @property
    def priority(self) -> int | None:
        """The priority of the run."""

    def rename_run(self, name: str) -> None:
        """Give the run another display name."""

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """Note a sign of life."""

    def extend(self, increment: float) -> None:
        """Move the deadline of this attempt by seconds."""

    def last_details(self) -> tuple[Any, ...]:
        """The details that the last heartbeat of an earlier attempt left."""


current_attempt: ContextVar[Attempt | None] = ContextVar(
    "everact_attempt", default=None
)


class TaskContext:
    """The current attempt, as its code sees it.

    Valid for that attempt only; may be used from threads that the task starts. A
    task gets it as the parameter that it annotates with this class, or by calling
    `context()`.
    """

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def _extras(self) -> Extras:
        return self._attempt.started.options.extras or NO_EXTRAS

    @property
    def task_id(self) -> str:
        """The identifier of this task, the same in all its attempts."""
        return self._attempt.task_id

    @property
    def task_token(self) -> bytes:
        """What names this attempt to whoever completes it; see `complete_elsewhere`.

        Opaque, authenticated, and good for as long as the attempt is the current one,
        across restarts of the engine.
        """
        return self._attempt.token

    @property
    def task_name(self) -> str:
        """The registered name of this task."""
        return self._attempt.command.name

    @property
    def workflow_id(self) -> str:
        """The workflow ID of the run that this task belongs to."""
        return self._attempt.started.workflow_id

    @property
    def run_id(self) -> str:
        """The run that this task belongs to."""
        return self._attempt.started.run_id

    @property
    def parent_run_id(self) -> str | None:
        """The run that started this task's run as a child, or None."""
        parent = self._attempt.started.parent
        return parent.run_id if parent else None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the run was started with; a copy."""
        return decoded(self._attempt.started.options.parameters)

    @property
    def run_context(self) -> dict[str, Any]:
        """The context that the run was started with; a copy."""
        return decoded(self._attempt.started.options.context)

    @property
    def headers(self) -> dict[str, str]:
        """What interceptors in the workflow sent along with this task; a copy."""
        return dict(self._attempt.command.headers or {})

    @property
    def triggered_by_event(self) -> bool:
        """Whether a user event started the run that this task belongs to.

        Not of a child of such a run: its parent started it.
        """
        return self._extras.event_id != ""

    @property
    def additional_metadata(self) -> dict[str, Any] | None:
        """The metadata that the run was sent with, its parents' under its own; a
        copy. None if none was sent.
        """
        metadata = self._extras.metadata
        return decoded(metadata) if metadata else None

    @property
    def priority(self) -> int | None:
        """The priority of the run, 1 to 3; None if it has none."""
        return self._attempt.priority

    @property
    def attempt_number(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt.number

    @property
    def retry_count(self) -> int:
        """How often the task was retried so far: one less than the attempt number."""
        return self._attempt.number - 1

    @property
    def cancelled(self) -> bool:
        """Whether this attempt was told to stop: cheap, for tight loops and threads."""
        return self._attempt.cancelled

    def done(self) -> bool:
        """The same as `cancelled`, as a method."""
        return self._attempt.cancelled

    def heartbeat(self, *details: Any) -> None:
        """Tell the engine that the attempt lives, with details for a later attempt.

        Details are recorded soon after, not when this returns; of several in quick
        succession the last one counts. Raises ValueNotStorable for details that do
        not pickle.
        """
        self._attempt.heartbeat(details)

    @property
    def heartbeat_details(self) -> tuple[Any, ...]:
        """The details of the last heartbeat that an earlier attempt recorded."""
        return self._attempt.last_details()

    def refresh_timeout(self, increment_by: Duration) -> None:
        """Add to the deadline of this attempt only; repeatable.

        Raises ValueError for a malformed or non-positive amount. Without a timeout
        there is nothing to extend, and nothing happens.
        """
        increment = seconds(increment_by, what="increment_by")
        if increment == 0:
            raise ValueError("increment_by must be positive")
        self._attempt.extend(increment)

    def complete_elsewhere(self) -> NoReturn:
        """End the function, and leave the attempt open for another to complete.

        Whoever has the task's token or IDs completes it with `Client.task_handle`.
        The slot is free; the attempt's timeouts go on, also while no engine runs.
        Never returns: it raises what no ``except Exception`` catches. Only once the
        function has ended is the hand-over recorded, so that until then a crash of
        the engine runs it again.
        """
        raise CompleteElsewhere

    def wait_for(
        self, signal_key: str, /, *conditions: "Condition | AnyOf"
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """`everact.runtime.wait_for`, where waits are durable; ValueError elsewhere.

        An ordinary task is such an elsewhere: it would hold its slot all the while.
        """
        from everact.runtime.definitions.waits import wait_for

        _require_waits("wait_for")
        return wait_for(signal_key, *conditions)

    def sleep_for(self, duration: Duration) -> Coroutine[Any, Any, timedelta]:
        """`everact.runtime.sleep`, where sleeps are durable; ValueError elsewhere."""
        from everact.runtime.definitions.author import sleep

        _require_waits("sleep_for")
        return sleep(duration)


def _require_waits(what: str) -> None:
    if durable_loop() is None:
        raise ValueError(
            f"{what} is for durable code, and an ordinary task is none: wait in the "
            "workflow, and call the task when the wait is over"
        )


def context() -> TaskContext:
    """The context of the attempt that runs here; RuntimeError outside of a task."""
    attempt = current_attempt.get()
    if attempt is None:
        raise RuntimeError("context() works inside a task only")
    return TaskContext(attempt)


def task_identifier() -> str | None:
    """The identifier of the task executing now, or None outside a task."""
    attempt = current_attempt.get()
    return None if attempt is None else attempt.task_id
