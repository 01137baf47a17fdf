"""Workers: which queues are served here, and how many tasks run at once.

A worker is an object inside a runtime. A run begins, and a task starts, only while
some worker serves its queue; a task waits in line for a slot of such a worker.
Waiting durably (a sleep, a child, a message) holds no slot.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from everact.runtime.core.bounds import whole
from everact.runtime.core.keywords import suggesting
from everact.runtime.engine.ranks import Line, Ranked

if TYPE_CHECKING:
    from everact.runtime.definitions.registry import Registry

DEFAULT_SLOTS = 1000
"""Tasks that a worker runs at once unless told otherwise."""

DEFAULT_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Of them, tasks in threads: as many as the standard library's pool has."""


class Slotted(Ranked, Protocol):
    """Something that runs in a slot: `enter` is called once it has one."""

    def enter(self, worker: "Worker") -> None:
        """A slot is yours; give it back with `worker.leave(threaded)`."""

    @property
    def threaded(self) -> bool:
        """Whether it needs a thread."""


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
        self.on_free: Callable[[Worker], None] | None = None

    def take(self, task: Slotted, threaded: bool) -> bool:
        """Run `task` if there is a slot, and a thread if it needs one, for it."""
        if self.busy >= self.slots:
            return False
        if threaded:
            if self.busy_threads >= self.threads:
                return False
            self.busy_threads += 1
        self.busy += 1
        task.enter(self)
        return True

    def leave(self, threaded: bool) -> None:
        """A task gives its slot back, and its thread if it had one."""
        self.busy -= 1
        if threaded:
            self.busy_threads -= 1
        if self.on_free is not None:
            self.on_free(self)

    def take_back(self, threaded: bool) -> None:
        """A task that lent its slot has it again, over the number if need be."""
        self.busy += 1
        if threaded:
            self.busy_threads += 1

    def __repr__(self) -> str:
        return f"<Worker {self.name} {self.busy}/{self.slots}>"


def lane_of(queue: str, build_id: str) -> str:
    """The name of the line of `queue` for workers of one build ID."""
    return f"{queue}\0{build_id}"


class Workers:
    """The workers of one engine, and the lines before them.

    Tasks that need a thread stand in a line of their own, so that they do not hold
    up those that need none. Of the lines that a slot can serve, the one goes first
    whose first place is oldest, so none starves; `ranks` says who takes that place.
    """

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._serving: dict[str, list[Worker]] = {}
        self._at_once = self._serving
        self._lines: dict[tuple[str, bool], Line[Slotted]] = {}
        self._places = count()
        self.held = False
        """Whether all tasks stand in line until `let_go`."""
        self._each = False
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

    def serving(self, queue: str) -> list[Worker]:
        """The workers that serve `queue`."""
        return self._serving.get(queue, [])

    def place_each(self) -> None:
        """From now on `free` gives none: which worker a task may go to is decided."""
        self._each = True
        self._at_once = {}

    def free(self, queue: str) -> Worker | None:
        """A worker of `queue` with a free slot, if there is one."""
        for worker in self._at_once.get(queue, ()):
            if worker.busy < worker.slots:
                return worker
        return None

    def depths(self) -> dict[str, int]:
        """How many tasks stand in line, by queue; queues with no line are there too."""
        found = dict.fromkeys(self._serving, 0)
        for (lane, _), line in self._lines.items():
            queue = lane.partition("\0")[0]
            found[queue] = found.get(queue, 0) + len(line)
        return found

    def admit(self, task: Slotted, queue: str, *, held: bool = True) -> None:
        """Give `task` a slot of a worker of `queue`, now or when one is free.

        Also of a lane of a queue, and of its workers only. With `held=False` it need
        not wait until others may begin.
        """
        threaded = task.threaded
        serving = self._serving.get(queue)
        if serving is None:
            name, _, build_id = queue.partition("\0")
            found = self._serving.get(name, ())
            serving = [worker for worker in found if worker.build_id == build_id]
        for worker in () if held and self.held else serving:
            if worker.take(task, threaded):
                return
        line = self._lines.get((queue, threaded))
        if line is None:
            line = self._lines[queue, threaded] = Line(self._places)
        line.join(task)
        for worker in serving:
            worker.on_free = self._free

    def line_up(self, queue: str, place: Callable[[Any], str]) -> None:
        """Let the tasks in line for `queue` stand where `place` says now."""
        for key in [k for k in self._lines if k[0].partition("\0")[0] == queue]:
            line = self._lines.pop(key)
            while line.waits():
                task = line.pop()
                self.admit(task, place(task))

    def hold(self) -> None:
        """Let all tasks stand in line, until `let_go` gives slots: by priority."""
        self.held = True
        self._at_once = {}

    def let_go(self) -> None:
        """Give slots again."""
        self.held = False
        if not self._each:
            self._at_once = self._serving
        for worker in self.all:
            self._free(worker)

    def _free(self, worker: Worker) -> None:
        """Fill the free slots of `worker`; with nobody in line it need not say more."""
        worker.on_free = None
        if self.held:
            return
        while worker.busy < worker.slots:
            line = self._next(worker)
            if line is None:
                break
            task = line.pop()
            worker.take(task, task.threaded)
        if any(line.waits() for line, _ in self._before(worker)):
            worker.on_free = self._free

    def _next(self, worker: Worker) -> Line[Slotted] | None:
        """The line whose first place is oldest, of those that a slot can serve."""
        found: Line[Slotted] | None = None
        for line, threaded in self._before(worker):
            if threaded and worker.busy_threads >= worker.threads:
                continue
            if line.waits() and (found is None or line.oldest < found.oldest):
                found = line
        return found

    def _before(self, worker: Worker) -> Iterator[tuple[Line[Slotted], bool]]:
        """The lines before `worker`, and whether they are of tasks for threads."""
        for queue in worker.lanes:
            for threaded in (False, True):
                line = self._lines.get((queue, threaded))
                if line is not None:
                    yield line, threaded


def _no_queues(given: object) -> str:
    """Why a worker cannot be made with this in place of the names of queues."""
    kind = type(given).__name__
    if getattr(given, "lazy", False):
        kind = f"lazy {kind}, which has no connection yet"
    return (
        f"a worker serves queues, by name, and is not made from a {kind}: it lives "
        "where the database is, as Runtime(…, workers=[Worker(…)])"
    )
