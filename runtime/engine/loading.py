"""Loading a run: from rows to its state, verified and folded; the only way back."""

from typing import Any, NamedTuple

from everact.runtime.core import records
from everact.runtime.core.records import Started, Transition
from everact.runtime.core.state import RunState, saves
from everact.runtime.engine.seal import Seal
from everact.runtime.errors import StoreTampered
from everact.runtime.store.base import RunRow, Stored


class Loaded(NamedTuple):
    """A state, and of what it was made: so many bytes of rows, those that the last
    checkpoint stands for, and its own.

    `script` is what the code was shown in all the rows that were read: the whole of it
    if those are all that the generation has.
    """

    state: RunState
    size: int
    checkpointed: int
    checkpoint_bytes: int
    script: list[Transition]


class Read(NamedTuple):
    """A run's row, and what its journal gave, or why it cannot be had."""

    row: RunRow
    loaded: Loaded | Exception

    @property
    def state(self) -> RunState:
        """Its state; raises why that cannot be had."""
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded.state


def read(seal: Seal, stored: Stored) -> Read:
    """A run as it was read, on any thread: no author code runs."""
    try:
        return Read(stored.run, load_state(seal, stored))
    except Exception as error:  # whatever a checkpoint of the past may raise
        return Read(stored.run, error)


def load_state(seal: Seal, stored: Stored) -> Loaded:
    """The state of a stored run, of its checkpoint and the rows after that.

    Where all rows were read the state is made of them, and a checkpoint is only
    verified: what the code was shown is known from the rows alone.

    Every row is verified before it is read; StoreTampered if one is not what was
    written, or is missing; StoreDamaged if the database cannot give them.
    """
    if stored.unreadable is not None:
        raise stored.unreadable
    run_id, rows = stored.run.run_id, stored.rows
    saved, state, script = stored.checkpoint, None, list[Transition]()
    size = checkpointed = saved_seq = checkpoint_bytes = 0
    if saved is not None:
        seal.verify_checkpoint(saved, run_id)
        saved_seq, checkpoint_bytes = saved.seq, len(saved.body)
        if not rows or rows[0].seq:
            state = seal.open_checkpoint(saved)
    for row in rows:
        seal.verify(row, run_id)
        _, generation, seq, _, body = row
        transition = records.decode(body)
        if state is None:
            first = transition.events[0]
            assert isinstance(first, Started)
            state = RunState(first, generation)
        if seq != state.seq:
            raise StoreTampered(
                f"row {generation}/{state.seq} of run {run_id} is missing from the "
                "journal: restore the database from a backup, or terminate the run"
            )
        shown = state.fold(transition)
        if shown is not None:
            if state.saved and saves(shown):
                script.clear()
            script.append(shown)
        size += len(body)
        if seq < saved_seq:
            checkpointed = size
    if state is None:
        raise StoreTampered(f"run {run_id} has a row but no journal")
    return Loaded(state, size, checkpointed, checkpoint_bytes, script)


def closing_of(seal: Seal, stored: Stored) -> Any:
    """The command that closed a run, out of its last row."""
    row = stored.rows[-1] if stored.rows else None
    if row is None:
        return load_state(seal, stored).state.closing
    seal.verify(row, stored.run.run_id)
    return records.decode(row.body).commands[-1]
