"""Operations on updates: send one, start a run with one, read what it was answered."""

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from everact.runtime.core.failures import Failure
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import CompleteUpdate, Started, UpdateAccepted
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.engine.parts.updates import Refused, Sent
from everact.runtime.engine.requests import Known
from everact.runtime.errors import RPCError, invalid, not_found
from everact.runtime.operations import starting
from everact.runtime.operations.access import Access
from everact.runtime.operations.arguments import (
    handler_of,
    typed_start,
    with_arguments,
)
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.requests import id_of, remembered, to_its_end
from everact.runtime.operations.runs import (
    RunRef,
    check_reached,
    delivered,
    find_run,
    known_run,
    not_open,
    present_run,
)
from everact.runtime.operations.starting import Resolution, StartedRun, StartRun
from everact.runtime.store.base import Remembered

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

ADMITTED, ACCEPTED, COMPLETED = "admitted", "accepted", "completed"
STAGES: Final = (ACCEPTED, COMPLETED)
"""How far an update may have come when its sender is answered."""

CONFLICTS: Final = ("fail", "use_existing", "terminate_existing")
"""What a start with an update may do about an open run."""

Stage: TypeAlias = Annotated[str, Meta(pattern=f"^({'|'.join(STAGES)})$")]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A message with an answer; `update_id` tells it apart from all others of a run.

    Sent again, it joins the one that was sent before.
    """

    update_id: Name
    name: Name
    args: tuple[Payload, ...] = ()
    kwargs: dict[str, Payload] = {}
    identity: str = ""
    headers: dict[str, str] = {}

    @property
    def event(self) -> UpdateAccepted:
        """What is recorded of it."""
        return UpdateAccepted(
            self.update_id,
            self.name,
            self.args,
            self.kwargs,
            self.identity,
            self.headers,
        )


class UpdateState(msgspec.Struct, frozen=True, kw_only=True):
    """How far an update has come. Completed, it has a result, or else a failure.

    A refused one is completed, with the reason as its failure, and is in no history.
    """

    workflow_id: str
    run_id: str
    update_id: str
    stage: str
    result: Payload | None = None
    failure: Failure | None = None


class SendUpdate(Request[UpdateState], frozen=True, kw_only=True):
    """Send an update and wait until it is accepted or completed, which is durable then.

    While the run's code cannot take it (a start delay, no worker) it is admitted,
    which is not durable; send it again.
    """

    run: RunRef
    update: Update
    wait_for: Stage = COMPLETED
    request_id: str = ""


class StartedUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was started or found, and how far its update has come."""

    run: StartedRun
    update: UpdateState


class SendWithStart(Request[StartedUpdate], frozen=True, kw_only=True):
    """Start a run with an update, or send the update to the open run of the ID.

    `start.on_conflict` must be "fail", "use_existing" or "terminate_existing". If the
    start is refused there is no update; if the update is, the new run goes on. A new
    run of a class that declares the update takes it before its first step, in the
    transaction that starts it.

    Answered when the start is durable and the update accepted, completed or refused;
    or admitted, if the code of the run cannot take it now: send it to that run then.
    """

    start: StartRun
    update: Update
    request_id: str = ""


class AwaitUpdate(Request[UpdateState], frozen=True, kw_only=True):
    """Wait for the answer to an update that was sent before."""

    run: RunRef
    update_id: Name


def _sent(request: SendUpdate) -> tuple[str, ...]:
    return request.run.workflow_id, request.update.name, request.update.update_id


async def _sent_again(
    engine: "Engine", request: SendUpdate, known: Known
) -> UpdateState:
    await check_reached(engine, request.run, request.request_id, known)
    update_id = request.update.update_id
    return await state_of(engine, known.run_key, update_id, request.wait_for)


async def _typed(engine: "Engine", request: SendUpdate) -> SendUpdate:
    run = present_run(engine, request.run)
    row = await known_run(engine, request.run) if run is None else run.row
    name = "" if row is None else row.name
    return replace(request, update=_typed_update(engine, name, request.update))


async def _typed_with_start(engine: "Engine", request: SendWithStart) -> SendWithStart:
    start = typed_start(engine, request.start)
    row = await engine.store.reads.find(start.workspace, start.workflow_id)
    name = start.workflow if row is None or row.status else row.name
    update = _typed_update(engine, name, request.update)
    return replace(request, start=start, update=update)


def _typed_update(engine: "Engine", workflow: str, update: Update) -> Update:
    handler = handler_of(engine, workflow, "updates", update.name)
    return with_arguments(engine, handler, update)


@operation(
    "updates.send",
    SendUpdate,
    access=Access.WRITE,
    waits=True,
    target=_sent,
    again=_sent_again,
    rejoins=True,
    typed=_typed,
)
async def send_update(engine: "Engine", request: SendUpdate) -> UpdateState:
    """Let an update in, record it, and wait for its answer."""
    engine.check_open()
    ref, update = request.run, request.update
    run = present_run(engine, ref)
    row = await find_run(engine, ref) if run is None else run.row
    if row.status and row.key not in engine.runs:
        return await _of_closed(engine, row.key, request)
    noted = remembered(engine, request)
    sent = await delivered(engine, ref, row, update.event, noted)
    engine.requests.settled(ref.workspace, request.request_id)
    return await answer_of(engine, sent, update.update_id, request.wait_for)


async def _of_closed(engine: "Engine", key: int, request: SendUpdate) -> UpdateState:
    """A repetition finds its answer; anything new is refused."""
    update_id = request.update.update_id
    try:
        return await state_of(engine, key, update_id, COMPLETED)
    except RPCError as unknown:
        if unknown.status is not RPCStatus.NOT_FOUND:
            raise
        raise not_open(await find_run(engine, request.run)) from None


async def answer_of(
    engine: "Engine", sent: Sent, update_id: str, wait_for: str
) -> UpdateState:
    """What the sender of an update is told, once it is as far as was asked for."""
    if isinstance(sent, Refused):
        refused = CompleteUpdate(update_id, failure=sent.failure)
        return _state_of(sent.run.row, update_id, refused)
    return await state_of(engine, sent.row.key, update_id, wait_for)


async def state_of(
    engine: "Engine", key: int, update_id: str, wait_for: str
) -> UpdateState:
    """How far an accepted update has come: at least as far as `wait_for`."""
    if wait_for == COMPLETED:
        answer: CompleteUpdate | None = await engine.updates.answer(key, update_id)
    else:
        answer = await engine.updates.look(key, update_id)
    run = engine.runs.get(key)
    if run is not None:
        return _state_of(run.row, update_id, answer)
    stored = await engine.store.reads.ending(key)
    if stored is None:
        raise not_found("the run of that update is gone")
    return _state_of(stored.run, update_id, answer)


def _state_of(row: Any, update_id: str, answer: CompleteUpdate | None) -> UpdateState:
    failure = None if answer is None else answer.failure
    return UpdateState(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        update_id=update_id,
        stage=ACCEPTED if answer is None else COMPLETED,
        result=None if answer is None or failure else answer.result,
        failure=failure,
    )


def _started_by(request: SendWithStart) -> tuple[str, ...]:
    named = request.update.name, request.update.update_id
    return (*starting.started_by(request.start), *named)


async def _started_again(
    engine: "Engine", request: SendWithStart, known: Known
) -> StartedUpdate:
    """The run that the request made or reached before, and its update."""
    stored = await engine.store.reads.ending(known.run_key)
    if stored is None:
        raise not_found("the run of that request is gone")
    run = await starting.started_again(engine, request.start, known)
    found = await _into(engine, Resolution(stored.run), request.update, None)
    return replace(found, run=run)


@operation(
    "updates.send_with_start",
    SendWithStart,
    access=Access.WRITE,
    waits=True,
    target=_started_by,
    again=_started_again,
    typed=_typed_with_start,
)
async def send_with_start(engine: "Engine", request: SendWithStart) -> StartedUpdate:
    """Resolve the start, with the update on board of a run that it makes."""
    engine.check_open()
    start = replace(request.start, request_id=id_of(request))
    _check(engine, start)
    return await to_its_end(engine, _start(engine, start, request.update))


def _check(engine: "Engine", start: StartRun) -> None:
    starting.check(engine, start)
    wrong = None
    if start.on_conflict not in CONFLICTS:
        wrong = f"start.on_conflict must be one of {', '.join(CONFLICTS)}"
    elif start.signal is not None:
        wrong = "a start brings a signal or an update, not both"
    if wrong is not None:
        raise invalid(wrong)


class _Aboard:
    """An update that is to be on board when its run starts, if that can be known."""

    def __init__(self, engine: "Engine", update: Update) -> None:
        self._engine = engine
        self._update = update
        self.refused: Failure | None = None

    def prepare(self, started: Started) -> Started:
        event = self._update.event
        try:
            self.refused = self._engine.updates.begins_with(started, event)
        except LookupError:
            return started
        if self.refused is not None:
            return started
        return replace(started, carried=(*started.carried, event))


async def _start(engine: "Engine", start: StartRun, update: Update) -> StartedUpdate:
    tried = 0
    while True:
        aboard = _Aboard(engine, update)
        resolved = await starting.resolve(engine, start, aboard.prepare)
        if resolved.in_the_way:
            await resolved.answer()
        if aboard.refused is not None:
            run = await resolved.answer()
            refused = CompleteUpdate(update.update_id, failure=aboard.refused)
            state = _state_of(resolved.row, update.update_id, refused)
            return StartedUpdate(run=run, update=state)
        row = None
        if resolved.made is None:
            row = remembered(engine, start)
        try:
            return await _into(engine, resolved, update, row)
        except RPCError as gone:
            if gone.status is not RPCStatus.NOT_FOUND or resolved.made is not None:
                raise
            if tried == resolved.row.key:
                raise
            tried = resolved.row.key  # it closed meanwhile: what does that leave?


async def _into(
    engine: "Engine",
    resolved: Resolution,
    update: Update,
    request: Remembered | None,
) -> StartedUpdate:
    """Send an update to the very run that was made or found, unless it has it."""
    key, update_id = resolved.row.key, update.update_id
    sending = engine.updates.send(key, update.event, request)
    try:
        run = await resolved.answer()
    except BaseException:
        if not sending.cancel():
            sending.exception()
        raise
    present, row = engine.runs.get(key), resolved.row
    if present is not None and present.state.held is not None and not sending.done():
        sending.cancel()  # it waits there without us
        admitted = replace(_state_of(row, update_id, None), stage=ADMITTED)
        return StartedUpdate(run=run, update=admitted)
    try:
        sent = await sending
    except RPCError as refused:
        if refused.status is not RPCStatus.NOT_FOUND:
            raise
        try:  # it may have taken and answered it, and ended
            state = await state_of(engine, key, update_id, COMPLETED)
        except RPCError:
            raise refused from None
    else:
        state = await answer_of(engine, sent, update_id, ACCEPTED)
    return StartedUpdate(run=run, update=state)


@operation("updates.result", AwaitUpdate, access=Access.READ, waits=True)
async def await_update(engine: "Engine", request: AwaitUpdate) -> UpdateState:
    """Wait for the answer."""
    row = await find_run(engine, request.run)
    return await state_of(engine, row.key, request.update_id, COMPLETED)
