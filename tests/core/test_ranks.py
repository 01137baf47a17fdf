"""Lines: whose turn it is, by age and by priority."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from everact.runtime.core.ranks import AGEING, Line


class Waiting(NamedTuple):
    """A task in line; one that is listed in `LEFT` has left it."""

    name: str
    workflow: str = "w"
    priority: int | None = None

    @property
    def gone(self) -> bool:
        return self.name in LEFT


LEFT: set[str] = set()


@pytest.fixture(autouse=True)
def nobody_left() -> None:
    LEFT.clear()


def line(*waiting: Waiting) -> Line[Waiting]:
    made: Line[Waiting] = Line()
    for task in waiting:
        made.join(task)
    return made


def served(waiting: Line[Waiting]) -> list[str]:
    found = []
    while waiting.waits():
        found.append(waiting.pop().name)
    assert len(waiting) == 0
    return found


def ranked(text: str) -> list[Waiting]:
    """Tasks named by workflow, priority and place: ``a1 a3 b`` are a1.0 a3.1 b.2."""
    return [
        Waiting(f"{word}.{n}", word[0], int(word[1:]) if word[1:] else None)
        for n, word in enumerate(text.split())
    ]


@pytest.mark.feature("QT-10")
@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ("a a a", "a.0 a.1 a.2"),
        ("a1 a2 a3", "a3.2 a2.1 a1.0"),
        ("a a1 a2 a a2", "a2.2 a2.4 a.0 a1.1 a.3"),
        ("a b a3 b", "a3.2 b.1 a.0 b.3"),
        ("a b3 a b", "a.0 b3.1 a.2 b.3"),
        ("a b b3 a a3 b", "a3.4 b3.2 b.1 a.0 a.3 b.5"),
    ],
)
def test_the_higher_of_a_workflow_go_first_in_the_places_of_that_workflow(
    waiting: str, order: str
) -> None:
    assert served(line(*ranked(waiting))) == order.split()


@pytest.mark.feature("QT-10")
def test_one_without_a_priority_is_as_good_as_a_low_one() -> None:
    assert served(line(*ranked("a1 a a1 a"))) == ["a1.0", "a.1", "a1.2", "a.3"]


@pytest.mark.feature("QT-10")
def test_a_low_one_is_served_under_a_steady_flow_of_high_ones() -> None:
    waiting = line(Waiting("low"), *(Waiting("high", priority=3) for _ in range(5)))
    passed = 0
    while waiting.pop().name != "low":
        passed += 1
        waiting.join(Waiting("high", priority=3))
    assert passed == AGEING
    waiting.join(Waiting("low again"))
    assert "low again" not in [waiting.pop().name for _ in range(5)]


@pytest.mark.feature("QT-10")
def test_those_that_left_are_passed_over_and_hold_up_nobody() -> None:
    waiting = line(*ranked("a a3 b a2 b"))
    LEFT.update({"a3.1", "b.2"})
    assert len(waiting) == 3
    assert served(waiting) == ["a2.3", "a.0", "b.4"]


@pytest.mark.feature("QT-10")
def test_who_comes_after_all_of_a_workflow_left_goes_to_the_end() -> None:
    waiting = line(*ranked("a3 b"))
    LEFT.add("a3.0")
    waiting.join(Waiting("later", "a", 3))
    assert served(waiting) == ["b.1", "later"]


def test_other_workflows_never_move_and_nobody_is_lost() -> None:
    chance = random.Random(7)
    for _ in range(200):
        tasks = ranked(
            " ".join(
                chance.choice("ab") + chance.choice(["", "1", "2", "3"])
                for _ in range(chance.randrange(40))
            )
        )
        order = served(line(*tasks))
        assert sorted(order) == sorted(task.name for task in tasks)
        assert [n[0] for n in order] == [task.workflow for task in tasks]
