"""Notes of what is executing, kept where a SIGKILL does not lose them.

The loop executes one thing at a time: what is on it *now* are two numbers, `on_loop`,
which the hot path sets in its own frame. What goes on for longer, attempts that wait or
run in threads, has a slot each from its beginning to its end. Both are in chunks of a
`Scratch` (see there for how it survives), as 64-bit words:

    chunk 0   magic, identity (2 words), epoch, acting, alone (2), on loop (2), number
              of records; then records: run key, call, ends, charges, place reached
    others    slots: run key, call (0: free), number in order of beginning, threaded

A note that is missing, short, damaged, of another database, version or a life that
ended in good order says nothing: then nobody is a suspect, and nothing else changes.
What is in it is no secret and not trusted: it can at most cast suspicion.
"""

import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any, TypeAlias

from everact.runtime.core.blame import (
    CODE,
    Begun,
    Noted,
    Place,
    Record,
    Records,
)
from everact.runtime.store.scratch import CHUNK, Scratch, Volatile

logger = logging.getLogger("everact.engine")

_MAGIC = int.from_bytes(b"everact2", "little", signed=True)
"""Another layout gets another one."""

_WORD = 8
_EPOCH, _ACTING, _ALONE, _ON_LOOP, _COUNT, _RECORDS = 3, 4, 5, 7, 9, 16
_WORDS = CHUNK // _WORD
_RECORD, _WIDTH = 5, 4
"""Words of a record, and of a slot."""

MOST_RECORDS = (_WORDS - _RECORDS) // _RECORD
_SLOTS = _WORDS // _WIDTH
"""Slots in a chunk."""

Left: TypeAlias = tuple[Records, Noted]
"""What a life left: the suspects that it knew, and what was executing at its end."""


class Stage:
    """The note of one life. All methods on the loop's thread."""

    def __init__(self, scratch: Scratch, key: bytes) -> None:
        self._scratch = scratch
        self._identity = hashlib.blake2b(key, digest_size=16, person=b"everact stage")
        self._chunks: list[memoryview] = []
        self._free: list[int] = []
        self._begun = 0
        self._full = False
        self.on_loop = memoryview(bytearray(2 * _WORD)).cast("q")
        """Run key and call of what is on the loop; a key of 0 if nothing is."""

    # -- the life before, and this one -----------------------------------------------

    def read(self, epoch: int) -> Left | None:
        """What the last life left; None if it is not known. `epoch` is of this one."""
        try:
            left = self._scratch.read()
        except OSError as error:
            logger.warning("what was executing cannot be read: %s", error)
            return None
        return self._decode(left, epoch)

    def begin(self, epoch: int, records: Records) -> None:
        """Note the suspects, and that nothing executes in this life so far."""
        words = memoryview(bytearray(CHUNK)).cast("q")
        words[0] = _MAGIC
        words[1:3] = memoryview(self._identity.digest()).cast("q")
        words[_EPOCH] = epoch
        kept = list(records.items())[:MOST_RECORDS]
        words[_COUNT] = len(kept)
        for number, (place, record) in enumerate(kept):
            _put(words, _RECORDS + number * _RECORD, *place, *record)
        try:
            chunk = self._scratch.begin(words.tobytes())
        except OSError as error:
            logger.warning(
                "what is executing cannot be noted, so nobody can be blamed for the "
                "end of this process: %s",
                error,
            )
            self._scratch = Volatile()
            chunk = self._scratch.begin(words.tobytes())
        self._head = chunk.cast("q")
        self.on_loop = self._head[_ON_LOOP : _ON_LOOP + 2]

    def act(self) -> None:
        """From now on attempts may begin."""
        self._head[_ACTING] = 1

    def try_alone(self, place: Place | None) -> None:
        """Who is on trial by itself from now on, if anybody is."""
        key, call = place or (0, 0)
        self._head[_ALONE] = 0  # between two writes it is nobody
        self._head[_ALONE + 1] = call
        self._head[_ALONE] = key

    def forget(self, place: Place) -> None:
        """The suspect is none any more."""
        head = self._head
        for number in range(head[_COUNT]):
            at = _RECORDS + number * _RECORD
            if (head[at], head[at + 1]) == place:
                head[at] = 0

    def close(self) -> None:
        """The life ends in good order: it leaves nothing."""
        try:
            self._scratch.remove()
        except OSError as error:
            logger.warning("what was executing cannot be removed: %s", error)

    # -- attempts that go on -----------------------------------------------------------

    def begun(self, place: Place, *, threaded: bool) -> int | None:
        """An attempt goes on from now on; the slot to give back, if there was one."""
        if not self._free and not self._grow():
            return None
        slot = heappop(self._free)
        self._begun += 1
        chunk, at = self._chunks[slot // _SLOTS], slot % _SLOTS * _WIDTH
        key, call = place
        _put(chunk, at, key, 0, self._begun, int(threaded))
        chunk[at + 1] = call  # last: it makes the slot count
        return slot

    def ended(self, slot: int) -> None:
        """The attempt of the slot has ended."""
        self._chunks[slot // _SLOTS][slot % _SLOTS * _WIDTH + 1] = 0
        heappush(self._free, slot)

    def _grow(self) -> bool:
        if self._full:
            return False
        try:
            chunk = self._scratch.extend()
        except OSError as error:
            self._full = True
            logger.warning("no room to note more of what is executing: %s", error)
            return False
        first = len(self._chunks) * _SLOTS
        self._chunks.append(chunk.cast("q"))
        self._free += range(first, first + _SLOTS)
        return True

    # -- reading -----------------------------------------------------------------------

    def _decode(self, left: bytes, epoch: int) -> Left | None:
        if len(left) < CHUNK or len(left) % CHUNK:
            return None
        words = memoryview(left).cast("q")
        head = words[:_WORDS]
        fits = (
            head[0] == _MAGIC
            and left[_WORD : 3 * _WORD] == self._identity.digest()
            and 0 < head[_EPOCH] < epoch
            and 0 <= head[_COUNT] <= MOST_RECORDS
        )
        if not fits:
            return None
        records = {}
        for number in range(head[_COUNT]):
            at = _RECORDS + number * _RECORD
            key, call, ends, charges, reached = head[at : at + _RECORD]
            if key > 0 and call >= CODE and ends > 0 and 0 <= charges <= ends:
                records[key, call] = Record(ends, charges, reached)
        slots = words[_WORDS:].tolist()
        columns = [slots[column::_WIDTH] for column in range(_WIDTH)]
        begun = [
            (number, Begun((key, call), bool(threaded)))
            for key, call, number, threaded in zip(*columns, strict=False)
            if key > 0 and call > CODE
        ]
        begun.sort()
        return records, Noted(
            _place(head, _ON_LOOP),
            tuple(one for _, one in begun),
            bool(head[_ACTING]),
            _place(head, _ALONE),
        )


@contextmanager
def on_stage(on_loop: "memoryview[int]", place: Place) -> Iterator[None]:
    """Note that `place` is on the loop, until the end of the block."""
    before = on_loop[0], on_loop[1]
    on_loop[0], on_loop[1] = place
    try:
        yield
    finally:
        on_loop[0], on_loop[1] = before


class _Watched:
    """Awaits a coroutine, and notes whenever it is on the loop."""

    __slots__ = ("_inner", "_on_loop", "_place")

    def __init__(self, on_loop: "memoryview[int]", place: Place, inner: Any) -> None:
        self._on_loop = on_loop
        self._place = place
        self._inner = inner.__await__()

    def __await__(self) -> "_Watched":
        return self

    def __iter__(self) -> "_Watched":
        return self

    def __next__(self) -> Any:
        return self._step(self._inner.send, None)

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        with on_stage(self._on_loop, self._place):
            return step(*given)


async def watched(
    on_loop: "memoryview[int]",
    place: Place,
    function: Callable[..., Coroutine[Any, Any, Any]],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call `function`; `on_loop` says so whenever a step of it is on the loop."""
    return await _Watched(on_loop, place, function(*args, **kwargs))


def _put(words: memoryview, at: int, *values: int) -> None:
    for offset, value in enumerate(values):
        words[at + offset] = value


def _place(words: memoryview, at: int) -> Place | None:
    key, call = words[at], words[at + 1]
    return (key, call) if key > 0 and call >= CODE else None
