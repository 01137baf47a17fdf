"""The tables and the JSON of a run of the harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.bars import CEILING_OF_RAW, judge
from benchmarks.budgets import BUDGETS
from benchmarks.bytecodes import UNITS
from benchmarks.growth import SAME
from benchmarks.protocol import Metrics
from benchmarks.session import Result

ABSENT: Final = "–"

_COLUMNS: Final = {
    "runs/s": "runs_per_s",
    "steps/s": "steps_per_s",
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "max ms": "max_ms",
    "peak MB": "rss_mb",
}

_OTHER: Final = {
    "starts_per_s": "{} starts/s",
    "late_p50_ms": "late p50 {} ms",
    "late_p99_ms": "late p99 {} ms",
    "bytes_per_run": "{} B/run",
    "filling_rss_mb": "{} MB filling",
    "resting_rss_mb": "{} MB resting",
    "startup_ms": "start-up {} ms",
    "recovery_s": "recovered in {} s",
    "recovered_per_s": "{} runs/s recovered",
    "steps_repeated": "{} steps repeated",
    "total_s": "total {} s",
    "early_step_ms": "early step {} ms",
    "late_step_ms": "late step {} ms",
    "cost_ratio": "late/early {}",
    "tell_per_s": "{} tell/s",
    "ask_per_s": "{} ask/s",
    "spawn_per_s": "{} spawn/s",
    "bytes_per_actor": "{} B/actor",
    "signals_per_s": "{} signals/s",
}

_RAW: Final = {
    "raw_fdatasync_per_s": "fdatasync/s",
    "raw_commits_per_s": "SQLite FULL, 1 row a transaction: rows/s",
    "raw_rows_per_s": "SQLite FULL, 500 rows a transaction: rows/s",
    "raw_group_rows_per_s": "group commit from asyncio, 256 waiters: rows/s",
}


def document(
    machine: Mapping[str, Any],
    commit: str,
    versions: Mapping[str, str],
    limits: Metrics,
    results: Sequence[Result],
) -> dict[str, Any]:
    """Everything as one JSON object; a metric is present where it applies."""
    return {
        "machine": dict(machine),
        "commit": commit,
        "versions": dict(versions),
        "raw": limits,
        "results": list(results),
        "bars": [
            {
                "work": verdict.bar.work,
                "concurrency": verdict.bar.concurrency,
                "bar": verdict.bar.text,
                "measured": verdict.measured,
                "beside": verdict.beside,
                "ratio": verdict.ratio,
                "verdict": verdict.text,
            }
            for verdict in judge(results)
        ],
    }


def show(console: Console, content: Mapping[str, Any], scale: float) -> None:
    """Print the tables of a document."""
    facts = {**content["machine"], "commit": content["commit"], **content["versions"]}
    console.print(
        ", ".join(f"{name} {value}" for name, value in facts.items()),
        soft_wrap=True,
        highlight=False,
    )
    console.print(_limits(content["raw"]))
    console.print(_figures(content["results"], scale))
    for result in content["results"]:
        if "error" in result:
            console.print(
                f"{result['work']} c={result['concurrency']} on {result['engine']} "
                f"failed: {result['error']}",
                markup=False,
            )
    if content["bars"]:
        console.print(_verdicts(content["bars"], scale))
    for line in _ceiling_check(content["results"], content["raw"]):
        console.print(line)


def show_bytecodes(
    console: Console, counted: Mapping[str, Mapping[str, Metrics | str]]
) -> None:
    """Print what was counted, by work and engine, beside the budgets and the bars."""
    engines = list(dict.fromkeys(name for row in counted.values() for name in row))
    table = Table(title="Bytecodes on the loop's thread")
    table.add_column("work")
    table.add_column("of one")
    for title in (*engines, "budget", "bar", "everact / bar"):
        table.add_column(title, justify="right")
    ours = {work: _bytecodes(row.get("everact")) for work, row in counted.items()}
    known = {work: value for work, value in ours.items() if value is not None}
    for work, row in counted.items():
        budget, own = BUDGETS[work], row.get("everact")
        live = own.get("live") if isinstance(own, dict) else None
        bar = budget.bar_in_bytecodes(
            known if live is None else {**known, "live": live}
        )
        value = ours[work]
        over = ABSENT if value is None or bar is None else f"{value / bar:.2f}"
        cells = [_bytecodes(row.get(name)) for name in engines]
        table.add_row(
            work,
            UNITS[work],
            *(ABSENT if cell is None else number(cell) for cell in cells),
            number(budget.most),
            budget.text,
            over,
        )
    console.print(table)
    for work, row in counted.items():
        for name, metrics in row.items():
            if isinstance(metrics, str):
                console.print(f"{work} on {name} failed: {metrics}", markup=False)


def _bytecodes(metrics: Metrics | str | None) -> float | None:
    return metrics["bytecodes"] if isinstance(metrics, dict) else None


def show_growth(
    console: Console, points: Mapping[str, Mapping[int, Metrics | str]]
) -> None:
    """Print the cost at each term's first size, and at the others how many times it.

    The table is Markdown, as docs/performance.md has it.
    """
    table = Table(title="Growth", box=MARKDOWN)
    for title in ("as this grows", "from", "the cost of", "in"):
        table.add_column(title)
    steps = max(len(sizes) for sizes in points.values())
    factors = [f"× {10**power:,}" for power in range(1, steps)]
    for title in ("is", *factors, ""):
        table.add_column(title, justify="right")
    for term, sizes in points.items():
        (first, begun), *others = sizes.items()
        if isinstance(begun, str):
            continue
        for cost, base in begun.items():
            what, unit = cost.split("/")
            ratios = [_times(found, cost, base) for _, found in others]
            shown = [ABSENT if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            shown += [""] * (steps - 1 - len(shown))
            grows = any(ratio is not None and ratio > SAME for ratio in ratios)
            table.add_row(
                *(term.replace("-", " "), f"{first:,}", what, unit, number(base)),
                *shown,
                "grows" if grows else "",
            )
    console.print(table)
    for term, sizes in points.items():
        for size, found in sizes.items():
            if isinstance(found, str):
                console.print(f"{term} at {size:,} failed: {found}", markup=False)


def _times(found: Metrics | str, cost: str, base: float) -> float | None:
    if isinstance(found, str) or cost not in found or not base:
        return None
    return found[cost] / base


def number(value: float) -> str:
    """Three figures that matter, thousands separated."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _limits(limits: Metrics) -> Table:
    table = Table(title="What the machine allows")
    table.add_column("limit")
    table.add_column("measured", justify="right")
    for name, text in _RAW.items():
        if name in limits:
            table.add_row(text, number(limits[name]))
    return table


def _figures(results: Sequence[Result], scale: float) -> Table:
    table = Table(title="Works" + _scaled(scale))
    table.add_column("work")
    table.add_column("c", justify="right")
    table.add_column("engine")
    for title in _COLUMNS:
        table.add_column(title, justify="right")
    table.add_column("other")
    last: tuple[str, int] | None = None
    for result in results:
        group = (result["work"], result["concurrency"])
        if last not in (None, group):
            table.add_section()
        last = group
        cells = [_cell(result, metric) for metric in _COLUMNS.values()]
        table.add_row(
            group[0], str(group[1]), result["engine"], *cells, _remark(result)
        )
    return table


def _cell(result: Result, metric: str) -> str:
    return number(result[metric]) if metric in result else ABSENT


def _remark(result: Result) -> str:
    if result.get("supported") is False:
        return "not supported"
    if "error" in result:
        return "failed, see below"
    return ", ".join(
        text.format(number(result[metric]))
        for metric, text in _OTHER.items()
        if metric in result
    )


def _verdicts(bars: Sequence[Mapping[str, Any]], scale: float) -> Table:
    table = Table(title="Bars" + _scaled(scale))
    for title in ("work", "c", "bar", "everact", "beside", "measured ratio", ""):
        table.add_column(title)
    for bar in bars:
        values = [bar["measured"], bar["beside"], bar["ratio"]]
        table.add_row(
            bar["work"],
            str(bar["concurrency"]),
            bar["bar"],
            *(ABSENT if value is None else number(value) for value in values),
            bar["verdict"],
        )
    return table


def _ceiling_check(results: Sequence[Result], limits: Metrics) -> list[str]:
    """Rows/s of the ceiling's W10 (a start and ten results) beside the raw rows/s."""
    lines = []
    for result in results:
        key = (result["work"], result["concurrency"], result["engine"])
        if key != ("W10", 256, "ceiling") or "runs_per_s" not in result:
            continue
        rows = result["runs_per_s"] * (result["steps"] + 1)
        for name in ("raw_rows_per_s", "raw_group_rows_per_s"):
            if not limits.get(name):
                continue
            share = rows / limits[name]
            verdict = "" if share >= CEILING_OF_RAW else ": the ceiling has a bug"
            lines.append(
                f"ceiling W10 c=256 writes {number(rows)} rows/s, {share:.2f} of "
                f"{_RAW[name]}{verdict}"
            )
    return lines


def _scaled(scale: float) -> str:
    return "" if scale == 1 else f" (sizes scaled by {scale:g}: not the real works)"
