"""Durable functions: calls as values, their statuses, and how they end."""

from everact.runtime.core.statuses import (
    Status,
)
from everact.runtime.definitions.combinators import (
    all,
    any,
)
from everact.runtime.definitions.context import (
    task_identifier,
)
from everact.runtime.definitions.control import (
    Reset,
    TailCall,
)
from everact.runtime.values.calls import (
    Arguments,
    Error,
)
from everact.runtime.values.status_of import (
    is_retried,
    register_status,
    status_of,
    status_of_result,
)

__all__ = [
    "Arguments",
    "Error",
    "Reset",
    "Status",
    "TailCall",
    "all",
    "any",
    "is_retried",
    "register_status",
    "status_of",
    "status_of_result",
    "task_identifier",
]
