"""Warnings to users that point at their own line of code, not at one of ours.

The check is made where a method is called, not where its coroutine runs: a task of its
own, or another thread, would not know who made it.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any, Final

from everact.runtime.core.cron import pitfall

_BETWEEN: Final = ("everact", "asyncio", "concurrent", "threading", "contextlib")
"""Packages whose frames are never the cause."""

OLD_FORMS: dict[str, Callable[[Any], str | None]] = {}
"""By option of a start: what is to be said of a value, if its form is an old one."""


def warn_of_options(options: Mapping[str, Any]) -> None:
    """Warn the caller of options in a form that will go, or that may surprise."""
    for name, said_of in OLD_FORMS.items():
        text = said_of(options[name]) if name in options else None
        if text is not None:
            warn_caller(text)
    if "cron_schedule" in options:
        warn_of_crons((options["cron_schedule"],))


def warn_of_crons(texts: Iterable[object]) -> None:
    """Warn the caller of cron texts that mean something else to another cron."""
    for text in texts:
        said = pitfall(text) if isinstance(text, str) else None
        if said is not None:
            warn_caller(said, UserWarning)


def warn_caller(text: str, category: type[Warning] = DeprecationWarning) -> None:
    """A warning at the line of the nearest caller that is not ours."""
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
        category,
        found.f_code.co_filename,
        found.f_lineno,
        module=module.get("__name__"),
        registry=module.setdefault("__warningregistry__", {}),
    )
