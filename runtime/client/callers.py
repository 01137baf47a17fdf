"""Warnings that point at the line that caused them, however many of ours lie between.

The check is made where a method is called, not where its coroutine runs: a task of its
own, or another thread, would not know who made it.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

_BETWEEN: Final = ("everact", "asyncio", "concurrent", "threading", "contextlib")
"""Packages whose frames are never the cause."""

OLD_FORMS: dict[str, Callable[[Any], str | None]] = {}
"""By option of a start: what is to be said of a value, if its form is an old one."""


def warn_of_old_forms(options: Mapping[str, Any]) -> None:
    """Warn the caller of options that are given in a form that will go."""
    for name, said_of in OLD_FORMS.items():
        text = said_of(options[name]) if name in options else None
        if text is not None:
            warn_caller(text)


def warn_caller(text: str) -> None:
    """A DeprecationWarning at the line of the nearest caller that is not ours."""
    frame: FrameType | None = sys._getframe(1)
    found = frame
    while frame is not None:
        found = frame
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _BETWEEN:
            break
        frame = frame.f_back
    assert found is not None
    module = found.f_globals
    warnings.warn_explicit(
        text,
        DeprecationWarning,
        found.f_code.co_filename,
        found.f_lineno,
        module=module.get("__name__"),
        registry=module.setdefault("__warningregistry__", {}),
    )
