"""Authentication of what is read back, and the encoding of checkpoints.

A row carries a keyed MAC over its place (run ID, generation, seq) and its body, so
that nothing in the database can be changed, moved or replayed into another run
without the key. It is verified before anything in the body is loaded.
"""

import hashlib
import hmac
import pickle
import sys
from base64 import b64decode, b64encode
from struct import Struct

import cloudpickle

from everact.runtime.core.records import FORMAT
from everact.runtime.core.state import RunState
from everact.runtime.errors import StoreTampered
from everact.runtime.store.base import CheckpointRow, JournalRow

_PLACE = Struct("<cqq").pack
_MOMENT = Struct("<d").pack
_LENGTH = Struct("<q").pack
_tuple = tuple.__new__
_ROW, _CHECKPOINT, _SCHEDULE, _PAGE, _TOKEN = b"r", b"c", b"s", b"p", b"t"
_EVENT, _MEMO = b"e", b"m"
_MAC_BYTES = 16


class Seal:
    """Signs and verifies rows with one key."""

    def __init__(self, key: bytes) -> None:
        self._start = hashlib.blake2b(
            key=key[:64], digest_size=_MAC_BYTES, person=b"everact journal"
        )

    def row(
        self, key: int, run_id: str, generation: int, seq: int, body: bytes
    ) -> JournalRow:
        """A sealed journal row."""
        mac = self._start.copy()
        mac.update(_PLACE(_ROW, generation, seq) + run_id.encode() + body)
        return _tuple(JournalRow, (key, generation, seq, mac.digest(), body))

    def checkpoint(self, key: int, state: RunState) -> CheckpointRow:
        """The whole state as a sealed checkpoint, version header first."""
        body = FORMAT + _interpreter() + cloudpickle.dumps(state, 5)
        place = _PLACE(_CHECKPOINT, state.generation, state.seq)
        mac = self._start.copy()
        mac.update(place + state.start.run_id.encode() + body)
        return CheckpointRow(key, state.generation, state.seq, mac.digest(), body)

    def page(self, about: bytes, body: bytes) -> bytes:
        """The code by which a token that was given out is known again."""
        mac = self._start.copy()
        mac.update(_PLACE(_PAGE, len(about), len(body)) + about + body)
        return mac.digest()

    def token(self, body: bytes) -> bytes:
        """`body` as a token that only this key can make."""
        return self._token_mac(body) + body

    def open_token(self, token: bytes) -> bytes | None:
        """The body of a token; None if it was not made with this key."""
        mac, body = token[:_MAC_BYTES], token[_MAC_BYTES:]
        return body if hmac.compare_digest(self._token_mac(body), mac) else None

    def _token_mac(self, body: bytes) -> bytes:
        mac = self._start.copy()
        mac.update(_TOKEN + body)
        return mac.digest()

    def verify(self, row: JournalRow, run_id: str) -> None:
        """StoreTampered if the row is not what was written at its place."""
        _, generation, seq, mac, body = row
        found = self._start.copy()
        found.update(_PLACE(_ROW, generation, seq) + run_id.encode() + body)
        if not hmac.compare_digest(found.digest(), mac):
            raise _tampered("journal row", generation, seq, run_id)

    def schedule(self, workspace: str, id: str, body: bytes) -> bytes:
        """A schedule as it is stored: its MAC, then its body."""
        return self._of_schedule(workspace, id, body) + body

    def open_schedule(self, workspace: str, id: str, sealed: bytes) -> bytes:
        """The body of a schedule; StoreTampered if it is not what was written."""
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(self._of_schedule(workspace, id, body), mac):
            raise StoreTampered(
                f"schedule {id!r} is not what was written: it was changed or damaged. "
                "Restore the database from a backup, or delete the schedule; others "
                "are not touched."
            )
        return body

    def _of_schedule(self, workspace: str, id: str, body: bytes) -> bytes:
        mac = self._start.copy()
        place = workspace.encode(), id.encode()
        mac.update(_PLACE(_SCHEDULE, len(place[0]), len(place[1])) + b"".join(place))
        mac.update(body)
        return mac.digest()

    def memo(self, run_id: str, name: str, value: bytes) -> str:
        """An entry of a run's memo as text: its MAC, then the value."""
        return b64encode(self._of_memo(run_id, name, value) + value).decode()

    def open_memo(self, run_id: str, name: str, text: str) -> bytes | None:
        """The value of such an entry; None if it is not what was written."""
        try:
            sealed = b64decode(text)
        except ValueError:
            return None
        mac, value = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        made = self._of_memo(run_id, name, value)
        return value if hmac.compare_digest(made, mac) else None

    def _of_memo(self, run_id: str, name: str, value: bytes) -> bytes:
        mac = self._start.copy()
        place = run_id.encode(), name.encode()
        mac.update(_PLACE(_MEMO, len(place[0]), len(place[1])) + b"".join(place))
        mac.update(value)
        return mac.digest()

    def event(self, seq: int, at: float, *said: bytes) -> bytes:
        """The code of a user event: of its place, its moment and all that it says."""
        mac = self._start.copy()
        mac.update(_PLACE(_EVENT, seq, len(said)) + _MOMENT(at))
        for part in said:
            mac.update(_LENGTH(len(part)) + part)
        return mac.digest()

    def verify_checkpoint(self, row: CheckpointRow, run_id: str) -> None:
        """StoreTampered if the checkpoint is not what was written for its run."""
        found = self._start.copy()
        place = _PLACE(_CHECKPOINT, row.generation, row.seq)
        found.update(place + run_id.encode() + row.body)
        if not hmac.compare_digest(found.digest(), row.mac):
            raise _tampered("checkpoint", row.generation, row.seq, run_id)

    def open_checkpoint(self, row: CheckpointRow) -> RunState:
        """The state of a checkpoint that was verified: it is unpickled."""
        state = pickle.loads(memoryview(row.body)[3:])
        assert isinstance(state, RunState)
        return state


def _tampered(what: str, generation: int, seq: int, run_id: str) -> StoreTampered:
    return StoreTampered(
        f"the {what} {generation}/{seq} of run {run_id} is not what was written: it "
        "was changed or damaged. Restore the database from a backup, or terminate the "
        "run; other runs are not touched."
    )


def _interpreter() -> bytes:
    return bytes(sys.version_info[:2])
