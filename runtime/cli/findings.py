"""Findings of `everact doctor`: what is so, how bad it is, and what to do about it."""

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """One thing that was found; `advice` says what to do, if anything."""

    check: str
    level: Level
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """It works, but should be otherwise."""
    return Finding(check, Level.WARNING, message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """It does not work, or data is in danger."""
    return Finding(check, Level.PROBLEM, message, advice)
