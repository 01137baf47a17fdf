"""Operations on many runs at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import (
    EveractError,
    RequestIdReused,
    WorkflowAlreadyStarted,
    invalid,
)
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import typed_start
from everact.runtime.operations.base import Request, as_it_came, operation
from everact.runtime.operations.requests import carry_out, named
from everact.runtime.operations.starting import (
    StartedRun,
    StartRun,
    check,
    together,
)

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
        raise invalid(f"two of the starts are of workflow ID {twice!r}")
    requests = Counter((s.workspace, s.request_id) for s in starts if s.request_id)
    twice = next((id for (_, id), times in requests.items() if times > 1), None)
    if twice is not None:
        raise invalid(f"two of the starts have request ID {twice!r}")
    if any(start.signal is not None for start in starts):
        raise invalid("starts that are made together bring no signal")
