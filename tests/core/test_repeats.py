"""A large value that stands in a row more than once is stored once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everact.runtime.core import records, repeats
from everact.runtime.core.records import (
    Began,
    Complete,
    RunTask,
    Started,
    TaskCompleted,
    Transition,
)

LARGE = bytes(range(256)) * 64
OTHER = LARGE[::-1]


def row(*results: bytes) -> Transition:
    events = tuple(TaskCompleted(n, result) for n, result in enumerate(results))
    return Transition(1.0, events)


def test_an_input_that_is_given_on_is_stored_once() -> None:
    start = Started("w", "id", "run", "run", "run", args=(LARGE, b"small"))
    first = Transition(1.0, (start, Began()), (RunTask(1, "t", args=(LARGE,)),))
    body = records.encode(first)
    assert len(body) < len(LARGE) + 500
    assert records.decode(body) == first


@given(st.lists(st.integers(0, 3), max_size=8))
def test_whatever_is_repeated_reads_as_it_was(chosen: list[int]) -> None:
    values = (LARGE, OTHER, LARGE + OTHER, b"x")
    results = [values[number] for number in chosen]
    given = row(*results)
    body = records.encode(given)
    assert records.decode(body) == given
    for value in (LARGE, OTHER):
        assert body.count(value) == any(value in result for result in results)


def test_a_row_without_repetitions_is_as_it_always_was() -> None:
    body = records.encode(row(LARGE, OTHER, b"x"))
    assert body[:1] == records.FORMAT


def test_small_values_are_not_looked_for() -> None:
    """They are many, and finding them costs more than they take."""
    small = LARGE[: repeats.LARGE - 1]
    assert records.encode(row(small, small))[:1] == records.FORMAT
    assert records.encode(row(LARGE, LARGE, *[b"x"] * 100))[:1] == records.FORMAT


def test_a_value_that_lies_in_a_larger_one_is_left_where_it_is() -> None:
    given = Transition(1.0, (TaskCompleted(1, LARGE + b"!"),), (Complete(LARGE),))
    body = records.encode(given)
    assert (records.decode(body), body.count(LARGE)) == (given, 1)


@pytest.mark.parametrize(
    "copies", [((0, 0, 5),), ((3, 1, 3),), ((4, -1, 2),), ((3, 0, 2), (2, 0, 1))]
)
def test_copies_of_what_is_not_there_are_refused(
    copies: tuple[tuple[int, int, int], ...],
) -> None:
    short = msgspec.msgpack.encode(repeats.Shortened(copies, b"text"))
    with pytest.raises(msgspec.ValidationError):
        records.decode(records.SHORTENED + short)
