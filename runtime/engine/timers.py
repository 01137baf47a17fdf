"""The timer actor: one heap of moments for all runs in memory.

It wakes at the earliest moment and hands each moment that has come to its run. Moments
are not removed when they are cancelled: the run's state decides whether a moment
still holds, and a heap of mostly dead moments is made anew.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from everact.actors import Actor, Clock, TimerHandle

_FEW = 1024


class TimerActor(Actor):
    """Calls `fire(run_key, number, due)` once `due` (epoch seconds) has come."""

    def __init__(
        self,
        clock: Clock,
        fire: Callable[[int, int, float], None],
        alive: Callable[[int], bool],
    ) -> None:
        self._clock = clock
        self._fire = fire
        self._alive = alive
        self._heap: list[tuple[float, int, int]] = []
        self._handle: TimerHandle | None = None
        self._armed_for = float("inf")
        self._dead = 0

    def add(self, due: float, run_key: int, number: int) -> None:
        """Note a moment of a run."""
        heappush(self._heap, (due, run_key, number))
        if due < self._armed_for:
            self._arm(due)

    def forget(self, moments: int) -> None:
        """`moments` of the heap belong to runs that left memory."""
        self._dead += moments
        if self._dead > _FEW and self._dead > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if self._alive(entry[1])]
            heapify(self._heap)
            self._dead = 0

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
