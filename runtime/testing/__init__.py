"""The testing kit: skipped time, crashes everywhere, replay of recorded histories."""

from everact.runtime.testing.environment import Environment
from everact.runtime.testing.histories import History, histories, history
from everact.runtime.testing.replaying import replay

__all__ = ["Environment", "History", "histories", "history", "replay"]
