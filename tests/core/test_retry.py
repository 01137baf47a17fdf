"""The arithmetic of retries: when, how often, and which policies are nonsense."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from everact.runtime import RetryPolicy, retry
from everact.runtime.core.failures import Failure, FailureKind
from everact.runtime.core.retry import ONCE
from everact.runtime.core.statuses import RETRIED, Status

FAILURE = Failure(FailureKind.APPLICATION, "Oops", "no")


def waits(policy: RetryPolicy, count: int, failure: Failure = FAILURE) -> list[float]:
    return [policy.delay(failure, attempt) for attempt in range(1, count + 1)]


@pytest.mark.feature("RT-01")
def test_a_policy_without_options_has_the_documented_defaults() -> None:
    assert retry() == RetryPolicy(1.0, 2.0, 100.0, 0, ())
    assert waits(retry(), 8) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert retry().allows(FAILURE, 1_000_000)


@pytest.mark.feature("RT-01")
def test_the_longest_wait_is_a_hundred_times_the_first_unless_given() -> None:
    assert retry(first="200ms").longest == pytest.approx(20.0)
    assert retry(first="200ms", longest="1s").longest == 1.0


@pytest.mark.feature("RT-01")
@pytest.mark.parametrize(
    "options",
    [
        {"first": -1},
        {"first": timedelta(seconds=-1)},
        {"longest": -1},
        {"growth": 0.99},
        {"growth": math.nan},
        {"growth": math.inf},
        {"first": "10s", "longest": "9s"},
        {"attempts": -1},
        {"attempts": 2, "first": -1},
        {"first": "10"},
        {"first": math.inf},
    ],
    ids=str,
)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        retry(**options)


@pytest.mark.feature("RT-01")
def test_with_exactly_one_attempt_the_rest_is_not_checked() -> None:
    policy = retry(attempts=1, first=-5, growth=0, longest=-1)
    assert policy == ONCE
    assert not policy.allows(FAILURE, 1)


@pytest.mark.feature("RT-01")
def test_attempts_count_all_tries() -> None:
    policy = retry(attempts=3)
    assert [policy.allows(FAILURE, n) for n in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


class Final(Exception):
    class Inner(Exception):
        pass


@pytest.mark.feature("RT-01")
@pytest.mark.parametrize(
    ("never", "type_name", "allowed"),
    [
        (("Oops",), "Oops", False),
        (("Oops",), "Scope.Oops", False),
        (("Oops",), "NotOops", True),
        ((Final,), "Final", False),
        ((Final.Inner,), "Final.Inner", False),
        ((Final.Inner,), "Inner", True),
        ((), "Oops", True),
    ],
)
def test_named_error_types_are_never_retried(
    never: tuple[Any, ...], type_name: str, allowed: bool
) -> None:
    failure = Failure(FailureKind.APPLICATION, type_name, "no")
    assert retry(never=never).allows(failure, 1) is allowed


def test_a_failure_may_say_that_it_is_final() -> None:
    failure = Failure(FailureKind.APPLICATION, "Oops", "no", non_retryable=True)
    assert not retry().allows(failure, 1)


def test_a_failure_may_say_when_to_try_again() -> None:
    failure = Failure(FailureKind.APPLICATION, "Oops", "no", retry_after=7.5)
    assert waits(retry(), 3, failure) == [7.5, 7.5, 7.5]


@pytest.mark.parametrize("status", list(Status))
def test_a_policy_may_be_for_temporary_statuses_only(status: Status) -> None:
    policy = RetryPolicy(temporary_only=True)
    failure = Failure(FailureKind.APPLICATION, "Oops", "no", status)
    assert policy.allows(failure, 1) is (status in RETRIED)


@given(
    first=st.floats(0, 1e6),
    growth=st.floats(1, 1e6),
    extra=st.floats(0, 1e6),
    attempt=st.integers(1, 5_000),
)
def test_waits_never_shrink_and_never_exceed_the_longest(
    first: float, growth: float, extra: float, attempt: int
) -> None:
    policy = retry(first=first, growth=growth, longest=first + extra)
    one, two = policy.delay(FAILURE, attempt), policy.delay(FAILURE, attempt + 1)
    assert first <= one <= two <= policy.longest
