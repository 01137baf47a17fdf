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
    Kept,
    Owning,
    Part,
    Told,
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

    id = Told[str]()
    workflow_id = Told[str]()
    run_id = Told[str | None]()

    result = waits(UpdateHandle[R].result)


def updates(
    verb: Callable[Concatenate[N, P], Answer[UpdateHandle[R]]],
) -> Callable[Concatenate[Blocking[N], P], BlockingUpdate[R]]:
    """As `gives`, which cannot tell checkers the type of an update's answer."""
    return gives(BlockingUpdate, verb)


class BlockingHandle(Blocking[RunHandle[R]], Generic[R]):
    """A run, for programs without a loop; see `RunHandle`, whose verbs these are."""

    id = Told[str]()
    run_id = Told[str | None]()
    result_run_id = Told[str | None]()
    first_execution_run_id = Told[str | None]()

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

    current_page = Told[Sequence[RunLine] | None]()
    current_page_index = Told[int]()
    next_page_token = Told[str | None]()

    fetch_next_page = waits(RunIterator.fetch_next_page)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> RunLine:
        return self._loop_thread.step(self._wrapped)


class BlockingScheduleLines(Blocking[ScheduleIterator]):
    """A list of schedules, to be iterated with ``for``; see `ScheduleIterator`."""

    current_page = Told[Sequence[ScheduleLine]]()
    next_page_token = Told[str | None]()

    fetch_next_page = waits(ScheduleIterator.fetch_next_page)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ScheduleLine:
        return self._loop_thread.step(self._wrapped)


class BlockingSchedule(Blocking[ScheduleHandle]):
    """A schedule, for programs without a loop; see `ScheduleHandle`.

    The callback of `update` is called on the loop's thread.
    """

    id = Told[str]()

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

    namespace = Told[str]()
    lazy = Told[bool]()
    api_key = Kept[str | None]()
    rpc_metadata = Kept[Mapping[str, str]]()
    events = Part(BlockingEvents)
    schedules = Part(BlockingSchedules)
    search_attributes = Part(BlockingSearchAttributeKeys)
    updates = Part(BlockingUpdates)
    versions = Part(BlockingVersions)
    workflow_service = Part(BlockingService)
    operator_service = Part(BlockingService)
    test_service = Part(BlockingService)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine on the client's loop and wait for what it gives."""
        return self._loop_thread.wait(coroutine)
