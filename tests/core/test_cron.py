"""Cron texts: what they mean, what is refused, and a second opinion."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from everact.runtime.core.calendars import CalendarSpec, Interval, Range, Spec, every
from everact.runtime.core.cron import compiled, cron_times, parse, pitfall, times_of

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def first(text: str) -> str:
    found = cron_times(text).after(START.timestamp())
    assert found is not None
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.feature("SC-10", "CR-04")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", "2026-01-01 12:01:00"),
        ("30 * * * *", "2026-01-01 12:30:00"),
        ("0 9 * * *", "2026-01-02 09:00:00"),
        ("0 9 * * MON-FRI", "2026-01-02 09:00:00"),
        ("0 9 * * mon", "2026-01-05 09:00:00"),
        ("0 0 1 FEB *", "2026-02-01 00:00:00"),
        ("*/20 13 * * *", "2026-01-01 13:00:00"),
        ("5/20 * * * *", "2026-01-01 12:05:00"),
        ("10-40/15 * * * *", "2026-01-01 12:10:00"),
        ("1,2,50 14,15 * * *", "2026-01-01 14:01:00"),
        ("0 0 * * 7", "2026-01-04 00:00:00"),
        ("0 0 * * 0", "2026-01-04 00:00:00"),
        ("0 0 * * FRI-SUN", "2026-01-02 00:00:00"),
        ("0 0 * * 6-7", "2026-01-03 00:00:00"),
        ("0 0 13 * FRI", "2026-02-13 00:00:00"),
        ("0 0 29 2 ? 2028", "2028-02-29 00:00:00"),
        ("0 0 1 1 * 2030-2040/5", "2030-01-01 00:00:00"),
        ("15 * * * * * *", "2026-01-01 12:00:15"),
        ("*/10 * * * * * 2026", "2026-01-01 12:00:10"),
        ("@yearly", "2027-01-01 00:00:00"),
        ("@annually", "2027-01-01 00:00:00"),
        ("@monthly", "2026-02-01 00:00:00"),
        ("@weekly", "2026-01-04 00:00:00"),
        ("@daily", "2026-01-02 00:00:00"),
        ("@midnight", "2026-01-02 00:00:00"),
        ("@hourly", "2026-01-01 13:00:00"),
        ("@every 1h", "2026-01-01 13:00:00"),
        ("@every 1h/5m", "2026-01-01 12:05:00"),
        ("@every 1h30m / 5m", "2026-01-01 12:05:00"),
        ("TZ=America/New_York 0 9 * * *", "2026-01-01 14:00:00"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "2026-01-02 00:00:00"),
        ("TZ=Asia/Tokyo @daily", "2026-01-01 15:00:00"),
        ("0 9 * * *  # in the morning", "2026-01-02 09:00:00"),
    ],
)
def test_what_is_accepted_and_when_it_comes_next(text: str, expected: str) -> None:
    assert first(text) == expected


@pytest.mark.feature("SC-10", "CR-04")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * * *", "8 fields"),
        ("60 * * * *", "minute '60'"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of month '0'"),
        ("* * 32 * *", "day of month '32'"),
        ("* * * 13 *", "month '13'"),
        ("* * * FOO *", "month 'FOO': 'FOO' is no number or a name"),
        ("* * * * 8", "day of week '8'"),
        ("* * * * FEB", "day of week 'FEB'"),
        ("* * * * * 1969", "year '1969'"),
        ("60 * * * * * *", "second '60'"),
        ("*/0 * * * *", "minute '[*]/0': a step"),
        ("*/x * * * *", "minute '[*]/x': a step"),
        ("5-1 * * * *", "minute '5-1': its end is before its start"),
        ("* * * * FRI-MON", "day of week 'FRI-MON': its end"),
        ("1,,2 * * * *", "minute ''"),
        ("1- * * * *", "minute '1-'"),
        ("-5 * * * *", "minute '-5'"),
        ("٣ * * * *", "minute"),
        ("* * L * *", "day of month 'L'"),
        ("@sometimes", "'@sometimes' is none of"),
        ("@every", "interval of cron"),
        ("@every 10", "interval of cron"),
        ("@every 500ms", "whole seconds"),
        ("@every 0s", "whole seconds"),
        ("@every 1h/1", "phase of cron"),
        ("TZ=Asia/Tokyo @every 1h", "no time zone"),
        ("TZ=Mars/Olympus * * * * *", "no time zone 'Mars/Olympus' is known"),
        ("0 0 30 2 *", "has no time at all"),
    ],
)
def test_what_is_refused_says_which_field_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cron_times(text)


@pytest.mark.feature("SC-07", "SC-10")
def test_a_specification_shows_its_cron_texts_as_calendars() -> None:
    spec = Spec(crons=("TZ=Asia/Tokyo 0,30 9-17/2 * * MON-FRI # work", "@every 1h/5m"))
    assert compiled(spec) == Spec(
        calendars=(
            CalendarSpec(
                minute=(Range(0, 0, 1), Range(30, 30, 1)),
                hour=(Range(9, 17, 2),),
                day_of_week=(Range(1, 5, 1),),
                comment="work",
                time_zone="Asia/Tokyo",
            ),
        ),
        intervals=(Interval(3600, 300),),
    )
    assert parse("@daily") == CalendarSpec(
        minute=(Range(0, 0, 1),),
        hour=(Range(0, 0, 1),),
        day_of_week=every(0, 6),
    )


def field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    # Of one number, the other implementation makes a whole round.
    span = st.tuples(st.integers(least, most - 1), number).map(
        lambda pair: f"{pair[0]}-{max(pair[0] + 1, pair[1])}"
    )
    step = st.tuples(st.one_of(st.just("*"), span), st.integers(1, 9)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    one = st.one_of(number.map(str), span, step)
    return st.one_of(st.just("*"), st.lists(one, min_size=1, max_size=3).map(",".join))


@pytest.mark.feature("SC-10")
@given(
    st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)),
    st.integers(30 * 365, 60 * 365),
    st.integers(0, 86399),
)
@settings(max_examples=60, deadline=None)
def test_another_implementation_agrees(
    fields: tuple[str, ...], day: int, second: int
) -> None:
    text = " ".join(fields)
    after = datetime.fromtimestamp(day * 86400 + second, UTC)
    other = croniter(text, after, day_or=False, max_years_between_matches=60)
    times = times_of(Spec(crons=(text,)))
    at: float = after.timestamp()
    for _ in range(5):
        found = times.after(at)
        assert found == other.get_next(float)
        assert found is not None
        at = found


@pytest.mark.feature("SC-10")
@pytest.mark.parametrize(
    ("text", "surprises"),
    [
        ("0 0 13 * FRI", True),
        ("TZ=Asia/Tokyo 0 0 1-7 * MON  # the first Monday", True),
        ("0 0 0 1 * 1 2030", True),
        ("0 0 13 * *", False),
        ("0 0 * * FRI", False),
        ("0 0 */2 * FRI", False),
        ("0 0 13 * ?", False),
        ("@weekly", False),
        ("@every 1h", False),
        ("", False),
    ],
)
def test_a_text_that_means_something_else_in_a_crontab_is_recognised(
    text: str, surprises: bool
) -> None:
    """crontab(5): days match either field unless one of the two begins with a star."""
    assert (pitfall(text) is not None) is surprises
