"""What a disk may hold after a power cut, out of what was written and synced.

Durable is what was written to a file before a sync of that file, and the names that
were made, given away or removed in the folder before a sync of the folder. Of all else
any part may be there: nothing, everything, single writes, writes of which some sectors
are missing; and it may have arrived in any order. Names change in their order. What was
written before a sync that failed never arrives, whatever a later sync says.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, NamedTuple

SECTOR = 512
_HEAD = struct.Struct("<IIQQQ")


class Kind(IntEnum):
    """What was recorded; the numbers are those of shim.c."""

    CREATED = 1
    WRITTEN = 2
    CUT = 3
    SYNCED = 4
    FAILED = 5
    UNLINKED = 6
    RENAMED = 7
    SAID = 8


class Event(NamedTuple):
    """One line of the recording. `inode` tells apart files that have had one name."""

    kind: Kind
    name: str
    inode: int
    offset: int
    data: bytes


def recorded(journal: Path) -> list[Event]:
    """The recording, in order."""
    content, at, found = journal.read_bytes(), 0, []
    while at < len(content):
        kind, named, inode, offset, size = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        name = content[at : at + named].decode()
        at += named
        found.append(Event(Kind(kind), name, inode, offset, content[at : at + size]))
        at += size
    return found


class Loss(Enum):
    """What becomes of that which was not synced."""

    NOTHING_ARRIVES = "dropped"
    ALL_ARRIVES = "kept"
    SOME_ARRIVES = "some"
    TORN = "torn"


class _File:
    """One inode: what is durable of it, and what may be."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Event] = []

    def sync(self) -> None:
        for event in self.pending:
            _apply(self.durable, event)
        self.pending = []

    def image(self, loss: Loss, chance: random.Random) -> bytes:
        found = bytearray(self.durable)
        arriving = list(self.pending)
        if loss is Loss.NOTHING_ARRIVES:
            arriving = []
        elif loss is not Loss.ALL_ARRIVES:
            arriving = [event for event in arriving if chance.random() < 0.5]
            chance.shuffle(arriving)
        for event in arriving:
            if loss is Loss.TORN and event.kind is Kind.WRITTEN:
                for part in _sectors(event):
                    if chance.random() < 0.7:
                        _apply(found, part)
            else:
                _apply(found, event)
        return bytes(found)


class Disk:
    """A folder on a disk, as the events so far have left it."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._pending_names: list[tuple[Event, _File | None]] = []
        self.said: list[list[Any]] = []

    def happens(self, event: Event) -> None:
        """Take the next event."""
        match event.kind:
            case Kind.SAID:
                self.said += map(json.loads, event.data.decode().splitlines())
            case Kind.CREATED:
                self._files[event.inode] = file = _File()
                self._named(event, file)
            case Kind.UNLINKED | Kind.RENAMED:
                self._named(event, None)
            case Kind.SYNCED if event.name == ".":
                for change, made in self._pending_names:
                    _rename(self._durable_names, change, made)
                self._pending_names = []
            case Kind.SYNCED:
                self._files[event.inode].sync()
            case Kind.FAILED:
                self._files[event.inode].pending = []
            case Kind.WRITTEN | Kind.CUT:
                self._files[event.inode].pending.append(event)

    def _named(self, event: Event, file: _File | None) -> None:
        self._pending_names.append((event, file))

    def cut(self, loss: Loss, chance: random.Random) -> dict[str, bytes]:
        """The content of each file after a power cut now."""
        names = dict(self._durable_names)
        if loss is Loss.NOTHING_ARRIVES:
            count = 0
        elif loss is Loss.ALL_ARRIVES:
            count = len(self._pending_names)
        else:
            count = chance.randint(0, len(self._pending_names))
        for change, file in self._pending_names[:count]:
            _rename(names, change, file)
        return {name: file.image(loss, chance) for name, file in names.items()}


def _rename(names: dict[str, _File], event: Event, file: _File | None) -> None:
    if file is not None:
        names[event.name] = file
    else:
        gone = names.pop(event.name, None)
        if event.kind is Kind.RENAMED and gone is not None:
            names[event.data.decode()] = gone


def _apply(content: bytearray, event: Event) -> None:
    if event.kind is Kind.CUT:
        del content[event.offset :]
        return
    end = event.offset + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.offset : end] = event.data


def _sectors(event: Event) -> Iterator[Event]:
    """A write in the parts that a disk writes whole."""
    at = 0
    while at < len(event.data):
        offset = event.offset + at
        size = SECTOR - offset % SECTOR
        yield event._replace(offset=offset, data=event.data[at : at + size])
        at += size
