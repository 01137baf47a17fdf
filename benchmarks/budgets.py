"""What everact may execute for one run, step, child or signal, in bytecodes.

A budget is what it took when the budget was set, and `SLACK` on top; a test holds it.
It is raised only with a reason in docs/performance.md, and lowered when something got
cheaper. The bar beside it is where it has to come to.

The numbers are those of Python 3.11: other versions count the same work differently.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SLACK: Final = 0.03
"""Share of a budget that is not used: counts of one commit differ by at most 0.01."""

PYTHON: Final = (3, 11)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """At most `most` bytecodes; `bar` is a number of them, or a share of `of`."""

    most: int
    bar: float
    of: str = ""
    """`live`: what the same run cost before it was killed. Else a work."""

    @property
    def text(self) -> str:
        """The bar in words."""
        return f"{self.bar:g} x {self.of}" if self.of else f"{self.bar:,.0f}"

    def bar_in_bytecodes(self, counted: Mapping[str, float]) -> float | None:
        """The bar, by what was counted in this run; None if that is missing."""
        if not self.of:
            return self.bar
        return self.bar * counted[self.of] if self.of in counted else None


BUDGETS: Final[dict[str, Budget]] = {
    "W1": Budget(most=5_440, bar=3_500),
    "W1id": Budget(most=5_860, bar=1.15, of="W1"),
    "W10": Budget(most=1_735, bar=1_400),
    "C100": Budget(most=6_420, bar=4_500),
    "sig": Budget(most=2_005, bar=1_950),
    "R1000": Budget(most=14_880, bar=0.5, of="live"),
    "http": Budget(most=14_200, bar=10_000),
}


def held() -> bool:
    """Whether the budgets are of the Python that runs."""
    return sys.version_info[:2] == PYTHON
