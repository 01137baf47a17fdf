"""A request ID names one request: the same again gets the same answer, and another one
under it is refused, also while the first is under way and after a restart.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everact.actors import VirtualClock
from everact.runtime import (
    Client,
    Registry,
    RequestIdReused,
    RPCError,
    Runtime,
    RunStatus,
    Schedule,
    ScheduleAction,
    ScheduleBackfill,
    ScheduleSpec,
    StartOperation,
    receive,
    signal,
    sleep,
    update,
    workflow,
)
from everact.runtime.core.requests import AUTOMATIC, OF_RUNS
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.operations.batches import StartRuns, StartTogether
from everact.runtime.operations.starting import StartRun
from everact.runtime.operations.table import OPERATIONS
from tests.features.test_tasks_outside import outside  # noqa: F401

registry = Registry()
