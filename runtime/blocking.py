"""The client and its handles for programs without a loop."""

from everact.runtime.client.blocking import (
    BlockingClient,
    BlockingHandle,
    BlockingSchedule,
    BlockingSchedules,
    BlockingTaskHandle,
    BlockingUpdate,
)
from everact.runtime.client.simple import (
    BlockingHttpClient,
)

__all__ = [
    "BlockingClient",
    "BlockingHandle",
    "BlockingHttpClient",
    "BlockingSchedule",
    "BlockingSchedules",
    "BlockingTaskHandle",
    "BlockingUpdate",
]
