"""Durable workflows for Python: plain asyncio that survives ``kill -9``.

What one needs every day is here; see `Runtime`, `workflow`, `task`. The rest is in
modules by noun: `everact.runtime.errors`, `.schedules`, `.search`, …
"""

from everact.runtime.client.client import (
    Client,
)
from everact.runtime.client.handle import (
    RunHandle,
)
from everact.runtime.client.simple import (
    HttpClient,
)
from everact.runtime.core.durations import (
    Duration,
)
from everact.runtime.core.retry import (
    RetryPolicy,
    retry,
)
from everact.runtime.core.statuses import (
    RunStatus,
)
from everact.runtime.definitions.author import (
    ChildHandle,
    cancel_run,
    execute_child,
    now,
    on_query,
    on_signal,
    on_update,
    random,
    receive,
    run_info,
    signal_run,
    sleep,
    start_child,
    uuid4,
    wait_condition,
)
from everact.runtime.definitions.calling import (
    call,
)
from everact.runtime.definitions.combinators import (
    gather,
    race,
)
from everact.runtime.definitions.context import (
    TaskContext,
    context,
)
from everact.runtime.definitions.control import (
    continue_as_new,
)
from everact.runtime.definitions.durable import (
    RunInfo,
)
from everact.runtime.definitions.logs import (
    logger,
)
from everact.runtime.definitions.registry import (
    Registry,
    default_registry,
)
from everact.runtime.definitions.tasks import (
    Task,
    function,
    task,
)
from everact.runtime.definitions.workflows import (
    Workflow,
    workflow,
)
from everact.runtime.embedded import (
    Runtime,
)
from everact.runtime.engine.workers import (
    Worker,
)
from everact.runtime.errors import (
    ApplicationError,
    ChildFailure,
    EveractError,
    WorkflowFailure,
)
from everact.runtime.threaded import (
    RuntimeThread,
)
from everact.runtime.values.calls import (
    Call,
)

__all__ = [
    "ApplicationError",
    "Call",
    "ChildFailure",
    "ChildHandle",
    "Client",
    "Duration",
    "EveractError",
    "HttpClient",
    "Registry",
    "RetryPolicy",
    "RunHandle",
    "RunInfo",
    "RunStatus",
    "Runtime",
    "RuntimeThread",
    "Task",
    "TaskContext",
    "Worker",
    "Workflow",
    "WorkflowFailure",
    "call",
    "cancel_run",
    "context",
    "continue_as_new",
    "default_registry",
    "execute_child",
    "function",
    "gather",
    "logger",
    "now",
    "on_query",
    "on_signal",
    "on_update",
    "race",
    "random",
    "receive",
    "retry",
    "run_info",
    "signal_run",
    "sleep",
    "start_child",
    "task",
    "uuid4",
    "wait_condition",
    "workflow",
]
