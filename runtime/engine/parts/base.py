"""Parts: the interface of each capability with rows of its own beside the journal.

A part has rows of its own in the database: schedules, user events, attributes that runs
are found by. It says what it writes for which events and commands of runs, in their
transactions; what it does once they are durable; and how it opens, closes and forgets.
The engine knows parts only as this, in one list.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from everact.runtime.core.records import RunTask, TaskCompleted
from everact.runtime.engine.host import Acts, Run, Writes
from everact.runtime.store.base import Opened, RunRow, Statement

UNASKED = frozenset({RunTask, TaskCompleted})
"""Records that no part answers for: steps are recorded and released without asking."""

Notify: TypeAlias = Callable[[Run], None]
"""Something happened to a run."""


class Part:
    """One capability beside the journal; all methods on the engine's loop.

    A part overrides what concerns it. What it does not override costs nothing.
    """

    # -- records of runs -------------------------------------------------------------

    def writes(self) -> Mapping[type, Writes]:
        """What is written with an event or command, by its kind.

        It is in the transaction of the record, and made before commands are folded.
        """
        return {}

    def after_commit(self) -> Mapping[type, Acts]:
        """What is done for a command once it is durable, by its kind."""
        return {}

    def resumed(self) -> Mapping[type, Acts]:
        """What is done for a command that is open when its run is loaded."""
        return {}

    # -- runs ------------------------------------------------------------------------

    def loaded(self, run: Run) -> None:
        """The run was read back."""

    def renewed(self, run: Run) -> None:
        """The run begins anew in another generation."""

    def closed(self, run: Run) -> None:
        """The end of the run is durable."""

    def gone(self, key: int, row: RunRow | None) -> None:
        """A run that was not in memory has ended, or is not there at all."""

    def forget(self, run: Run) -> None:
        """The run leaves memory: what is kept of it here must go."""

    # -- the engine ------------------------------------------------------------------

    async def open(self, opened: Opened) -> None:
        """The store is open, and no run is in memory."""

    def recover(self) -> None:
        """All runs are in memory that have to be: go on where the last engine was."""

    def stop(self) -> None:
        """The engine closes: begin nothing more. What is under way may end."""

    def close(self) -> None:
        """Nothing becomes durable any more: tell those who wait."""


class Parts:
    """The parts of one engine, and which of them answer for what.

    Several may answer for one kind of record: none takes the place of another.
    TypeError if one wants to answer for what is `UNASKED`.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self.all = tuple(parts)
        self.writes: Mapping[type, Writes] = {
            kind: made[0] if len(made) == 1 else partial(_written, made)
            for kind, made in _by_kind(part.writes() for part in self.all).items()
        }
        self.after_commit: Mapping[type, Acts] = _acting(
            part.after_commit() for part in self.all
        )
        self.resumed: Mapping[type, Acts] = _acting(part.resumed() for part in self.all)
        self.loaded: Sequence[Notify] = self._overriding("loaded")
        self.renewed: Sequence[Notify] = self._overriding("renewed")
        self.closed: Sequence[Notify] = self._overriding("closed")
        self.forget: Sequence[Notify] = self._overriding("forget")

    def _overriding(self, name: str) -> tuple[Any, ...]:
        """The methods `name` of those parts that have one of their own."""
        inherited = getattr(Part, name)
        return tuple(
            getattr(part, name)
            for part in self.all
            if getattr(type(part), name) is not inherited
        )

    def gone(self, key: int, row: RunRow | None) -> None:
        """See `Part.gone`."""
        for part in self.all:
            part.gone(key, row)


def _by_kind(
    found: Iterable[Mapping[type, Callable[[Run, Any], Any]]],
) -> dict[type, list[Callable[[Run, Any], Any]]]:
    lists: dict[type, list[Callable[[Run, Any], Any]]] = {}
    for hooks in found:
        for kind, hook in hooks.items():
            if kind in UNASKED:
                raise TypeError(f"parts are not asked of {kind.__name__}: {hook}")
            lists.setdefault(kind, []).append(hook)
    return lists


def _acting(found: Iterable[Mapping[type, Acts]]) -> Mapping[type, Acts]:
    return {
        kind: made[0] if len(made) == 1 else partial(_done, made)
        for kind, made in _by_kind(found).items()
    }


def _written(made: Iterable[Writes], run: Run, record: Any) -> tuple[Statement, ...]:
    return tuple(statement for write in made for statement in write(run, record))


def _done(made: Iterable[Acts], run: Run, record: Any) -> None:
    for act in made:
        act(run, record)
