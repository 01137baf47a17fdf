"""Durations as users write them.

A duration is a ``timedelta``, a number of seconds, or a text of numbers with units
that are added up (``"90s"``, ``"1h30m"``, ``"250ms"``), from 0 to a century. A bare
number in a text, a sign, or a negative value is refused: ``"90"`` is as likely to mean
minutes.
"""

import math
import re
from datetime import timedelta
from typing import TypeAlias

from everact.runtime.core.bounds import LONGEST, shown

Duration: TypeAlias = timedelta | float | str

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_TEXT = 1000
"""Characters."""

_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def seconds(duration: Duration, *, what: str = "duration") -> float:
    """Return `duration` in seconds.

    Raises ValueError for a malformed duration or one that is not from 0 to a century,
    and TypeError for anything that is not a duration; `what` names the parameter in
    the message.
    """
    if isinstance(duration, str):
        value = _parse(duration, what)
    elif isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        value = float(duration) if duration <= LONGEST else math.inf
    else:
        raise TypeError(
            f"{what} must be a timedelta, seconds, or text such as '1h30m', "
            f"not {type(duration).__name__}"
        )
    if 0.0 <= value <= LONGEST:
        return value
    if value < 0:
        raise ValueError(f"{what} must not be negative: {shown(duration)}")
    if not math.isfinite(value) and isinstance(duration, float):
        raise ValueError(f"{what} must be finite, not {duration!r}")
    raise ValueError(
        f"{what} must be a century (36525 days) at most, not {shown(duration)}"
    )


def optional_seconds(duration: Duration | None, *, what: str) -> float | None:
    """Like `seconds`, with None meaning "no limit"."""
    return None if duration is None else seconds(duration, what=what)


def _parse(text: str, what: str) -> float:
    position, total = 0, 0.0
    while position < len(text) <= _LONGEST_TEXT:
        match = _PART.match(text, position)
        if match is None:
            break
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError(
            f"{what} {shown(text)} is not a duration: write numbers with units "
            "ms, s, m, h, d, for example '90s' or '1h30m'"
        )
    return total
