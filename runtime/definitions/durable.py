"""What author code may ask of the loop that drives it: the port to the program.

Calls made by author code find out where they are by the running loop: on a
`DurableLoop` they are durable, elsewhere they are plain or go to a runtime.
"""

import asyncio
import random
import uuid
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from everact.runtime.core.labels import Labels
from everact.runtime.core.records import Notice
from everact.runtime.definitions.search_attributes import TypedSearchAttributes

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from everact.runtime.definitions.registry import Registry
    from everact.runtime.definitions.tasks import Task
    from everact.runtime.values.calls import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Who the current run is; the same on every replay."""

    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    name: str
    queue: str
    attempt: int
    generation: int
    started_at: datetime
    parent_workflow_id: str | None = None
    parent_run_id: str | None = None
    run_name: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty
    memo: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    additional_metadata: dict[str, Any] | None = None
    event_id: str | None = None
    event_key: str | None = None
    schedule_id: str | None = None
    """The schedule that started the run, or the run that this one continues."""
    nominal_time: datetime | None = None
    """The time of the schedule that it is for, whenever it was started; UTC."""

    @property
    def triggered_by_event(self) -> bool:
        """Whether a user event started the run."""
        return self.event_id is not None


class DurableLoop(asyncio.AbstractEventLoop):
    """A loop whose tasks survive the process."""

    @property
    @abstractmethod
    def info(self) -> RunInfo:
        """The current run."""

    @property
    @abstractmethod
    def replaying(self) -> bool:
        """Whether what the code does now was done before, or only cleans up memory."""

    @property
    @abstractmethod
    def random(self) -> random.Random:
        """A generator seeded by the run: the same numbers on every replay."""

    @abstractmethod
    def wall_time(self) -> float:
        """The run's time, epoch seconds; stands still between activations."""

    @abstractmethod
    def call_task(
        self, task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        """Start a task; its future can be cancelled."""

    @property
    @abstractmethod
    def registry(self) -> "Registry":
        """Where the code of the current run is registered."""

    def call_described(self, call: "Call") -> "Coroutine[Any, Any, Any]":
        """Make a call by its description; see `calling.call`."""
        from everact.runtime.definitions.calling import described

        return described(self, call)

    @abstractmethod
    def start_child(
        self,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
        announce: bool,
    ) -> tuple[str, str, asyncio.Future[Any] | None, asyncio.Future[Any]]:
        """Start a child run: workflow ID, run ID, future of start, of the result."""

    @abstractmethod
    def send(
        self, workflow_id: str, run_id: str, name: str | None, args: tuple[Any, ...]
    ) -> asyncio.Future[None]:
        """Signal another run, or with no name ask it to stop."""

    labels: Labels
    """What has changed since the start of how the current run is found and shown."""

    @abstractmethod
    def label(self, notice: Notice) -> None:
        """Change that."""

    @abstractmethod
    def remember(self, changes: dict[str, Any]) -> None:
        """Set entries of the current run's memo, or take them away."""

    @abstractmethod
    def wait_until(self, predicate: Callable[[], bool]) -> asyncio.Future[None]:
        """A future that is done as soon as `predicate()` holds after a turn."""

    @abstractmethod
    def receive(self, name: str) -> asyncio.Future[Any]:
        """The next unread signal of that name that no handler took."""

    @abstractmethod
    def handle(
        self,
        kind: str,
        name: str,
        handler: Callable[..., Any],
        validator: Callable[..., Any] | None = None,
        unfinished: str = "warn_and_abandon",
    ) -> None:
        """Declare a handler (of a "signal", "query" or "update") as the run goes on."""

    @property
    @abstractmethod
    def handlers_finished(self) -> bool:
        """Whether no async handler is running."""

    @abstractmethod
    def await_event(
        self,
        key: str,
        *,
        scope: str | None,
        filter: str,
        since: float | None,
        wait: str,
    ) -> asyncio.Future[Any]:
        """The next user event that fits; see the record `AwaitEvent`."""

    @property
    @abstractmethod
    def named_waits(self) -> dict[str, Any]:
        """The run's durable waits, by what the author calls them."""

    @property
    @abstractmethod
    def last_result(self) -> Any:
        """The result of the last run before that had one; None without."""

    @property
    @abstractmethod
    def last_failure(self) -> BaseException | None:
        """How a run before failed; see `Previous` in `core.records`."""

    @property
    @abstractmethod
    def cancel_reason(self) -> str | None:
        """Why the run was asked to stop; None if it was not."""


def durable_loop() -> DurableLoop | None:
    """The loop of the current run; None outside workflow code."""
    loop = asyncio._get_running_loop()
    return loop if isinstance(loop, DurableLoop) else None


def required_loop(what: str) -> DurableLoop:
    """The loop of the current run; RuntimeError naming `what` outside of one."""
    loop = durable_loop()
    if loop is None:
        raise RuntimeError(f"{what} works inside a workflow only")
    return loop


def new_uuid(generator: random.Random) -> uuid.UUID:
    """A version 4 UUID out of `generator`."""
    return uuid.UUID(int=generator.getrandbits(128), version=4)
