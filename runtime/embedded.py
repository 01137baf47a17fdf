"""`Runtime`: engine, workers and client in one process, on one database."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

from everact.actors import Actor, ActorRef, ActorSystem, Clock, SystemClock
from everact.runtime.client.client import Client
from everact.runtime.client.interceptors import ClientInterceptor
from everact.runtime.client.transport import InProcess, Transport, Usual
from everact.runtime.core.bounds import whole
from everact.runtime.core.durations import Duration, optional_seconds, seconds
from everact.runtime.core.keywords import suggesting
from everact.runtime.definitions import active
from everact.runtime.definitions.interceptors import WorkerInterceptor
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.tasks import Task
from everact.runtime.engine.engine import Engine
from everact.runtime.engine.parts.versions import SCANNED
from everact.runtime.engine.resting import IDLE_BYTES, IDLE_RUNS
from everact.runtime.engine.settings import EngineSettings
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import RuntimeStateError, StoreInUse
from everact.runtime.operations import runs
from everact.runtime.store.base import Store
from everact.runtime.store.sqlite.store import SqliteStore
from everact.runtime.values.converter import DataConverter

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A", bound=Actor)

DEFAULT_FILE = "everact.db"
MEMORY = ":memory:"
LOCK_POLL = 0.05
"""Seconds between two looks whether another process let go of the file."""


@suggesting
class Runtime(Client):
    """Durable workflows on one SQLite file; also the client of its runs.

    Use it as ``async with Runtime("file.db") as runtime:``; `RuntimeThread` is the
    form for programs without a loop. Without a path the file is ``everact.db`` in
    the working directory; ``":memory:"`` keeps nothing after the end.

    `workers` serve queues (default: one for the queue "default"; an empty list serves
    none). `grace` is how long attempts may take to finish when the runtime closes.
    `wait_for_lock` is how long to wait for another process to let go of the file.
    `retention` is how long closed runs are kept (None: for ever). `idle_runs` is how
    many waiting runs stay in memory, and `idle_bytes` how much they may take there,
    their journals counted with them. `tune_gc` lets the garbage collector run less
    often while the runtime is open (see `engine.garbage`). `declare_search_attributes`
    declares the keys of search attributes by their first use. `reachability_queues` is
    how many queues one question about the reachability of builds looks at when it names
    none. `clock`, `store` and `generator` are for tests.
    """

    _forgets = True
    """Whether request IDs go after a day also where closed runs are kept for ever."""

    _recovers = True
    """Whether it goes on with the runs that it finds."""

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_FILE,
        *,
        workers: Iterable[Worker] | None = None,
        registry: Registry | None = None,
        namespace: str = "default",
        data_converter: DataConverter | None = None,
        identity: str = "",
        default_query_reject_condition: str = runs.REJECT_NONE,
        interceptors: Sequence[ClientInterceptor | WorkerInterceptor] = (),
        grace: Duration = 10.0,
        wait_for_lock: Duration = 0.0,
        retention: Duration | None = "30d",
        idle_runs: int = IDLE_RUNS,
        idle_bytes: int = IDLE_BYTES,
        tune_gc: bool = True,
        declare_search_attributes: bool = False,
        reachability_queues: int = SCANNED,
        clock: Clock | None = None,
        store: Store | None = None,
        generator: random.Random | None = None,
    ) -> None:
        super().__init__(
            None,
            namespace=namespace,
            data_converter=data_converter,
            identity=identity,
            default_query_reject_condition=default_query_reject_condition,
            interceptors=interceptors,
        )
        self._grace = seconds(grace, what="grace")
        self._wait_for_lock = seconds(wait_for_lock, what="wait_for_lock")
        self._settings = EngineSettings(
            clock=clock or SystemClock(),
            registry=registry or default_registry(),
            workers=(Worker(),) if workers is None else tuple(workers),
            values=self.data_converter,
            interceptors=tuple(self.interceptors),
            generator=generator,
            idle_runs=whole(idle_runs, "idle_runs"),
            idle_bytes=whole(idle_bytes, "idle_bytes", most=2**63),
            retention=optional_seconds(retention, what="retention"),
            tune_gc=tune_gc,
            reachability_queues=whole(reachability_queues, "reachability_queues", 1),
            declare_search_attributes=declare_search_attributes,
            forgets=self._forgets,
            recovers=self._recovers,
        )
        self._store = store or SqliteStore(path)
        self._engine: Engine | None = None
        self._leave: Callable[[], None] | None = None

    @property
    def transport(self) -> Transport:
        if self._transport is None:
            raise RuntimeStateError(
                "the runtime is not running: use it inside `async with`"
                if self._engine is None
                else "the runtime is closed"
            )
        return self._transport

    @property
    def engine(self) -> Engine:
        """The engine; RuntimeStateError while the runtime is not running."""
        if self._engine is None:
            raise RuntimeStateError("the runtime is not running")
        return self._engine

    @property
    def database_file(self) -> Path | None:
        """Where the database is; None if it is not a file of this machine."""
        path = self._store.path if isinstance(self._store, SqliteStore) else MEMORY
        return None if path == MEMORY else Path(path)

    @property
    def actors(self) -> ActorSystem:
        """The actor system that hosts the runs; `spawn` adds actors of your own."""
        return self.engine.system

    def spawn(self, cls: type[A], *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor beside the runs; it stops with the runtime."""
        return self.actors.spawn(cls, *args, **kwargs)

    async def __aenter__(self) -> Self:
        if self._engine is not None:
            raise RuntimeStateError("a runtime runs once; make another one")
        engine = self._make_engine()
        await self._open(engine)
        self._engine = engine
        usual = Usual(self.data_converter, self.interceptors)
        self._transport = self._way(InProcess(engine, usual))
        self._leave = active.enter(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _make_engine(self) -> Engine:
        return Engine(self._store, self._settings)

    async def _open(self, engine: Engine) -> None:
        """Open the store, waiting for its lock without blocking the loop.

        The time is the machine's, whatever the clock: it is another process's.
        """
        deadline = time.monotonic() + self._wait_for_lock
        while True:
            try:
                await engine.open()
            except StoreInUse:
                if time.monotonic() >= deadline:
                    raise
            else:
                return
            await asyncio.to_thread(time.sleep, LOCK_POLL)

    async def close(self) -> None:
        """Take no more work, let attempts finish for the grace time, and close.

        Nothing is lost: what is open goes on when the database is opened again.
        Closing twice is harmless.
        """
        if self._leave is not None:
            self._leave()
            self._leave = None
            try:
                await self.engine.close(self._grace)
            finally:
                await self.transport.close()
                self._transport = None

    def add_worker(self, worker: Worker) -> None:
        """Let another worker serve its queues from now on."""
        self.engine.add_worker(worker)

    async def call(
        self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a task as a run of its own and return its value, or raise its error."""
        handle = await self.start(task, args=args, kwargs=kwargs)
        return await handle.value()

    def blocking(self, function: Callable[[], Awaitable[R]]) -> R:
        """Run what `function` makes on the runtime's loop, from another thread."""
        if asyncio._get_running_loop() is not None:
            raise RuntimeStateError("a blocking call would block a running loop")
        loop = self.engine.loop
        return asyncio.run_coroutine_threadsafe(_awaited(function()), loop).result()


async def _awaited(awaitable: Awaitable[R]) -> R:
    return await awaitable
