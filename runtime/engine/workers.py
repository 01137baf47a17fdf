"""Workers: which queues are served here, and how many tasks run at once.

A worker is an object inside a runtime. A run begins, and a task starts, only while
some worker serves its queue; a task waits in line for a slot of such a worker.
Waiting durably (a sleep, a child, a message) holds no slot.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

DEFAULT_SLOTS = 1000
"""Tasks that a worker runs at once unless told otherwise."""


class Slotted(Protocol):
    """Something that runs in a slot: `enter` is called once it has one."""

    def enter(self, worker: "Worker") -> None:
        """A slot is yours; give it back with `worker.leave()`."""

    @property
    def gone(self) -> bool:
        """Whether it no longer wants to run."""


class Worker:
    """Serves `queues` with at most `slots` tasks at once.

    `name` shows in contexts and descriptions; `build_id` names the code it runs.
    """

    def __init__(
        self,
        queues: Iterable[str] = ("default",),
        *,
        slots: int = DEFAULT_SLOTS,
        name: str = "",
        build_id: str = "",
    ) -> None:
        self.queues = (queues,) if isinstance(queues, str) else tuple(queues)
        if not self.queues or not all(self.queues):
            raise ValueError("a worker serves at least one queue, by a name")
        if slots < 1:
            raise ValueError(f"a worker needs at least one slot, not {slots}")
        self.slots = slots
        self.name = name or "worker-" + "-".join(self.queues)
        self.build_id = build_id
        self.busy = 0
        self.on_free: Callable[[Worker], None] | None = None

    def leave(self) -> None:
        """A task gives its slot back."""
        self.busy -= 1
        if self.on_free is not None:
            self.on_free(self)

    def __repr__(self) -> str:
        return f"<Worker {self.name} {self.busy}/{self.slots}>"


class Workers:
    """The workers of one engine, and the lines before them."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._serving: dict[str, list[Worker]] = {}
        self._lines: dict[str, deque[Slotted]] = {}
        self.all: list[Worker] = []
        for worker in workers:
            self.add(worker)

    def add(self, worker: Worker) -> None:
        """Let `worker` serve; tasks in line for its queues start at once."""
        self.all.append(worker)
        for queue in worker.queues:
            self._serving.setdefault(queue, []).append(worker)
        self._free(worker)

    def remove(self, worker: Worker) -> None:
        """Give `worker` no more tasks; those that run go on."""
        self.all.remove(worker)
        for queue in worker.queues:
            self._serving[queue].remove(worker)

    def serve(self, queue: str) -> bool:
        """Whether any worker serves `queue`."""
        return bool(self._serving.get(queue))

    def admit(self, task: Slotted, queue: str) -> None:
        """Give `task` a slot of a worker of `queue`, now or when one is free."""
        for worker in self._serving.get(queue, ()):
            if worker.busy < worker.slots:
                worker.busy += 1
                task.enter(worker)
                return
        self._lines.setdefault(queue, deque()).append(task)
        for worker in self._serving.get(queue, ()):
            worker.on_free = self._free

    def _free(self, worker: Worker) -> None:
        """Fill the free slots of `worker`; with nobody in line it need not say more."""
        worker.on_free = None
        for queue in worker.queues:
            line = self._lines.get(queue)
            while line and worker.busy < worker.slots:
                task = line.popleft()
                if not task.gone:
                    worker.busy += 1
                    task.enter(worker)
            if line:
                worker.on_free = self._free
