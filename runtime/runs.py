"""One run seen from outside: what it is, what happened in it, and its tasks."""

from everact.runtime.client.tasks import (
    TaskHandle,
)
from everact.runtime.client.views import (
    HistoryItem,
    RunView,
    TaskView,
)

__all__ = [
    "HistoryItem",
    "RunView",
    "TaskHandle",
    "TaskView",
]
