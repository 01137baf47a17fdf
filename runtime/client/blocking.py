"""The blocking form of the client: the same verbs, for programs without a loop.

A `LoopThread` runs what it is handed on a loop in another thread; client and handle
here hand it the coroutines of their asynchronous twins and wait. None of it may be
called where a loop runs: that would block the loop.
"""

import asyncio
import builtins
import concurrent.futures
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from everact.runtime.client.blocking_schedules import BlockingSchedules
from everact.runtime.client.blocking_updates import BlockingUpdate, BlockingUpdates
from everact.runtime.client.client import Client
from everact.runtime.client.events import BlockingEvents
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.listing import Filters, Listing, RunIterator
from everact.runtime.client.rpc import RPC
from everact.runtime.client.search_attributes import SearchAttributeKeys
from everact.runtime.client.starting import UNSET, Starting
from everact.runtime.client.tasks import TaskHandle
from everact.runtime.client.updates import Updating
from everact.runtime.client.versions import VersionsClient
from everact.runtime.client.views import HistoryItem, RunLine, RunView
from everact.runtime.core.durations import Duration, optional_seconds
from everact.runtime.core.versions import BuildIdOp, VersionSets
from everact.runtime.definitions.search_attributes import SearchAttributeKey
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.updates import UpdateMethod
from everact.runtime.definitions.workflows import Workflow
from everact.runtime.errors import RuntimeStateError
from everact.runtime.operations.searching import RunCount
from everact.runtime.operations.versions import EXISTING, Reachability
from everact.runtime.values.calls import Call

if TYPE_CHECKING:
    from everact.runtime.client.connecting import Connecting

R = TypeVar("R")
T = TypeVar("T")


class LoopThread:
    """An event loop on a daemon thread; other threads run coroutines on it and wait.

    `main` is what the loop lives for: it is run with a function that says that the
    loop is ready for others, and when it ends, so does the loop.
    """

    def __init__(
        self,
        main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        what: str = "runtime",
    ) -> None:
        self._main = main
        self._what = what
        self._lock = threading.Lock()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._waiting: set[concurrent.futures.Future[Any]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="everact", daemon=True)

    def start(self) -> None:
        """Start, and wait until the loop is ready; raises what prevented it."""
        refuse_on_loop()
        self._thread.start()
        self._ready.result()

    def join(self) -> None:
        """Wait for the loop's end; raises what `main` ended with, once."""
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def tell(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop soon; nothing happens if the loop has ended."""
        with self._lock:
            if self._waiting is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(callback)

    def wait(
        self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None
    ) -> T:
        """Run `coroutine` on the loop and wait for what it gives.

        It is cancelled when `timeout` seconds are over first (TimeoutError), and when
        the waiting is interrupted. RuntimeStateError if the loop has ended or ends
        meanwhile, or if a loop runs on this thread.
        """
        try:
            future = self._submit(coroutine)
        except BaseException:
            coroutine.close()
            raise
        try:
            return future.result(timeout)
        except concurrent.futures.CancelledError:
            raise RuntimeStateError(f"the {self._what} was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._lock:
                if self._waiting is not None:
                    self._waiting.discard(future)

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items of `items`, each fetched when it is asked for."""

        async def fetch() -> tuple[T] | None:
            async for item in items:
                return (item,)
            return None

        try:
            while (found := self.wait(fetch())) is not None:
                yield found[0]
        finally:
            if isinstance(items, AsyncGenerator):
                with suppress(RuntimeStateError):  # its loop has ended, and so has it
                    self.wait(_closed(items))

    def _submit(
        self, coroutine: Coroutine[Any, Any, T]
    ) -> "concurrent.futures.Future[T]":
        refuse_on_loop()
        with self._lock:
            if self._waiting is None or self._loop is None:
                raise RuntimeStateError(f"the {self._what} is not running")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._waiting.add(future)
            return future

    def _run(self) -> None:
        try:
            asyncio.run(self._host())
        except BaseException as error:
            if self._ready.done():
                self._error = error
            else:
                self._ready.set_exception(error)
        finally:
            with self._lock:
                waiting, self._waiting = self._waiting, None
            for future in waiting or ():
                future.cancel()  # what came too late for the loop to see

    async def _host(self) -> None:
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._waiting = set()
        await self._main(lambda: self._ready.set_result(None))


class BlockingClient:
    """The verbs of `Client`, each of which blocks until its answer is there.

    ``with BlockingClient.connect("host:port") as client:`` is for a program without a
    loop whose engine is elsewhere; `RuntimeThread` for one that has it inside. Any
    thread may use it that runs no loop.
    """

    def __init__(
        self, client: Client, thread: LoopThread, stop: asyncio.Event | None = None
    ) -> None:
        self._client = client
        self._loop_thread = thread
        self._stop = stop or asyncio.Event()

    @classmethod
    def connect(
        cls, target: str | None = None, **options: Unpack["Connecting"]
    ) -> "BlockingClient":
        """The blocking form of `Client.connect`, on a loop in a thread of its own."""
        stop, connected = asyncio.Event(), []

        async def main(ready: Callable[[], None]) -> None:
            async with await Client.connect(target, **options) as client:
                connected.append(client)
                ready()
                await stop.wait()

        thread = LoopThread(main, "client")
        try:
            thread.start()
        except BaseException:
            thread.tell(stop.set)  # an interrupt: do not leave it on
            raise
        return BlockingClient(connected[0], thread, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close as `Client.close` does; no thread and no socket is left."""
        refuse_on_loop()
        self._loop_thread.tell(self._stop.set)
        self._loop_thread.join()

    @property
    def events(self) -> BlockingEvents:
        """User events: push them, look at them."""
        return BlockingEvents(self._client.events, self._loop_thread)

    def config(self) -> dict[str, Any]:
        """The settings of the client behind, as `Client.config` has them."""
        return self._client.config()

    @overload
    def start(
        self,
        workflow: Workflow[..., R] | Task[..., R],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> "BlockingHandle[R]": ...
    @overload
    def start(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> "BlockingHandle[R]": ...
    @overload
    def start(
        self, workflow: str | type, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> "BlockingHandle[Any]": ...
    def start(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> "BlockingHandle[Any]":
        """Start a run; it is durable when this returns. See `Client.start`."""
        started = self.wait(self._client.start(workflow, arg, **options))
        return BlockingHandle(started, self._loop_thread)

    @overload
    def execute(
        self,
        workflow: Workflow[..., R] | Task[..., R],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> R: ...
    @overload
    def execute(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> R: ...
    @overload
    def execute(
        self, workflow: str | type, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> Any: ...
    def execute(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> Any:
        """Start a run and wait for its result; parameters as `Client.start`."""
        return self.wait(self._client.execute(workflow, arg, **options))

    @overload
    def handle(
        self,
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: type[R],
    ) -> "BlockingHandle[R]": ...
    @overload
    def handle(
        self,
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> "BlockingHandle[Any]": ...
    def handle(
        self,
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: type[Any] | None = None,
    ) -> "BlockingHandle[Any]":
        """A handle to an existing run; asks nothing of the engine."""
        handle: RunHandle[Any] = self._client.handle(
            id,
            run_id=run_id,
            first_execution_run_id=first_execution_run_id,
            result_type=Any if result_type is None else result_type,
        )
        return BlockingHandle(handle, self._loop_thread)

    @overload
    def handle_for(
        self,
        workflow: Workflow[..., R] | Task[..., R],
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> "BlockingHandle[R]": ...
    @overload
    def handle_for(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> "BlockingHandle[R]": ...
    @overload
    def handle_for(
        self,
        workflow: type,
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> "BlockingHandle[Any]": ...
    def handle_for(
        self,
        workflow: Any,
        id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> "BlockingHandle[Any]":
        """A handle to an existing run of `workflow`; see `Client.handle_for`."""
        handle: RunHandle[Any] = self._client.handle_for(
            workflow,
            id,
            run_id=run_id,
            first_execution_run_id=first_execution_run_id,
        )
        return BlockingHandle(handle, self._loop_thread)

    def search(
        self, query: str | None = None, **options: Unpack[Listing]
    ) -> "BlockingRuns":
        """The runs that match; makes requests only as it is iterated.

        See `Client.search`.
        """
        return BlockingRuns(self._client.search(query, **options), self._loop_thread)

    list = search

    def count(self, query: str | None = None, **filters: Unpack[Filters]) -> RunCount:
        """How many runs match; see `Client.count`."""
        return self.wait(self._client.count(query, **filters))

    @property
    def search_attributes(self) -> "BlockingSearchAttributeKeys":
        """The keys of search attributes that the namespace declares."""
        return BlockingSearchAttributeKeys(
            self._client.search_attributes, self._loop_thread
        )

    @property
    def versions(self) -> "BlockingVersions":
        """Which builds of author code are compatible, by queue."""
        return BlockingVersions(self._client.versions, self._loop_thread)

    def task_handle(
        self,
        *,
        token: bytes | None = None,
        workflow_id: str | None = None,
        run_id: str | None = None,
        task_id: str | None = None,
    ) -> "BlockingTaskHandle":
        """A handle to a task that is completed from outside; asks nothing."""
        handle = self._client.task_handle(
            token=token, workflow_id=workflow_id, run_id=run_id, task_id=task_id
        )
        return BlockingTaskHandle(handle, self._loop_thread)

    @overload
    def dispatch(self, call: Call, **rpc: Unpack[RPC]) -> str: ...
    @overload
    def dispatch(
        self, call: Iterable[Call], **rpc: Unpack[RPC]
    ) -> builtins.list[str]: ...
    def dispatch(
        self, call: Call | Iterable[Call], **rpc: Unpack[RPC]
    ) -> str | builtins.list[str]:
        """Start a call as a run of its own, or several together; identifiers.

        See `Client.dispatch`.
        """
        if isinstance(call, Call):
            return self.wait(self._client.dispatch(call, **rpc))
        return self.wait(self._client.dispatch(call, **rpc))

    @property
    def schedules(self) -> BlockingSchedules:
        """The schedules of the namespace: to create, find and list them."""
        return BlockingSchedules(self._client.schedules, self._loop_thread)

    @property
    def updates(self) -> BlockingUpdates:
        """Updates that start their run, or find it."""
        return BlockingUpdates(self._client.updates, self._loop_thread)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine on the client's loop and wait for what it gives."""
        return self._loop_thread.wait(coroutine)


class BlockingRuns:
    """A list of runs for programs without a loop; see `RunIterator`."""

    def __init__(self, runs: RunIterator, thread: LoopThread) -> None:
        self._runs = runs
        self._loop_thread = thread

    @property
    def current_page(self) -> Sequence[RunLine] | None:
        """The page that was fetched last; None before the first."""
        return self._runs.current_page

    @property
    def next_page_token(self) -> str | None:
        """What gives the page after the current one; None if there is none."""
        return self._runs.next_page_token

    def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Fetch the page after the current one."""
        self._loop_thread.wait(self._runs.fetch_next_page(page_size=page_size))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RunLine:
        found = self._loop_thread.wait(self._step())
        if found is None:
            raise StopIteration
        return found

    async def _step(self) -> RunLine | None:
        return await anext(self._runs, None)


class BlockingSearchAttributeKeys:
    """Declared keys, for programs without a loop; see `SearchAttributeKeys`."""

    def __init__(self, keys: SearchAttributeKeys, thread: LoopThread) -> None:
        self._keys = keys
        self._loop_thread = thread

    def list(self, **rpc: Unpack[RPC]) -> "list[SearchAttributeKey[Any]]":
        """The declared keys, by name."""
        return self._loop_thread.wait(self._keys.list(**rpc))

    def add(self, *keys: SearchAttributeKey[Any], **rpc: Unpack[RPC]) -> None:
        """Declare keys, all or none."""
        self._loop_thread.wait(self._keys.add(*keys, **rpc))

    def remove(self, *keys: SearchAttributeKey[Any] | str, **rpc: Unpack[RPC]) -> None:
        """Let go of keys."""
        self._loop_thread.wait(self._keys.remove(*keys, **rpc))


class BlockingHandle(Generic[R]):
    """A run, for programs without a loop; see `RunHandle`, whose verbs these are."""

    def __init__(self, handle: RunHandle[R], thread: LoopThread) -> None:
        self._handle = handle
        self._loop_thread = thread

    @property
    def id(self) -> str:
        """The workflow ID."""
        return self._handle.id

    @property
    def run_id(self) -> str | None:
        """The run that operations address; None: the open or latest one."""
        return self._handle.run_id

    @property
    def result_run_id(self) -> str | None:
        """The run whose result is waited for."""
        return self._handle.result_run_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The first run of the chain that cancel and terminate are limited to."""
        return self._handle.first_execution_run_id

    def result(
        self,
        *,
        follow_runs: bool = True,
        timeout: Duration | None = None,
        **rpc: Unpack[RPC],
    ) -> R:
        """Wait for the run's end and return its result; see `RunHandle.result`.

        TimeoutError if `timeout` is over first; the run goes on.
        """
        result = self._handle.result(follow_runs=follow_runs, **rpc)
        return self._within(timeout, result)

    def value(self, *, timeout: Duration | None = None, **rpc: Unpack[RPC]) -> R:
        """Like `result`, but a failure raises the original error where it travelled."""
        return self._within(timeout, self._handle.value(**rpc))

    def describe(self, *, values: bool = False, **rpc: Unpack[RPC]) -> RunView:
        """What is known of the run now."""
        return self._loop_thread.wait(self._handle.describe(values=values, **rpc))

    def history(self, **rpc: Unpack[RPC]) -> list[HistoryItem]:
        """All that happened to the run so far, in order."""
        return self._loop_thread.wait(self._handle.history(**rpc))

    def follow_history(
        self,
        *,
        wait: bool = True,
        closing_only: bool = False,
        page_size: int = 1000,
        **rpc: Unpack[RPC],
    ) -> Iterator[HistoryItem]:
        """The run's history item by item; see `RunHandle.follow_history`."""
        items = self._handle.follow_history(
            wait=wait, closing_only=closing_only, page_size=page_size, **rpc
        )
        return self._loop_thread.iterate(items)

    def signal(
        self,
        signal: Any,
        *positional: Any,
        args: tuple[Any, ...] | None = None,
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """Send a one-way message; durable when this returns. See `RunHandle.signal`."""
        self._loop_thread.wait(
            self._handle.signal(
                signal, *positional, args=args, request_id=request_id, **rpc
            )
        )

    def query(
        self,
        query: Any,
        *positional: Any,
        args: tuple[Any, ...] | None = None,
        reject_condition: str | None = None,
        result_type: Any = None,
        **rpc: Unpack[RPC],
    ) -> Any:
        """Ask a read-only question; see `RunHandle.query`."""
        return self._loop_thread.wait(
            self._handle.query(
                query,
                *positional,
                args=args,
                reject_condition=reject_condition,
                result_type=result_type,
                **rpc,
            )
        )

    @overload
    def update(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        **options: Unpack[Updating],
    ) -> T: ...
    @overload
    def update(
        self, update: str, *positional: Any, **options: Unpack[Updating]
    ) -> Any: ...
    def update(self, update: Any, *positional: Any, **options: Unpack[Updating]) -> Any:
        """Send an update and wait for its answer; see `RunHandle.update`."""
        return self._loop_thread.wait(
            self._handle.update(update, *positional, **options)
        )

    @overload
    def start_update(
        self,
        update: UpdateMethod[..., Any, T],
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[T]: ...
    @overload
    def start_update(
        self,
        update: str,
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[Any]: ...
    def start_update(
        self,
        update: Any,
        *positional: Any,
        wait_for: str,
        **options: Unpack[Updating],
    ) -> BlockingUpdate[Any]:
        """Send an update and wait until it is "accepted" or "completed"."""
        sending = self._handle.start_update(
            update, *positional, wait_for=wait_for, **options
        )
        return BlockingUpdate(self._loop_thread.wait(sending), self._loop_thread)

    @overload
    def update_handle(
        self, id: str, *, update: UpdateMethod[..., Any, T], result_type: Any = None
    ) -> BlockingUpdate[T]: ...
    @overload
    def update_handle(
        self, id: str, *, update: str | None = None, result_type: Any = None
    ) -> BlockingUpdate[Any]: ...
    def update_handle(
        self, id: str, *, update: Any = None, result_type: Any = None
    ) -> BlockingUpdate[Any]:
        """A handle to an update that was sent before; asks nothing of the engine."""
        handle = self._handle.update_handle(id, update=update, result_type=result_type)
        return BlockingUpdate(handle, self._loop_thread)

    def cancel(
        self, *, reason: str = "", request_id: str = "", **rpc: Unpack[RPC]
    ) -> None:
        """Ask the run to stop; the request is durable when this returns."""
        self._loop_thread.wait(
            self._handle.cancel(reason=reason, request_id=request_id, **rpc)
        )

    def terminate(
        self,
        *details: Any,
        reason: str = "",
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> None:
        """End the run at once, without running its code; durable when this returns."""
        self._loop_thread.wait(
            self._handle.terminate(
                *details, reason=reason, request_id=request_id, **rpc
            )
        )

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._handle).removeprefix('<Run')}"

    def _within(self, timeout: Duration | None, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            limit = optional_seconds(timeout, what="timeout")
        except BaseException:
            coroutine.close()
            raise
        return self._loop_thread.wait(coroutine, limit)


class BlockingTaskHandle:
    """A task, for programs without a loop; see `TaskHandle`, whose verbs these are."""

    def __init__(self, handle: TaskHandle, thread: LoopThread) -> None:
        self._handle = handle
        self._loop_thread = thread

    def complete(self, result: Any = None, **rpc: Unpack[RPC]) -> None:
        """Complete the task; see `TaskHandle.complete`."""
        self._loop_thread.wait(self._handle.complete(result, **rpc))

    def fail(
        self,
        error: BaseException,
        *,
        heartbeat_details: Sequence[Any] = (),
        **rpc: Unpack[RPC],
    ) -> None:
        """Fail the attempt; see `TaskHandle.fail`."""
        self._loop_thread.wait(
            self._handle.fail(error, heartbeat_details=heartbeat_details, **rpc)
        )

    def heartbeat(self, *details: Any, **rpc: Unpack[RPC]) -> None:
        """Say that the attempt lives; see `TaskHandle.heartbeat`."""
        self._loop_thread.wait(self._handle.heartbeat(*details, **rpc))

    def report_cancellation(self, *details: Any, **rpc: Unpack[RPC]) -> None:
        """Say that the task has stopped; see `TaskHandle.report_cancellation`."""
        self._loop_thread.wait(self._handle.report_cancellation(*details, **rpc))

    def __repr__(self) -> str:
        return f"<Blocking{repr(self._handle).removeprefix('<')}"


class BlockingVersions:
    """Version sets, for programs without a loop; see `Client.versions`."""

    def __init__(self, versions: VersionsClient, thread: LoopThread) -> None:
        self._versions = versions
        self._loop_thread = thread

    def update(
        self, queue: str, operation: BuildIdOp, **rpc: Unpack[RPC]
    ) -> VersionSets:
        """Change the sets of a queue; what they are then."""
        return self._loop_thread.wait(self._versions.update(queue, operation, **rpc))

    def sets(
        self, queue: str, *, max_sets: int | None = None, **rpc: Unpack[RPC]
    ) -> VersionSets:
        """The sets of a queue, oldest first; with `max_sets` only the latest ones."""
        found = self._versions.sets(queue, max_sets=max_sets, **rpc)
        return self._loop_thread.wait(found)

    def reachability(
        self,
        build_ids: Sequence[str],
        *,
        queues: Sequence[str] = (),
        kind: str = EXISTING,
        **rpc: Unpack[RPC],
    ) -> Reachability:
        """By which runs builds can still be reached."""
        return self._loop_thread.wait(
            self._versions.reachability(build_ids, queues=queues, kind=kind, **rpc)
        )


async def _closed(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


def refuse_on_loop() -> None:
    """RuntimeStateError where a loop runs."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeStateError(
            "the blocking form would block a running loop: use the asynchronous one"
        )
