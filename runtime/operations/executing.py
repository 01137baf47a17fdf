"""Starting a run and waiting for its end, in one request.

It is answered what `runs.start` and `runs.result` would have answered one after the
other. Its request ID is the start's: it finds what a start under it made.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core.bounds import DEFAULT_WAIT, LONGEST_WAIT
from everact.runtime.errors import EveractError, RuntimeStateError, StoreError
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import typed_start
from everact.runtime.operations.base import Request, operation
from everact.runtime.operations.requests import carry_out, named
from everact.runtime.operations.runs import RunClosed, RunRef, end_of, find_run
from everact.runtime.operations.starting import (
    StartedRun,
    StartRun,
    answering,
    begin,
    check,
)
from everact.runtime.store.base import RunRow

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


Wait: TypeAlias = Annotated[
    float,
    Meta(
        ge=0,
        le=LONGEST_WAIT,
        description="Seconds until the answer tells of the run alone.",
    ),
]


class ExecutedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was started or found, and how it ended: None if it goes on."""

    run: StartedRun
    closed: RunClosed | None = None


class ExecuteRun(Request[ExecutedRun], frozen=True, kw_only=True):
    """Start a run and wait for its durable end; `follow` goes on to that of its chain.

    After `wait` seconds the answer tells of the run alone, whose start is durable: wait
    for its result then. So it does if the engine closes meanwhile.
    """

    start: StartRun
    follow: bool = True
    wait: Wait = DEFAULT_WAIT


def _typed(engine: "Engine", request: ExecuteRun) -> ExecuteRun:
    return replace(request, start=typed_start(engine, request.start))


@operation(
    "runs.execute",
    ExecuteRun,
    access=Access.WRITE,
    waits=True,
    typed=_typed,
    apart=("wait",),  # JSON is held to it; a program may wait as long as it takes
)
async def execute_run(engine: "Engine", request: ExecuteRun) -> ExecutedRun:
    """Start a run, and answer with its end."""
    start = request.start
    check(engine, start)
    name = named(start) if start.request_id else None
    known = name is not None and engine.requests.look(name) is not None
    if known or start.signal is not None or engine.draining:
        run = await carry_out(engine, start)
        row = await find_run(engine, _ref(run, start.workspace))
        return ExecutedRun(run=run, closed=await _end(engine, request, row))
    resolved, begun = await begin(engine, start, name)
    made = resolved.made
    if made is None:
        run = await answering(engine, start, resolved, begun)
        return ExecutedRun(run=run, closed=await _end(engine, request, resolved.row))
    if begun is not None:
        made.add_done_callback(lambda _: engine.requests.end(begun))
    closed = await _end(engine, request, resolved.row, made)
    return ExecutedRun(run=resolved.started, closed=closed)


async def _end(
    engine: "Engine",
    request: ExecuteRun,
    row: RunRow,
    made: "asyncio.Future[Any] | None" = None,
) -> RunClosed | None:
    """How a run ended; None if that takes too long, or the engine cannot tell now.

    Whatever it is, the start is durable then: `made` is done, or raises its refusal.
    """
    closed = None
    try:
        closed = await end_of(engine, row, request.follow, request.wait)
    except (RuntimeStateError, StoreError):
        pass
    except EveractError:  # perhaps of what is not durable yet: ask again when it is
        if made is None:
            raise
        await asyncio.shield(made)
        return await _end(engine, request, row)
    if closed is None and made is not None:
        await asyncio.shield(made)
    return closed


def _ref(run: StartedRun, workspace: str) -> RunRef:
    return RunRef(workflow_id=run.workflow_id, run_id=run.run_id, workspace=workspace)
