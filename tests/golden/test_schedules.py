"""A schedule as a landed version stored it is read by today's code, and means the same.

When fields were appended, `python -m tests.golden.test_schedules` writes what today's
code stores under the next number. A file that has landed is never changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from everact.runtime.core.calendars import CalendarSpec, Interval, Range, Spec
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.records import (
    Attribute,
    AttributeKind,
    Extras,
    Previous,
    StartOptions,
)
from everact.runtime.core.schedules import (
    Action,
    Backfill,
    Definition,
    OverlapPolicy,
    Policy,
    Schedule,
    Taken,
    Waiting,
    decode,
    encode,
)

FOLDER = Path(__file__).parent
LATEST = max(int(p.stem.rpartition("-")[2]) for p in FOLDER.glob("schedules-*.txt"))

FIELD = (Range(1, 5, 2),)
EXAMPLE = Schedule(
    workspace="w",
    id="nightly",
    definition=Definition(
        action=Action(
            "importing",
            "import",
            (b"m\x01",),
            {"k": b"m\x02"},
            StartOptions(queue="q", extras=Extras(static_summary="one")),
        ),
        spec=Spec(
            calendars=(
                CalendarSpec(
                    second=FIELD,
                    minute=FIELD,
                    hour=FIELD,
                    day_of_month=FIELD,
                    month=FIELD,
                    day_of_week=FIELD,
                    year=(Range(2030),),
                    comment="c",
                    time_zone="Asia/Tokyo",
                ),
            ),
            intervals=(Interval(60, 5),),
            crons=("@daily",),
            excluded=(CalendarSpec(hour=FIELD),),
            start_at=1.0,
            end_at=2e9,
            jitter=3.0,
            time_zone="Europe/Berlin",
        ),
        policy=Policy(OverlapPolicy.BUFFER_ALL, 60.0, True),
        paused=True,
        note="n",
        limited_actions=True,
        remaining_actions=7,
    ),
    created_at=1.0,
    updated_at=2.0,
    until=3.0,
    serial=4,
    memo={"m": b"m\x03"},
    attributes={"A": Attribute(AttributeKind.KEYWORD, "v")},
    static_summary="s",
    static_details="d",
    waiting=(Waiting(4.0, OverlapPolicy.CANCEL_OTHER, True),),
    running=(Taken(5.0, 6.0, "import-5", "r5"),),
    recent=(Taken(5.0, 6.0, "import-5", "r5"),),
    backfills=(Backfill(7.0, 8.0, OverlapPolicy.SKIP),),
    taken=9,
    missed=10,
    skipped=11,
    previous=Previous(b"m\x04", Failure(FailureKind.APPLICATION, "E", "why")),
    identity="ann",
)

SINCE = {"identity": 2}
"""Fields that were appended, and the first version that stored them."""


def path(version: int) -> Path:
    return FOLDER / f"schedules-{version}.txt"


def test_every_field_of_the_example_is_set() -> None:
    definition = EXAMPLE.definition
    whole = (EXAMPLE, definition, definition.spec, definition.spec.calendars[0])
    for example in (*whole, definition.policy, definition.action):
        unset = [
            field.name
            for field in msgspec.structs.fields(example)
            if not field.required and getattr(example, field.name) == field.default
        ]
        assert unset == [], type(example).__name__


def test_what_is_stored_today_is_what_the_latest_version_stored() -> None:
    assert encode(EXAMPLE).hex() == path(LATEST).read_text().strip()


@pytest.mark.parametrize("version", range(1, LATEST + 1))
def test_what_a_version_stored_is_read(version: int) -> None:
    found = decode(bytes.fromhex(path(version).read_text().strip()))
    later = [name for name, since in SINCE.items() if version < since]
    defaults = {f.name: f.default for f in msgspec.structs.fields(EXAMPLE)}
    assert found == replace(EXAMPLE, **{name: defaults[name] for name in later})


@pytest.mark.parametrize("body", [b"", b"\x02\x90", b"\x01", b"\x01\xc0"], ids=repr)
def test_bytes_that_are_no_schedule_are_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(body)


if __name__ == "__main__":
    with path(int(sys.argv[1])).open("x", encoding="ascii") as file:
        file.write(encode(EXAMPLE).hex() + "\n")
