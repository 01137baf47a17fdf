"""Crashes at every point of a user's scenario, and whether anybody can tell.

A scenario is what a program does with a runtime. It is played once in peace, and then
again and again, each time with the engine killed at another commit, in each of three
moments. Then the process is as good as gone: another loop, another engine and another
`Runtime` on the same database, and the scenario from its beginning; see `Remembering`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from everact.runtime.core.durations import Duration, seconds
from everact.runtime.definitions.registry import Registry, default_registry
from everact.runtime.embedded import Runtime
from everact.runtime.engine.workers import Worker
from everact.runtime.errors import RuntimeStateError
from everact.runtime.testing.ledger import Broken
from everact.runtime.testing.plays import Moment, Play, Setting
from everact.runtime.testing.replacing import Fakes
from everact.runtime.values.converter import DataConverter

R = TypeVar("R")


class CrashesDiffer(AssertionError):
    """A crash changed the outcome; `report` tells all."""

    def __init__(self, report: "CrashReport[Any]") -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True, slots=True)
class Difference:
    """A crash that somebody could tell: after which commit, and what came of it."""

    commit: int
    moment: Moment
    held: str
    outcome: str

    def __str__(self) -> str:
        return (
            f"killed at commit {self.commit}, {self.moment.value}\n"
            f"    it held: {self.held}\n"
            f"    outcome: {self.outcome}"
        )


@dataclass(frozen=True, slots=True)
class CrashReport(Generic[R]):
    """What all the crashes came to. `outcome` is the scenario's without any."""

    outcome: R
    commits: int
    crashes: int
    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        if not self.differences:
            return f"{self.crashes} crashes at {self.commits} commits changed nothing"
        first = (
            f"{len(self.differences)} of {self.crashes} crashes changed the outcome. "
            f"Without any it is {self.outcome!r}"
        )
        return "\n".join([first, *map(str, self.differences)])


def crash_everywhere(
    scenario: Callable[[Runtime], Awaitable[R]],
    *,
    registry: Registry | None = None,
    fakes: Fakes | None = None,
    workers: Sequence[Worker] | None = None,
    data_converter: DataConverter | None = None,
    before_each: Callable[[], object] | None = None,
    downtime: Duration = 1.0,
    moments: Iterable[Moment] = Moment,
) -> CrashReport[R]:
    """Play a scenario with a crash at every commit, and compare what comes of it.

    `scenario` takes a runtime, starts runs, sends them messages, waits for them, and
    returns what must be the same whatever happens; what it raises without any crash is
    raised. After a crash it is played again from its beginning: what was answered to
    it before it is answered again, and nothing takes effect twice, if it asks for the
    same in the same order. Time is skipped; `downtime` passes between a crash and the
    next life. Tasks are called as they are, or their `fakes`; `before_each` resets
    what they act on, before each time that all is played.

    Whatever the outcome, no task may run whose outcome is recorded, and none before its
    request is. Raises CrashesDiffer, which tells after which commits the outcome was
    another; RuntimeStateError on a running loop, since it has loops of its own.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeStateError(
            "crash_everywhere runs loops of its own: call it from a plain function"
        )
    setting = Setting(
        scenario,
        registry or default_registry(),
        fakes,
        None if workers is None else tuple(workers),
        data_converter,
        before_each,
        seconds(downtime, what="downtime"),
    )
    calm = Play(setting, 0, Moment.BEFORE)
    calm.run()
    if calm.broken is not None:
        raise calm.broken
    if calm.outcome is None or calm.outcome.error is not None:
        error = calm.outcome and calm.outcome.error
        raise error or Broken(f"without any crash, {calm.standstill}")
    differences = []
    crashes = 0
    for moment in moments:
        for commit in range(1, calm.commits + 1):
            play = Play(setting, commit, moment)
            play.run()
            crashes += play.crashed
            if play.story != calm.story:
                differences.append(Difference(commit, moment, play.held, play.told))
    report = CrashReport(calm.outcome.value, calm.commits, crashes, tuple(differences))
    if differences:
        raise CrashesDiffer(report)
    return report
