"""`asyncio.as_completed` in workflows: awaitables are started in the order given.

The standard one makes a set of its arguments first, so bare coroutines would start
in the order of their memory addresses, and a replay would mix them up. Importing
this module puts a wrapper in front of it that, on a workflow's loop, makes tasks in
order before handing over; elsewhere nothing changes.
"""

import asyncio
import functools
from collections.abc import Iterable
from typing import Any

from everact.runtime.programs.loop import DeterministicLoop

_standard = asyncio.as_completed


@functools.wraps(_standard)
def as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    """As the standard one; on a workflow's loop in the order given."""
    loop = asyncio._get_running_loop()
    if isinstance(loop, DeterministicLoop):
        fs = [asyncio.ensure_future(f, loop=loop) for f in fs]
    return _standard(fs, timeout=timeout)


def install() -> None:
    """Put the wrapper in place; calling it again changes nothing."""
    asyncio.as_completed = as_completed
    asyncio.tasks.as_completed = as_completed
