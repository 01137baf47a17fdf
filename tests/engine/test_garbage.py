"""The garbage collector is eased while engines are open, and as it was afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from everact.runtime.engine import garbage


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if no engine had been opened yet."""
    for name, value in {"_engines": 0, "_frozen": False, "_before": None}.items():
        monkeypatch.setattr(garbage, name, value)
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_it_is_eased_while_any_engine_is_open() -> None:
    garbage.ease()
    assert gc.get_threshold() == garbage.THRESHOLDS
    assert gc.get_freeze_count() > 0
    garbage.ease()
    garbage.restore()
    assert gc.get_threshold() == garbage.THRESHOLDS
    garbage.restore()
    assert gc.get_threshold() == (700, 10, 10)
    assert gc.get_freeze_count() == 0


def test_engines_after_the_first_leave_the_count_of_old_objects_alone() -> None:
    garbage.ease()
    garbage.restore()
    gc.collect(1)
    old = gc.get_count()[2]
    for _ in range(3):
        garbage.ease()
        assert gc.get_freeze_count() == 0
        gc.collect(1)
        garbage.restore()
    assert gc.get_count()[2] == old + 3  # with a freeze it would be 0 again


def test_thresholds_of_the_programs_own_are_left_alone() -> None:
    gc.set_threshold(garbage.THRESHOLDS[0] + 1, 5, 5)
    garbage.ease()
    garbage.restore()
    assert gc.get_threshold() == (garbage.THRESHOLDS[0] + 1, 5, 5)
