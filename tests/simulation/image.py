"""The durable image: what a disk would hold, as plain tables.

It survives crashes. Rows go in and come out as copies, so that nothing in memory can
change what is durable. What is written beside the runs (`Write.statements`, request
IDs) is in a database in memory, by the adapter's own SQL. It keeps the promises that
the store port makes of a database: one open run of an ID, journal rows that are never
written twice.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from everact.runtime.store import catalogue
from everact.runtime.store.base import (
    CheckpointRow,
    JournalRow,
    RunRow,
    Stored,
    Write,
)

_CHANGED = (
    "status",
    "wake_at",
    "aside",
    "generation",
    "inbox_seq",
    "run_name",
    "closed_at",
    "next_run_id",
    "kind",
)


class Violated(Exception):
    """A write breaks a constraint of the schema."""


class Held(Violated):
    """The ID of a run that is to be made is that of an open one, `holder`."""

    def __init__(self, holder: RunRow) -> None:
        super().__init__(f"workflow ID {holder.workflow_id} is taken by {holder.key}")
        self.holder = holder


class Place(NamedTuple):
    """Where a journal row stands."""

    run_key: int
    generation: int
    seq: int


class Image:
    """Tables of runs, journal and checkpoints, and the database beside them."""

    def __init__(self) -> None:
        self.runs: dict[int, RunRow] = {}
        self.journal: dict[int, dict[tuple[int, int], JournalRow]] = {}
        self.checkpoints: dict[int, CheckpointRow] = {}
        self.open: dict[tuple[str, str], int] = {}
        self.by_id: dict[tuple[str, str], list[int]] = {}
        self.clean = True
        self.notes = b""
        self.epoch = 0
        self._sql = catalogue.queries("sqlite")
        self._side = sqlite3.connect(":memory:", isolation_level=None)
        for step in catalogue.migrations("sqlite"):
            self._side.executescript(step.script)

    def close(self) -> None:
        """Let go of the database beside the tables; these stay readable."""
        self._side.close()

    # -- writing -------------------------------------------------------------------

    def check(self, writes: Sequence[Write]) -> None:
        """Violated if `writes` cannot be applied together."""
        status: dict[int, int] = {}
        taken = set()
        for write in writes:
            if write.row is None:
                continue
            place = Place(*write.row[:3])
            if place in taken or place[1:] in self.journal.get(place.run_key, ()):
                raise Violated(f"journal row {place} is there already")
            taken.add(place)
            for row in (write.insert, write.change):
                if row is not None:
                    status[row.key] = row.status
        claimed: dict[tuple[str, str], int] = {}
        for write in writes:
            row = write.insert
            if row is None:
                continue
            if row.key in self.runs:
                raise Violated(f"run key {row.key} is there already")
            place_of_id = (row.workspace, row.workflow_id)
            holder = self.open.get(place_of_id)
            if (
                holder is not None
                and not status.get(holder, 0)
                and (not status[row.key] or self._of_another_chain(holder, row))
            ):
                raise Held(replace(self.runs[holder]))
            if status[row.key]:
                continue
            if place_of_id in claimed:
                raise Violated(f"workflow ID {row.workflow_id} is claimed twice")
            claimed[place_of_id] = row.key

    def _of_another_chain(self, holder: int, row: RunRow) -> bool:
        return self.runs[holder].first_run_id != row.first_run_id

    def require(self, write: Write) -> None:
        """Raise the refusal of what the write requires and is not so."""
        for query, given, refusal in write.requires:
            if query == "inbox_at":
                key, seq = given
                met = key in self.runs and self.runs[int(key)].inbox_seq == seq
            else:
                met = bool(self.beside(query, given))
            if not met:
                raise refusal(f"not so any more: {query} {given[:2]}")

    def apply(self, writes: Sequence[Write]) -> None:
        """Make `writes`, which were checked, durable."""
        self._put_beside(writes)
        for write in writes:
            if write.change is not None:
                self._change(write.change)
            if write.insert is not None:
                self._insert(replace(write.insert))
            if write.row is not None:
                self._append(write)
            if write.wake is not None:
                woken = self.runs.get(write.wake)
                if woken is not None and not woken.status:
                    woken.wake_at = 0.0

    def _append(self, write: Write) -> None:
        assert write.row is not None
        place = Place(*write.row[:3])
        rows = self.journal.setdefault(place.run_key, {})
        rows[place.generation, place.seq] = write.row
        if write.drop_before is not None:
            self._drop(place.run_key, write.drop_before)
        if write.checkpoint is not None:
            self.checkpoints[place.run_key] = write.checkpoint

    def _put_beside(self, writes: Sequence[Write]) -> None:
        self._side.execute("begin")
        try:
            for write in writes:
                for name, given in write.statements:
                    self._side.execute(self._sql[name], given)
                if write.request is not None:
                    remembered = write.request.parameters(max(write.subject, 0))
                    self._side.execute(self._sql["insert_request"], remembered)
        except sqlite3.IntegrityError as error:
            self._side.execute("rollback")
            raise Violated(str(error)) from error
        self._side.execute("commit")

    def _insert(self, row: RunRow) -> None:
        self.runs[row.key] = row
        place = (row.workspace, row.workflow_id)
        self.by_id.setdefault(place, []).append(row.key)
        if not row.status:
            self.open[place] = row.key

    def _change(self, row: RunRow) -> None:
        found = self.runs.get(row.key)
        if found is None:
            return  # inserted by the same batch: the insert carries it
        for name in _CHANGED:
            setattr(found, name, getattr(row, name))
        place = (found.workspace, found.workflow_id)
        if found.status and self.open.get(place) == found.key:
            del self.open[place]

    def _drop(self, key: int, before: int) -> None:
        rows = self.journal[key]
        for place in [p for p in rows if p[0] < before]:
            del rows[place]
        saved = self.checkpoints.get(key)
        if saved is not None and saved.generation < before:
            del self.checkpoints[key]

    # -- reading -------------------------------------------------------------------

    def recover(self, key: int) -> Stored | None:
        """A run with its checkpoint and all rows of its generation."""
        whole = self.load(key, checkpoint=False)
        saved = self.load(key)
        if whole is None or saved is None:
            return None
        return whole._replace(checkpoint=saved.checkpoint)

    def load(self, key: int, *, checkpoint: bool = True) -> Stored | None:
        """A run as the port gives it; without its checkpoint all rows instead."""
        row = self.runs.get(key)
        if row is None:
            return None
        rows = self.journal.get(key, {})
        generation = max((g for g, _ in rows), default=0)
        saved = self.checkpoints.get(key) if checkpoint else None
        if saved is not None and saved.generation != generation:
            saved = None
        first = saved.seq if saved else 0
        chosen = [rows[place] for place in sorted(rows) if place >= (generation, first)]
        return Stored(replace(row), saved, chosen)

    def ending(self, key: int) -> Stored | None:
        """A run with its last row."""
        stored = self.load(key, checkpoint=False)
        return stored and stored._replace(rows=stored.rows[-1:])

    def find(
        self, workspace: str, workflow_id: str, run_id: str, first: str
    ) -> RunRow | None:
        """A run by its IDs, as the port says."""
        keys = self.by_id.get((workspace, workflow_id), ())
        rows = [self.runs[key] for key in keys]
        if run_id:
            rows = [row for row in rows if row.run_id == run_id]
        elif first:
            rows = [row for row in rows if row.first_run_id == first]
        if not rows:
            return None
        return replace(max(rows, key=lambda row: (row.status == 0, row.key)))

    def due(self, until: float, after: tuple[float, int], limit: int) -> list[Any]:
        """(wake time, key) of open runs due by `until`."""
        found = sorted(
            (row.wake_at, row.key)
            for row in self.runs.values()
            if not row.status and row.wake_at is not None
        )
        return [place for place in found if after < place and place[0] <= until][:limit]

    def select(self, what: str, *args: Any) -> list[Any]:
        """The adapter's catalogue of named queries."""
        if what not in _QUERIES:
            return [row[0] for row in self.beside(what, args)]
        return list(_QUERIES[what](self, *args))

    def rows(self, what: str, args: Sequence[Any]) -> list[Any]:
        """The same, as rows."""
        if what == "due":
            wake, key, until, limit = args
            return self.due(until, (wake, key), limit)
        if what in _QUERIES:
            return [(value,) for value in self.select(what, *args)]
        return self.beside(what, args)

    def beside(self, what: str, args: Sequence[Any]) -> list[Any]:
        """Rows of the database beside the runs, which holds no runs itself."""
        return self._side.execute(self._sql[what], args).fetchall()

    def waits(self, key: int) -> set[int]:
        """The calls of a run that are stored as waits for events."""
        found = self._side.execute(
            "select call from event_waits where run_key = ?", (key,)
        )
        return {call for (call,) in found}

    def history(self, key: int, after: tuple[int, int], limit: int) -> list[JournalRow]:
        """Journal rows after a place."""
        rows = self.journal.get(key, {})
        return [rows[place] for place in sorted(rows) if place > after][:limit]

    def _orphans(self) -> list[int]:
        return sorted(
            row.key
            for row in self.runs.values()
            if not row.status
            and row.parent_key in self.runs
            and self.runs[row.parent_key].status
        )

    def _next_due(self, after: float) -> list[float]:
        found = [
            row.wake_at
            for row in self.runs.values()
            if not row.status and row.wake_at is not None and row.wake_at > after
        ]
        return [min(found)] if found else []


_QUERIES: dict[str, Any] = {
    "orphans": Image._orphans,
    "next_due": Image._next_due,
    "aside": lambda image: sorted(
        row.key for row in image.runs.values() if not row.status and row.aside
    ),
    "count_open": lambda image: [sum(1 for r in image.runs.values() if not r.status)],
    "history_length": lambda image, key: [len(image.journal.get(key, ()))],
}
