"""Ready queues of tasks, in which a workflow's urgent ones go before its others.

A place in a line belongs to a workflow. Whose turn it is among the tasks of that
workflow their priorities say: the highest first, of equal ones the oldest. So what the
priorities of one workflow are does not move the tasks of any other.

Ageing: when `AGEING` tasks in a row went before the one that waits longest, that one
is next. So under a steady flow of urgent tasks one in `AGEING` + 1 is not.
"""

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Generic, Protocol, TypeAlias, TypeVar

AGEING = 50
"""Tasks that may go before the one of their workflow that has waited longest."""

LEVELS = 3


class Ranked(Protocol):
    """Something that waits in line."""

    @property
    def gone(self) -> bool:
        """Whether it no longer waits."""

    @property
    def workflow(self) -> str:
        """What its run is a run of."""

    @property
    def priority(self) -> int | None:
        """1 to 3, the highest; None is as good as 1."""


T = TypeVar("T", bound=Ranked)
Level: TypeAlias = deque[tuple[int, T]]
"""Tasks as urgent as each other, oldest first, each with its number in the line."""


class Turns(Generic[T]):
    """The waiting tasks of one workflow; it stands in the line once for each."""

    def __init__(self) -> None:
        self._levels: tuple[Level[T], ...] = tuple(deque() for _ in range(LEVELS))
        self._came = 0
        self._passed = 0

    def join(self, task: T) -> None:
        """Wait behind all that are as urgent."""
        self._came += 1
        self._levels[(task.priority or 1) - 1].append((self._came, task))

    @property
    def gone(self) -> bool:
        """Whether nobody waits here any more."""
        for level in self._levels:
            while level and level[0][1].gone:
                level.popleft()
        return not any(self._levels)

    def pop(self) -> T:
        """Whose turn it is; only if somebody waits."""
        oldest = min((on for on in self._levels if on), key=lambda on: on[0][0])
        most_urgent = next(on for on in reversed(self._levels) if on)
        chosen = most_urgent if self._passed < AGEING else oldest
        self._passed = 0 if chosen is oldest else self._passed + 1
        return chosen.popleft()[1]

    def __len__(self) -> int:
        return sum(not task.gone for level in self._levels for _, task in level)


class Line(Generic[T]):
    """Tasks that wait for a slot of one queue.

    One deque of tasks, as long as no task is more urgent than the least. Places are
    numbered by `numbers`; lines that share it can be asked whose place is older.
    """

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        self._numbers = count() if numbers is None else numbers
        self._places: deque[tuple[int, T | Turns[T]]] = deque()
        self._turns: dict[str, Turns[T]] = {}

    def join(self, task: T) -> None:
        """Stand in line."""
        urgent = (task.priority or 1) > 1
        if not (urgent or self._turns):
            self._places.append((next(self._numbers), task))
            return
        turns = self._turns.get(task.workflow)
        if turns is None or turns.gone:
            if not urgent:
                self._places.append((next(self._numbers), task))
                return
            turns = self._by_turns(task.workflow)
        turns.join(task)
        self._places.append((next(self._numbers), turns))

    @property
    def oldest(self) -> int:
        """The number of the first place; only if somebody waits."""
        return self._places[0][0]

    def waits(self) -> bool:
        """Whether somebody does; places of those that left are given up."""
        while self._places:
            if not self._places[0][1].gone:
                return True
            self._places.popleft()
        return False

    def pop(self) -> T:
        """Whose turn it is; only if somebody waits."""
        _, place = self._places.popleft()
        if not isinstance(place, Turns):
            return place
        task = place.pop()
        if place.gone and self._turns.get(task.workflow) is place:
            del self._turns[task.workflow]
        return task

    def __len__(self) -> int:
        alone = sum(not p.gone for _, p in self._places if not isinstance(p, Turns))
        return alone + sum(map(len, self._turns.values()))

    def _by_turns(self, workflow: str) -> Turns[T]:
        """From now on the tasks of a workflow take its places by their priority."""
        turns = self._turns[workflow] = Turns()
        places, self._places = self._places, deque()
        for number, place in places:
            if isinstance(place, Turns) or place.workflow != workflow:
                self._places.append((number, place))
            else:
                turns.join(place)
                self._places.append((number, turns))
        return turns
