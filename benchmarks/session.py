"""One run of the harness: the plan, sample by sample, and its results.

Engines alternate sample by sample, so that a drift of the machine hits all alike; the
median of the samples is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import raw
from benchmarks.engines.base import Engine
from benchmarks.measure import MeasurementFailed, Progress, measure
from benchmarks.protocol import Job, Metrics
from benchmarks.stats import median_of
from benchmarks.works import Work

Result = dict[str, Any]
"""work, concurrency, engine, then metrics; or `supported: false`; or `error`."""

RAW_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What was asked for."""

    works: Sequence[Work]
    engines: Sequence[Engine]
    concurrency: Sequence[int]
    """Empty: each work's own."""
    seconds: float
    samples: int
    scale: float
    directory: str

    def groups(self) -> list[tuple[Work, int]]:
        """Works with one number of callers each."""
        return [
            (work, callers)
            for work in self.works
            for callers in self._concurrency_of(work)
        ]

    def job(self, work: Work, callers: int, engine: Engine) -> Job:
        """One measurement."""
        history = work.kind == "history"
        return Job(
            work=work.name,
            engine=engine.name,
            concurrency=callers,
            seconds=self.seconds * engine.patience,
            size=work.size if history else self._scaled(work.size),
            steps=self._scaled(work.steps) if history else work.steps,
            directory=self.directory,
        )

    def _concurrency_of(self, work: Work) -> Sequence[int]:
        fixed = work.kind not in ("load", "signals", "http")
        return work.concurrency if fixed or not self.concurrency else self.concurrency

    def _scaled(self, number: int) -> int:
        return number if number == 1 else max(1, round(number * self.scale))


def supported(engine: Engine, work: Work, callers: int) -> bool:
    """Whether the engine can do the work with so many callers."""
    return work.name in engine.works and callers <= engine.most_callers


class Course:
    """Runs a plan; iterate over `measurements` and call each."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._samples: dict[tuple[str, int, str], list[Metrics]] = {}
        self._errors: dict[tuple[str, int, str], str] = {}
        self._raw: list[Metrics] = []

    def measurements(self) -> Iterator[tuple[str, Job]]:
        """What is to be measured next, and how to call it."""
        for work, callers in self._plan.groups():
            yield "raw", self._raw_job()
            for sample in range(self._plan.samples):
                for engine in self._plan.engines:
                    if supported(engine, work, callers):
                        label = f"{work.name} c={callers} {engine.name} #{sample + 1}"
                        yield label, self._plan.job(work, callers, engine)

    def measure(self, job: Job, progress: Progress) -> None:
        """Measure and keep the sample; a failure is kept as the result's error."""
        key = (job.work, job.concurrency, job.engine)
        if key in self._errors:
            return
        try:
            metrics = measure(job, progress)
        except MeasurementFailed as failure:
            self._errors[key] = str(failure)
            return
        if job.engine == raw.NAME:
            self._raw.append(metrics)
        else:
            self._samples.setdefault(key, []).append(metrics)

    def raw(self) -> Metrics:
        """The limits of the machine: medians over the whole course."""
        return median_of(self._raw)

    def results(self) -> list[Result]:
        """Medians, in the order of the plan, with what failed or is not supported."""
        return [
            self._result(work, callers, engine)
            for work, callers in self._plan.groups()
            for engine in self._plan.engines
        ]

    def _result(self, work: Work, callers: int, engine: Engine) -> Result:
        key = (work.name, callers, engine.name)
        result: Result = dict(zip(("work", "concurrency", "engine"), key, strict=True))
        if not supported(engine, work, callers):
            return result | {"supported": False}
        if key in self._errors:
            return result | {"error": self._errors[key]}
        job = self._plan.job(work, callers, engine)
        samples = self._samples.get(key, [])
        return result | {
            "size": job.size,
            "steps": job.steps,
            **median_of(samples),
            "samples": samples,
        }

    def _raw_job(self) -> Job:
        return Job(
            work=raw.NAME,
            engine=raw.NAME,
            concurrency=0,
            seconds=RAW_SECONDS,
            size=1,
            steps=0,
            directory=self._plan.directory,
        )
