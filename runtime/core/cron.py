"""Cron texts: what they say, as calendars and intervals.

A text has five fields (minute, hour, day of month, month, weekday), six (a year last)
or seven (a second first); before them may stand ``TZ=Zone/Name``, after them
``# a comment``. A field is a list of numbers, names and ranges, each with an optional
step. Day of month and weekday must both match, as in calendars. Shorthands are
``@yearly``, ``@monthly``, ``@weekly``, ``@daily``, ``@hourly`` and
``@every 1h30m/5m``: every so often since the epoch, the second later (optional).
"""

from functools import lru_cache

from msgspec.structs import replace

from everact.runtime.core.bounds import shown
from everact.runtime.core.calendars import (
    FIELDS,
    CalendarSpec,
    Interval,
    Range,
    Spec,
    Times,
)
from everact.runtime.core.durations import seconds

LONGEST_TEXT = 1000
"""Characters of a cron text."""

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIVE = ("minute", "hour", "day_of_month", "month", "day_of_week")
_LAYOUTS = {5: _FIVE, 6: (*_FIVE, "year"), 7: ("second", *_FIVE, "year")}
_MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day_of_week": {name: number for number, name in enumerate(_WEEKDAYS)},
}
_ZONES = ("TZ=", "CRON_TZ=")


def parse(text: str) -> CalendarSpec | Interval:
    """What a cron text says; ValueError, naming the field, if it says nothing."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(
            f"a cron text has {LONGEST_TEXT} characters at most: {shown(text)}"
        )
    body, _, comment = text.partition("#")
    words = body.split()
    zone = ""
    if words and words[0].startswith(_ZONES):
        zone = words.pop(0).partition("=")[2]
    if words and words[0] == "@every":
        if zone:
            raise ValueError(f"cron {text!r}: @every takes no time zone")
        return _interval(text, "".join(words[1:]))
    if len(words) == 1 and words[0].startswith("@"):
        if words[0] not in _SHORTHANDS:
            known = ", ".join([*_SHORTHANDS, "@every"])
            raise ValueError(f"cron {text!r}: {words[0]!r} is none of {known}")
        words = _SHORTHANDS[words[0]].split()
    layout = _LAYOUTS.get(len(words))
    if layout is None:
        raise ValueError(
            f"cron {text!r} has {len(words)} fields: write five (minute, hour, day of "
            "month, month, weekday), six (and a year) or seven (a second first)"
        )
    fields = {
        name: tuple(r for part in word.split(",") for r in _part(text, name, part))
        for name, word in zip(layout, words, strict=True)
    }
    if fields.get("year") == (Range(*FIELDS["year"], 1),):
        del fields["year"]
    return CalendarSpec(**fields, comment=comment.strip(), time_zone=zone)


def pitfall(text: str) -> str | None:
    """What may surprise who wrote `text` for another cron; None if nothing does.

    Where both day of month and weekday are restricted (do not begin with a star),
    crontab(5) of Vixie cron and its heirs takes the days that match either.
    """
    words = [w for w in text.partition("#")[0].split() if not w.startswith(_ZONES)]
    layout = _LAYOUTS.get(len(words))
    if layout is None:
        return None
    days = (words[layout.index(name)] for name in ("day_of_month", "day_of_week"))
    if any(word.startswith(("*", "?")) for word in days):
        return None
    return (
        f"cron {text!r} restricts day of month and weekday: here both must match, "
        "where a crontab takes the days that match either; write two expressions for "
        "either, or a star for one of the two"
    )


@lru_cache(maxsize=1024)
def compiled(spec: Spec) -> Spec:
    """`spec` with its cron texts as calendars and intervals."""
    found = [parse(text) for text in spec.crons]
    return replace(
        spec,
        calendars=(
            *spec.calendars,
            *(one for one in found if isinstance(one, CalendarSpec)),
        ),
        intervals=(
            *spec.intervals,
            *(one for one in found if isinstance(one, Interval)),
        ),
        crons=(),
    )


@lru_cache(maxsize=1024)
def times_of(spec: Spec) -> Times:
    """The times of a specification; ValueError if it is none."""
    return Times(compiled(spec))


def cron_times(text: str) -> Times:
    """The times of one cron text; ValueError if it is none, or has no time at all."""
    times = times_of(Spec(crons=(text,)))
    if times.after(0) is None:
        raise ValueError(f"cron {text!r} has no time at all")
    return times


def _interval(text: str, words: str) -> Interval:
    length, slash, phase = words.partition("/")
    found = seconds(length, what=f"the interval of cron {text!r}")
    offset = seconds(phase, what=f"the phase of cron {text!r}") if slash else 0.0
    if found < 1 or found % 1 or offset % 1:
        raise ValueError(
            f"cron {text!r}: interval and phase must be whole seconds, and the "
            "interval one or more"
        )
    return Interval(int(found), int(offset))


def _part(text: str, name: str, part: str) -> list[Range]:
    """One item of a field's list."""
    least, most = FIELDS[name]
    body, slash, step_text = part.partition("/")
    step = 1
    if slash:
        if not step_text.isdecimal() or int(step_text) < 1:
            raise _refused(text, name, part, "a step is a number, 1 or more")
        step = int(step_text)
    if body in ("*", "?"):
        return [Range(least, most, step)]
    low, dash, high = body.partition("-")
    first = _number(text, name, part, low)
    if not dash:
        last = max(most, first) if slash else first
    else:
        last = _number(text, name, part, high)
    if name == "day_of_week":
        return _weekdays(text, part, first, last, step)
    if last < first:
        raise _refused(text, name, part, "its end is before its start")
    return [Range(first, last, step)]


def _weekdays(text: str, part: str, first: int, last: int, step: int) -> list[Range]:
    """A range of weekdays, where Sunday is 0 and may be written 7 as well."""
    if last == 0 < first:
        last = 7  # as in FRI-SUN
    if last < first:
        raise _refused(text, "day_of_week", part, "its end is before its start")
    numbers = range(first, last + 1, step)
    found = []
    if first < 7:
        found.append(Range(first, min(numbers[-1], 6), step))
    if 7 in numbers:
        found.append(Range(0, 0, 1))
    return found


def _number(text: str, name: str, part: str, word: str) -> int:
    least, most = FIELDS[name]
    names = _NAMES.get(name, {})
    if word.isdecimal() and word.isascii():
        number = int(word)
    elif word.lower() in names:
        number = names[word.lower()]
    else:
        known = " or a name" if names else ""
        raise _refused(text, name, part, f"{word!r} is no number{known}")
    highest = 7 if name == "day_of_week" else most
    if not least <= number <= highest:
        raise _refused(text, name, part, f"it goes from {least} to {highest}")
    return number


def _refused(text: str, name: str, part: str, why: str) -> ValueError:
    field = name.replace("_", " ")
    return ValueError(f"cron {text!r}: {field} {part!r}: {why}")
