"""A plot of throughput by concurrency, from the results of a run of the harness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.session import Result

WORKS: Final = ("W1", "W10")
"""The works with more than one number of callers."""


class PlotUnavailable(Exception):
    """matplotlib is not installed: pip install 'everact[bench]'."""


def draw(results: Sequence[Result], path: Path) -> None:
    """Write a PNG or SVG, by the suffix of the path; both axes are logarithmic."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise PlotUnavailable(PlotUnavailable.__doc__) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    works = [work for work in WORKS if _lines(results, work)]
    figure, axes = plt.subplots(
        1, max(1, len(works)), figsize=(5.5 * max(1, len(works)), 4.2), squeeze=False
    )
    for axis, work in zip(axes[0], works, strict=False):
        for engine, points in _lines(results, work).items():
            callers, figures = zip(*points, strict=True)
            axis.plot(callers, figures, marker="o", label=engine)
        axis.set(xscale="log", yscale="log", title=work)
        axis.set(xlabel="closed-loop callers", ylabel="steps/s")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _lines(results: Sequence[Result], work: str) -> dict[str, list[tuple[int, float]]]:
    lines: dict[str, list[tuple[int, float]]] = {}
    for result in results:
        if result["work"] == work and "steps_per_s" in result:
            point = (result["concurrency"], result["steps_per_s"])
            lines.setdefault(result["engine"], []).append(point)
    return {engine: sorted(points) for engine, points in lines.items()}
