"""Durations as users write them.

A duration is a ``timedelta``, a number of seconds, or a text of numbers with units
that are added up (``"90s"``, ``"1h30m"``, ``"250ms"``). A bare number in a text, a
sign, or a negative value is refused: ``"90"`` is as likely to mean minutes.
"""

import math
import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = timedelta | float | str

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def seconds(duration: Duration, *, what: str = "duration") -> float:
    """Return `duration` in seconds.

    Raises ValueError for a negative, non-finite or malformed duration and TypeError
    for anything that is not a duration; `what` names the parameter in the message.
    """
    if isinstance(duration, str):
        value = _parse(duration, what)
    elif isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        value = float(duration)
    else:
        raise TypeError(
            f"{what} must be a timedelta, seconds, or text such as '1h30m', "
            f"not {type(duration).__name__}"
        )
    if not math.isfinite(value):
        raise ValueError(f"{what} must be finite, not {duration!r}")
    if value < 0:
        raise ValueError(f"{what} must not be negative: {duration!r}")
    return value


def optional_seconds(duration: Duration | None, *, what: str) -> float | None:
    """Like `seconds`, with None meaning "no limit"."""
    return None if duration is None else seconds(duration, what=what)


def _parse(text: str, what: str) -> float:
    position, total = 0, 0.0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            break
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError(
            f"{what} {text!r} is not a duration: write numbers with units "
            "ms, s, m, h, d, for example '90s' or '1h30m'"
        )
    return total
