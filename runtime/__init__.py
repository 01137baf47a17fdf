"""Durable workflows for Python: plain asyncio that survives ``kill -9``.

Everything that a user needs is re-exported here; see `Runtime`, `workflow`, `task`.
"""

from everact.runtime.client.blocking import (
    BlockingClient,
    BlockingHandle,
    BlockingTaskHandle,
)
from everact.runtime.client.client import Client
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    TLSConfig,
)
from everact.runtime.client.simple import BlockingHttpClient, HttpClient
from everact.runtime.client.tasks import TaskHandle
from everact.runtime.client.views import HistoryItem, RunLine, RunView, TaskView
from everact.runtime.core.durations import Duration
from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.retry import RetryPolicy, retry
from everact.runtime.core.statuses import RPCStatus, RunStatus, Status
from everact.runtime.core.versions import (
    AddCompatible,
    AddNewDefault,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    VersionSets,
)
from everact.runtime.definitions.author import (
    ChildHandle,
    cancel_reason,
    cancel_run,
    execute_child,
    now,
    on_query,
    on_signal,
    random,
    receive,
    run_info,
    signal_run,
    sleep,
    start_child,
    uuid4,
    wait_condition,
)
from everact.runtime.definitions.combinators import all as all
from everact.runtime.definitions.combinators import any as any
from everact.runtime.definitions.combinators import gather, race
from everact.runtime.definitions.context import TaskContext, context, task_identifier
from everact.runtime.definitions.control import Reset, TailCall, continue_as_new
from everact.runtime.definitions.durable import RunInfo
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.tasks import Task, function, task
from everact.runtime.definitions.workflows import Workflow, workflow
from everact.runtime.embedded import Runtime
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import (
    AddressInUse,
    ApplicationError,
    AsyncTaskCancelled,
    AttemptLost,
    AuthorizationError,
    ChildFailure,
    ClientError,
    ContinuedAsNew,
    EndpointError,
    EngineUnreachable,
    EveractError,
    ForeignAwait,
    NonDeterminismError,
    QueryFailed,
    QueryRejected,
    ReadOnlyError,
    RPCError,
    RunCancelled,
    RunPutAside,
    RunTerminated,
    RunTimedOut,
    RuntimeStateError,
    ScheduleAlreadyRunning,
    SecretFileError,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreKeyError,
    StoreTampered,
    StoreTooNew,
    TaskCancelled,
    TaskTimeout,
    UpdateFailed,
    ValueNotStorable,
    WorkflowAlreadyStarted,
    WorkflowFailure,
)
from everact.runtime.operations.versions import Reachability
from everact.runtime.threaded import RuntimeThread
from everact.runtime.values.calls import Arguments, Call, Error
from everact.runtime.values.status_of import (
    is_retried,
    register_status,
    status_of,
    status_of_result,
)

__all__ = [
    "AddCompatible",
    "AddNewDefault",
    "AddressInUse",
    "ApplicationError",
    "Arguments",
    "AsyncTaskCancelled",
    "AttemptLost",
    "AuthorizationError",
    "BlockingClient",
    "BlockingHandle",
    "BlockingHttpClient",
    "BlockingTaskHandle",
    "Call",
    "ChildFailure",
    "ChildHandle",
    "Client",
    "ClientError",
    "ContinuedAsNew",
    "Duration",
    "EndpointError",
    "EngineUnreachable",
    "Error",
    "EveractError",
    "ForeignAwait",
    "HistoryItem",
    "HttpClient",
    "HttpConnectProxyConfig",
    "KeepAliveConfig",
    "MergeSets",
    "NonDeterminismError",
    "PromoteBuildId",
    "PromoteSet",
    "QueryFailed",
    "QueryRejected",
    "RPCError",
    "RPCStatus",
    "Reachability",
    "ReadOnlyError",
    "Registry",
    "Reset",
    "RetryConfig",
    "RetryPolicy",
    "RunCancelled",
    "RunHandle",
    "RunInfo",
    "RunLine",
    "RunPutAside",
    "RunStatus",
    "RunTerminated",
    "RunTimedOut",
    "RunView",
    "Runtime",
    "RuntimeStateError",
    "RuntimeThread",
    "ScheduleAlreadyRunning",
    "SecretFileError",
    "Status",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreKeyError",
    "StoreTampered",
    "StoreTooNew",
    "TLSConfig",
    "TailCall",
    "Task",
    "TaskCancelled",
    "TaskContext",
    "TaskHandle",
    "TaskTimeout",
    "TaskView",
    "TimeoutKind",
    "UpdateFailed",
    "ValueNotStorable",
    "VersionSets",
    "Worker",
    "Workflow",
    "WorkflowAlreadyStarted",
    "WorkflowFailure",
    "cancel_reason",
    "cancel_run",
    "context",
    "continue_as_new",
    "default_registry",
    "execute_child",
    "function",
    "gather",
    "is_retried",
    "now",
    "on_query",
    "on_signal",
    "race",
    "random",
    "receive",
    "register_status",
    "retry",
    "run_info",
    "signal_run",
    "sleep",
    "start_child",
    "status_of",
    "status_of_result",
    "task",
    "task_identifier",
    "uuid4",
    "wait_condition",
    "workflow",
]
