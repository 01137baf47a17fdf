"""Schedules: when runs are started, and what is done when they overlap."""

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
from everact.runtime.core.calendars import (
    CalendarSpec,
    Range,
)
from everact.runtime.core.schedules import (
    OverlapPolicy,
)

__all__ = [
    "CalendarSpec",
    "IntervalSpec",
    "OverlapPolicy",
    "Range",
    "Schedule",
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
    "StartWorkflow",
]
