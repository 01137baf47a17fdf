"""Starting a run: what a start says, and what becomes of it."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core.opaque import Payload, Seconds
from everact.runtime.core.records import Started, StartOptions
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError, WorkflowAlreadyStarted
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.store.base import RunRow

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

OnConflict: TypeAlias = Annotated[str, Meta(pattern="^(fail|use_existing|attach)$")]


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a start made, or found."""

    workflow_id: str
    run_id: str
    first_run_id: str
    created: bool
    key: int = 0


class StartRun(Request[StartedRun], frozen=True, kw_only=True):
    """Start a run. Arguments are payloads; see `StartOptions` for the rest.

    `on_conflict`: "fail" refuses while a run of the ID is open, "use_existing" takes
    that run, "attach" takes it or the latest one that is still retained.
    `must_be_known` refuses a name that nothing here serves, which otherwise waits.
    """

    workflow: Name
    workflow_id: str = ""
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    options: StartOptions = StartOptions()
    start_delay: Seconds | None = None
    on_conflict: OnConflict = "fail"
    request_id: str = ""
    workspace: str = "default"
    must_be_known: bool = False


@operation("runs.start", StartRun, access=Access.WRITE)
async def start_run(engine: "Engine", request: StartRun) -> StartedRun:
    """Start a run, or answer with the one that is in the way."""
    engine.check_open()
    if request.must_be_known and not engine.registry.knows(request.workflow):
        raise RPCError(
            f"no function or workflow named {request.workflow!r} is registered here",
            RPCStatus.NOT_FOUND,
        )
    place = (request.workspace, request.request_id)
    if request.request_id:
        known = engine.waiting.served(*place)
        if known is not None:
            return await _served_start(engine, known, place)
    if request.workflow_id:
        found = await _taken(engine, request)
        if found is not None:
            return found
    run_id = engine.new_id()
    now, options = engine.clock.now(), request.options
    delay, limit = request.start_delay, options.execution_timeout
    begin = now if delay is None else now + delay
    if delay is not None or limit is not None:
        options = replace(
            options,
            begin_at=None if delay is None else begin,
            execution_deadline=None if limit is None else begin + limit,
        )
    started = Started(
        request.workflow,
        request.workflow_id or run_id,
        run_id,
        run_id,
        run_id,
        request.args,
        request.kwargs,
        options,
        workspace=request.workspace,
    )
    _, reply = engine.start(started, (*place, now) if request.request_id else None)
    if request.request_id:
        engine.waiting.serving(*place, reply)
    # A repetition of the request may wait as well: one caller leaves alone.
    run = await asyncio.shield(reply) if request.request_id else await reply
    return StartedRun(
        workflow_id=started.workflow_id,
        run_id=run_id,
        first_run_id=run_id,
        created=True,
        key=run.row.key,
    )


async def _taken(engine: "Engine", request: StartRun) -> StartedRun | None:
    """What the conflict policy makes of a run that has the ID; None to start."""
    found = engine.open_run(request.workspace, request.workflow_id)
    if found is None:
        if request.on_conflict != "attach":
            return None
        ended = engine.starting(request.workspace, request.workflow_id)
        if ended is not None:
            await ended.durable()
            return _started(ended.state.start, False)
        row = engine.store.find(request.workspace, request.workflow_id)
        return None if row is None else _started(row, False)
    if not isinstance(found, RunRow):
        start = found.state.start
        await found.durable()
        found_name, found_run = start.name, start.run_id
        answer = _started(start, False)
    else:
        found_name, found_run = found.name, found.run_id
        answer = _started(found, False)
    if request.on_conflict in ("use_existing", "attach"):
        return answer
    raise WorkflowAlreadyStarted(request.workflow_id, found_name, found_run)


async def _served_start(
    engine: "Engine", known: Any, place: tuple[str, str]
) -> StartedRun:
    """The run that a request made or reached, once that is durable."""
    if not isinstance(known, int):
        await asyncio.shield(known)
        (known,) = engine.store.select("request", *place)
    stored = engine.store.load(known)
    if stored is None:
        raise RPCError("the run of that request is gone", RPCStatus.NOT_FOUND)
    return _started(stored.run, False)


def _started(found: Any, created: bool) -> StartedRun:
    return StartedRun(
        workflow_id=found.workflow_id,
        run_id=found.run_id,
        first_run_id=found.first_run_id,
        created=created,
    )
