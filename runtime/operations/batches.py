"""Operations on many runs at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.errors import (
    EveractError,
    RequestIdReused,
    RPCError,
    WorkflowAlreadyStarted,
)
from everact.runtime.filters.parsing import parse
from everact.runtime.filters.tree import Field
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import typed_start
from everact.runtime.operations.base import Request, as_it_came, operation
from everact.runtime.operations.requests import carry_out, named
from everact.runtime.operations.searching import Narrowed, narrowed
from everact.runtime.operations.starting import (
    StartedRun,
    StartRun,
    check,
    together,
)
from everact.runtime.store.base import Search

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

MOST = 10_000
"""Starts that one request may hold."""


class NotStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Why one of many runs was not started: the error's class, status and text."""

    type: str
    status: RPCStatus
    message: str


class StartOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one start: the run, or why there is none."""

    started: StartedRun | None = None
    error: NotStarted | None = None


class StartRuns(Request[tuple[StartOutcome, ...]], frozen=True, kw_only=True):
    """Start many runs; each is answered on its own, in the order of `starts`.

    Each is durable or refused when this is answered; one that is refused does not
    hold up the others.
    """

    starts: Annotated[tuple[StartRun, ...], Meta(max_length=MOST)]


class StartTogether(Request[tuple[StartedRun, ...]], frozen=True, kw_only=True):
    """Start many runs in one transaction: all of them, or none.

    The answers are in the order of `starts`, and all is durable then. No two may be of
    one workflow ID or request ID, and none may bring a signal.
    """

    starts: Annotated[tuple[StartRun, ...], Meta(max_length=MOST)]


class RunCount(msgspec.Struct, frozen=True, kw_only=True):
    """A number of runs."""

    count: int


class CountRuns(Request[RunCount], frozen=True, kw_only=True):
    """How many runs match; see `ListRuns`."""

    workspace: str = "default"
    status: RunStatus | None = None
    workflow: str | None = None
    queue: str | None = None
    workflow_id: str | None = None


class RunTally(msgspec.Struct, frozen=True, kw_only=True):
    """Runs by the name of their status, those of none left out; `aside` are running."""

    counts: dict[str, int]
    aside: int


class TallyRuns(Request[RunTally], frozen=True, kw_only=True):
    """How many runs match, by status; see `ListRuns`, and `SearchRuns` for a query."""

    workspace: str = "default"
    workflow: str | None = None
    queue: str | None = None
    id_prefix: str | None = None
    query: str = ""


@operation(
    "runs.start_batch",
    StartRuns,
    access=Access.WRITE,
    typed=as_it_came,  # its handler does it, here and below
    apart=("starts",),
)
async def start_runs(engine: "Engine", request: StartRuns) -> tuple[StartOutcome, ...]:
    """Start them all in the same group commit, as far as it goes."""
    engine.check_open()
    starting = (_start(engine, start) for start in request.starts)
    return tuple(await asyncio.gather(*starting))


async def _start(engine: "Engine", start: StartRun) -> StartOutcome:
    try:
        started: StartedRun = await carry_out(engine, start, typed_start)
    except EveractError as error:
        status = getattr(error, "status", RPCStatus.UNAVAILABLE)
        if isinstance(error, WorkflowAlreadyStarted | RequestIdReused):
            status = RPCStatus.ALREADY_EXISTS
        refused = NotStarted(
            type=type(error).__name__, status=status, message=str(error)
        )
        return StartOutcome(error=refused)
    return StartOutcome(started=started)


@operation("runs.start_together", StartTogether, access=Access.WRITE, typed=as_it_came)
async def start_together(
    engine: "Engine", request: StartTogether
) -> tuple[StartedRun, ...]:
    """Check them all, then make them all in one turn and one transaction."""
    engine.check_open()
    names = [named(start) for start in request.starts]
    starts = [typed_start(engine, start) for start in request.starts]
    for start in starts:
        check(engine, start)
    _check_apart(starts)
    return await together(engine, starts, names)


def _check_apart(starts: Sequence[StartRun]) -> None:
    """Refuse starts that are not independent of each other."""
    ids = Counter((s.workspace, s.workflow_id) for s in starts if s.workflow_id)
    twice = next((id for (_, id), times in ids.items() if times > 1), None)
    if twice is not None:
        raise RPCError(
            f"two of the starts are of workflow ID {twice!r}",
            RPCStatus.INVALID_ARGUMENT,
        )
    requests = Counter((s.workspace, s.request_id) for s in starts if s.request_id)
    twice = next((id for (_, id), times in requests.items() if times > 1), None)
    if twice is not None:
        raise RPCError(
            f"two of the starts have request ID {twice!r}",
            RPCStatus.INVALID_ARGUMENT,
        )
    if any(start.signal is not None for start in starts):
        raise RPCError(
            "starts that are made together bring no signal",
            RPCStatus.INVALID_ARGUMENT,
        )


@operation("runs.count", CountRuns, access=Access.READ)
async def count_runs(engine: "Engine", request: CountRuns) -> RunCount:
    """Count the index."""
    status = None if request.status is None else int(request.status)
    chosen = request.workflow, request.queue, request.workflow_id
    (count,) = engine.store.select("count_runs", request.workspace, status, *chosen)
    return RunCount(count=count)


@operation("runs.tally", TallyRuns, access=Access.READ)
async def tally_runs(engine: "Engine", request: TallyRuns) -> RunTally:
    """Count the index once for all statuses."""
    if request.query:
        return _tally_found(engine, request)
    chosen = request.workflow, request.queue, request.id_prefix
    found = engine.store.select("tally_runs", request.workspace, *chosen)
    lines = [tuple(map(int, line.split())) for line in found]
    return RunTally(
        counts={RunStatus(status).name: count for status, count, _ in lines},
        aside=sum(aside for *_, aside in lines),
    )


def _tally_found(engine: "Engine", request: TallyRuns) -> RunTally:
    """Count what a filter finds, whatever order or groups it has."""
    by = Narrowed(
        workflow=request.workflow, queue=request.queue, id_prefix=request.id_prefix
    )
    wanted = parse(request.query)
    declared = engine.visibility.declared(request.workspace)

    def tally(by: Narrowed, group: Field | None) -> list[tuple[Any, int]]:
        chosen = narrowed(replace(wanted, order=(), group=group), by)
        return engine.store.tally(Search(request.workspace, chosen, declared))

    return RunTally(
        counts={
            RunStatus(status).name: count
            for status, count in tally(by, Field(("status",)))
        },
        aside=sum(count for _, count in tally(replace(by, put_aside=True), None)),
    )
