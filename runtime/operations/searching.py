"""Operations that find runs by a filter: pages of them, and counts."""

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from everact.runtime.core.naming import generated_name
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import Attribute, AttributeKind, Started, decode
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.errors import RPCError, StoreTampered
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
from everact.runtime.operations.runs import Limit
from everact.runtime.store.base import JournalRow, RunRow, Search
from everact.runtime.store.searching import Subject, attributes_found, grouped

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

PAGE = 1000
"""Runs of a page, unless told otherwise."""


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """What else a filter is joined with; None and false do not narrow."""

    status: RunStatus | None = None
    workflow: str | None = None
    queue: str | None = None
    workflow_id: str | None = None
    id_prefix: str | None = None
    put_aside: bool = False


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was found. Moments are epoch seconds."""

    workflow_id: str
    run_id: str
    first_run_id: str
    root_run_id: str
    parent_workflow_id: str
    parent_run_id: str
    workflow: str
    run_name: str
    status: RunStatus
    aside: str
    queue: str
    started_at: float
    begin_at: float | None
    closed_at: float | None
    history_length: int
    memo: dict[str, Payload]
    attributes: dict[str, Attribute]
    priority: int = 0


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs; the token gives the next one, empty after the last."""

    runs: tuple[FoundRun, ...]
    next_page_token: str = ""


class SearchRuns(Request[RunPage], frozen=True, kw_only=True):
    """A page of the runs that match a filter, in its order.

    Without one the open runs come first, then those closed last; ties go by the latest
    start. A token goes on where a page ended, at any later time, with the same query.
    """

    workspace: str = "default"
    query: str = ""
    narrowed: Narrowed = Narrowed()
    page_size: Limit = PAGE
    next_page_token: str = ""


class MatchGroup(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs have one value of what was grouped by; null for none."""

    value: str | int | bool | None
    count: int


class MatchCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs match, and by group if the filter has groups."""

    count: int
    groups: tuple[MatchGroup, ...] = ()


class CountMatching(Request[MatchCount], frozen=True, kw_only=True):
    """How many runs match a filter, which may group them."""

    workspace: str = "default"
    query: str = ""
    narrowed: Narrowed = Narrowed()


@operation("runs.search", SearchRuns, access=Access.READ)
async def search_runs(engine: "Engine", request: SearchRuns) -> RunPage:
    """Read a page of the index."""
    wanted = narrowed(parse(request.query), request.narrowed)
    about = msgspec.msgpack.encode((request.workspace, request.query, request.narrowed))
    token = request.next_page_token
    hits = engine.store.search(
        Search(
            request.workspace,
            wanted,
            engine.visibility.declared(request.workspace),
            _place(engine, about, token) if token else None,
            request.page_size,
        )
    )
    more = len(hits) == request.page_size
    return RunPage(
        runs=found_runs(engine, [hit.run for hit in hits]),
        next_page_token=_token(engine, about, hits[-1].place) if more else "",
    )


@operation("runs.count_matching", CountMatching, access=Access.READ)
async def count_matching(engine: "Engine", request: CountMatching) -> MatchCount:
    """Count the index."""
    wanted = narrowed(parse(request.query), request.narrowed)
    declared = engine.visibility.declared(request.workspace)
    found = engine.store.tally(Search(request.workspace, wanted, declared))
    groups: tuple[MatchGroup, ...] = ()
    if wanted.group is not None:
        subject = grouped(wanted.group, declared)
        groups = tuple(
            MatchGroup(value=_value(subject, value), count=count)
            for value, count in found
        )
    return MatchCount(count=sum(count for _, count in found), groups=groups)


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
        parts.append(Comparison(Field(("put_aside",)), Operator.IS_NOT_NULL))
    if wanted.condition is not None:
        parts.append(wanted.condition)
    if not parts:
        return wanted
    return replace(
        wanted, condition=parts[0] if len(parts) == 1 else Both(tuple(parts))
    )


def found_runs(engine: "Engine", rows: list[RunRow]) -> tuple[FoundRun, ...]:
    """Rows with what their journals and attributes tell."""
    store = engine.store
    keys = msgspec.json.encode([row.key for row in rows]).decode()
    started = {row[0]: JournalRow(*row) for row in store.rows("first_rows", keys)}
    lengths = dict(store.rows("history_lengths", keys))
    attributes = attributes_found(store.rows("attributes_of_runs", keys))
    return tuple(
        _found(
            row,
            _start(engine, row, started.get(row.key)),
            lengths[row.key],
            attributes.get(row.key, {}),
        )
        for row in rows
    )


def _found(
    row: RunRow,
    start: Started | None,
    length: int,
    attributes: dict[str, Attribute],
) -> FoundRun:
    parent = start.parent if start else None
    return FoundRun(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        first_run_id=row.first_run_id,
        root_run_id=row.root_run_id,
        parent_workflow_id=parent.workflow_id if parent else "",
        parent_run_id=parent.run_id if parent else "",
        workflow=row.name,
        run_name=row.run_name or generated_name(row.run_id),
        status=RunStatus(row.status),
        aside=row.aside,
        queue=row.queue,
        started_at=row.started_at,
        begin_at=start.options.begin_at if start else None,
        closed_at=row.closed_at,
        history_length=length,
        memo=start.options.memo if start else {},
        attributes=attributes,
        priority=row.priority,
    )


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
        raise RPCError(
            "next_page_token is not one that a listing with this query gave",
            RPCStatus.INVALID_ARGUMENT,
        )
    return tuple(msgspec.msgpack.decode(body))
