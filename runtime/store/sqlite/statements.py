"""From writes to the statements that put them into the database."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from everact.runtime.store import catalogue
from everact.runtime.store.base import RunRow, Write

Prepared: TypeAlias = list[tuple[str, list[Any]]]
"""Statements with their parameters, in order."""

_WIDTHS = (128, 32, 8, 4, 2, 1)
"""How many rows one statement takes; few enough to keep them all prepared."""

_row_values = msgspec.structs.astuple


class Statements:
    """Makes the statements of batches, out of those of the catalogue by name."""

    def __init__(self, sql: Mapping[str, str]) -> None:
        self._sql = sql
        self._wide = {
            (name, width): catalogue.widened(sql[name], width)
            for name in ("change_run", "insert_run", "insert_row", "require_free")
            for width in _WIDTHS
        }

    def of(self, writes: Sequence[Write]) -> Prepared:
        """What puts `writes` into the database, in order."""
        inserts, changes, ended = _merged(writes)
        found: Prepared = []
        self._widened("change_run", changes, found)
        if ended:  # the unique index is of open runs
            self._widened("require_free", ended, found)
        self._widened("insert_run", inserts, found)
        rows = [write.row for write in writes if write.row is not None]
        self._widened("insert_row", rows, found)
        wakes = dict.fromkeys(w.wake for w in writes if w.wake is not None)
        found += [(self._sql["wake_run"], [key]) for key in wakes]
        for write in writes:
            if write.checkpoint or write.drop_before or write.request:
                self._rest(write, found)
            for name, given in write.statements:
                found.append((self._sql[name], list(given)))
        return found

    def _widened(self, name: str, rows: Sequence[Sequence[Any]], to: Prepared) -> None:
        """One statement for many rows at a time: one call to SQLite for all of them."""
        start = 0
        for width in _WIDTHS:
            while len(rows) - start >= width:
                given = list(chain.from_iterable(rows[start : start + width]))
                to.append((self._wide[name, width], given))
                start += width

    def _rest(self, write: Write, to: Prepared) -> None:
        sql, key = self._sql, max(write.subject, 0)
        if write.drop_before is not None:
            old = [key, write.drop_before]
            to.append((sql["drop_generations"], old))
            to.append((sql["drop_old_checkpoint"], old))
        if write.checkpoint is not None:
            to.append((sql["put_checkpoint"], list(write.checkpoint)))
        if write.request is not None:
            to.append((sql["insert_request"], list(write.request.parameters(key))))


def groups(writes: Sequence[Write]) -> Iterable[list[Write]]:
    """The writes of a batch by what belongs together, each group in its order."""
    leader: dict[int, int] = {}

    def find(key: int) -> int:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for write in writes:
        if write.within is not None:
            leader[find(write.subject)] = find(write.within.subject)
    found: dict[int, list[Write]] = {}
    for write in writes:
        found.setdefault(find(write.subject), []).append(write)
    return found.values()


def _merged(writes: Sequence[Write]) -> tuple[list[Any], list[Any], list[Any]]:
    """The rows to insert and the changes to make, a later change of a row winning; and
    the IDs of the inserted ones that have ended, if they were given.

    A change of a row that the same batch inserts becomes part of the insert, so that
    changes can go first: an ID that is given up is free for an insert.
    """
    inserted: dict[int, RunRow] = {}
    changed: dict[int, RunRow] = {}
    for write in writes:
        if write.insert is not None:
            inserted[write.insert.key] = write.insert
        if write.change is not None:
            key = write.change.key
            (inserted if key in inserted else changed)[key] = write.change
    return (
        [_row_values(row) for row in inserted.values()],
        [
            (
                row.key,
                row.status,
                row.wake_at,
                row.aside,
                row.generation,
                row.inbox_seq,
                row.run_name,
                row.closed_at,
                row.next_run_id,
                row.kind,
            )
            for row in changed.values()
        ],
        [
            (row.workspace, row.workflow_id, row.first_run_id)
            for row in inserted.values()
            if row.status and row.parent_key is None and row.workflow_id != row.run_id
        ],
    )
