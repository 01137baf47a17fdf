"""Admission: which attempts may begin now, and whose turn it is when there is room.

One decision, taken here and nowhere else: of the slots and threads of workers, of the
lanes that versions of code stand in, of priorities (`ranks`), and of workers elsewhere
that ask for work. What else may limit attempts is asked in `_room` and given back in
`leave`.

An attempt in line holds nothing. Attempts that need a thread, and those that wait for a
worker elsewhere, stand in lines of their own, so that they hold up no others. Of the
lines that can be served, the one goes first whose first place is oldest, so none
starves; `ranks` says who takes that place.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

from everact.runtime.core.ranks import Line, Ranked

SLOT: Final = "slot"
THREAD: Final = "thread"
"""What an attempt needs: a slot of a worker here, or a slot and a thread. Any other
need is the name of an executor: a worker elsewhere that asks for its attempts."""


class Server(Protocol):
    """A worker of this process, as admission knows it."""

    @property
    def queues(self) -> tuple[str, ...]: ...
    @property
    def lanes(self) -> tuple[str, ...]: ...
    @property
    def build_id(self) -> str: ...
    @property
    def slots(self) -> int: ...
    @property
    def threads(self) -> int: ...

    busy: int
    busy_threads: int
    awaited: bool
    """Whether somebody may stand in line for it."""


class Poll:
    """A worker elsewhere, `name`, that has room for one attempt.

    `given` is told when the attempt that takes this room has entered.
    """

    registry: Any = None

    def __init__(self, needs: str, lanes: Iterable[str], name: str) -> None:
        self.needs = needs
        self.lanes = tuple(lanes)
        self.name = name


class Entrant(Ranked, Protocol):
    """What is to be admitted."""

    lane: str

    @property
    def needs(self) -> str:
        """`SLOT`, `THREAD`, or the name of an executor that is polled."""

    def enter(self, worker: Any) -> None:
        """There is room for it; give it back with `leave`."""


W = TypeVar("W", bound=Server)


def lane_of(queue: str, build_id: str) -> str:
    """The name of the line of `queue` for workers of one build ID."""
    return f"{queue}\0{build_id}"


def queue_of(lane: str) -> str:
    """The queue that a lane is of."""
    return lane.partition("\0")[0]


class Admission(Generic[W]):
    """What the workers of one engine, here and elsewhere, are given to do."""

    def __init__(self, workers: Iterable[W]) -> None:
        self._serving: dict[str, list[W]] = {}
        self._at_once = self._serving
        self._lines: dict[tuple[str, str], Line[Entrant]] = {}
        self._polls: dict[str, list[Poll]] = {}
        self._places = count()
        self.held = False
        """Whether all stand in line until `let_go`."""
        self._each = False
        self.all: list[W] = []
        for worker in workers:
            self.add(worker)

    # -- the workers -----------------------------------------------------------------

    def add(self, worker: W) -> None:
        """Let `worker` serve; who stands in line for its queues begins at once."""
        self.all.append(worker)
        for queue in worker.queues:
            self._serving.setdefault(queue, []).append(worker)
        self.fill(worker)

    def serve(self, queue: str) -> bool:
        """Whether any worker serves `queue`."""
        return bool(self._serving.get(queue))

    def serving(self, queue: str) -> list[W]:
        """The workers that serve `queue`."""
        return self._serving.get(queue, [])

    def place_each(self) -> None:
        """From now on `free` gives none: which worker an attempt may go to is decided.

        So it is for whatever stands in the way of a free slot.
        """
        self._each = True
        self._at_once = {}

    def free(self, queue: str) -> W | None:
        """A worker of `queue` with a slot that may be taken without asking, if any."""
        for worker in self._at_once.get(queue, ()):
            if worker.busy < worker.slots:
                return worker
        return None

    # -- asking ----------------------------------------------------------------------

    def ask(self, entrant: Entrant, *, held: bool = True) -> None:
        """Let `entrant` enter, now or when there is room for it.

        With `held=False` it need not wait until others may begin.
        """
        lane, needs = entrant.lane, entrant.needs
        able = self._able(lane)
        if not (held and self.held):
            for worker in able:
                if self._room(worker, needs):
                    self._take(worker, entrant)
                    return
            for poll in self._polls.get(needs, ()):
                if lane in poll.lanes:
                    self.withdraw(poll)
                    entrant.enter(poll)
                    return
        line = self._lines.get((lane, needs))
        if line is None:
            line = self._lines[lane, needs] = Line(self._places)
        line.join(entrant)
        for worker in able:
            worker.awaited = True

    def poll(self, poll: Poll) -> None:
        """Let whose turn it is enter `poll`, now or when somebody comes."""
        line = None if self.held else self._next(poll.lanes, (poll.needs,))
        if line is None:
            self._polls.setdefault(poll.needs, []).append(poll)
        else:
            line.pop().enter(poll)

    def withdraw(self, poll: Poll) -> None:
        """Nobody is to enter `poll` any more."""
        waiting = self._polls.get(poll.needs, [])
        if poll in waiting:
            waiting.remove(poll)

    def lacking(self, entrant: Entrant) -> str:
        """What one that stands in line waits for."""
        queue, needs = queue_of(entrant.lane), entrant.needs
        if needs in (SLOT, THREAD):
            return f"a slot of queue {queue!r}"
        return f"a worker that asks for tasks of queue {queue!r} on {needs!r}"

    def depths(self) -> dict[str, int]:
        """How many stand in line, by queue; queues with no line are there too."""
        found = dict.fromkeys(self._serving, 0)
        for (lane, _), line in self._lines.items():
            queue = queue_of(lane)
            found[queue] = found.get(queue, 0) + len(line)
        return found

    # -- giving back -----------------------------------------------------------------

    def leave(self, worker: Any, needs: str) -> None:
        """What needed `needs` of `worker` gives it back: another may enter."""
        if isinstance(worker, Poll):
            return
        worker.busy -= 1
        if needs == THREAD:
            worker.busy_threads -= 1
        if worker.awaited:
            self.fill(worker)

    def take_back(self, worker: Any, needs: str) -> None:
        """What lent its slot has it again, over the number if need be."""
        worker.busy += 1
        if needs == THREAD:
            worker.busy_threads += 1

    # -- when others may begin ---------------------------------------------------------

    def line_up(self, queue: str, place: Callable[[Any], str]) -> None:
        """Let those in line for `queue` stand where `place` says now."""
        for key in [k for k in self._lines if queue_of(k[0]) == queue]:
            line = self._lines.pop(key)
            while line.waits():
                entrant = line.pop()
                entrant.lane = place(entrant)
                self.ask(entrant)

    def hold(self) -> None:
        """Let all stand in line, until `let_go` lets them enter: by priority."""
        self.held = True
        self._at_once = {}

    def let_go(self) -> None:
        """Let them enter again."""
        self.held = False
        if not self._each:
            self._at_once = self._serving
        for worker in self.all:
            self.fill(worker)
        polls, self._polls = self._polls, {}
        for waiting in polls.values():
            for poll in waiting:
                self.poll(poll)

    # -- the decision ------------------------------------------------------------------

    def fill(self, worker: W) -> None:
        """Let those whose turn it is enter `worker`, as many as there is room for."""
        worker.awaited = False
        if self.held:
            return
        while worker.busy < worker.slots:
            able = (SLOT, THREAD) if self._room(worker, THREAD) else (SLOT,)
            line = self._next(worker.lanes, able)
            if line is None:
                break
            self._take(worker, line.pop())
        lines = self._before(worker.lanes, (SLOT, THREAD))
        worker.awaited = any(line.waits() for line in lines)

    def _room(self, worker: W, needs: str) -> bool:
        """Whether one that needs this may enter `worker`."""
        if needs == THREAD and worker.busy_threads >= worker.threads:
            return False
        return needs in (SLOT, THREAD) and worker.busy < worker.slots

    def _take(self, worker: W, entrant: Entrant) -> None:
        worker.busy += 1
        if entrant.needs == THREAD:
            worker.busy_threads += 1
        entrant.enter(worker)

    def _able(self, lane: str) -> list[W]:
        """The workers of a queue, or of a lane of one."""
        found = self._serving.get(lane)
        if found is None:
            name, _, build_id = lane.partition("\0")
            all_of = self._serving.get(name, ())
            found = [worker for worker in all_of if worker.build_id == build_id]
        return found

    def _next(
        self, lanes: tuple[str, ...], able: tuple[str, ...]
    ) -> Line[Entrant] | None:
        """The line whose first place is oldest, of those that can be served."""
        found: Line[Entrant] | None = None
        for line in self._before(lanes, able):
            if line.waits() and (found is None or line.oldest < found.oldest):
                found = line
        return found

    def _before(
        self, lanes: tuple[str, ...], able: tuple[str, ...]
    ) -> Iterator[Line[Entrant]]:
        for lane in lanes:
            for needs in able:
                line = self._lines.get((lane, needs))
                if line is not None:
                    yield line
