"""The bars: what each figure is compared with, and by how much it is met or missed.

A bar is a report, never a gate: nothing fails when one is missed. Ratios are taken
within one run of the harness, because absolute figures drift between minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Row = Mapping[str, object]
"""One result: work, concurrency, engine and the metrics that apply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """`metric` of everact, `sense` a limit.

    The limit is a factor of what the engine `beside` shows in the same run, or absolute
    where that is None.
    """

    work: str
    metric: str
    sense: Literal["at least", "at most"]
    limit: float
    beside: str | None = "ceiling"
    concurrency: int = 1
    engine: str = "everact"

    @property
    def text(self) -> str:
        """The bar in words, as the table shows it."""
        unit = f" x {self.beside}" if self.beside else ""
        return f"{self.metric} {self.sense} {self.limit:g}{unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A bar beside what was measured; `ratio` is None when a side is missing."""

    bar: Bar
    measured: float | None
    beside: float | None
    ratio: float | None

    @property
    def margin(self) -> float | None:
        """By how much the bar is met (positive) or missed, as a share of it."""
        if self.ratio is None:
            return None
        share = self.ratio / self.bar.limit
        return share - 1 if self.bar.sense == "at least" else 1 - share

    @property
    def text(self) -> str:
        """Met or missed, and by how much."""
        margin = self.margin
        if margin is None:
            return "not measured"
        word = "met" if margin >= 0 else "missed"
        return f"{word} by {abs(margin):.0%}"


def _ceiling(
    work: str,
    metric: str,
    sense: Literal["at least", "at most"],
    limit: float,
) -> Bar:
    return Bar(work=work, metric=metric, sense=sense, limit=limit)


def _limit(work: str, metric: str, limit: float) -> Bar:
    return Bar(
        work=work,
        metric=metric,
        sense="at least",
        limit=limit,
        beside="limit",
        concurrency=256,
    )


def _absolute(work: str, metric: str, limit: float) -> Bar:
    return Bar(work=work, metric=metric, sense="at most", limit=limit, beside=None)


BARS: Final = (
    _limit("W10", "steps_per_s", 0.8),
    _limit("W1", "runs_per_s", 0.7),
    _ceiling("W1", "p50_ms", "at most", 1.4),
    _ceiling("W10", "p50_ms", "at most", 1.25),
    _ceiling("F100", "p50_ms", "at most", 2),
    _ceiling("C100", "p50_ms", "at most", 4),
    _absolute("S10k", "late_p99_ms", 100),
    _absolute("S10k", "bytes_per_run", 4_608),
    _absolute("S100k", "rss_mb", 120),
    _absolute("S100k", "startup_ms", 100),
    _absolute("H10k", "recovery_s", 0.3),
    _absolute("H10k", "cost_ratio", 1.2),
    _ceiling("M", "tell_per_s", "at least", 0.8),
    _ceiling("M", "ask_per_s", "at least", 0.8),
    _ceiling("M", "spawn_per_s", "at least", 0.8),
)

CEILING_OF_RAW: Final = 0.25
"""A ceiling whose W10 rows/s are under this share of the raw rows/s has a bug."""


def judge(results: Sequence[Row], bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """Compare every bar whose work was measured at all."""
    found = {(r["work"], r["concurrency"], r["engine"]): r for r in results}
    measured_works = {r["work"] for r in results if r["engine"] == "everact"}
    verdicts = []
    for bar in bars:
        if bar.work not in measured_works:
            continue
        ours = _value(found.get((bar.work, bar.concurrency, bar.engine)), bar.metric)
        other = _value(found.get((bar.work, bar.concurrency, bar.beside)), bar.metric)
        ratio = _ratio(bar, ours, other)
        verdicts.append(Verdict(bar=bar, measured=ours, beside=other, ratio=ratio))
    return verdicts


def _value(row: Row | None, metric: str) -> float | None:
    value = row.get(metric) if row is not None else None
    return float(value) if isinstance(value, int | float) else None


def _ratio(bar: Bar, ours: float | None, other: float | None) -> float | None:
    if ours is None or bar.beside is None:
        return ours
    return ours / other if other else None
