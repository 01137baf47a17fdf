"""Workers: which queues are served here, and how many tasks run at once.

A worker is an object inside a runtime. A run begins, and a task starts, only while
some worker serves its queue; a task waits in line for a slot of such a worker, see
`core/admission.py`. Waiting durably (a sleep, a child, a message) holds no slot.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from everact.runtime.core.admission import lane_of
from everact.runtime.core.bounds import whole
from everact.runtime.core.keywords import suggesting

if TYPE_CHECKING:
    from everact.runtime.definitions.registry import Registry

DEFAULT_SLOTS = 1000
"""Tasks that a worker runs at once unless told otherwise."""

DEFAULT_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Of them, tasks in threads: as many as the standard library's pool has."""


@suggesting
class Worker:
    """Serves `queues` with at most `slots` tasks at once, `threads` of them in threads.

    `name` shows in contexts and descriptions; `build_id` names the code it runs, which
    is that of the runtime's registry, or of its own `registry`.
    """

    def __init__(
        self,
        queues: Iterable[str] = ("default",),
        *,
        slots: int = DEFAULT_SLOTS,
        threads: int = DEFAULT_THREADS,
        name: str = "",
        build_id: str = "",
        registry: "Registry | None" = None,
    ) -> None:
        if not isinstance(queues, Iterable):
            raise TypeError(_no_queues(queues))
        self.queues = (queues,) if isinstance(queues, str) else tuple(queues)
        if not self.queues or not all(self.queues):
            raise ValueError("a worker serves at least one queue, by a name")
        self.slots = whole(slots, "slots of a worker", 1)
        self.threads = whole(threads, "threads of a worker", 1)
        self.name = name or "worker-" + "-".join(self.queues)
        self.build_id = build_id
        self.registry = registry
        self.lanes = (*self.queues, *(lane_of(q, build_id) for q in self.queues))
        self.busy = 0
        self.busy_threads = 0
        self.awaited = False

    def __repr__(self) -> str:
        return f"<Worker {self.name} {self.busy}/{self.slots}>"


def _no_queues(given: object) -> str:
    """Why a worker cannot be made with this in place of the names of queues."""
    kind = type(given).__name__
    if getattr(given, "lazy", False):
        kind = f"lazy {kind}, which has no connection yet"
    return (
        f"a worker serves queues, by name, and is not made from a {kind}: it lives "
        "where the database is, as Runtime(…, workers=[Worker(…)])"
    )
