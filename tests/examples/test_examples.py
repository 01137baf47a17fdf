"""The examples of workflows run as a reader would run them, and print what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_example(name: str, *arguments: str, logged: str = "") -> list[str]:
    """What it prints; `logged` is a pattern for all that it logs."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"examples.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(logged, done.stderr), done.stderr
    return done.stdout.splitlines()


@pytest.mark.real_time
def test_an_order_is_approved_refused_or_forgotten() -> None:
    lines = run_example("order_approval", "0.3")
    assert [line for line in lines if line.startswith("order-")] == [
        "order-1 is waiting",
        "order-1: approved by Ada: parcel for slip-1",
        "order-2: refused by Ada",
        "order-3: expired, nobody decided",
    ]
    assert sum("reserved" in line for line in lines) == 3
    assert sorted(line for line in lines if line.startswith("slip")) == [
        "slip-2: goods are back on the shelf",
        "slip-3: goods are back on the shelf",
    ]


@pytest.mark.real_time
def test_the_agent_retries_its_tool_asks_and_finishes() -> None:
    tried = "".join(
        rf"task 'look_up' of run 'agent' \(\S+\) of 'Agent', attempt {attempt}, "
        r"failed: ConnectionError: connection lost; it is tried again in \S+ s\n"
        for attempt in (1, 2)
    )
    lines = run_example("agent_loop", logged=2 * tried)
    assert lines == [
        "  look up 'weather in Oslo', attempt 1: connection lost",
        "  look up 'weather in Oslo', attempt 2: connection lost",
        "  look up 'weather in Oslo', attempt 3: 4 °C, sleet",
        "  look up 'weather in Lisbon', attempt 1: connection lost",
        "  look up 'weather in Lisbon', attempt 2: connection lost",
        "  look up 'weather in Lisbon', attempt 3: 19 °C, sunny",
        "the agent is at ask: May the trip cost more than 300 euros?",
        "a warm weekend: Lisbon (yes, but not much)",
        "6 tasks recorded, 3 facts known",
    ]


@pytest.mark.real_time
@pytest.mark.feature("DC-02")
def test_values_are_encrypted_and_keys_are_rotated() -> None:
    assert run_example("encrypted_values") == [
        "995 cents from Ada, card ...1111",
        "the number cannot be read in the database",
        "after the new key: 995 cents from Ada, card ...1111",
        "from elsewhere: 100 cents from Ada, card ...1111",
        "without the key: a value is encoded by the codec 'sealed'",
    ]


@pytest.mark.real_time
def test_the_tests_of_an_example_pass() -> None:
    tests = "examples/test_order_approval.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
