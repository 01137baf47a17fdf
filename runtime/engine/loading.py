"""Loading a run: from rows to its state, verified and folded; the only way back."""

from typing import Any, NamedTuple

from everact.runtime.core import records
from everact.runtime.core.kinds import state_of
from everact.runtime.core.records import Started
from everact.runtime.core.state import RunState
from everact.runtime.engine.seal import Seal
from everact.runtime.errors import StoreTampered
from everact.runtime.store.base import Stored


class Loaded(NamedTuple):
    """A state, and how much journal lies behind its last checkpoint."""

    state: RunState
    grown: int
    checkpoint_bytes: int


def load_state(seal: Seal, stored: Stored) -> Loaded:
    """The state of a stored run.

    Every row is verified before it is read; StoreTampered if one is not what was
    written, or is missing; StoreDamaged if the database cannot give them.
    """
    if stored.unreadable is not None:
        raise stored.unreadable
    run_id, rows = stored.run.run_id, stored.rows
    state: RunState | None = None
    checkpoint_bytes = 0
    if stored.checkpoint is not None:
        state = seal.open_checkpoint(stored.checkpoint, run_id)
        checkpoint_bytes = len(stored.checkpoint.body)
    grown = 0
    for row in rows:
        seal.verify(row, run_id)
        transition = records.decode(row.body)
        if state is None:
            first = transition.events[0]
            assert isinstance(first, Started)
            state = state_of(first, row.generation)
        if row.seq != state.seq:
            raise StoreTampered(
                f"row {row.generation}/{state.seq} of run {run_id} is missing from the "
                "journal: restore the database from a backup, or terminate the run"
            )
        state.fold(row.body, transition)
        grown += len(row.body)
    if state is None:
        raise StoreTampered(f"run {run_id} has a row but no journal")
    return Loaded(state, grown, checkpoint_bytes)


def closing_of(seal: Seal, stored: Stored) -> Any:
    """The command that closed a run, out of its last row."""
    row = stored.rows[-1] if stored.rows else None
    if row is None:
        return load_state(seal, stored).state.closing
    seal.verify(row, stored.run.run_id)
    return records.decode(row.body).commands[-1]
