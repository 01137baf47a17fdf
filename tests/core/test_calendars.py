"""Times of schedules: calendars, intervals, zones; against enumeration by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everact.runtime.core.calendars import (
    FIELDS,
    CalendarSpec,
    Interval,
    Range,
    Spec,
    Times,
    every,
)
from everact.runtime.core.cron import times_of

LONG = bool(os.environ.get("EVERACT_LONG"))

ALL_DAY: dict[str, Any] = {
    "second": every(0, 59),
    "minute": every(0, 59),
    "hour": every(0, 23),
}


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(spec: Spec, after: str, count: int, zone: str = "UTC") -> list[str]:
    """The next `count` times after a moment in UTC, in the local time of a zone."""
    times, found, moment = times_of(spec), [], at(after)
    for _ in range(count):
        following = times.after(moment)
        if following is None:
            break
        moment = following
        local = datetime.fromtimestamp(moment, ZoneInfo(zone))
        found.append(local.strftime("%a %Y-%m-%d %H:%M:%S %z"))
    return found


@pytest.mark.feature("SC-07")
def test_times_are_the_union_of_all_that_is_given_less_what_is_excluded() -> None:
    spec = Spec(
        calendars=(CalendarSpec(hour=(Range(9), Range(18))),),
        intervals=(Interval(6 * 3600, 3600),),
        crons=("30 12 * * *",),
        excluded=(CalendarSpec(**ALL_DAY, day_of_week=(Range(0),)),),
        start_at=at("2026-01-02T13:00:00"),
        end_at=at("2026-01-05T01:00:00"),
    )
    assert shown(spec, "2026-01-01T00:00:00", 20) == [
        "Fri 2026-01-02 13:00:00 +0000",  # the beginning is included
        "Fri 2026-01-02 18:00:00 +0000",
        "Fri 2026-01-02 19:00:00 +0000",
        "Sat 2026-01-03 01:00:00 +0000",
        "Sat 2026-01-03 07:00:00 +0000",
        "Sat 2026-01-03 09:00:00 +0000",
        "Sat 2026-01-03 12:30:00 +0000",
        "Sat 2026-01-03 13:00:00 +0000",
        "Sat 2026-01-03 18:00:00 +0000",
        "Sat 2026-01-03 19:00:00 +0000",
        "Mon 2026-01-05 01:00:00 +0000",  # the end is included, the Sunday left out
    ]


@pytest.mark.feature("SC-07")
def test_a_time_that_is_given_twice_comes_once() -> None:
    spec = Spec(intervals=(Interval(60), Interval(30)), crons=("* * * * *",))
    found = list(times_of(spec).between(0, 120))
    assert found == [30, 60, 90, 120]


@pytest.mark.feature("SC-07")
def test_what_excludes_everything_leaves_no_time() -> None:
    spec = Spec(intervals=(Interval(3600),), excluded=(CalendarSpec(**ALL_DAY),))
    assert times_of(spec).after(at("2026-01-01T00:00:00")) is None
    assert times_of(Spec()).after(0) is None


@pytest.mark.feature("SC-08")
def test_day_13_and_friday_are_only_fridays_the_thirteenth() -> None:
    calendar = CalendarSpec(day_of_month=(Range(13),), day_of_week=(Range(5),))
    assert shown(Spec(calendars=(calendar,)), "2026-01-01T00:00:00", 5) == [
        "Fri 2026-02-13 00:00:00 +0000",
        "Fri 2026-03-13 00:00:00 +0000",
        "Fri 2026-11-13 00:00:00 +0000",
        "Fri 2027-08-13 00:00:00 +0000",
        "Fri 2028-10-13 00:00:00 +0000",
    ]


@pytest.mark.feature("SC-08")
def test_an_end_below_the_start_is_the_start_and_a_step_of_0_is_1() -> None:
    assert list(Range(5, 2).numbers()) == [5]
    assert list(Range(5).numbers()) == [5]
    assert list(Range(1, 4, 0).numbers()) == [1, 2, 3, 4]
    assert list(Range(1, 6, 2).numbers()) == [1, 3, 5]


@pytest.mark.feature("SC-08")
def test_a_calendar_of_nothing_is_every_midnight() -> None:
    assert shown(Spec(calendars=(CalendarSpec(),)), "2026-02-27T12:00:00", 3) == [
        "Sat 2026-02-28 00:00:00 +0000",
        "Sun 2026-03-01 00:00:00 +0000",
        "Mon 2026-03-02 00:00:00 +0000",
    ]


@pytest.mark.feature("SC-08")
@pytest.mark.parametrize("field", FIELDS)
def test_numbers_out_of_range_are_refused_by_the_name_of_their_field(
    field: str,
) -> None:
    least, most = FIELDS[field]
    given_: dict[str, Any]
    for wrong in (Range(most + 1), Range(least, most + 1), Range(least, most, -1)):
        given_ = {field: (wrong,)}
        with pytest.raises(ValueError, match=field):
            Times(Spec(calendars=(CalendarSpec(**given_),)))
    if field != "year":
        given_ = {field: ()}
        with pytest.raises(ValueError, match=field):
            Times(Spec(calendars=(CalendarSpec(**given_),)))


@pytest.mark.feature("SC-09")
def test_an_interval_counts_from_the_epoch_plus_its_offset() -> None:
    spec = Spec(intervals=(Interval(3600, 19 * 60),))
    assert shown(spec, "2026-01-01T10:19:00", 2) == [
        "Thu 2026-01-01 11:19:00 +0000",
        "Thu 2026-01-01 12:19:00 +0000",
    ]
    for wrong in (Interval(0), Interval(-1), Interval(10, -1)):
        with pytest.raises(ValueError, match="interval"):
            Times(Spec(intervals=(wrong,)))


@pytest.mark.feature("SC-11")
def test_a_skipped_local_time_does_not_come_a_repeated_one_comes_twice() -> None:
    daily = Spec(crons=("30 2 * * *",), time_zone="Europe/Berlin")
    assert shown(daily, "2026-03-28T00:00:00", 2, "Europe/Berlin") == [
        "Sat 2026-03-28 02:30:00 +0100",
        "Mon 2026-03-30 02:30:00 +0200",  # on the 29th there is no 02:30
    ]
    assert shown(daily, "2026-10-24T12:00:00", 3, "Europe/Berlin") == [
        "Sun 2026-10-25 02:30:00 +0200",
        "Sun 2026-10-25 02:30:00 +0100",
        "Mon 2026-10-26 02:30:00 +0100",
    ]


@pytest.mark.feature("SC-11")
def test_the_zone_is_for_calendars_only() -> None:
    spec = Spec(intervals=(Interval(86400),), time_zone="Asia/Tokyo")
    assert shown(spec, "2026-01-01T01:00:00", 1) == ["Fri 2026-01-02 00:00:00 +0000"]


@pytest.mark.feature("SC-11")
def test_an_unknown_zone_is_refused() -> None:
    for wrong in ("Mars/Olympus", "../etc/passwd", "x" * 300):
        with pytest.raises(ValueError, match="time zone"):
            Times(Spec(calendars=(CalendarSpec(),), time_zone=wrong))


# -- against enumeration -------------------------------------------------------------

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # changed at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Casablanca",  # out of step with the year
    "Pacific/Apia",  # left out a day
    "America/Scoresbysund",
    "Asia/Kathmandu",
    "Antarctica/Troll",  # by two hours
    "America/St_Johns",  # changed at one minute past midnight
)
ODD_DAYS = (
    "2011-12-29",  # Apia's missing day
    "2018-02-16",  # Sao Paulo repeats the hour before midnight
    "2018-11-03",  # Sao Paulo skips the hour after midnight
    "2024-04-06",  # Lord Howe
    "2024-10-05",
    "2024-03-30",  # Europe
    "2024-10-26",
    "2024-11-02",  # America
    "2024-03-09",
    "2024-03-09",
    "2025-02-22",  # Casablanca, Ramadan
    "2009-11-01",  # St. John's
    "2024-02-28",
)


def enumerated(
    calendar: CalendarSpec, zone: ZoneInfo, first: int, seconds: int, step: int
) -> Iterator[int]:
    """Every match within so many seconds, found by looking at each step."""
    numbers = {
        name: {n for one in getattr(calendar, name) for n in one.numbers()}
        for name in FIELDS
    }
    for moment in range(first, first + seconds, step):
        local = datetime.fromtimestamp(moment, UTC).astimezone(zone)
        fields = {
            "second": local.second,
            "minute": local.minute,
            "hour": local.hour,
            "day_of_month": local.day,
            "month": local.month,
            "day_of_week": local.isoweekday() % 7,
            "year": local.year,
        }
        if all(n in numbers[name] or not numbers[name] for name, n in fields.items()):
            yield moment


def ranges(least: int, most: int) -> st.SearchStrategy[tuple[Range, ...]]:
    one = st.builds(
        lambda a, length, step: Range(a, min(a + length, most), step),
        st.integers(least, most),
        st.integers(0, most - least),
        st.integers(0, 5),
    )
    return st.one_of(
        st.just(every(least, most)), st.lists(one, min_size=1, max_size=2).map(tuple)
    )


calendars = st.builds(
    CalendarSpec,
    minute=st.sampled_from(
        [(Range(0),), (Range(30),), (Range(0, 59, 15),), (Range(5), Range(35))]
    ),
    hour=ranges(0, 23),
    day_of_month=ranges(1, 31),
    month=ranges(1, 12),
    day_of_week=ranges(0, 6),
)


@pytest.mark.feature("SC-07", "SC-08", "SC-11")
@given(calendars, st.sampled_from(ZONES), st.sampled_from(ODD_DAYS))
@settings(max_examples=300 if LONG else 30, deadline=None)
def test_on_odd_days_of_odd_zones_no_time_is_missing_and_none_is_too_many(
    calendar: CalendarSpec, zone: str, day: str
) -> None:
    first = int(at(f"{day}T00:00:00"))
    expected = list(enumerated(calendar, ZoneInfo(zone), first, 4 * 86400, 300))
    spec = Spec(calendars=(calendar,), time_zone=zone)
    found = list(times_of(spec).between(first - 1, first + 4 * 86400 - 1))
    assert found == expected


@pytest.mark.feature("SC-07", "SC-08", "SC-11")
@given(
    st.sampled_from(ZONES),
    ranges(1, 31),
    ranges(1, 12),
    ranges(0, 6),
    st.integers(0, 23),
    st.integers(1971, 2045),
)
@settings(max_examples=30 if LONG else 4, deadline=None)
def test_over_a_year_no_time_is_missing_and_none_is_too_many(
    zone: str,
    days: tuple[Range, ...],
    months: tuple[Range, ...],
    weekdays: tuple[Range, ...],
    hour: int,
    year: int,
) -> None:
    calendar = CalendarSpec(
        hour=(Range(hour),), day_of_month=days, month=months, day_of_week=weekdays
    )
    first = int(at(f"{year}-01-01T00:00:00"))
    seconds = 366 * 86400
    expected = list(enumerated(calendar, ZoneInfo(zone), first, seconds, 900))
    spec = Spec(calendars=(calendar,), time_zone=zone)
    assert list(times_of(spec).between(first - 1, first + seconds - 1)) == expected


@pytest.mark.feature("SC-07")
@given(calendars, calendars, st.sampled_from(ZONES), st.sampled_from(ODD_DAYS))
@settings(max_examples=200 if LONG else 15, deadline=None)
def test_exclusion_takes_away_exactly_what_matches(
    calendar: CalendarSpec, excluded: CalendarSpec, zone: str, day: str
) -> None:
    first = int(at(f"{day}T00:00:00"))
    until = first + 3 * 86400
    given_ = Spec(
        calendars=(calendar,),
        intervals=(Interval(1800),),
        excluded=(excluded,),
        time_zone=zone,
    )
    gone = set(enumerated(excluded, ZoneInfo(zone), first, 3 * 86400, 300))
    all_of_them = Spec(
        calendars=(calendar,), intervals=(Interval(1800),), time_zone=zone
    )
    wanted = list(times_of(all_of_them).between(first - 1, until - 1))
    assert list(times_of(given_).between(first - 1, until - 1)) == [
        t for t in wanted if t not in gone
    ]


@pytest.mark.feature("SC-09")
@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(0, 4e9, allow_nan=False))
def test_an_interval_is_never_late_and_never_early(
    length: int, offset: int, moment: float
) -> None:
    found = times_of(Spec(intervals=(Interval(length, offset),))).after(moment)
    assert found is not None
    assert (found - offset) % length == 0
    assert moment < found <= moment + length


def test_zones_with_seconds_in_their_offset_are_exact() -> None:
    spec = Spec(
        calendars=(CalendarSpec(hour=(Range(12),)),), time_zone="Africa/Monrovia"
    )
    first = at("1971-06-01T00:00:00")  # 44 minutes and 30 seconds behind
    noon = times_of(spec).after(first)
    assert noon == first + timedelta(hours=12, minutes=44, seconds=30).total_seconds()
