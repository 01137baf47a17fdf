"""The timer actor: one heap of moments for all runs in memory.

It wakes at the earliest moment and hands each moment that has come to its run. Moments
are not removed when they are cancelled, or when their run ends or is put away: the
run's state decides whether a moment still holds. A heap that has doubled is freed of
those that do not, so it holds at most about twice the moments of the runs in memory.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from everact.actors import Actor, Clock, TimerHandle

_FEW = 2048
"""Moments below which the heap is left as it is."""


class TimerActor(Actor):
    """Calls `fire(run_key, number, due)` once `due` (epoch seconds) has come.

    `holds` says of a moment, given in the same way, whether anybody still waits for it.
    """

    def __init__(
        self,
        clock: Clock,
        fire: Callable[[int, int, float], None],
        holds: Callable[[int, int, float], bool],
    ) -> None:
        self._clock = clock
        self._fire = fire
        self._holds = holds
        self._heap: list[tuple[float, int, int]] = []
        self._limit = _FEW
        self._handle: TimerHandle | None = None
        self._armed_for = float("inf")

    @property
    def noted(self) -> int:
        """How many moments are in memory, dead ones included."""
        return len(self._heap)

    def add(self, due: float, run_key: int, number: int) -> None:
        """Note a moment of a run."""
        heap = self._heap
        if len(heap) >= self._limit:
            # A set, because a run that was put away and loaded has given its twice.
            heap[:] = {m for m in heap if self._holds(m[1], m[2], m[0])}
            heapify(heap)
            self._limit = max(_FEW, 2 * len(heap))
        heappush(heap, (due, run_key, number))
        if due < self._armed_for:
            self._arm(due)

    def on_receive(self, message: object) -> None:
        """The only message: the earliest moment has come."""
        heap, now = self._heap, self._clock.now()
        while heap and heap[0][0] <= now:
            due, run_key, number = heappop(heap)
            self._fire(run_key, number, due)
        if heap:
            self._arm(heap[0][0])

    def on_stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed_for = due
        self._handle = self._clock.call_at(due, self._due)

    def _due(self) -> None:
        self._armed_for = float("inf")
        self._handle = None
        self.post(None)
