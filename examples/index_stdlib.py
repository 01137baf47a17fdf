"""Index the standard library with a worker that is killed half-way: `make demo`.

usage: python -m examples.index_stdlib [--no-kill] [--files N] [--database FILE]

This process only watches. It starts a worker process, kills it with SIGKILL when half
of the files were counted, starts it again, and then compares two accounts of what was
done: a log to which every task appends a line when it runs, and the history that the
runtime recorded. A task whose outcome was recorded before the kill must not have a line
after it. Tasks that were under way at the kill have two lines, and rightly so: nobody
can know how far they came.

Exit status: 0 if the index is whole and no recorded task was repeated, else 1.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from examples.index_stdlib_account import Account, read_account
from examples.index_stdlib_work import Count, add, find_packages

CHECKOUT = Path(__file__).resolve().parents[1]
POLL = 0.02
"""Seconds between two looks at the log and the worker."""


class WorkerFailedError(Exception):
    """The worker ended by itself, without having finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One demonstration: where it happens and how much of it."""

    database: Path
    log: Path
    limit: int | None
    kill: bool

    def total(self) -> int:
        """How many files there are to count."""
        library = Path(sysconfig.get_path("stdlib"))
        packages = find_packages(library, self.log, self.limit)
        return sum(len(package.files) for package in packages)

    def counted(self) -> list[str]:
        """The files for which a task ran, in order of start, with repetitions."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A process that starts the index or goes on with it."""
        command = [sys.executable, "-m", "examples.index_stdlib_worker"]
        command += [str(self.database), str(self.log)]
        command += [str(self.limit)] if self.limit else []
        return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL)


def supervise(plan: Plan, console: Console) -> tuple[int, float]:
    """Run the worker to the end; lines in the log at the kill, and its moment.

    Without a kill: all lines, and infinity.
    """
    total = plan.total()
    lines_at_kill, killed_at = -1, float("inf")
    progress = Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        bar = progress.add_task("counting files", total=total)
        worker = plan.start_worker()
        try:
            while worker.poll() is None:
                time.sleep(POLL)
                done = len(set(plan.counted()))
                progress.update(bar, completed=done)
                if plan.kill and lines_at_kill < 0 and done * 2 >= total:
                    worker.send_signal(signal.SIGKILL)
                    worker.wait()
                    lines_at_kill, killed_at = len(plan.counted()), time.time()
                    progress.console.print(
                        f"worker {worker.pid} killed with SIGKILL "
                        f"after {lines_at_kill} tasks; starting another"
                    )
                    progress.update(bar, description="going on")
                    worker = plan.start_worker()
            if worker.returncode != 0:
                raise WorkerFailedError(f"the worker ended with {worker.returncode}")
            progress.update(bar, completed=len(set(plan.counted())))
        finally:
            worker.kill()
            worker.wait()
    return (lines_at_kill if lines_at_kill >= 0 else len(plan.counted())), killed_at


def report(
    plan: Plan, account: Account, lines_at_kill: int, seconds: float, console: Console
) -> bool:
    """Print the table and the line; whether all is as it should be."""
    whole = add(account.result.values())
    console.print(table(account.result, whole))
    for problem in whole.problems:
        console.print(f"could not be parsed: {problem}", markup=False, style="yellow")

    lines = plan.counted()
    before, after = lines[:lines_at_kill], lines[lines_at_kill:]
    again = Counter(after)
    repeated = sum(again[file] for file in account.recorded_before_kill)
    under_way = sum(again[file] for file in set(before)) - repeated
    console.print(
        f"{whole.files} files: {len(before)} tasks ran before the kill and "
        f"{len(after)} after it; {len(account.recorded_before_kill)} were recorded at "
        f"the kill, {repeated} recorded tasks were repeated ({under_way} cut off by "
        f"the kill ran again); {seconds:.1f} s"
        if plan.kill
        else f"{whole.files} files: {len(lines)} tasks ran, no kill; "
        f"{len(lines) - len(set(lines))} tasks were repeated; {seconds:.1f} s",
        soft_wrap=True,
        highlight=False,
    )
    return repeated == 0 and whole.files == plan.total() == len(set(lines))


def table(result: dict[str, Count], whole: Count) -> Table:
    """The ten largest packages, the others together, and the sum."""
    shown = Table(title="Python's standard library")
    shown.add_column("package")
    for name in ("files", "functions", "classes", "lines"):
        shown.add_column(name, justify="right")

    def row(name: str, count: Count) -> None:
        numbers = (count.files, count.functions, count.classes, count.lines)
        shown.add_row(name, *(f"{number:,}" for number in numbers))

    ranked = sorted(result.items(), key=lambda item: -item[1].lines)
    for name, count in ranked[:10]:
        row(name, count)
    if rest := ranked[10:]:
        row(f"{len(rest)} more", add(count for _, count in rest))
    shown.add_section()
    row("all", whole)
    return shown


def demonstrate(plan: Plan, console: Console) -> bool:
    """The whole demonstration; whether it went as it should."""
    begun = time.monotonic()
    lines_at_kill, killed_at = supervise(plan, console)
    seconds = time.monotonic() - begun
    account = asyncio.run(read_account(plan.database, killed_at))
    return report(plan, account, lines_at_kill, seconds, console)


def main() -> int:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.index_stdlib",
        description="Index the standard library; kill the worker half-way; go on.",
    )
    parser.add_argument("--no-kill", action="store_true", help="let the worker live")
    parser.add_argument("--files", type=positive, metavar="N", help="at most N files")
    parser.add_argument("--database", type=Path, help="default: in a temporary folder")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="everact-demo-") as folder:
        plan = Plan(
            database=(options.database or Path(folder, "index.db")).resolve(),
            log=Path(folder, "tasks.log"),
            limit=options.files,
            kill=not options.no_kill,
        )
        if plan.database.exists():
            parser.error(f"{plan.database} exists; the demo wants a new database")
        try:
            return 0 if demonstrate(plan, console) else 1
        except WorkerFailedError as error:
            console.print(f"{error}; what it said is above", style="red")
            return 1
        except KeyboardInterrupt:
            console.print("stopped")
            return 130


def positive(text: str) -> int:
    """A number of files."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
