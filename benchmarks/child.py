"""One measuring process: `python -m benchmarks.child JOB`."""

from __future__ import annotations

import asyncio
import sys

from benchmarks import bytecodes, growth, raw
from benchmarks.engines.catalog import engine
from benchmarks.loads import measure
from benchmarks.protocol import Job, Reporter


def main() -> None:
    """Measure the job of the command line and report to standard output."""
    job = Job.decode(sys.argv[1])
    reporter = Reporter()
    if job.engine == raw.NAME:
        reporter.result(asyncio.run(raw.measure(job)))
    elif job.engine == growth.NAME:
        engine("everact").load()
        reporter.result(asyncio.run(growth.measure(job, reporter)))
    else:
        measured = engine(job.engine)
        measured.load()
        drive = bytecodes.measure if job.counted else measure
        reporter.result(asyncio.run(drive(measured, job, reporter)))


if __name__ == "__main__":
    main()
