"""Histories of runs: out of a database, from a client, to and from a file.

A history is what the run's code was shown and what it asked for, row by row, and the
values are in it. In a database every row carries a MAC that is checked before anything
is read. A file carries none: values that are pickled objects run what they say when
they are loaded, so a file that holds any is refused unless its reader vouches for it.
"""

import os
import pickletools
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import msgspec
from msgspec.structs import replace

from everact.runtime.client.handle import RunHandle
from everact.runtime.core import records
from everact.runtime.core.opaque import byte_strings
from everact.runtime.core.records import Started, Transition
from everact.runtime.core.state import RunState, saves
from everact.runtime.definitions.workflows import name_of
from everact.runtime.engine.seal import Seal
from everact.runtime.filters.parsing import parse
from everact.runtime.operations.runs import HistoryEntry, ReadHistory
from everact.runtime.operations.searching import Narrowed, narrowed
from everact.runtime.store.base import Hits, JournalRow, Search
from everact.runtime.store.sqlite.copies import SqliteCopy
from everact.runtime.values.json_payloads import JSON_TAG

T = TypeVar("T")

PAGE = 1000
"""Journal rows, and runs, that are read at once."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All that one generation of one run has recorded; `rows` are journal rows.

    `as_json` says that its values came over HTTP, as JSON.
    """

    workflow: str
    workflow_id: str
    run_id: str
    generation: int
    rows: tuple[bytes, ...]
    as_json: bool = False

    def __str__(self) -> str:
        generation = f", generation {self.generation}" if self.generation else ""
        return f"{self.workflow} {self.workflow_id} ({self.run_id}{generation})"

    @property
    def state(self) -> RunState:
        """What the rows add up to."""
        return self.folded()[0]

    def folded(self) -> tuple[RunState, list[Transition]]:
        """What the rows add up to, and what they say that the code was shown."""
        found: RunState | None = None
        script: list[Transition] = []
        for row in self.rows:
            transition = records.decode(row)
            if found is None:
                found = RunState(_start(transition), self.generation)
            shown = found.fold(transition)
            if shown is not None:
                if found.saved and saves(shown):
                    script.clear()
                script.append(shown)
        if found is None:
            raise ValueError(f"the history of {self} has no rows")
        return found, script

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which `load` reads."""
        Path(path).write_bytes(msgspec.json.encode(self) + b"\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, trusted: bool = False) -> Self:
        """Read what `save` wrote.

        A history with pickled objects is refused with ValueError unless it is
        `trusted`: loading them runs what they say. Trust a file that you made, from
        runs of your own. ValueError also if the file is no history.
        """
        try:
            found = msgspec.json.decode(Path(path).read_bytes(), type=cls)
            transitions = [records.decode(row) for row in found.rows]
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} is not a history: {error}") from error
        if not trusted and any(map(_holds_object, transitions)):
            raise ValueError(
                f"{path} holds pickled objects, and loading them runs what they say: "
                "give trusted=True if you made the file yourself"
            )
        return found


async def history(handle: RunHandle[Any]) -> list[History]:
    """What a run has recorded so far, in the order of its generations.

    Of a remote engine the values come as JSON, see `replay`.
    """
    ref, after, found = handle._ref(), (-1, -1), list[HistoryEntry]()
    while True:
        request = ReadHistory(run=ref, after=after, limit=PAGE)
        page = await handle._client.transport.call(request)
        found += page
        if len(page) < PAGE:
            rows = [(entry.generation, _row(entry)) for entry in found]
            return list(
                _histories(rows, as_json=any(_has_json(row) for _, row in rows))
            )
        after = (page[-1].generation, page[-1].seq)
        ref = replace(ref, run_id=page[-1].run_id)


def histories(
    database: str | os.PathLike[str],
    workflow: Any = None,
    *,
    namespace: str = "default",
) -> list[History]:
    """What the runs in a database have recorded, oldest run first.

    `workflow` is a workflow, its class or its name; without it, all of them. The file
    is only read, and may be in use; its key must be beside it or in EVERACT_KEY.
    StoreError if it cannot be read, StoreTampered if it is not what was written.
    """
    copy = SqliteCopy(database)
    copy.open()
    try:
        name = None if workflow is None else name_of(workflow)
        return _at_once(histories_of(copy, Seal(copy.key), namespace, name))
    finally:
        copy.close()


def _at_once(reading: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that waits for nothing returns."""
    try:
        reading.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise AssertionError("what is read of a copy is there at once")


class Recorded(Protocol):
    """What is read of the runs of a store."""

    async def search(self, wanted: Search) -> Hits: ...
    async def history(
        self, key: int, after: tuple[int, int], limit: int
    ) -> list[JournalRow]: ...


async def histories_of(
    reads: Recorded, seal: Seal, namespace: str, name: str | None = None
) -> list[History]:
    """What the runs of an open store have recorded, oldest run first."""
    chosen = Search(namespace, narrowed(parse(""), Narrowed(workflow=name)), {})
    chosen = chosen._replace(limit=PAGE, newest=True)
    found: list[History] = []
    while True:
        page = await reads.search(chosen)
        for run, _ in page:
            rows = await _rows_of(reads, seal, run.key, run.run_id)
            found += reversed(list(_histories(rows)))
        if len(page) < PAGE:
            return found[::-1]
        chosen = chosen._replace(after=page[-1].place)


async def _rows_of(
    reads: Recorded, seal: Seal, key: int, run_id: str
) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    after = (-1, -1)
    while rows := await reads.history(key, after, PAGE):
        for row in rows:
            seal.verify(row, run_id)
            found.append((row.generation, row.body))
        after = (rows[-1].generation, rows[-1].seq)
    return found


def _histories(
    rows: Iterable[tuple[int, bytes]], *, as_json: bool = False
) -> Iterator[History]:
    """One for each generation that is there from its beginning."""
    generations: dict[int, list[bytes]] = {}
    for generation, body in rows:
        generations.setdefault(generation, []).append(body)
    for generation, bodies in generations.items():
        first = records.decode(bodies[0])
        if not isinstance(first.events[0], Started):
            continue
        start = _start(first)
        yield History(
            workflow=start.name,
            workflow_id=start.workflow_id,
            run_id=start.run_id,
            generation=generation,
            rows=tuple(bodies),
            as_json=as_json,
        )


def _start(transition: Transition) -> Started:
    first = transition.events[0]
    assert isinstance(first, Started), "a history begins with the start of its run"
    return first


def _row(entry: HistoryEntry) -> bytes:
    return records.encode(Transition(entry.time, entry.events, entry.commands))


def _has_json(row: bytes) -> bool:
    return any(found[:1] == JSON_TAG for found in _payloads(records.decode(row)))


def _payloads(record: msgspec.Struct) -> Iterator[bytes]:
    return byte_strings(msgspec.to_builtins(record, builtin_types=(bytes,)))


_DATA = (b"", b"m", JSON_TAG, b"{")
"""How bytes begin that are plain data, whoever made them."""
_HARMLESS = (
    "PROTO FRAME STOP MARK MEMOIZE NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 "
    "BINFLOAT SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES "
    "BINBYTES8 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE "
    "TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_SET ADDITEMS FROZENSET BINGET LONG_BINGET LONG4"
)
_PLAIN = frozenset(_HARMLESS.split())
"""What a pickle of builtin values is made of: nothing that names or calls anything."""


def _holds_object(transition: Transition) -> bool:
    """Whether anything in a row runs code when it is loaded."""
    return any(map(_is_object, _payloads(transition)))


def _is_object(payload: bytes) -> bool:
    if payload[:1] in _DATA:
        return False
    if payload[:1] != b"p":
        return True
    try:
        codes = {code.name for code, _, _ in pickletools.genops(payload[1:])}
    except ValueError:
        return True
    return not codes <= _PLAIN
