"""The client: start runs, and get handles to them."""

import builtins
import math
import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, overload

from everact.runtime.client.callers import warn_of_options
from everact.runtime.client.events import Events
from everact.runtime.client.handle import RunHandle, started_handle
from everact.runtime.client.interceptors import (
    ClientInterceptor,
    plain_connection,
    with_interceptors,
)
from everact.runtime.client.listing import (
    Filters,
    Listing,
    RunIterator,
    checked_query,
    narrowed,
)
from everact.runtime.client.refused import client_errors
from everact.runtime.client.rpc import RPC, checked_metadata, rpc_of
from everact.runtime.client.schedules import Schedules
from everact.runtime.client.search_attributes import SearchAttributeKeys
from everact.runtime.client.services import Service
from everact.runtime.client.starting import (
    UNSET,
    Starting,
    dispatch_request,
    start_request,
)
from everact.runtime.client.tasks import TaskHandle, task_ref
from everact.runtime.client.transport import (
    NOTHING_USUAL,
    Forwarding,
    Transport,
    usual_of,
)
from everact.runtime.client.typed import decoded
from everact.runtime.client.versions import VersionsClient
from everact.runtime.client.with_start import Updates
from everact.runtime.core.keywords import closed, suggesting
from everact.runtime.definitions.interceptors import WorkerInterceptor
from everact.runtime.definitions.tasks import Task
from everact.runtime.definitions.workflows import name_of
from everact.runtime.errors import RuntimeStateError
from everact.runtime.operations import runs
from everact.runtime.operations.batches import MOST, StartTogether
from everact.runtime.operations.executing import ExecuteRun
from everact.runtime.operations.searching import CountRuns, RunCount
from everact.runtime.values.calls import Call
from everact.runtime.values.converter import DataConverter

if TYPE_CHECKING:
    from everact.runtime.client.connecting import Connecting

R = TypeVar("R")


class Which(TypedDict, total=False):
    """Which run of a workflow ID is meant."""

    run_id: str | None
    first_execution_run_id: str | None


@suggesting
class Client:
    """Starts and addresses runs of one namespace through a transport.

    `connect` opens a transport and makes its client. Made directly, a client shares
    the `transport` of another one, with settings of its own, and opens nothing; what
    is not given is as `connect` has it.
    `default_query_reject_condition` applies to queries that give none.

    It may be used on one event loop only, and not in a process forked from the one
    that opened it.
    """

    def __init__(
        self,
        transport: Transport | None,
        *,
        namespace: str = "default",
        data_converter: DataConverter | None = None,
        identity: str = "",
        default_query_reject_condition: str = runs.REJECT_NONE,
        interceptors: Sequence[ClientInterceptor | WorkerInterceptor] | None = None,
    ) -> None:
        if default_query_reject_condition not in runs.REJECTS:
            raise ValueError(
                "default_query_reject_condition must be one of "
                + ", ".join(runs.REJECTS)
            )
        self._owned = False
        self._lazy = False
        self._namespace = namespace
        usual = NOTHING_USUAL if transport is None else usual_of(transport)
        self.data_converter = checked_converter(data_converter or usual.data_converter)
        self.values = self.data_converter.immediate
        self.interceptors = checked_interceptors(
            usual.interceptors if interceptors is None else interceptors
        )
        self._transport = None if transport is None else self._way(transport)
        self.identity = identity or _identity()
        self.default_query_reject_condition = default_query_reject_condition

    @classmethod
    async def connect(
        cls, target: str | None = None, **options: Unpack["Connecting"]
    ) -> "Client":
        """A client of the engine at `target`, written ``host:port``.

        Without a target it is the engine of this process, that of the given `runtime`
        or of the active one; if there is none, the target is `EVERACT_ADDRESS` of the
        environment. `Connecting` documents the options.

        When this returns the engine has answered, unless `lazy` was asked for. Raises
        EngineUnreachable naming the target, ValueError for bad settings,
        RuntimeStateError if there is nothing to connect to.
        """
        from everact.runtime.client.connecting import connect

        return await connect(target, **options)

    @property
    def transport(self) -> Transport:
        """The connection, which other clients may share. RuntimeStateError if closed.

        Its `call` takes a request as it is sent.
        """
        if self._transport is None:
            raise RuntimeStateError("the client is closed")
        return self._transport

    @property
    def lazy(self) -> bool:
        """Whether it was made to connect later, and has not connected yet."""
        connection = getattr(plain_connection(self.transport), "connection", None)
        return self._lazy and not getattr(connection, "established", True)

    @property
    def namespace(self) -> str:
        """What all reads and writes of this client are confined to."""
        return self._namespace

    @property
    def api_key(self) -> str | None:
        """What is sent as the bearer credential of each request, by all that share
        the transport. A new one is for the next request; None sends none.
        """
        return self.transport.api_key

    @api_key.setter
    def api_key(self, key: str | None) -> None:
        self.transport.api_key = key

    @property
    def rpc_metadata(self) -> Mapping[str, str]:
        """Headers of every request, of all that share the transport.

        They are changed only by assigning other ones; TypeError unless all are text.
        """
        return self.transport.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, metadata: Mapping[str, str]) -> None:
        self.transport.rpc_metadata = checked_metadata(metadata)

    @property
    def workflow_service(self) -> Service:
        """Requests about runs and what runs use, as they are sent."""
        return Service(plain_connection(self.transport), "workflow")

    @property
    def operator_service(self) -> Service:
        """Requests about the engine itself, as they are sent."""
        return Service(plain_connection(self.transport), "operator")

    @property
    def test_service(self) -> Service:
        """Requests to an engine under test, as they are sent."""
        return Service(plain_connection(self.transport), "test")

    @property
    def schedules(self) -> Schedules:
        """The schedules of the namespace: to create, find and list them."""
        return Schedules(self)

    @property
    def events(self) -> Events:
        """User events: push them, look at them."""
        return Events(self)

    @property
    def updates(self) -> Updates:
        """Updates that start their run, or find it."""
        return Updates(self)

    def config(self) -> dict[str, Any]:
        """What this client was made with: ``Client(**client.config())`` is its twin.

        A new dictionary each time. The twin shares the transport and does not end it.
        """
        return {
            "transport": plain_connection(self.transport),
            "namespace": self.namespace,
            "data_converter": self.data_converter,
            "identity": self.identity,
            "default_query_reject_condition": self.default_query_reject_condition,
            "interceptors": self.interceptors,
        }

    def _way(self, connection: Transport) -> Transport:
        """The way of this client's requests to a connection, not another client's."""
        return with_interceptors(connection, self.interceptors, self.data_converter)

    async def close(self) -> None:
        """End the connection if `connect` opened it; its pending calls fail.

        Later calls raise RuntimeStateError. Closing twice is harmless.
        """
        transport, self._transport = self._transport, None
        if transport is not None and self._owned:
            await transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @overload
    async def start(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> RunHandle[R]: ...
    @overload
    async def start(
        self,
        workflow: str | type,
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> RunHandle[Any]: ...
    def start(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> Coroutine[Any, Any, RunHandle[Any]]:
        """Start a run; it is durable when this returns.

        `workflow` is a workflow, the run method of a workflow class, a task, or a
        name (a name that nothing here knows waits for a worker that does). `arg` is
        a single argument, `args` several; giving both is a ValueError.

        `id` is the workflow ID (default: a new UUID). `on_conflict` says what to do
        about an open run that has it: "fail" (the default), "use_existing", "attach"
        (also to a closed one that is retained), "terminate_existing". `on_reuse` says
        what closed ones allow: "allow" (the default), "allow_failed_only" (the latest
        did not succeed), "reject" (none is retained); "terminate_if_running" goes
        without `on_conflict`. With `start_signal`, a handler or a name, and
        `start_signal_args` the open run of the ID is signalled, or a run is started
        that gets the signal before its first step; the handle then names no first
        run. A repetition with the same `request_id` within 24 hours gives the same
        run.

        `retry` repeats the whole run when it fails; `run_timeout` limits each run,
        `execution_timeout` the chain, `task_timeout` one activation of the code.
        `start_delay`, or `scheduled_start_time`, puts off the first step; a signal
        with start ends that wait. `cron_schedule` lets the run begin at the next time
        of a cron expression, and a run like it at each time after it has ended, until
        one is cancelled or terminated. `priority` (1 to 3) lets tasks of higher runs of
        the workflow go first where they wait for a slot. `request_eager_start` is a
        hint that changes nothing: where a worker of the runtime serves the queue, the
        first step is always taken in the transaction of the start.

        `parameters` and `context` are JSON-able and readable in the run;
        `additional_metadata` as well, and its children have it too. `static_summary`
        (a line) and `static_details` are shown by `describe`, and do not change.

        An argument whose type hint is a dataclass, a msgspec struct or a pydantic model
        is an instance, or plain data that one is made of.

        Raises WorkflowAlreadyStarted, ValueNotStorable naming the argument, TypeError
        for arguments that do not fit and options that nobody knows, ValueError for bad
        options; nothing is stored then.
        """
        if options:
            warn_of_options(options)
        return self._start(workflow, arg, options)

    async def _start(
        self, workflow: Any, arg: Any, options: Starting
    ) -> RunHandle[Any]:
        request = start_request(self, workflow, arg, **options)
        started = await self.transport.call(request, rpc_of(options))
        return started_handle(self, started, workflow, options)

    @overload
    async def execute(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> R: ...
    @overload
    async def execute(
        self,
        workflow: str | type,
        arg: Any = UNSET,
        **options: Unpack[Starting],
    ) -> Any: ...
    def execute(
        self, workflow: Any, arg: Any = UNSET, **options: Unpack[Starting]
    ) -> Coroutine[Any, Any, Any]:
        """Start a run and wait for its result; parameters as `start`.

        That is one request, unless interceptors are to see a start and a wait for a
        result, or the result takes so long that it is asked for again.
        """
        if options:
            warn_of_options(options)
        return self._execute(workflow, arg, options)

    async def _execute(self, workflow: Any, arg: Any, options: Starting) -> Any:
        request = start_request(self, workflow, arg, **options)
        rpc, transport = rpc_of(options), self.transport
        if isinstance(transport, Forwarding):
            started = await transport.call(request, rpc)
            handle = started_handle(self, started, workflow, options)
        else:
            found = await transport.call(ExecuteRun(start=request, wait=math.inf), rpc)
            closed = found.closed
            if closed is not None and closed.result is not None:
                kind = options.get("result_type") if options else None
                return decoded(self.values, closed.result, kind, workflow)
            handle = started_handle(self, found.run, workflow, options)
            if closed is not None:
                return handle._outcome(closed)
        return await (handle.result() if rpc is None else handle.result(**rpc))

    @overload
    def handle(
        self, id: str, *, result_type: type[R], **which: Unpack[Which]
    ) -> RunHandle[R]: ...
    @overload
    def handle(self, id: str, **which: Unpack[Which]) -> RunHandle[Any]: ...
    def handle(
        self, id: str, *, result_type: type[Any] | None = None, **which: Unpack[Which]
    ) -> RunHandle[Any]:
        """A handle to an existing run; asks nothing of the engine.

        It is of the open or latest run of the ID, unless `run_id` names another one;
        `first_execution_run_id` limits cancel and terminate to the chain of that run.
        `result_type` is what its result is given as; results that carry their class,
        as those of an engine in this process do, are given as they are.
        """
        return self._handle(id, which, result_type=result_type)

    def _handle(self, id: str, which: Which, **result: Any) -> RunHandle[Any]:
        closed(which, Which.__annotations__, "a handle")
        if not id:
            raise ValueError("id must not be empty")
        return RunHandle(self, id, result_run_id=which.get("run_id"), **which, **result)

    @property
    def versions(self) -> VersionsClient:
        """Which builds of author code are compatible, by queue."""
        return VersionsClient(self)

    def task_handle(
        self,
        *,
        token: bytes | None = None,
        workflow_id: str | None = None,
        run_id: str | None = None,
        task_id: str | None = None,
    ) -> TaskHandle:
        """A handle to a task that is completed from outside of its function.

        Asks nothing of the engine. `token` is what `context().task_token` gave the
        attempt; or give the workflow ID and the task's ID, and the run ID if another
        run than the latest is meant. ValueError for a mix of both, or for neither.
        """
        ref = task_ref(self.namespace, token, workflow_id, run_id, task_id)
        return TaskHandle(self, ref)

    @overload
    def handle_for(
        self,
        workflow: Callable[..., Coroutine[Any, Any, R]],
        id: str,
        **which: Unpack[Which],
    ) -> RunHandle[R]: ...
    @overload
    def handle_for(
        self, workflow: type, id: str, **which: Unpack[Which]
    ) -> RunHandle[Any]: ...
    def handle_for(
        self, workflow: Any, id: str, **which: Unpack[Which]
    ) -> RunHandle[Any]:
        """A handle to an existing run of `workflow`, which tells the result's type.

        Like `handle`, and asks nothing of the engine. TypeError for what is no workflow
        and no task.
        """
        if isinstance(workflow, str):
            raise TypeError("handle_for takes a workflow; `handle` is for names")
        if not isinstance(workflow, Task):
            name_of(workflow)
        return self._handle(id, which, target=workflow)

    def search(
        self, query: str | None = None, **options: Unpack[Listing]
    ) -> RunIterator:
        """The runs that match a filter, to be iterated; see `RunIterator`.

        The guide describes the language of `query`; without an order in it the open
        runs come first, then those closed last, ties by the latest start. `status`,
        `workflow`, `queue` and `id` narrow it. At most `limit` runs are given out, in
        pages of `page_size` (1000). A `next_page_token` of an earlier search with the
        same query goes on from there.

        Asks nothing of the engine before the first step, so that is where an
        InvalidFilter is raised.
        """
        return RunIterator(self, query, options)

    list = search
    """The same verb: without a query it lists, as `list` of the other nouns does."""

    async def count(
        self, query: str | None = None, **filters: Unpack[Filters]
    ) -> RunCount:
        """How many runs match, in groups if the query ends with ``GROUP BY field``.

        Filters as in `search`; InvalidFilter.
        """
        request = CountRuns(
            workspace=self.namespace,
            query=checked_query(query),
            narrowed=narrowed(filters),
        )
        return await self.transport.call(request, rpc_of(filters))

    @property
    def search_attributes(self) -> SearchAttributeKeys:
        """The keys of search attributes that the namespace declares."""
        return SearchAttributeKeys(self)

    @overload
    async def dispatch(self, call: Call, **rpc: Unpack[RPC]) -> str: ...
    @overload
    async def dispatch(
        self, call: Iterable[Call], **rpc: Unpack[RPC]
    ) -> builtins.list[str]: ...
    async def dispatch(
        self, call: Call | Iterable[Call], **rpc: Unpack[RPC]
    ) -> str | builtins.list[str]:
        """Start a call as a run of its own, or several; returns identifiers at once.

        The start is durable when this returns. Several are started in one
        transaction, all or none, and have their identifiers in the order of the
        calls. An identifier is text without structure: `handle(identifier)` gives the
        result, describes and cancels. ClientError, with an HTTP status and a code, for
        what the engine refuses, as 404 for a function that nothing there knows; it is
        an AuthorizationError where the credential is not enough. A missed deadline
        stays an RPCError: the calls may have been started. TypeError for what is no
        call, ValueError for more than `batches.MOST` of them.
        """
        with client_errors():
            return await self._dispatch(call, rpc)

    async def _dispatch(
        self, call: Call | Iterable[Call], rpc: RPC
    ) -> str | builtins.list[str]:
        if isinstance(call, Call):
            started = await self.transport.call(dispatch_request(self, call), rpc)
            return started.workflow_id
        starts = tuple(dispatch_request(self, one) for one in call)
        if len(starts) > MOST:
            raise ValueError(f"at most {MOST} calls at once, not {len(starts)}")
        if not starts:
            return []
        all_started = await self.transport.call(StartTogether(starts=starts), rpc)
        return [started.workflow_id for started in all_started]


def checked_converter(given: DataConverter | None) -> DataConverter:
    """The converter of a client that is given this one; TypeError if it is none."""
    if given is None:
        return DataConverter.default
    if not isinstance(given, DataConverter):
        raise TypeError(
            "data_converter must be a DataConverter, not "
            f"{type(given).__name__}; a value converter is its first argument"
        )
    return given


def checked_interceptors(
    given: Sequence[ClientInterceptor | WorkerInterceptor],
) -> tuple[ClientInterceptor | WorkerInterceptor, ...]:
    """The interceptors of a client, in their order; TypeError for anything else."""
    for one in given:
        if not isinstance(one, ClientInterceptor | WorkerInterceptor):
            raise TypeError(
                f"{one!r} is no interceptor: derive from ClientInterceptor, "
                "WorkerInterceptor, or both"
            )
    return tuple(given)


def _identity() -> str:
    try:
        known = version("everact")
    except PackageNotFoundError:
        known = "0"
    return f"everact-{known}-{os.getpid()}@{socket.gethostname()}"
