"""What a thread is doing now: the line that an author would look for, and whose it is.

Frames of another thread are only looked at, and let go of at once: they hold what is
local to running code.
"""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_OURS = str(Path(__file__).parent.parent)
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")}
)
_FROZEN = "<frozen "


def line_of(thread_id: int) -> str:
    """Where the author's code stands on a thread, as ``file:line in function``.

    That is the innermost line outside of libraries, or the outermost one that we called
    if all of it is a library's.
    """
    frame = None
    for outer in _frames(thread_id):
        if _in(outer, (_OURS,)):
            break
        frame = outer
        if not _in(outer, _LIBRARIES):
            break
    if frame is None:
        frame = sys._current_frames().get(thread_id)
    if frame is None:
        return "an unknown line"
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"


def local_of(thread_id: int, code: CodeType, name: str) -> Any:
    """A local variable of the innermost call of `code` on a thread, or None."""
    for frame in _frames(thread_id):
        if frame.f_code is code:
            return frame.f_locals.get(name)
    return None


def _frames(thread_id: int) -> Iterator[FrameType]:
    """The frames of a thread, the innermost first."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _in(frame: FrameType, folders: tuple[str, ...]) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(folders) or name.startswith(_FROZEN)
