"""Which waiting runs are kept in memory, and which of them leaves it first.

They are bounded in number and in bytes. A run takes what any takes, and as much as its
journal beside that: its code can hold whatever it was shown. Of those that rest longest
leaves the one whose waking costs least for the memory that it gives back: waking
replays a run's recorded steps.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

IDLE_RUNS = 10_240
"""Waiting runs kept in memory, unless told otherwise."""

IDLE_BYTES = 64 * 1024 * 1024
"""What they may take together, unless told otherwise."""

RUN_BYTES = 4608
"""What a waiting run takes, beside the values that its code may hold."""

CHOICE = 8
"""So many that rest longest are looked at for the one that leaves."""

WAKING = 16
"""What waking a run costs whatever its history, in recorded steps."""


class Resting:
    """The runs of one engine that wait in memory, by their keys.

    `steps` says how many recorded steps of a run are replayed when it is woken. The
    one that came last is always kept: whoever loads a run must find it there.
    """

    def __init__(
        self, most_runs: int, most_bytes: int, steps: Callable[[int], int]
    ) -> None:
        self._most_runs = max(1, most_runs)
        self._most_bytes = most_bytes
        self._steps = steps
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self.bytes = 0
        """What they take together."""

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, key: int, journal_bytes: int) -> bool:
        """A run rests from now on; whether another must leave for it."""
        sizes, size = self._sizes, RUN_BYTES + journal_bytes
        self.bytes += size - sizes.pop(key, 0)
        sizes[key] = size
        return len(sizes) > self._most_runs or self.bytes > self._most_bytes

    def touch(self, key: int) -> None:
        """The run is looked for: it rests anew."""
        if key in self._sizes:
            self._sizes.move_to_end(key)

    def discard(self, key: int) -> None:
        """The run has left memory."""
        self.bytes -= self._sizes.pop(key, 0)

    def leaving(self) -> list[int]:
        """Those that are to leave, for the others to fit; they count no more."""
        found: list[int] = []
        while self._too_many():
            longest = islice(self._sizes, min(CHOICE, len(self) - 1))
            found.append(min(longest, key=self._cost))
            self.discard(found[-1])
        return found

    def _too_many(self) -> bool:
        fits = len(self) <= self._most_runs and self.bytes <= self._most_bytes
        return not fits and len(self) > 1

    def _cost(self, key: int) -> float:
        """What waking the run costs, in steps for a byte that it gives back."""
        return (WAKING + self._steps(key)) / self._sizes[key]
