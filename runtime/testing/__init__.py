"""The testing kit: skipped time, crashes everywhere, replay of recorded histories."""

from everact.runtime.testing.crashes import (
    CrashesDiffer,
    CrashReport,
    Difference,
    crash_everywhere,
)
from everact.runtime.testing.environment import Environment
from everact.runtime.testing.histories import History, histories, history
from everact.runtime.testing.plays import Moment
from everact.runtime.testing.replaying import replay

__all__ = [
    "CrashReport",
    "CrashesDiffer",
    "Difference",
    "Environment",
    "History",
    "Moment",
    "crash_everywhere",
    "histories",
    "history",
    "replay",
]
