"""Durable workflows for Python: plain asyncio that survives ``kill -9``.

Everything that a user needs is re-exported here; see `Runtime`, `workflow`, `task`.
"""

from everact.runtime.client.blocking import (
    BlockingClient,
    BlockingHandle,
    BlockingTaskHandle,
)
from everact.runtime.client.blocking_schedules import (
    BlockingSchedule,
    BlockingSchedules,
)
from everact.runtime.client.blocking_updates import BlockingUpdate
from everact.runtime.client.client import Client
from everact.runtime.client.events import EventView
from everact.runtime.client.handle import RunHandle
from everact.runtime.client.interceptors import ClientCall, ClientInterceptor
from everact.runtime.client.listing import RunIterator
from everact.runtime.client.schedules import (
    ScheduleHandle,
    ScheduleIterator,
    Schedules,
)
from everact.runtime.client.scheduling import (
    IntervalSpec,
    Schedule,
    ScheduleBackfill,
    ScheduledRun,
    ScheduleLine,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleView,
    StartWorkflow,
)
from everact.runtime.client.settings import (
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    TLSConfig,
)
from everact.runtime.client.simple import BlockingHttpClient, HttpClient
from everact.runtime.client.tasks import TaskHandle
from everact.runtime.client.updates import UpdateHandle
from everact.runtime.client.views import (
    HistoryItem,
    RunLine,
    RunView,
    TaskView,
    UpdateView,
)
from everact.runtime.client.with_start import StartOperation
from everact.runtime.core.calendars import CalendarSpec, Range
from everact.runtime.core.durations import Duration
from everact.runtime.core.failures import Failure, TimeoutKind
from everact.runtime.core.retry import RetryPolicy, retry
from everact.runtime.core.schedules import OverlapPolicy
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
    all_handlers_finished,
    cancel_reason,
    cancel_run,
    current_details,
    execute_child,
    last_failure,
    last_result,
    memo_value,
    now,
    on_query,
    on_signal,
    on_update,
    random,
    receive,
    rename_current_execution,
    run_info,
    set_current_details,
    signal_run,
    sleep,
    start_child,
    upsert_search_attributes,
    uuid4,
    wait_condition,
)
from everact.runtime.definitions.calling import call
from everact.runtime.definitions.combinators import all as all
from everact.runtime.definitions.combinators import any as any
from everact.runtime.definitions.combinators import gather, race
from everact.runtime.definitions.context import TaskContext, context, task_identifier
from everact.runtime.definitions.control import Reset, TailCall, continue_as_new
from everact.runtime.definitions.durable import RunInfo
from everact.runtime.definitions.interceptors import Invocation, WorkerInterceptor
from everact.runtime.definitions.logs import logger
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.definitions.search_attributes import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from everact.runtime.definitions.tasks import Task, function, task
from everact.runtime.definitions.waits import (
    AnyOf,
    ReceivedEvent,
    SleepCondition,
    UserEventCondition,
    any_of,
    wait_for,
)
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
    InvalidFilter,
    NonDeterminismError,
    QueryFailed,
    QueryRejected,
    ReadOnlyError,
    RequestIdReused,
    RPCError,
    RunCancelled,
    RunPutAside,
    RunTerminated,
    RunTimedOut,
    RuntimeStateError,
    ScheduleAlreadyRunning,
    SecretFileError,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreKeyError,
    StoreLost,
    StoreTampered,
    StoreTooNew,
    TaskCancelled,
    TaskTimeout,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    ValueNotReadable,
    ValueNotStorable,
    WorkflowAlreadyStarted,
    WorkflowFailure,
)
from everact.runtime.operations.searching import CountGroup, RunCount
from everact.runtime.operations.versions import Reachability
from everact.runtime.threaded import RuntimeThread
from everact.runtime.values.calls import Arguments, Call, Error
from everact.runtime.values.converter import Codec, DataConverter
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.outcomes import FailureConverter
from everact.runtime.values.payloads import Converter, PickleConverter
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
    "AnyOf",
    "ApplicationError",
    "Arguments",
    "AsyncTaskCancelled",
    "AttemptLost",
    "AuthorizationError",
    "BlockingClient",
    "BlockingHandle",
    "BlockingHttpClient",
    "BlockingSchedule",
    "BlockingSchedules",
    "BlockingTaskHandle",
    "BlockingUpdate",
    "CalendarSpec",
    "Call",
    "ChildFailure",
    "ChildHandle",
    "Client",
    "ClientCall",
    "ClientError",
    "ClientInterceptor",
    "Codec",
    "ContinuedAsNew",
    "Converter",
    "CountGroup",
    "DataConverter",
    "Duration",
    "EndpointError",
    "EngineUnreachable",
    "Error",
    "EventView",
    "EveractError",
    "Failure",
    "FailureConverter",
    "ForeignAwait",
    "HistoryItem",
    "HttpClient",
    "HttpConnectProxyConfig",
    "IntervalSpec",
    "InvalidFilter",
    "Invocation",
    "JsonConverter",
    "KeepAliveConfig",
    "MergeSets",
    "NonDeterminismError",
    "OverlapPolicy",
    "PickleConverter",
    "PromoteBuildId",
    "PromoteSet",
    "QueryFailed",
    "QueryRejected",
    "RPCError",
    "RPCStatus",
    "Range",
    "Reachability",
    "ReadOnlyError",
    "ReceivedEvent",
    "Registry",
    "RequestIdReused",
    "Reset",
    "RetryConfig",
    "RetryPolicy",
    "RunCancelled",
    "RunCount",
    "RunHandle",
    "RunInfo",
    "RunIterator",
    "RunLine",
    "RunPutAside",
    "RunStatus",
    "RunTerminated",
    "RunTimedOut",
    "RunView",
    "Runtime",
    "RuntimeStateError",
    "RuntimeThread",
    "Schedule",
    "ScheduleAlreadyRunning",
    "ScheduleBackfill",
    "ScheduleHandle",
    "ScheduleIterator",
    "ScheduleLine",
    "SchedulePolicy",
    "ScheduleSpec",
    "ScheduleState",
    "ScheduleUpdate",
    "ScheduleView",
    "ScheduledRun",
    "Schedules",
    "SearchAttributeKey",
    "SearchAttributePair",
    "SecretFileError",
    "SleepCondition",
    "StartOperation",
    "StartWorkflow",
    "Status",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreKeyError",
    "StoreLost",
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
    "TypedSearchAttributes",
    "UpdateFailed",
    "UpdateHandle",
    "UpdateTimedOutOrCancelled",
    "UpdateView",
    "UserEventCondition",
    "ValueNotReadable",
    "ValueNotStorable",
    "VersionSets",
    "Worker",
    "WorkerInterceptor",
    "Workflow",
    "WorkflowAlreadyStarted",
    "WorkflowFailure",
    "all_handlers_finished",
    "any_of",
    "call",
    "cancel_reason",
    "cancel_run",
    "context",
    "continue_as_new",
    "current_details",
    "default_registry",
    "execute_child",
    "function",
    "gather",
    "is_retried",
    "last_failure",
    "last_result",
    "logger",
    "memo_value",
    "now",
    "on_query",
    "on_signal",
    "on_update",
    "race",
    "random",
    "receive",
    "register_status",
    "rename_current_execution",
    "retry",
    "run_info",
    "set_current_details",
    "signal_run",
    "sleep",
    "start_child",
    "status_of",
    "status_of_result",
    "task",
    "task_identifier",
    "upsert_search_attributes",
    "uuid4",
    "wait_condition",
    "wait_for",
    "workflow",
]
