"""What the disk and SQLite allow here, with no engine at all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.engines.group_commit import GroupCommit, Row, connect, write
from benchmarks.protocol import Job, Metrics

NAME: Final = "raw"
"""The name under which these figures stand beside the engines."""

ROWS: Final = 500
WAITERS: Final = 256

_DATA: Final = b"0123456789abcdefghij"


async def measure(job: Job) -> Metrics:
    """Each limit for a quarter of the seconds."""
    seconds = job.seconds / 4
    path = job.path
    return {
        "raw_fdatasync_per_s": _fdatasyncs(path / "sync.bin", seconds),
        "raw_commits_per_s": _rows(path / "single.db", seconds, 1),
        "raw_rows_per_s": _rows(path / "many.db", seconds, ROWS),
        "raw_group_rows_per_s": await _group(path / "group.db", seconds),
    }


def _fdatasyncs(path: Path, seconds: float) -> float:
    # macOS has no fdatasync; its fsync is the nearest.
    sync: Callable[[int], object] = getattr(os, "fdatasync", os.fsync)
    with path.open("wb") as file:
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            file.write(_DATA)
            file.flush()
            sync(file.fileno())
            count += 1
    return count / (time.perf_counter() - begin)


def _rows(path: Path, seconds: float, batch: int) -> float:
    connection = connect(path)
    rows: list[Row] = [(number, number, 1, _DATA) for number in range(batch)]
    begin, count = time.perf_counter(), 0
    while time.perf_counter() < begin + seconds:
        write(connection, rows)
        count += batch
    elapsed = time.perf_counter() - begin
    connection.close()
    return count / elapsed


async def _group(path: Path, seconds: float) -> float:
    """Each waiter appends its next row when its last is durable."""
    log = GroupCommit(path)
    begin, count = time.perf_counter(), 0

    async def waiter(number: int) -> None:
        nonlocal count
        while time.perf_counter() < begin + seconds:
            await log.durable((number, count, 1, _DATA))
            count += 1

    await asyncio.gather(*(waiter(number) for number in range(WAITERS)))
    elapsed = time.perf_counter() - begin
    await log.close()
    return count / elapsed
