"""How figures become medians, percentiles and verdicts."""

from __future__ import annotations

import pytest

from benchmarks.bars import Bar, judge
from benchmarks.report import number
from benchmarks.stats import median_of, percentile

FASTER = Bar(work="W1", metric="runs_per_s", sense="at least", limit=0.75)
SLOWER = Bar(work="W1", metric="p50_ms", sense="at most", limit=1.2)
FIXED = Bar(work="W1", metric="rss_mb", sense="at most", limit=100, beside=None)


def row(engine: str, **metrics: float) -> dict[str, object]:
    return {"work": "W1", "concurrency": 1, "engine": engine, **metrics}


@pytest.mark.parametrize(
    ("bar", "ours", "top", "ratio", "text"),
    [
        (FASTER, 900.0, 1000.0, 0.9, "met by 20%"),
        (FASTER, 600.0, 1000.0, 0.6, "missed by 20%"),
        (SLOWER, 1.2, 1.0, 1.2, "met by 0%"),
        (SLOWER, 1.8, 1.0, 1.8, "missed by 50%"),
        (FIXED, 50.0, 1.0, 50.0, "met by 50%"),
    ],
)
def test_a_bar_is_judged_by_its_sense(
    bar: Bar, ours: float, top: float, ratio: float, text: str
) -> None:
    results = [
        row("everact", **{bar.metric: ours}),
        row("ceiling", **{bar.metric: top}),
    ]
    (verdict,) = judge(results, [bar])
    assert verdict.ratio == pytest.approx(ratio)
    assert verdict.text == text


def test_a_bar_names_the_engine_that_it_is_a_share_of() -> None:
    bar = Bar(
        work="W1", metric="runs_per_s", sense="at least", limit=0.7, beside="limit"
    )
    rows = [row("everact", runs_per_s=8.0), row("limit", runs_per_s=10.0)]
    (verdict,) = judge([*rows, row("ceiling", runs_per_s=100.0)], [bar])
    assert bar.text == "runs_per_s at least 0.7 x limit"
    assert verdict.beside == 10.0
    assert verdict.ratio == pytest.approx(0.8)


def test_a_bar_without_a_ceiling_beside_it_is_not_measured() -> None:
    (verdict,) = judge([row("everact", runs_per_s=1.0)], [FASTER])
    assert verdict.ratio is None
    assert verdict.text == "not measured"


def test_a_work_that_was_not_asked_for_has_no_verdict() -> None:
    assert judge([row("ceiling", runs_per_s=1.0)], [FASTER]) == []


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)


def test_the_median_of_samples_is_taken_metric_by_metric() -> None:
    samples = [{"a": 1.0, "b": 9.0}, {"a": 3.0}, {"a": 2.0, "b": 7.0}]
    assert median_of(samples) == {"a": 2.0, "b": 8.0}


def test_numbers_keep_three_figures() -> None:
    assert [number(value) for value in (0.01234, 12.34, 1234.5, 3.0)] == [
        "0.0123",
        "12.3",
        "1,234",
        "3",
    ]
