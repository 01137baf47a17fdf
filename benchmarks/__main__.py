"""`python -m benchmarks`: measure, print the tables, write JSON and a plot."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import bytecodes, growth, machine, report
from benchmarks.budgets import held
from benchmarks.engines.base import Engine
from benchmarks.engines.catalog import NAMES, engine
from benchmarks.growth import TERMS
from benchmarks.measure import MeasurementFailed, measure
from benchmarks.plot import PlotUnavailable, draw
from benchmarks.protocol import Metrics
from benchmarks.session import Course, Plan
from benchmarks.works import DEFAULT, LATER, WORKS, Work

COUNTABLE = ("everact", "limit", "ceiling")
"""Engines whose work is done on the loop of the process that uses them."""

WIDTH = 140
"""Columns of the tables where no terminal says how wide it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 if there was nothing to measure."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    if options.growth is not None:
        return _grow(options.growth or list(TERMS), options, console)
    engines = _present(options.engine or NAMES, console)
    works = [WORKS[name] for name in options.work or DEFAULT]
    for work in works:
        if options.work and work.name in LATER:
            console.print(f"note: {LATER[work.name]}")
    if not works or not engines:
        console.print("nothing to measure")
        return 2
    if options.bytecodes:
        return _count(works, engines, options.directory, console)
    plan = Plan(
        works=works,
        engines=engines,
        concurrency=options.concurrency or (),
        seconds=options.seconds,
        samples=options.samples,
        scale=options.scale,
        directory=options.directory,
    )
    course = Course(plan)
    before = machine.describe()
    _run(course, console)
    content = report.document(
        before, machine.commit(), _versions(engines), course.raw(), course.results()
    )
    report.show(console, content, options.scale)
    if options.json is not None:
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    if options.plot is not None:
        try:
            draw(content["results"], options.plot)
        except PlotUnavailable as error:
            console.print(str(error), markup=False)
            return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    works = "\n".join(f"  {name:6} {work.summary}" for name, work in WORKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            "Measure everact beside its ceiling and its peers. A report, never a "
            "gate: use a quiet machine.\n\nworks:\n" + works
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("work", nargs="*", type=_work, metavar="WORK", help="default: all")
    add(
        "--engine",
        nargs="+",
        action="extend",
        choices=NAMES,
        metavar="NAME",
        help=f"of {', '.join(NAMES)}; default: all that are installed",
    )
    add("--concurrency", nargs="+", type=int, metavar="N", help="closed-loop callers")
    add("--seconds", type=float, default=3.0, help="of each timed sample (3)")
    add("--samples", type=int, default=3, help="median of so many (3)")
    add(
        "--bytecodes",
        action="store_true",
        help="count what the loop executes instead of measuring times (Python 3.11)",
    )
    add(
        "--growth",
        nargs="*",
        choices=tuple(TERMS),
        metavar="TERM",
        help=f"what costs more as something grows; of {', '.join(TERMS)} (all)",
    )
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--plot", type=Path, metavar="FILE", help="throughput by concurrency, PNG, SVG")
    add(
        "--scale",
        type=float,
        default=1.0,
        help="shrink works of a fixed size, to try the harness",
    )
    add(
        "--directory",
        default=tempfile.gettempdir(),
        help="where databases go: a real disk, not a RAM disk",
    )
    return parser


def _work(text: str) -> str:
    """A work's name, however it is capitalised."""
    for name in WORKS:
        if name.lower() == text.lower():
            return name
    raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(WORKS)}")


def _present(names: Sequence[str], console: Console) -> list[Engine]:
    """The engines that can run; a message for each that cannot."""
    engines = []
    for name in dict.fromkeys(names):
        candidate = engine(name)
        reason = candidate.missing()
        if reason is None:
            engines.append(candidate)
        else:
            console.print(f"note: {name} is left out: {reason}", highlight=False)
    return engines


def _count(
    works: Sequence[Work],
    engines: Sequence[Engine],
    directory: str,
    console: Console,
) -> int:
    """Count works on the engines that live in this process, and print the table."""
    counted: dict[str, dict[str, Metrics | str]] = {}
    for work in works:
        for one in engines:
            countable = work.name in bytecodes.UNITS and one.name in COUNTABLE
            if not countable or work.name not in one.works:
                continue
            job = bytecodes.job_of(work.name, one.name, directory)
            try:
                found: Metrics | str = measure(job, lambda _: None)
            except MeasurementFailed as failure:
                found = str(failure)
            counted.setdefault(work.name, {})[one.name] = found
    if not counted:
        known = ", ".join(bytecodes.UNITS)
        console.print(f"nothing to count: of {', '.join(COUNTABLE)}, {known} are")
        return 2
    report.show_bytecodes(console, counted)
    if not held():
        console.print("note: the budgets are of Python 3.11, this is another one")
    return 0


def _grow(terms: Sequence[str], options: argparse.Namespace, console: Console) -> int:
    """Measure everact at the sizes of each term, and print the table."""
    points: dict[str, dict[int, Metrics | str]] = {}
    for term in terms:
        for size in TERMS[term].sizes:
            scaled = max(1, round(size * options.scale))
            job = growth.job_of(term, scaled, options.directory)
            try:
                found: Metrics | str = measure(job, lambda _: None)
            except MeasurementFailed as failure:
                found = str(failure)
            points.setdefault(term, {})[scaled] = found
    facts = {**machine.describe(), "commit": machine.commit()}
    console.print(
        ", ".join(f"{name} {value}" for name, value in facts.items()),
        soft_wrap=True,
        highlight=False,
    )
    report.show_growth(console, points)
    if options.json is not None:
        options.json.write_text(json.dumps({**facts, "growth": points}, indent=2))
    return 0


def _versions(engines: Sequence[Engine]) -> dict[str, str]:
    return {
        name: version for one in engines for name, version in one.versions().items()
    }


def _run(course: Course, console: Console) -> None:
    planned = list(course.measurements())
    columns = (
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(planned))
        for index, (label, job) in enumerate(planned):
            bar.update(task, description=label, completed=index)

            def progress(share: float, done: int = index) -> None:
                bar.update(task, completed=done + share)

            course.measure(job, progress)
        bar.update(task, completed=len(planned))


if __name__ == "__main__":
    # However it is ended, measuring processes end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
