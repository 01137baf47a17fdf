"""Every decision of a simulation, drawn from one seed.

What is drawn in the order of events comes from one generator; what must be the same
after a crash (how often a task fails) is drawn from its own name.
"""

import random
from collections.abc import Sequence
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")


class Chance:
    """One seed's decisions. `calm` decides for no delays and no failures."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        self.seed = seed
        self.calm = calm
        self._random = random.Random(seed)
        self.ids = random.Random(seed ^ 0x5EED)
        self.slow = 0.0 if calm else self._random.choice((0.0, 0.002, 0.3))

    def commit_delay(self) -> float:
        """Seconds that a store takes, often none."""
        if not self.slow or self._random.random() < 0.5:
            return 0.0
        return self._random.random() * self.slow

    def read_delay(self) -> float:
        """Seconds that one way of a read takes, most often none."""
        if not self.slow or self._random.random() < 0.8:
            return 0.0
        return self._random.random() * self.slow

    def turns(self) -> int:
        """Turns of the loop that one way of a read takes; one when calm."""
        return 1 if self.calm else self._random.randrange(4)

    def happens(self, probability: float) -> bool:
        """Whether something of that probability happens now."""
        return not self.calm and self._random.random() < probability

    def between(self, low: float, high: float) -> float:
        """A number, or `low` when calm."""
        return low if self.calm else self._random.uniform(low, high)

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return self._random.choice(items)

    def below(self, limit: int) -> int:
        """A whole number from 0."""
        return self._random.randrange(limit)

    def fixed(self, name: str, limit: int) -> int:
        """A whole number below `limit` that depends on seed and name only."""
        if self.calm:
            return 0
        return crc32(f"{self.seed}/{name}".encode()) % limit
