"""Memory of a process in bytes: what it holds now, and its peak.

Linux is asked per process through /proc (getrusage there inherits the peak of the
process that forked). Elsewhere only the peak of the asking process is known.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_PROC = Path("/proc")


def peak() -> int:
    """The peak of this process and of its living descendants (an engine's server)."""
    own = _field(os.getpid(), "VmHWM")
    if own is None:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return own + sum(_field(pid, "VmHWM") or 0 for pid in _descendants(os.getpid()))


def now() -> int | None:
    """What this process holds now, or None where that is not known."""
    return _field(os.getpid(), "VmRSS")


def written() -> int | None:
    """Bytes that this process wrote since it began, or None where that is not known."""
    try:
        text = (_PROC / "self" / "io").read_text()
    except OSError:
        return None
    return int(text.split("wchar:")[1].split()[0])


def _field(pid: int, name: str) -> int | None:
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in _PROC.glob(f"{pid}/task/*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found
