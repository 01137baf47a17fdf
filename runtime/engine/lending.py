"""A task that awaits a run lends its slot to other tasks meanwhile.

Else it could wait for ever: for a run whose tasks wait for the slot that it holds. It
has begun and cannot stand in line again, so it takes its slot back at once when its
wait is over, over the worker's number if need be; the worker starts nothing new until
it is below that number.

Only waits inside the engine's process are seen. A task that asks an endpoint, through
a client that is connected to one, keeps its slot.
"""

from collections.abc import Awaitable
from typing import TypeVar

from everact.runtime.definitions.context import current_attempt
from everact.runtime.engine.execution.attempt import TaskActor
from everact.runtime.engine.host import Host

T = TypeVar("T")


def slot_lent(host: Host, waiting: Awaitable[T], key: int) -> Awaitable[T]:
    """`waiting` for the run of `key`; if a task awaits it, it holds no slot meanwhile.

    For anyone else it is `waiting` itself.
    """
    attempt = current_attempt.get()
    if attempt is None:
        return waiting
    if not isinstance(attempt, TaskActor) or attempt.run.engine is not host:
        return waiting
    return _lent(host, attempt, waiting, key)


async def _lent(host: Host, attempt: TaskActor, waiting: Awaitable[T], key: int) -> T:
    """Of several waits of one attempt the first gives the slot, the last takes it."""
    if attempt.awaits is None:
        attempt.awaits = []
    if not attempt.awaits and attempt.worker is not None:
        host.admission.leave(attempt.worker, attempt.needs)
    attempt.awaits.append(key)
    try:
        return await waiting
    finally:
        attempt.awaits.remove(key)
        if not attempt.awaits and attempt.worker is not None:
            host.admission.take_back(attempt.worker, attempt.needs)
