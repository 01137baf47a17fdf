"""What a task's function is told of its attempt, and may ask of it; see `context()`."""

import asyncio
from collections.abc import Callable
from typing import Any

from everact.actors import Actor
from everact.runtime.core.admission import Poll
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.records import RunRenamed, RunTask, Started
from everact.runtime.definitions.context import EndpointAccess
from everact.runtime.engine.execution import outside
from everact.runtime.engine.execution.limits import Limits
from everact.runtime.engine.host import Run
from everact.runtime.engine.workers import Worker


class AttemptFacts(Actor):
    """An attempt, as its function knows it. All methods may be called in any thread."""

    __slots__ = ("command", "run", "worker")

    run: Run
    command: RunTask
    worker: Worker | Poll | None
    """Who has room for it: it stands in line without one."""

    # Most attempts need nothing else, so the rest is in an instance only where it is
    # different from here.
    number = 1
    dispatch = 0
    """What tells a dispatch to a worker elsewhere from others of this attempt."""
    cancelled = False
    settled = False
    _limits: Limits | None = None

    @property
    def started(self) -> Started:
        return self.run.state.start

    @property
    def task_id(self) -> str:
        state = self.run.state
        return f"{state.start.run_id}/{state.generation}/{self.command.call}"

    @property
    def token(self) -> bytes:
        call = self.command.call
        return outside.token_of(self.run, call, self.number, self.dispatch)

    @property
    def worker_name(self) -> str:
        """The worker in whose slot the attempt runs."""
        return self.worker.name if self.worker else ""

    @property
    def endpoint(self) -> EndpointAccess | None:
        offered = self.run.engine.endpoint
        return None if offered is None else offered(self.run.row.workspace)

    @property
    def priority(self) -> int | None:
        return self.run.row.priority or None

    def rename_run(self, name: str) -> None:
        def rename() -> None:
            if not self.settled:
                self.run.post(RunRenamed(name))

        self._on_loop(rename)

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        encode = self.run.engine.values.encode
        stored = tuple(
            encode(d, f"detail {n} of a heartbeat") for n, d in enumerate(details, 1)
        )
        self._on_loop(lambda: self.limits().beat(stored))

    def extend(self, increment: float) -> None:
        self._on_loop(lambda: self.limits().extend(increment))

    def last_details(self) -> tuple[Any, ...]:
        return tuple(map(self.run.engine.values.decode, self.details))

    @property
    def details(self) -> tuple[bytes, ...]:
        """The same, as they are stored."""
        found = self.run.state.calls.tried(self.command.call)
        return found.details if found else ()

    @property
    def silent_for(self) -> float:
        """Seconds since it began, or was heard of."""
        return self.limits().silent_for

    def exceeded(self, kind: TimeoutKind, limit: float) -> None:
        """A limit is over: the attempt has failed, whatever its function does."""
        raise NotImplementedError

    def limits(self) -> Limits:
        """The limits of this attempt, made on first need."""
        if self._limits is None:
            self._limits = Limits(self)
        return self._limits

    def _on_loop(self, function: Callable[[], None]) -> None:
        loop = self.run.engine.loop
        if asyncio._get_running_loop() is loop:
            function()
        else:
            try:
                loop.call_soon_threadsafe(function)
            except RuntimeError:  # the engine is gone; the attempt will be lost
                return
