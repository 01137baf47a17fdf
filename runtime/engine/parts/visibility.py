"""Search attributes: what runs are found by, and the keys that are declared.

Attributes are written in the transaction of the start or of the step that changes
them. A key is declared in a workspace with its kind; a start with another key is
refused, unless keys are declared by their first use. What a run itself sets is never
refused: it is kept, and found once its key is declared.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from everact.runtime.core.records import (
    Attribute,
    AttributeKind,
    Extras,
    Started,
    StartOptions,
    UpsertAttributes,
)
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.host import Host, Run, Writes
from everact.runtime.engine.parts.base import Part
from everact.runtime.errors import RPCError
from everact.runtime.store import searching
from everact.runtime.store.base import Statement

_FAR = sys.float_info.max
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
"""What datetimes can say, in epoch seconds."""

INDEXED = 200
"""Values of the metadata of a run that it is found by."""
LONGEST = 4_000
"""Characters of a text in the metadata that a run is found by."""


class Visibility(Part):
    """Keys and attributes of one engine; all methods on its loop.

    `automatic` declares keys by their first use.
    """

    def __init__(self, host: Host, *, automatic: bool) -> None:
        self._host = host
        self.automatic = automatic
        self._used: dict[tuple[str, str], AttributeKind] = {}

    def writes(self) -> Mapping[type, Writes]:
        return {Started: self._started, UpsertAttributes: self._upserted}

    # -- keys ------------------------------------------------------------------------

    def declared(self, workspace: str) -> dict[str, AttributeKind]:
        """The keys of a workspace, by name."""
        rows = self._host.store.rows("declared_attributes", workspace)
        return {name: AttributeKind(kind) for name, kind in rows}

    async def declare(self, workspace: str, keys: Mapping[str, AttributeKind]) -> None:
        """Declare keys; durable when this returns.

        RPCError: INVALID_ARGUMENT for a name that is taken by a built-in field,
        ALREADY_EXISTS for a key that is there with another kind; nothing is declared
        then.
        """
        known = self.declared(workspace)
        for name, kind in keys.items():
            check_name(name)
            if known.get(name, kind) is not kind:
                raise RPCError(
                    f"search attribute {name!r} is declared in {workspace!r} already, "
                    f"as {known[name].name.lower()}; to change that, remove it first",
                    RPCStatus.ALREADY_EXISTS,
                )
        await self._write(
            [_declare(workspace, name, kind) for name, kind in keys.items()]
        )
        known = self.declared(workspace)  # another may have come first
        for name, kind in keys.items():
            if known.get(name) is not kind:
                raise RPCError(
                    f"search attribute {name!r} was declared by another at the same "
                    "moment, with another type",
                    RPCStatus.ALREADY_EXISTS,
                )

    async def remove(self, workspace: str, names: tuple[str, ...]) -> None:
        """Let go of keys; durable when this returns. RPCError NOT_FOUND.

        Runs keep their attributes, and are not found by them any more.
        """
        known = self.declared(workspace)
        for name in names:
            if name not in known:
                raise RPCError(
                    f"no search attribute {name!r} is declared in {workspace!r}",
                    RPCStatus.NOT_FOUND,
                )
            self._used.pop((workspace, name), None)
        await self._write([("undeclare_attribute", (workspace, n)) for n in names])

    def check(self, workspace: str, attributes: Mapping[str, Attribute]) -> None:
        """Let a start have its attributes; RPCError INVALID_ARGUMENT names the wrong
        one. Where keys are declared by use, new ones are declared with the start.
        """
        refusal = self.refusal(workspace, attributes)
        if refusal is not None:
            raise RPCError(refusal, RPCStatus.INVALID_ARGUMENT)
        if self.automatic:
            for name, found in attributes.items():
                self._used.setdefault((workspace, name), found.kind)

    def refusal(
        self, workspace: str, attributes: Mapping[str, Attribute]
    ) -> str | None:
        """Why a start may not have these attributes; None if it may."""
        known = self.declared(workspace)
        for name, found in attributes.items():
            reserved = name in searching.RESERVED and name not in known
            if reserved or name[:1] in ("", searching.OWN):
                return f"{name!r} is no name of a search attribute"
            kind = known.get(name) or self._used.get((workspace, name))
            if kind is None and not self.automatic:
                return (
                    f"search attribute {name!r} is not declared in {workspace!r}; "
                    "declare it with client.search_attributes.add, or let the runtime "
                    "do so with Runtime(declare_search_attributes=True)"
                )
            if kind is not None and kind is not found.kind:
                return (
                    f"search attribute {name!r} is declared as {kind.name.lower()}, "
                    f"not {found.kind.name.lower()}"
                )
            if not _fits(found):
                return f"the value of search attribute {name!r} is not of its type"
        return None

    async def _write(self, statements: list[Statement]) -> None:
        self._host.check_open()
        _, saved = self._host.commits.save(*statements)
        await asyncio.shield(saved)

    # -- attributes of runs -----------------------------------------------------------

    def _started(self, run: Run, event: Any) -> tuple[Statement, ...]:
        options: StartOptions = event.options
        if run.state.generation or (
            options.extras is None and options.begin_at is None
        ):
            return ()
        key = run.row.key
        found = list(_of_start(key, options))
        attributes = options.extras.attributes if options.extras else {}
        found += self._declarations(run, attributes)
        return tuple(found)

    def _upserted(self, run: Run, command: Any) -> tuple[Statement, ...]:
        key, attributes = run.row.key, command.attributes
        found: list[Statement] = []
        for name, attribute in attributes.items():
            found.append(("drop_attribute", (key, name)))
            if attribute is not None:
                found += put(key, name, attribute)
        kept = {name: one for name, one in attributes.items() if one is not None}
        return (*found, *self._declarations(run, kept))

    def _declarations(
        self, run: Run, attributes: Mapping[str, Attribute]
    ) -> list[Statement]:
        """What runs use is declared with it, where keys are declared by use."""
        if not self.automatic:
            return []
        return [
            _declare(run.row.workspace, name, found.kind)
            for name, found in attributes.items()
            if name not in searching.RESERVED
        ]


def check_name(name: str) -> None:
    """RPCError INVALID_ARGUMENT for what cannot be declared."""
    if name in searching.RESERVED:
        raise RPCError(
            f"{name!r} is a built-in field: an attribute needs another name",
            RPCStatus.INVALID_ARGUMENT,
        )
    if not name or len(name) > 200 or name[0] == searching.OWN or "`" in name:
        raise RPCError(
            f"{name[:40]!r} is no name of a search attribute",
            RPCStatus.INVALID_ARGUMENT,
        )


def put(key: int, name: str, attribute: Attribute) -> Iterator[Statement]:
    """What writes an attribute of a run; `searching` has names of our own."""
    kind, value = attribute.kind, attribute.value
    whole: str | None = None
    values: list[Any] = list(value) if isinstance(value, tuple) else [value]
    if kind is AttributeKind.TEXT:
        whole = str(value)
        values = list(searching.words(whole)) or [""]
    for place, one in enumerate(values):
        stored = int(one) if isinstance(one, bool) else one
        yield "put_attribute", (key, name, place, int(kind), stored, whole)
        whole = None


def _of_start(key: int, options: StartOptions) -> Iterator[Statement]:
    if options.begin_at is not None:
        begin = Attribute(AttributeKind.DATETIME, options.begin_at)
        yield from put(key, searching.EXECUTION_TIME, begin)
    extras = options.extras
    if extras is None:
        return
    for name, attribute in extras.attributes.items():
        yield from put(key, name, attribute)
    yield from _of_schedule(key, extras)
    if extras.metadata:
        try:
            found = list(_of_metadata(key, msgspec.json.decode(extras.metadata)))
        except RecursionError:  # nested as deep as may be: it is kept, and not found
            return
        yield from found


def _of_schedule(key: int, extras: Extras) -> Iterator[Statement]:
    if extras.schedule_id:
        named = Attribute(AttributeKind.KEYWORD, extras.schedule_id)
        yield from put(key, searching.SCHEDULE_ID, named)
    if extras.nominal_time is not None:
        nominal = Attribute(AttributeKind.DATETIME, extras.nominal_time)
        yield from put(key, searching.NOMINAL_TIME, nominal)


def _of_metadata(key: int, metadata: dict[str, Any]) -> Iterator[Statement]:
    """The values in the metadata by their paths; those of a list have one path."""
    places: dict[str, int] = {}
    for number, (path, value) in enumerate(_leaves(searching.METADATA, metadata)):
        if number == INDEXED:
            return
        if isinstance(value, str) and len(value) > LONGEST:
            continue
        place = places[path] = places.get(path, -1) + 1
        kind = searching.kind_of_value(value)
        stored = int(value) if isinstance(value, bool) else value
        if isinstance(stored, int) and not -(2**63) <= stored < 2**63:
            stored = float(stored)
        yield "put_attribute", (key, path, place, int(kind), stored, None)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, one in value.items():
            joined = path + name if path.endswith(".") else f"{path}.{name}"
            yield from _leaves(joined, one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(path, one)
    elif value is not None:
        yield path, value


def _fits(found: Attribute) -> bool:
    """Whether the value is of the kind: from the network it may be anything."""
    value = found.value
    if found.kind is AttributeKind.KEYWORD_LIST:
        return (
            isinstance(value, tuple)
            and 0 < len(value) <= 100
            and all(len(one) <= LONGEST for one in value)
        )
    if isinstance(value, bool):
        return found.kind is AttributeKind.BOOL
    if isinstance(value, str):
        return len(value) <= LONGEST and found.kind in (
            AttributeKind.TEXT,
            AttributeKind.KEYWORD,
        )
    if found.kind is AttributeKind.INT:
        return isinstance(value, int) and -(2**63) <= value < 2**63
    if isinstance(value, tuple) or not -_FAR <= value <= _FAR:
        return False
    return found.kind is AttributeKind.FLOAT or (
        found.kind is AttributeKind.DATETIME and _FIRST <= value <= _LAST
    )


def _declare(workspace: str, name: str, kind: AttributeKind) -> Statement:
    return "declare_attribute", (workspace, name, int(kind))
