"""Percentiles and medians of samples, by nearest rank."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    if not values:
        raise ValueError("no values: a percentile needs at least one")
    ordered = sorted(values)
    rank = max(1, math.ceil(len(ordered) * percent / 100))
    return ordered[rank - 1]


def median_of(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each metric over the samples that have it."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {
        name: statistics.median([s[name] for s in samples if name in s])
        for name in names
    }


def milliseconds(values: Sequence[float], prefix: str = "") -> dict[str, float]:
    """p50 and p99 of times in seconds, as milliseconds."""
    return {
        f"{prefix}p50_ms": percentile(values, 50) * 1000,
        f"{prefix}p99_ms": percentile(values, 99) * 1000,
    }
