"""Operations that find runs by a filter: pages of them, and counts."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from everact.runtime.core.records import AttributeKind, Started, decode
from everact.runtime.core.statuses import RunStatus
from everact.runtime.errors import StoreTampered, invalid
from everact.runtime.filters.operators import Operator
from everact.runtime.filters.parsing import parse
from everact.runtime.filters.tree import (
    Both,
    Comparison,
    Condition,
    Field,
    Filter,
    Literal,
)
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Request, operation
from everact.runtime.operations.runs import Limit, RunSummary, of_parent, of_row
from everact.runtime.store.base import JournalRow, RunRow, Search
from everact.runtime.store.searching import Subject, attributes_found, grouped

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

PAGE = 1000
"""Runs of a page, unless told otherwise."""

SLICE = 200
"""Runs that are put together in one turn of the loop."""


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """What else a filter is joined with; None and false do not narrow."""

    status: RunStatus | None = None
    workflow: str | None = None
    queue: str | None = None
    workflow_id: str | None = None
    id_prefix: str | None = None
    put_aside: bool = False


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs; the token gives the next one, empty after the last."""

    runs: tuple[RunSummary, ...]
    next_page_token: str = ""


class SearchRuns(Request[RunPage], frozen=True, kw_only=True):
    """A page of the runs that match a filter, in its order.

    Without one the open runs come first, then those closed last; ties go by the latest
    start; or, if `newest`, the run that was made last comes first. A token goes on
    where a page ended, at any later time, with the same query.
    """

    workspace: str = "default"
    query: str = ""
    narrowed: Narrowed = Narrowed()
    page_size: Limit = PAGE
    next_page_token: str = ""
    newest: bool = False


class CountGroup(msgspec.Struct, frozen=True):
    """How many runs have one value of the field that a count was grouped by.

    A status is its name, such as "completed"; None counts the runs without a value.
    """

    value: str | int | bool | None
    count: int


class RunCount(msgspec.Struct, frozen=True):
    """A number of runs; `groups` are empty unless the count has groups."""

    count: int
    groups: tuple[CountGroup, ...] = ()


class CountRuns(Request[RunCount], frozen=True, kw_only=True):
    """How many runs match a filter, which may group them.

    With `group_by` they are counted by that field, whatever order or groups the query
    has.
    """

    workspace: str = "default"
    query: str = ""
    narrowed: Narrowed = Narrowed()
    group_by: str = ""


@operation("runs.search", SearchRuns, access=Access.READ)
async def search_runs(engine: "Engine", request: SearchRuns) -> RunPage:
    """Read a page of the index."""
    asked = request.workspace, request.query, request.narrowed
    about = msgspec.msgpack.encode(asked + ((True,) if request.newest else ()))
    token = request.next_page_token
    wanted = Search(
        request.workspace,
        narrowed(parse(request.query), request.narrowed),
        engine.visibility.declared(request.workspace),
        _place(engine, about, token) if token else None,
        request.page_size,
        request.newest,
    )
    hits = await engine.store.reads.search(wanted)
    more = len(hits) == request.page_size
    return RunPage(
        runs=await summaries(engine, [hit.run for hit in hits]),
        next_page_token=_token(engine, about, hits[-1].place) if more else "",
    )


@operation("runs.count", CountRuns, access=Access.READ)
async def count_runs(engine: "Engine", request: CountRuns) -> RunCount:
    """Count the index."""
    wanted = narrowed(parse(request.query), request.narrowed)
    if request.group_by:
        group = Field(tuple(request.group_by.split(".")))
        wanted = replace(wanted, order=(), group=group)
    declared = engine.visibility.declared(request.workspace)
    wanted_of = Search(request.workspace, wanted, declared)
    found = await engine.store.reads.count(wanted_of)
    groups: tuple[CountGroup, ...] = ()
    if wanted.group is not None:
        subject = grouped(wanted.group, declared)
        groups = tuple(CountGroup(_value(subject, value), n) for value, n in found)
    return RunCount(sum(count for _, count in found), groups)


def narrowed(wanted: Filter, by: Narrowed) -> Filter:
    """A filter with what it is joined with."""
    parts: list[Condition] = [
        Comparison(Field((name,)), Operator.EQUAL, (Literal(str(value)),))
        for name in ("status", "workflow", "queue", "workflow_id")
        if (value := getattr(by, name)) is not None
    ]
    if by.id_prefix is not None:
        prefix = (Literal(by.id_prefix),)
        parts.append(Comparison(Field(("workflow_id",)), Operator.STARTS_WITH, prefix))
    if by.put_aside:
        running = (Literal(str(RunStatus.RUNNING)),)
        parts.append(Comparison(Field(("status",)), Operator.EQUAL, running))
        parts.append(Comparison(Field(("put_aside",)), Operator.IS_NOT_NULL))
    if wanted.condition is not None:
        parts.append(wanted.condition)
    if not parts:
        return wanted
    return replace(
        wanted, condition=parts[0] if len(parts) == 1 else Both(tuple(parts))
    )


async def summaries(engine: "Engine", rows: list[RunRow]) -> tuple[RunSummary, ...]:
    """Rows with what their journals and attributes tell."""
    found: tuple[RunSummary, ...] = ()
    for first in range(0, len(rows), SLICE):
        found += await _summaries(engine, rows[first : first + SLICE])
    return found


async def _summaries(engine: "Engine", rows: list[RunRow]) -> tuple[RunSummary, ...]:
    reads = engine.store.reads
    keys = msgspec.json.encode([row.key for row in rows]).decode()
    firsts = await reads.rows("first_rows", keys)
    started = {row[0]: JournalRow(*row) for row in firsts}
    lengths = dict(await reads.rows("history_lengths", keys))
    attributes = attributes_found(await reads.rows("attributes_of_runs", keys))
    changed: dict[int, list[tuple[str, str | None]]] = {}
    for key, name, whole in await reads.rows("memos_of_runs", keys):
        changed.setdefault(key, []).append((name, whole))
    return tuple(
        of_row(
            RunSummary,
            row,
            history_length=lengths[row.key],
            attributes=attributes.get(row.key, {}),
            **_of_start(
                _start(engine, row, started.get(row.key)),
                _entries(engine, row, changed.get(row.key, ())),
            ),
        )
        for row in rows
    )


def _of_start(
    start: Started | None, changed: dict[str, bytes | None]
) -> dict[str, Any]:
    if start is None:
        return {}
    options = start.options
    memo = {k: v for k, v in {**options.memo, **changed}.items() if v is not None}
    return of_parent(start) | {"begin_at": options.begin_at, "memo": memo}


def _entries(
    engine: "Engine", row: RunRow, found: Iterable[tuple[str, str | None]]
) -> dict[str, bytes | None]:
    """Entries of a run's memo that changed; None is one that is gone, or tampered."""
    opened = engine.seal.open_memo
    return {
        name: None if whole is None else opened(row.run_id, name, whole)
        for name, whole in found
    }


def _start(engine: "Engine", row: RunRow, first: JournalRow | None) -> Started | None:
    """What the first row of a run says, if it is what was written."""
    if first is None:
        return None
    try:
        engine.seal.verify(first, row.run_id)
        event = decode(first.body).events[0]
    except (StoreTampered, msgspec.ValidationError, IndexError):
        return None  # the list must not fail for it: `describe` says what is wrong
    return event if isinstance(event, Started) else None


def _value(subject: Subject, value: Any) -> Any:
    """A value as it is shown that runs were grouped by."""
    if value is None:
        return None
    if subject.column and subject.name == "status":
        return str(RunStatus(value))
    return bool(value) if subject.kind is AttributeKind.BOOL else value


def _token(engine: "Engine", about: bytes, place: tuple[Any, ...]) -> str:
    body = msgspec.msgpack.encode(place)
    sealed = engine.seal.page(about, body) + body
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _place(engine: "Engine", about: bytes, token: str) -> tuple[Any, ...]:
    """The place that a token names; RPCError INVALID_ARGUMENT if it is none of ours."""
    try:
        padded = token + "=" * (-len(token) % 4)
        sealed = base64.b64decode(padded, b"-_", validate=True)
    except (binascii.Error, ValueError):
        sealed = b""
    mac, body = sealed[:16], sealed[16:]
    if not hmac.compare_digest(mac, engine.seal.page(about, body)):
        raise invalid("next_page_token is not one that a listing with this query gave")
    return tuple(msgspec.msgpack.decode(body))
