"""The blocking client: the verbs of the asynchronous one, for programs without a loop.

The classes here only name the verbs of their asynchronous twins; `derived` makes the
blocking forms. A new verb of a client or a handle has its line here.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
    Unpack,
)

from everact.runtime.client.client import Client
from everact.runtime.client.derived import (
    Answer,
    Blocking,
    Owning,
    gives,
    iterates,
    same,
    waits,
)
from everact.runtime.client.events import Events
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.listing import RunIterator
from everact.runtime.client.loop_thread import LoopThread
from everact.runtime.client.schedules import (
    ScheduleHandle,
    ScheduleIterator,
    Schedules,
)
from everact.runtime.client.scheduling import ScheduleLine
from everact.runtime.client.search_attributes import SearchAttributeKeys
from everact.runtime.client.services import Service
from everact.runtime.client.tasks import TaskHandle
from everact.runtime.client.updates import UpdateHandle
from everact.runtime.client.versions import VersionsClient
from everact.runtime.client.views import RunLine
from everact.runtime.client.with_start import StartOperation, Updates

if TYPE_CHECKING:
    from everact.runtime.client.connecting import Connecting

N = TypeVar("N")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class BlockingUpdate(Blocking[UpdateHandle[R]], Generic[R]):
    """An update, for programs without a loop; see `UpdateHandle`."""

    @property
    def id(self) -> str:
        """The update's ID, unique within its run."""
        return self._wrapped.id

    @property
    def workflow_id(self) -> str:
        """The workflow ID of the run."""
        return self._wrapped.workflow_id

    @property
    def run_id(self) -> str | None:
        """The run that accepted the update."""
        return self._wrapped.run_id

    result = waits(UpdateHandle[R].result)


def updates(
    verb: Callable[Concatenate[N, P], Answer[UpdateHandle[R]]],
) -> Callable[Concatenate[Blocking[N], P], BlockingUpdate[R]]:
    """As `gives`, which cannot tell checkers the type of an update's answer."""
    return gives(BlockingUpdate, verb)


class BlockingHandle(Blocking[RunHandle[R]], Generic[R]):
    """A run, for programs without a loop; see `RunHandle`, whose verbs these are."""

    @property
    def id(self) -> str:
        """The workflow ID."""
        return self._wrapped.id

    @property
    def run_id(self) -> str | None:
        """The run that operations address; None: the open or latest one."""
        return self._wrapped.run_id

    @property
    def result_run_id(self) -> str | None:
        """The run whose result is waited for."""
        return self._wrapped.result_run_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The first run of the chain that cancel and terminate are limited to."""
        return self._wrapped.first_execution_run_id

    result = waits(RunHandle[R].result)
    value = waits(RunHandle[R].value)
    describe = waits(RunHandle[R].describe)
    history = waits(RunHandle[R].history)
    follow_history = iterates(RunHandle[R].follow_history)
    signal = waits(RunHandle[R].signal)
    query = waits(RunHandle[R].query)
    update = waits(RunHandle[R].update)
    start_update = updates(RunHandle[R].start_update)
    update_handle = updates(RunHandle[R].update_handle)
    cancel = waits(RunHandle[R].cancel)
    terminate = waits(RunHandle[R].terminate)


def handles(
    verb: Callable[Concatenate[N, P], Answer[RunHandle[R]]],
) -> Callable[Concatenate[Blocking[N], P], BlockingHandle[R]]:
    """As `gives`, which cannot tell checkers the type of a run's result."""
    return gives(BlockingHandle, verb)


class BlockingUpdates(Blocking[Updates]):
    """Updates that start their run, or find it; see `Client.updates`."""

    execute_with = waits(Updates.execute_with)
    start_with = updates(Updates.start_with)

    def handle(self, start: StartOperation[R]) -> BlockingHandle[R]:
        """The run that was started or found; see `StartOperation.handle`."""
        return BlockingHandle(self._loop_thread.wait(start.handle()), self._loop_thread)


class BlockingTaskHandle(Blocking[TaskHandle]):
    """A task, for programs without a loop; see `TaskHandle`, whose verbs these are."""

    complete = waits(TaskHandle.complete)
    fail = waits(TaskHandle.fail)
    heartbeat = waits(TaskHandle.heartbeat)
    report_cancellation = waits(TaskHandle.report_cancellation)


class BlockingRuns(Blocking[RunIterator]):
    """A list of runs, to be iterated with ``for``; see `RunIterator`."""

    @property
    def current_page(self) -> Sequence[RunLine] | None:
        """The page that was fetched last; None before the first."""
        return self._wrapped.current_page

    @property
    def current_page_index(self) -> int:
        """How many runs of the current page were given out."""
        return self._wrapped.current_page_index

    @property
    def next_page_token(self) -> str | None:
        """What gives the page after the current one; None if there is none."""
        return self._wrapped.next_page_token

    fetch_next_page = waits(RunIterator.fetch_next_page)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RunLine:
        return self._loop_thread.step(self._wrapped)


class BlockingScheduleLines(Blocking[ScheduleIterator]):
    """A list of schedules, to be iterated with ``for``; see `ScheduleIterator`."""

    @property
    def current_page(self) -> Sequence[ScheduleLine]:
        """The page that is being given out; empty before the first."""
        return self._wrapped.current_page

    @property
    def next_page_token(self) -> str | None:
        """What goes on after the current page; None if nothing follows."""
        return self._wrapped.next_page_token

    fetch_next_page = waits(ScheduleIterator.fetch_next_page)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ScheduleLine:
        return self._loop_thread.step(self._wrapped)


class BlockingSchedule(Blocking[ScheduleHandle]):
    """A schedule, for programs without a loop; see `ScheduleHandle`.

    The callback of `update` is called on the loop's thread.
    """

    @property
    def id(self) -> str:
        """The schedule's ID."""
        return self._wrapped.id

    describe = waits(ScheduleHandle.describe)
    update = waits(ScheduleHandle.update)
    pause = waits(ScheduleHandle.pause)
    resume = waits(ScheduleHandle.resume)
    trigger = waits(ScheduleHandle.trigger)
    backfill = waits(ScheduleHandle.backfill)
    delete = waits(ScheduleHandle.delete)


class BlockingSchedules(Blocking[Schedules]):
    """The schedules of a namespace, for programs without a loop; see `Schedules`."""

    create = gives(BlockingSchedule, Schedules.create)
    handle = gives(BlockingSchedule, Schedules.handle)
    list = gives(BlockingScheduleLines, Schedules.list)


class BlockingEvents(Blocking[Events]):
    """User events, for programs without a loop; see `Events`."""

    push = waits(Events.push)
    get = waits(Events.get)
    list = iterates(Events.list)


class BlockingVersions(Blocking[VersionsClient]):
    """Version sets, for programs without a loop; see `Client.versions`."""

    update = waits(VersionsClient.update)
    sets = waits(VersionsClient.sets)
    reachability = waits(VersionsClient.reachability)


class BlockingSearchAttributeKeys(Blocking[SearchAttributeKeys]):
    """Declared keys, for programs without a loop; see `SearchAttributeKeys`."""

    list = waits(SearchAttributeKeys.list)
    add = waits(SearchAttributeKeys.add)
    remove = waits(SearchAttributeKeys.remove)


class BlockingService(Blocking[Service]):
    """Requests as they are sent, for programs without a loop; see `Service`."""

    call = waits(Service.call)


class BlockingClient(Owning[Client]):
    """The verbs of `Client`, each of which blocks until its answer is there.

    ``with BlockingClient.connect("host:port") as client:`` is for a program without a
    loop whose engine is elsewhere; `RuntimeThread` for one that has it inside. Any
    thread may use it that runs no loop.

    It has no `transport`: that of `Client` belongs to the loop. Requests as they are
    sent go by its services.
    """

    @classmethod
    def connect(
        cls, target: str | None = None, **options: Unpack["Connecting"]
    ) -> "BlockingClient":
        """The blocking form of `Client.connect`, on a loop in a thread of its own."""
        connected: list[Client] = []

        @asynccontextmanager
        async def hosted() -> AsyncIterator[None]:
            async with await Client.connect(target, **options) as client:
                connected.append(client)
                yield

        thread = LoopThread(hosted, "client")
        thread.start()
        return BlockingClient(connected[0], thread)

    start = handles(Client.start)
    execute = waits(Client.execute)
    handle = handles(Client.handle)
    handle_for = handles(Client.handle_for)
    task_handle = gives(BlockingTaskHandle, Client.task_handle)
    search = gives(BlockingRuns, Client.search)
    list = search
    count = waits(Client.count)
    dispatch = waits(Client.dispatch)
    config = same(Client.config)

    @property
    def namespace(self) -> str:
        """What all reads and writes of this client are confined to."""
        return self._wrapped.namespace

    @property
    def lazy(self) -> bool:
        """Whether it was made to connect later, and has not connected yet."""
        return self._wrapped.lazy

    @property
    def api_key(self) -> str | None:
        """What is sent as the bearer credential of each request, by all that share
        the connection. A new one is for the next request; None sends none.
        """
        return self._wrapped.api_key

    @api_key.setter
    def api_key(self, key: str | None) -> None:
        self._wrapped.api_key = key

    @property
    def rpc_metadata(self) -> Mapping[str, str]:
        """Headers of every request, of all that share the connection.

        They are changed only by assigning other ones; TypeError unless all are text.
        """
        return self._wrapped.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, metadata: Mapping[str, str]) -> None:
        self._wrapped.rpc_metadata = metadata

    @property
    def events(self) -> BlockingEvents:
        """User events: push them, look at them."""
        return BlockingEvents(self._wrapped.events, self._loop_thread)

    @property
    def schedules(self) -> BlockingSchedules:
        """The schedules of the namespace: to create, find and list them."""
        return BlockingSchedules(self._wrapped.schedules, self._loop_thread)

    @property
    def search_attributes(self) -> BlockingSearchAttributeKeys:
        """The keys of search attributes that the namespace declares."""
        found = self._wrapped.search_attributes
        return BlockingSearchAttributeKeys(found, self._loop_thread)

    @property
    def updates(self) -> BlockingUpdates:
        """Updates that start their run, or find it."""
        return BlockingUpdates(self._wrapped.updates, self._loop_thread)

    @property
    def versions(self) -> BlockingVersions:
        """Which builds of author code are compatible, by queue."""
        return BlockingVersions(self._wrapped.versions, self._loop_thread)

    @property
    def workflow_service(self) -> BlockingService:
        """Requests about runs and what runs use, as they are sent."""
        return BlockingService(self._wrapped.workflow_service, self._loop_thread)

    @property
    def operator_service(self) -> BlockingService:
        """Requests about the engine itself, as they are sent."""
        return BlockingService(self._wrapped.operator_service, self._loop_thread)

    @property
    def test_service(self) -> BlockingService:
        """Requests to an engine under test, as they are sent."""
        return BlockingService(self._wrapped.test_service, self._loop_thread)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine on the client's loop and wait for what it gives."""
        return self._loop_thread.wait(coroutine)
