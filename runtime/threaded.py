"""`RuntimeThread`: a runtime on a thread of its own, for programs without a loop."""

import os
import random
from collections.abc import Iterable, Sequence
from typing import Self, TypedDict, Unpack

from everact.actors import Clock
from everact.runtime.client.blocking import BlockingClient
from everact.runtime.client.interceptors import ClientInterceptor
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.core.durations import Duration
from everact.runtime.core.keywords import closed
from everact.runtime.definitions.interceptors import WorkerInterceptor
from everact.runtime.definitions.registry import Registry
from everact.runtime.embedded import DEFAULT_FILE, Runtime
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import RuntimeStateError
from everact.runtime.store.base import Store
from everact.runtime.values.converter import DataConverter


class Hosting(TypedDict, total=False):
    """The keyword options of `Runtime`."""

    workers: Iterable[Worker] | None
    registry: Registry | None
    namespace: str
    data_converter: DataConverter | None
    identity: str
    default_query_reject_condition: str
    interceptors: Sequence[ClientInterceptor | WorkerInterceptor]
    grace: Duration
    wait_for_lock: Duration
    retention: Duration | None
    idle_runs: int
    idle_bytes: int
    tune_gc: bool
    declare_search_attributes: bool
    reachability_queues: int
    clock: Clock | None
    store: Store | None
    generator: random.Random | None


class RuntimeThread(BlockingClient):
    """The blocking form of `Runtime`, whose parameters these are.

    ``with RuntimeThread("file.db") as runtime:`` gives an object whose methods block
    until the answer is there; any thread may call them that runs no loop. A thread
    that is interrupted while it waits for an answer stops waiting for it; a start
    that was cut off has made its run whole or not at all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_FILE,
        **options: Unpack[Hosting],
    ) -> None:
        closed(options, Hosting.__annotations__, "a runtime")
        runtime = Runtime(path, **options)
        super().__init__(runtime, LoopThread(lambda: runtime))
        self._runtime = runtime
        self._entered = False

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeStateError("a runtime runs once; make another one")
        self._entered = True
        self._loop_thread.start()
        return self

    @property
    def runtime(self) -> Runtime:
        """The runtime behind; all but its `actors` and `spawn` belong on its loop."""
        return self._runtime

    def add_worker(self, worker: Worker) -> None:
        """Let another worker serve its queues from now on."""

        async def add() -> None:
            self._runtime.add_worker(worker)

        self.wait(add())
