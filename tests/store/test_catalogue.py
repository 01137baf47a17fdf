"""The statements of the adapter's catalogue."""

from __future__ import annotations

import re

import pytest

from everact.runtime.store import catalogue


@pytest.mark.parametrize(("name", "sql"), catalogue.queries("sqlite").items())
def test_parameters_are_bound_by_place_or_by_name(name: str, sql: str) -> None:
    """Numbers (`?1`) are taken for names by the first releases of Python 3.12."""
    assert not re.search(r"\?\d", sql), name
    assert not ("?" in sql and re.search(r"[^:]:[a-z]", sql)), name
