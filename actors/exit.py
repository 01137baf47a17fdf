"""How an actor ended, as a value.

A closed set: match on the four classes and end with ``assert_never``. ``abnormal``
is what a supervisor asks when it decides about a transient child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

__all__ = ["NORMAL", "STOPPED", "Exit", "Failed", "Killed", "Normal", "Stopped"]


@dataclass(frozen=True, slots=True)
class Normal:
    """The actor's own work was done and it ended itself (exit status 0)."""

    abnormal: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was asked to stop, alone or with its parent or system (SIGTERM)."""

    abnormal: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Killed:
    """It was ended at once, in the middle of its work (SIGKILL).

    A running asynchronous handler was cancelled and unread messages were not handled.
    """

    reason: str = ""
    abnormal: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Failed:
    """An exception escaped from its code (a non-zero exit status)."""

    error: BaseException
    abnormal: ClassVar[bool] = True


Exit: TypeAlias = Normal | Stopped | Killed | Failed

NORMAL = Normal()
STOPPED = Stopped()
