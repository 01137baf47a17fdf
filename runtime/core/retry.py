"""When a failed attempt is tried again: pure arithmetic, no clock.

Waiting times grow geometrically from `first` by `growth` up to `longest`; the
formula is the usual exponential backoff, ``first * growth ** (attempt - 1)``.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import msgspec

from everact.runtime.core.bounds import (
    GROWTH,
    LONGEST,
    Count,
    Seconds,
    shown,
    whole,
    within,
)
from everact.runtime.core.durations import Duration, seconds
from everact.runtime.core.failures import Failure
from everact.runtime.core.keywords import suggesting
from everact.runtime.core.statuses import RETRIED


class RetryPolicy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often, and how long apart, an attempt is repeated.

    `first` and `longest` are seconds; `attempts` counts all tries, 0 meaning without
    limit; failures whose type name is in `never` are final. Build one with `retry`,
    which takes durations and refuses nonsense.
    """

    first: Seconds = 1.0
    growth: Annotated[float, within(*GROWTH)] = 2.0
    longest: Seconds = 100.0
    attempts: Count = 0
    never: tuple[str, ...] = ()
    temporary_only: bool = False

    def allows(self, failure: Failure, attempt: int) -> bool:
        """Whether another attempt follows attempt number `attempt` (from 1)."""
        if failure.non_retryable or (self.attempts and attempt >= self.attempts):
            return False
        if self.temporary_only and failure.status not in RETRIED:
            return False
        return not any(_named(failure.type, name) for name in self.never)

    def delay(self, failure: Failure, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        if failure.retry_after is not None:
            return failure.retry_after
        if not self.first:
            return 0.0
        try:
            wait = self.first * float(self.growth) ** (attempt - 1)
        except OverflowError:
            return self.longest
        return min(wait, self.longest)


ONCE = RetryPolicy(attempts=1)


@suggesting
def retry(
    *,
    first: Duration = timedelta(seconds=1),
    growth: float = 2.0,
    longest: Duration | None = None,
    attempts: int = 0,
    never: Sequence[str | type[BaseException]] = (),
) -> RetryPolicy:
    """Return a checked retry policy.

    Defaults: first wait 1 s, doubling, at most 100 times the first wait, no limit of
    attempts. Raises ValueError for a negative wait, a growth below 1 or above a
    million, a longest wait below the first, or attempts below 0 or beyond 31 bits.
    With `attempts=1` nothing is ever retried, so the rest is not checked.
    """
    _check_attempts(attempts)
    names = tuple(n if isinstance(n, str) else n.__qualname__ for n in never)
    if attempts == 1:
        return RetryPolicy(attempts=1, never=names)
    wait = seconds(first, what="first")
    limit = min(wait * 100, LONGEST)
    if longest is not None:
        limit = seconds(longest, what="longest")
    return checked_policy(RetryPolicy(wait, growth, limit, attempts, names))


def checked_policy(given: RetryPolicy) -> RetryPolicy:
    """`given` if it is a policy that makes sense; TypeError or ValueError if not."""
    if not isinstance(given, RetryPolicy):
        raise TypeError(
            f"retry takes a policy, as retry(…) makes it, not {type(given).__name__}"
        )
    _check_attempts(given.attempts)
    wait = seconds(given.first, what="first")
    limit = seconds(given.longest, what="longest")
    growth = given.growth
    if isinstance(growth, bool) or not isinstance(growth, int | float):
        raise TypeError(f"growth must be a number, not {type(growth).__name__}")
    if not GROWTH[0] <= growth < math.inf:
        raise ValueError(f"growth must be at least 1 and finite: {shown(growth)}")
    if growth > GROWTH[1]:
        raise ValueError(
            f"growth must be {GROWTH[1]:,.0f} at most, not {shown(growth)}"
        )
    if limit < wait and given.attempts != 1:
        raise ValueError(f"longest ({limit} s) must not be below first ({wait} s)")
    return given


def _check_attempts(attempts: int) -> None:
    if isinstance(attempts, int) and attempts < 0:
        raise ValueError(f"attempts must not be negative: {shown(attempts)}")
    whole(attempts, "attempts")


def _named(type_name: str, listed: str) -> bool:
    return type_name == listed or type_name.rpartition(".")[2] == listed
