"""Statuses and kinds that errors carry: how a request was refused, what timed out."""

from everact.runtime.core.failures import TimeoutKind
from everact.runtime.core.statuses import RPCStatus

__all__ = [
    "RPCStatus",
    "TimeoutKind",
]
