"""Ranges of the numbers, durations and moments that anybody outside may give.

They are chosen so that whatever is accepted can be added up and shown: a moment that
was given, or the clock's, with several of the longest durations is still one that
Python has a datetime for. `operations.bounds` checks requests by them, for every door.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

LONGEST: Final = 100 * 365.25 * 86400
"""Seconds: a century, the longest duration. Nobody waits longer for a run, and what is
longer is a slip of units, such as milliseconds for seconds.
"""

LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
"""Epoch seconds: the last moment. What is left until datetimes end (the year 9999) is
room for nine of the longest durations.
"""

WITHIN: Final = "within"
"""What a field of a record declares its range under; decoding records knows nothing
of it, so that what was stored before there was a range is readable.
"""

INTEGERS: Final = (-(2**63), 2**63 - 1)
"""What is stored of integers: 64 bits."""

LONGEST_WAIT: Final = 60.0
"""Seconds: for how long one request over a wire may wait for its answer."""

DEFAULT_WAIT: Final = 30.0
"""Seconds that it waits unless it says so."""

ATTEMPTS: Final = (0, 2**31 - 1)
"""Attempts and actions that can be counted."""

GROWTH: Final = (1.0, 1_000_000.0)
"""Factors from one waiting time to the next."""

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
_LONGEST_SHOWN: Final = 40


def within(least: float, most: float) -> Meta:
    """Declares the range of a field of a record."""
    schema = {"minimum": least, "maximum": most} if math.isfinite(most) else None
    return Meta(extra={WITHIN: (least, most)}, extra_json_schema=schema)


Seconds: TypeAlias = Annotated[float, within(0.0, LONGEST)]
"""A duration."""

Moment: TypeAlias = Annotated[float, within(0.0, LAST_MOMENT)]
"""Epoch seconds."""

Finite: TypeAlias = Annotated[float, within(-math.inf, math.inf)]
"""Any number but infinity and NaN."""

Count: TypeAlias = Annotated[int, within(*ATTEMPTS)]
"""How many."""


def whole(value: Any, what: str, least: int = 0, most: int = ATTEMPTS[1]) -> int:
    """`value` if it is an integer within the range; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{what} must be {least} or more, an integer, not {shown(value)}"
        )
    if value > most:
        raise ValueError(f"{what} must be {most:,} at most, not {shown(value)}")
    return value


def is_datable(epoch: float) -> bool:
    """Whether there is a datetime of a moment, give or take a part of a second."""
    return _FIRST <= epoch < _LAST + 1


def moment_of(epoch: float) -> datetime:
    """Epoch seconds as an aware datetime in UTC: the nearest one that there is."""
    return datetime.fromtimestamp(_nearest(epoch, _FIRST, _LAST), UTC)


def epoch_of(moment: datetime, what: str = "a moment") -> float:
    """A moment as epoch seconds; one without a zone is in UTC, one before 1970 is the
    first of it. ValueError for one that is too far ahead.
    """
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    found = aware.timestamp()
    if found > LAST_MOMENT:
        raise ValueError(f"{what} is before the year 9000; too far ahead: {moment}")
    return max(0.0, found)


def duration_of(seconds: float) -> timedelta:
    """Seconds as a timedelta: the nearest one that there is."""
    return timedelta(seconds=_nearest(seconds, -_LAST, _LAST))


def shown(value: Any) -> str:
    """A value that was refused, for the message about it: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"


def _nearest(value: float, least: float, most: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, least), most)
