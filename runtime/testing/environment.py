"""`Environment`: a runtime for tests, in which nobody waits."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from everact.actors import VirtualClock
from everact.runtime.core.durations import Duration, seconds
from everact.runtime.definitions.registry import default_registry
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import Workflow
from everact.runtime.embedded import MEMORY, Runtime
from everact.runtime.operations.clock import AdvanceClock
from everact.runtime.testing.histories import History, histories_of
from everact.runtime.testing.replacing import Fakes, Replacing
from everact.runtime.testing.replaying import replay
from everact.runtime.testing.skipping import SkippingLoop
from everact.runtime.threaded import Hosting

P = ParamSpec("P")
R = TypeVar("R")

START = datetime(2030, 1, 1, tzinfo=UTC)
"""What the clock of an environment shows at first, unless told otherwise."""


class _Kept(Runtime):
    """A runtime that leaves skipped time alone where nothing else happens."""

    _forgets = False


class Environment:
    """A runtime whose time is skipped whenever there is nothing left to do.

    ``async with testing.Environment() as env:`` on any loop of asyncio's own; `runtime`
    is a `Runtime` with the given options, in memory unless `path` names a file. `at` is
    what its clock shows at first. `fakes` stand for tasks and workflows, see `replace`.
    Closed runs are kept for ever unless `retention` says otherwise.

    The time of the whole loop is skipped, the test's own sleeps included. Tasks in
    threads and async tasks that wait for a socket hold it back; for anything else that
    takes real time there is `hold`.

    At the end every run is replayed under another clock (see `testing.replay`), so that
    a test fails whose workflow code looks at the time or at chance, with
    NonDeterminismError. With `check=False` none is; with `elsewhere` all are replayed
    in another process, where the order of sets is another one as well.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = MEMORY,
        *,
        at: datetime = START,
        fakes: Fakes | None = None,
        check: bool = True,
        elsewhere: bool = False,
        **options: Unpack[Hosting],
    ) -> None:
        if "clock" in options:
            raise TypeError("an environment has a clock of its own: give `at`")
        registry = options.get("registry") or default_registry()
        self._registry = Replacing(registry, fakes)
        self._path = path
        self._options: Hosting = {"retention": None, **options}
        self._options["registry"] = self._registry
        moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        self._at = moment.timestamp()
        self._check = check
        self._elsewhere = elsewhere
        self._open = False
        self._loop: SkippingLoop
        self._clock: VirtualClock
        self.runtime: Runtime

    async def __aenter__(self) -> Self:
        loop = self._loop = SkippingLoop.begin(self._attempts)
        try:
            self._clock = VirtualClock(loop, epoch=self._at - loop.time())
            self._options["clock"] = self._clock
            self.runtime = _Kept(self._path, **self._options)
            await self.runtime.__aenter__()
            self._open = True
        except BaseException:
            loop.end(self._attempts)
            raise
        return self

    async def __aexit__(
        self, kind: object, error: BaseException | None, traceback: object
    ) -> None:
        try:
            self.unlock()
            if error is None and self._check:
                await self._replay_all()
        finally:
            try:
                await self.runtime.close()
            finally:
                self._loop.end(self._attempts)

    async def _replay_all(self) -> None:
        recorded = await self.histories()
        replay(
            [one for one in recorded if self._registry.knows(one.workflow)],
            registry=self._registry,
            data_converter=self.runtime.data_converter,
            elsewhere=self._elsewhere,
        )

    # -- time ----------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What the clock of the environment shows, in UTC."""
        return datetime.fromtimestamp(self._clock.now(), UTC)

    async def advance(self, duration: Duration) -> None:
        """Let time pass, and all happen that is due in it, in order.

        When this returns that is done and durable, and the clock shows exactly the
        end of `duration`.
        """
        skips = not self._loop.locked
        passing = AdvanceClock(seconds=seconds(duration))
        await self.runtime.transport.call(passing)
        if skips:
            self.unlock()

    def lock(self) -> None:
        """Let time stand still from now on, except for `advance`."""
        self._loop.lock()

    def unlock(self) -> None:
        """Let time be skipped again."""
        self._loop.unlock()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let time stand still while something takes real time, as I/O does."""
        self._loop.hold()
        try:
            yield
        finally:
            self._loop.release()

    # -- fakes ---------------------------------------------------------------------

    @overload
    def replace(
        self, replaced: Task[P, R], fake: Callable[P, Coroutine[Any, Any, R]]
    ) -> None: ...
    @overload
    def replace(self, replaced: Task[P, R], fake: Callable[P, R]) -> None: ...
    @overload
    def replace(
        self, replaced: Workflow[P, R], fake: Callable[P, Coroutine[Any, Any, R]]
    ) -> None: ...
    @overload
    def replace(
        self, replaced: type, fake: Callable[..., Coroutine[Any, Any, Any]]
    ) -> None: ...
    def replace(self, replaced: Any, fake: Callable[..., Any]) -> None:
        """Let `fake` be called in place of a task, from its next attempt on.

        Retries and limits are the task's. A mock of `unittest.mock` is a good fake. A
        workflow is replaced by an async function, for the runs that begin from now on.
        """
        self._registry.replace(replaced, fake)

    # -- looking back --------------------------------------------------------------

    async def histories(self) -> list[History]:
        """What all runs of the environment have recorded so far, oldest run first.

        Runs of workflows that are replaced are left out.
        """
        engine = self.runtime.engine
        await engine.commits.idle()
        reads, namespace = engine.store.reads, self.runtime.namespace
        found = await histories_of(reads, engine.seal, namespace)
        return [one for one in found if not self._registry.replaced(one.workflow)]

    def _attempts(self) -> Iterator["asyncio.Task[Any]"]:
        runs = self.runtime.engine.runs if self._open else {}
        for run in runs.values():
            for attempt in run.attempts.values():
                if isinstance(attempt.kept, asyncio.Task):
                    yield attempt.kept
