"""Operations on updates: send one to a run, and read what it was answered with."""

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from everact.runtime.core.failures import Failure
from everact.runtime.core.opaque import Payload
from everact.runtime.core.records import CompleteUpdate, UpdateAccepted
from everact.runtime.core.statuses import RPCStatus, RunStatus
from everact.runtime.engine.updates import Refused, Sent
from everact.runtime.errors import RPCError
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.runs import RunRef, _delivered, find_run

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

ADMITTED, ACCEPTED, COMPLETED = "admitted", "accepted", "completed"
STAGES: Final = (ACCEPTED, COMPLETED)
"""How far an update may have come when its sender is answered."""

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


class AwaitUpdate(Request[UpdateState], frozen=True, kw_only=True):
    """Wait for the answer to an update that was sent before."""

    run: RunRef
    update_id: Name


@operation("updates.send", SendUpdate, access=Access.WRITE, waits=True)
async def send_update(engine: "Engine", request: SendUpdate) -> UpdateState:
    """Let an update in, record it, and wait for its answer."""
    engine.check_open()
    ref, update = request.run, request.update
    place = (ref.workspace, request.request_id)
    known = engine.waiting.served(*place) if request.request_id else None
    if isinstance(known, int):
        return await state_of(engine, known, update.update_id, request.wait_for)
    row = find_run(engine, ref)
    if row.status and row.key not in engine.runs:
        return await _of_closed(engine, row.key, request)
    served = (*place, engine.clock.now()) if request.request_id else None
    sent = await _delivered(engine, ref, row, update.event, served)
    return await answer_of(engine, sent, update.update_id, request.wait_for)


async def _of_closed(engine: "Engine", key: int, request: SendUpdate) -> UpdateState:
    """A repetition finds its answer; anything new is refused."""
    update_id = request.update.update_id
    try:
        return await state_of(engine, key, update_id, COMPLETED)
    except RPCError as unknown:
        if unknown.status is not RPCStatus.NOT_FOUND:
            raise
        row = find_run(engine, request.run)
        raise RPCError(
            f"run {row.workflow_id!r} ({row.run_id}) is {RunStatus(row.status)}, "
            "not open",
            RPCStatus.NOT_FOUND,
        ) from None


async def answer_of(
    engine: "Engine", sent: Sent, update_id: str, wait_for: str
) -> UpdateState:
    """What the sender of an update is told, once it is as far as was asked for."""
    if isinstance(sent, Refused):
        refused = CompleteUpdate(update_id, failure=sent.failure)
        return _told(sent.run.row, update_id, refused)
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
        return _told(run.row, update_id, answer)
    stored = engine.store.load(key)
    if stored is None:
        raise RPCError("the run of that update is gone", RPCStatus.NOT_FOUND)
    return _told(stored.run, update_id, answer)


def _told(row: Any, update_id: str, answer: CompleteUpdate | None) -> UpdateState:
    failure = None if answer is None else answer.failure
    return UpdateState(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        update_id=update_id,
        stage=ACCEPTED if answer is None else COMPLETED,
        result=None if answer is None or failure else answer.result,
        failure=failure,
    )


@operation("updates.result", AwaitUpdate, access=Access.READ, waits=True)
async def await_update(engine: "Engine", request: AwaitUpdate) -> UpdateState:
    """Wait for the answer."""
    row = find_run(engine, request.run)
    return await state_of(engine, row.key, request.update_id, COMPLETED)
