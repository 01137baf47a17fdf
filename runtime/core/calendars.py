"""When a schedule fires: pure arithmetic on calendars, intervals and time zones.

A `Spec` is the union of calendars, intervals and cron texts, less the moments that an
excluded calendar matches, between two moments. All its times are whole epoch seconds.

Calendars look at local time. The time of a zone is taken in stretches of constant
offset, and each local time is looked up in every stretch of its day: one that a clock
change skips is in none of them, one that it repeats is in two.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import ceil, floor
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from everact.runtime.core.bounds import LONGEST, Moment, Seconds, within
from everact.runtime.core.records import Record

DAY = 86400
FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Years that have times."""

_EPOCH = date(1970, 1, 1).toordinal()
_END = (date(LAST_YEAR + 1, 1, 1).toordinal() - _EPOCH) * DAY
_PATIENCE = 5000
"""Excluded stretches in a row after which it counts as certain that no time is left."""

_STEP = 6 * 3600
"""Seconds: within so many the offset of a zone changes at most once."""

Stretch: TypeAlias = tuple[int, int, int]
"""From and until, epoch seconds, and the offset of local time meanwhile."""


class Range(Record, frozen=True):
    """Numbers from `start` to `end`, `step` apart.

    An end below the start means the start, a step of 0 means 1.
    """

    start: int = 0
    end: int = 0
    step: int = 0

    def numbers(self) -> range:
        """The numbers themselves."""
        return range(self.start, max(self.start, self.end) + 1, self.step or 1)


def every(first: int, last: int) -> tuple[Range, ...]:
    """All numbers of a field."""
    return (Range(first, last, 1),)


class CalendarSpec(Record, frozen=True, kw_only=True):
    """Moments whose fields all match; Sunday is weekday 0, no year means every year.

    Day of month and weekday must both match. `time_zone` is an IANA name; empty means
    that of the whole specification.
    """

    second: tuple[Range, ...] = (Range(),)
    minute: tuple[Range, ...] = (Range(),)
    hour: tuple[Range, ...] = (Range(),)
    day_of_month: tuple[Range, ...] = every(1, 31)
    month: tuple[Range, ...] = every(1, 12)
    day_of_week: tuple[Range, ...] = every(0, 6)
    year: tuple[Range, ...] = ()
    comment: str = ""
    time_zone: str = ""


class Interval(Record, frozen=True):
    """Every `every` seconds since the epoch, `offset` seconds later."""

    every: Annotated[int, within(1, int(LONGEST))]
    offset: Annotated[int, within(0, int(LONGEST))] = 0


class Spec(Record, frozen=True, kw_only=True):
    """When to act; see the module's header. Moments are epoch seconds.

    `jitter` is the most seconds by which an action may be late; it moves no time.
    """

    calendars: tuple[CalendarSpec, ...] = ()
    intervals: tuple[Interval, ...] = ()
    crons: tuple[str, ...] = ()
    excluded: tuple[CalendarSpec, ...] = ()
    start_at: Moment | None = None
    end_at: Moment | None = None
    jitter: Seconds = 0.0
    time_zone: str = ""


FIELDS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_month": (1, 31),
    "month": (1, 12),
    "day_of_week": (0, 6),
    "year": (FIRST_YEAR, LAST_YEAR),
}
"""The least and the greatest number of each field."""


class Times:
    """The times of a specification whose cron texts are compiled (`cron.compiled`).

    ValueError, naming the field, if the specification is not one.
    """

    def __init__(self, spec: Spec) -> None:
        assert not spec.crons
        self._from = None if spec.start_at is None else ceil(spec.start_at) - 1
        self._until = _END if spec.end_at is None else min(_END, floor(spec.end_at) + 1)
        for interval in spec.intervals:
            _check_interval(interval)
        self._intervals = spec.intervals
        self._calendars = [_Calendar(c, spec.time_zone) for c in spec.calendars]
        self._excluded = [_Calendar(c, spec.time_zone) for c in spec.excluded]

    def after(self, moment: float) -> int | None:
        """The first time later than `moment`; None if there is none."""
        at = floor(moment)
        if self._from is not None:
            at = max(at, self._from)
        for _ in range(_PATIENCE):
            if at >= self._until:
                return None
            found = self._next(at)
            if found is None or found >= self._until:
                return None
            left = max((c.matches_until(found) or 0 for c in self._excluded), default=0)
            if not left:
                return found
            at = left - 1
        return None

    def between(self, after: float, until: float) -> Iterator[int]:
        """All times later than `after`, up to and with `until`, in order."""
        found = self.after(after)
        while found is not None and found <= until:
            yield found
            found = self.after(found)

    def _next(self, at: int) -> int | None:
        found = [_next_of(interval, at) for interval in self._intervals]
        found += [t for c in self._calendars if (t := c.after(at)) is not None]
        return min(found, default=None)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name, UTC if it is empty; ValueError for no name."""
    try:
        return ZoneInfo(name or "UTC")
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"no time zone {name!r} is known: write an IANA name, as 'Europe/Berlin'"
        ) from error


def _next_of(interval: Interval, at: int) -> int:
    behind = (at - interval.offset) // interval.every
    return (behind + 1) * interval.every + interval.offset


def _check_interval(interval: Interval) -> None:
    if interval.every < 1:
        raise ValueError(
            f"an interval must be a whole second or more, not {interval.every} s"
        )
    if interval.offset < 0:
        raise ValueError(
            f"the offset of an interval must not be negative: {interval.offset} s"
        )


class _Calendar:
    """A calendar spread out for looking up."""

    def __init__(self, spec: CalendarSpec, zone: str) -> None:
        self._zone = zone_of(spec.time_zone or zone)
        found = {name: _numbers(name, getattr(spec, name)) for name in FIELDS}
        self._seconds = found["second"]
        self._minutes = found["minute"]
        self._hours = found["hour"]
        self._days = found["day_of_month"]
        self._months = found["month"]
        self._weekdays = frozenset(found["day_of_week"])
        self._years = found["year"] or tuple(range(FIRST_YEAR, LAST_YEAR + 1))

    def after(self, at: int) -> int | None:
        """The first match later than `at`."""
        # Local dates differ from those of UTC by a day at most, and where a clock
        # change repeats midnight, a day may go on after the next has begun.
        found: int | None = None
        last: int | None = None
        for day in self._dates((at + 1) // DAY - 1):
            if last is not None and day > last + 1:
                break
            match = self._in_day(day, at + 1)
            if match is not None and (found is None or match < found):
                found = match
            if found is not None and last is None:
                last = day
        return found

    def matches_until(self, moment: int) -> int | None:
        """If `moment` matches, a later one until which all do; else None."""
        offset = _offset(self._zone, moment)
        day, second = divmod(moment + offset, DAY)
        if not self._has(day) or self._time_from(second) != second:
            return None
        if len(self._seconds) < 60:
            return moment + 1
        unit = 60
        if len(self._minutes) == 60:
            unit = DAY if len(self._hours) == 24 else 3600
        left = moment + unit - second % unit
        stretches = stretches_of(self._zone, day)
        end = next(until for a, until, _ in stretches if a <= moment < until)
        return min(left, end)

    def _in_day(self, day: int, earliest: int) -> int | None:
        for begin, until, offset in stretches_of(self._zone, day):
            if until <= earliest:
                continue
            midnight = day * DAY - offset
            second = self._time_from(max(begin, earliest) - midnight)
            if second is not None and midnight + second < until:
                return midnight + second
        return None

    def _time_from(self, second: int) -> int | None:
        """The first matching second of a day that is not before `second`."""
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        hours, minutes, seconds = self._hours, self._minutes, self._seconds
        h = bisect_left(hours, hour)
        if h == len(hours):
            return None
        if hours[h] == hour:
            m = bisect_left(minutes, minute)
            if m < len(minutes) and minutes[m] == minute:
                s = bisect_left(seconds, rest)
                if s < len(seconds):
                    return hour * 3600 + minute * 60 + seconds[s]
                m += 1
            if m < len(minutes):
                return hour * 3600 + minutes[m] * 60 + seconds[0]
            h += 1
        if h == len(hours):
            return None
        return hours[h] * 3600 + minutes[0] * 60 + seconds[0]

    def _has(self, day: int) -> bool:
        at = date.fromordinal(_EPOCH + day)
        return (
            at.year in self._years
            and at.month in self._months
            and at.day in self._days
            and at.isoweekday() % 7 in self._weekdays
        )

    def _dates(self, first: int) -> Iterator[int]:
        """Matching dates from `first` on, as days since the epoch."""
        begin = date.fromordinal(_EPOCH + max(first, 0))
        for year in self._years[bisect_left(self._years, begin.year) :]:
            for month in self._months:
                if (year, month) < (begin.year, begin.month):
                    continue
                weekday, length = monthrange(year, month)
                start = date(year, month, 1).toordinal() - _EPOCH
                for day in self._days:
                    if day > length:
                        break
                    if (weekday + day) % 7 in self._weekdays:
                        found = start + day - 1
                        if found >= first:
                            yield found


def _numbers(name: str, ranges: tuple[Range, ...]) -> tuple[int, ...]:
    least, most = FIELDS[name]
    found: set[int] = set()
    for one in ranges:
        numbers = one.numbers() if one.step >= 0 else range(0)
        if not numbers or numbers[0] < least or max(one.end, one.start) > most:
            raise ValueError(
                f"{name} takes numbers from {least} to {most} and a step that is not "
                f"negative, not {one}"
            )
        found.update(numbers)
    if not found and name != "year":
        raise ValueError(f"{name} of a calendar must not be empty")
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def stretches_of(zone: ZoneInfo, day: int) -> tuple[Stretch, ...]:
    """When it is that local date, in stretches of constant offset, in order."""
    if zone.key == "UTC":
        return ((day * DAY, (day + 1) * DAY, 0),)
    at, end = min(_midnights(zone, day)), max(_midnights(zone, day + 1))
    found: list[Stretch] = []
    offset = _offset(zone, at)
    while at < end:
        known = until = at
        offset_then = offset
        while until < end and offset_then == offset:
            known, until = until, min(until + _STEP, end)
            offset_then = _offset(zone, until)
        if offset_then != offset:
            until = _change(zone, known, until)
        midnight = day * DAY - offset
        begin, stop = max(at, midnight), min(until, midnight + DAY)
        if begin < stop:
            found.append((begin, stop, offset))
        at = until
        offset = _offset(zone, at)
    return tuple(found)


def _midnights(zone: ZoneInfo, day: int) -> list[int]:
    """The moments that might be the beginning of a local date."""
    local = datetime(1970, 1, 1, tzinfo=zone) + timedelta(days=day)
    return [
        day * DAY - _seconds(local.replace(fold=fold).utcoffset()) for fold in (0, 1)
    ]


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The first moment with the offset of `after`, which is not that of `before`."""
    offset = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, moment: int) -> int:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    return _seconds(at.astimezone(zone).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None
    return round(offset.total_seconds())
