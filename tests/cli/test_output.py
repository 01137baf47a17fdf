"""How values come in from a command line and go out to people and programs."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.options import DURATION, json_value, named_values
from everact.runtime.cli.output import plain, to_json, took
from everact.runtime.core.statuses import RunStatus
from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2.5", -2.5),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"3"', "3"),
        ("Ada", "Ada"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("2026-01-02", "2026-01-02"),
        ("", ""),
    ],
)
def test_an_argument_is_json_or_else_text(text: str, value: Any) -> None:
    assert json_value(text, "it") == value


@pytest.mark.parametrize("text", ["{", '{"a": 1', "[1,", '"open'])
def test_broken_json_is_never_taken_for_text(text: str) -> None:
    with pytest.raises(Mistake, match="it is not JSON"):
        json_value(text, "it")


def test_named_values() -> None:
    assert named_values(("a=1", "b=x=y"), "--kwarg") == {"a": 1, "b": "x=y"}
    for wrong in ("a", "=1"):
        with pytest.raises(Mistake, match="--kwarg takes NAME=VALUE"):
            named_values((wrong,), "--kwarg")


def test_durations() -> None:
    assert DURATION.convert("1h30m", None, None) == 5400
    with pytest.raises(click.BadParameter):
        DURATION.convert("90", None, None)


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Thing:
    when: datetime
    status: RunStatus
    odd: Any


def test_everything_has_a_json_form() -> None:
    thing = Thing(datetime(2026, 1, 2, tzinfo=UTC), RunStatus.TIMED_OUT, object())
    assert json.loads(to_json({"thing": thing, 1: (Colour.RED,)})) == {
        "thing": {
            "when": "2026-01-02T00:00:00Z",
            "status": "timed_out",
            "odd": {"$python": "builtins.object"},
        },
        "1": ["red"],
    }


def test_text_of_others_cannot_speak_to_a_terminal() -> None:
    assert plain("a\x1b[31mb\x07\x9b\rc\nd").plain == "a\\x1b[31mb\\x07\\x9b\\rc\nd"
    assert plain("[bold]x[/bold]").plain == "[bold]x[/bold]"


@pytest.mark.real_time
def test_a_reader_who_has_enough_is_no_failure(shell: Shell) -> None:
    with shell.begin("version") as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == ""
    assert command.returncode == 0


def test_how_long_it_took() -> None:
    began = datetime(2026, 1, 2, tzinfo=UTC)
    assert took(began, None) == ""
    assert took(began, began + timedelta(milliseconds=12)) == "12 ms"
    assert took(began, began + timedelta(days=2, seconds=5)) == "2 days, 0:00:05"
