"""Nothing takes more bytecodes than its budget: counted, never how fast."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks import bytecodes
from benchmarks.budgets import BUDGETS, PYTHON, SLACK, held
from benchmarks.bytecodes import counting
from benchmarks.measure import measure


@pytest.mark.skipif(not held(), reason=f"budgets are of Python {PYTHON}")
@pytest.mark.parametrize("work", BUDGETS)
def test_the_loop_executes_no_more_than_the_budget(work: str, tmp_path: Path) -> None:
    job = bytecodes.job_of(work, "everact", str(tmp_path))
    counted = measure(job, lambda share: None)["bytecodes"]
    budget = BUDGETS[work]
    assert counted <= budget.most, (
        f"{work} takes {counted:,.0f} bytecodes of one {bytecodes.UNITS[work]}, its "
        f"budget is {budget.most:,} (bar: {budget.text}). Make it cheaper; or raise "
        "the budget, with the reason in docs/performance.md"
    )


def test_every_budget_is_counted_and_names_its_bar() -> None:
    assert set(BUDGETS) == set(bytecodes.UNITS) == set(bytecodes.SIZES)
    assert 0 < SLACK < 0.05
    assert BUDGETS["W1"].bar_in_bytecodes({}) == 3_500
    assert BUDGETS["W1id"].bar_in_bytecodes({}) is None
    assert BUDGETS["W1id"].bar_in_bytecodes({"W1": 1_000}) == 1_150


def test_counting_is_exact_and_of_this_thread_alone() -> None:
    def work() -> int:
        return sum(number for number in (1, 2, 3))

    def count(times: int) -> int:
        with counting() as counted:
            for _ in range(times):
                work()
        return counted.total

    elsewhere = threading.Thread(target=work)
    once, twice, thrice = count(1), count(2), count(3)
    assert once > 20
    assert thrice - twice == twice - once > 0
    with counting() as begun:
        elsewhere.start()
        elsewhere.join()
    with counting() as again:
        threading.Thread(target=work).start()
    assert begun.total and again.total
    assert count(2) == twice
