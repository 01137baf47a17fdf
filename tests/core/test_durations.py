"""What is a duration, what is not, and that the message says which parameter."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from everact.runtime.core.durations import optional_seconds, seconds


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0.0),
        (3, 3.0),
        (2.5, 2.5),
        (timedelta(minutes=2), 120.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1d 2h 3m 4s 5ms", 93784.005),
        ("0.5h", 1800.0),
        ("30m1h", 5400.0),
        (" 5s ", 5.0),
        ("1m1m", 120.0),
    ],
)
def test_a_duration_is_seconds(given: Any, expected: float) -> None:
    assert seconds(given) == pytest.approx(expected)


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "90",
        "-5s",
        "+5s",
        "5 parsecs",
        "s",
        "1h30",
        "1,5s",
        "5S",
        "1e3s",
        ".5s",
    ],
)
def test_text_that_is_no_duration_is_refused_by_name(given: str) -> None:
    with pytest.raises(ValueError, match=r"^timeout .*1h30m"):
        seconds(given, what="timeout")


@pytest.mark.parametrize(
    "given", [-1, -0.001, timedelta(seconds=-1), math.nan, math.inf, -math.inf]
)
def test_an_amount_that_cannot_be_waited_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout must"):
        seconds(given, what="timeout")


@pytest.mark.parametrize("given", [None, True, b"5s", [5], object()])
def test_what_is_no_duration_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^timeout must be a timedelta"):
        seconds(given, what="timeout")


def test_none_means_no_limit_where_that_is_allowed() -> None:
    assert optional_seconds(None, what="timeout") is None
    assert optional_seconds("1s", what="timeout") == 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 1500), st.sampled_from(["ms", "s", "m", "h", "d"])),
        min_size=1,
        max_size=20,
    )
)
def test_parts_are_added_up(parts: list[tuple[int, str]]) -> None:
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    text = "".join(f"{amount}{unit}" for amount, unit in parts)
    assert seconds(text) == pytest.approx(sum(a * units[u] for a, u in parts))


@pytest.mark.parametrize(
    "given",
    [
        "5000000d",
        "36526d",
        timedelta.max,
        1e308,
        10**400,
        2**63,
        "9" * 900 + "s",
        "1s" * 1_000_000,
    ],
    ids=lambda given: repr(given)[:20] if not isinstance(given, int) else "integer",
)
def test_what_is_longer_than_a_century_is_refused_and_shortly(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^timeout ") as refused:
        seconds(given, what="timeout")
    assert len(str(refused.value)) < 250
    assert seconds("36525d") == seconds(timedelta(days=36525)) == 100 * 365.25 * 86400
