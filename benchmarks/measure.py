"""Start measuring processes, one per measurement, and collect what they say.

Each gets a process group of its own, so that an engine's server ends with it: by the
group's id, whatever happens. A process that asks to be killed gets SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.protocol import PARTIAL, PROGRESS, RESULT, Job, Metrics
from benchmarks.works import WORKS

LIMIT: Final = 300.0
"""Seconds that one process may take."""

ROOT: Final = Path(__file__).resolve().parent.parent

Progress = Callable[[float], None]


class MeasurementFailed(Exception):
    """A measuring process ended without a result; the text says how."""


def measure(job: Job, progress: Progress, limit: float = LIMIT) -> Metrics:
    """Measure one sample in a fresh directory under the job's; raise if it failed."""
    with tempfile.TemporaryDirectory(dir=job.directory, prefix="bench-") as directory:
        job = replace(job, directory=directory)
        if not killed(job):
            return _process(job, RESULT, progress, limit)
        first = replace(job, stage="prepare")
        second = replace(job, stage="recover")
        before = _process(first, PARTIAL, lambda s: progress(s / 2), limit)
        after = _process(second, RESULT, lambda s: progress(0.5 + s / 2), limit)
        merged = before | after
        if "rss_mb" in before and "rss_mb" in after:
            merged["rss_mb"] = max(before["rss_mb"], after["rss_mb"])
        return merged


def killed(job: Job) -> bool:
    """Whether the work has a kill in the middle."""
    work = WORKS.get(job.work)
    if work is None:
        return False
    return work.kind in ("restart", "history") or work.name == "S100k"


def _process(job: Job, wanted: str, progress: Progress, limit: float) -> Metrics:
    log = job.path / f"{job.stage}.log"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        )
    }
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", job.encode()],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=job.directory,
            env=environment,
            start_new_session=True,
        )
    timer = threading.Timer(limit, _kill, [process])
    timer.start()
    try:
        metrics = _read(process, wanted, progress)
    finally:
        in_time = timer.is_alive()
        timer.cancel()
        _kill(process)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if metrics is None:
        raise MeasurementFailed(_reason(log, process.returncode, in_time, limit))
    return metrics


def _read(
    process: subprocess.Popen[bytes], wanted: str, progress: Progress
) -> Metrics | None:
    """Read until the wanted metrics came; leave the process as it is."""
    assert process.stdout is not None
    for line in process.stdout:
        kind, value = json.loads(line)
        if kind == PROGRESS:
            progress(value)
        elif kind == wanted:
            return {name: float(number) for name, number in value.items()}
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _reason(log: Path, code: int, in_time: bool, limit: float) -> str:
    if not in_time:
        return f"not finished after {limit:g} s"
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ended with status {code} and no message"
