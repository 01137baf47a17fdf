"""The whole table: importing this module declares every operation."""

from everact.runtime.operations import (
    actors,
    batches,
    clock,
    engines,
    events,
    executing,
    runs,
    schedules,
    search_attributes,
    searching,
    starting,
    streams,
    tasks,
    updates,
    versions,
)
from everact.runtime.operations.base import OPERATIONS

__all__ = [
    "OPERATIONS",
    "actors",
    "batches",
    "clock",
    "engines",
    "events",
    "executing",
    "runs",
    "schedules",
    "search_attributes",
    "searching",
    "starting",
    "streams",
    "tasks",
    "updates",
    "versions",
]
