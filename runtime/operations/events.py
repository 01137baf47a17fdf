"""Operations on user events: push one, look at those that were pushed."""

import asyncio
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from everact.runtime.core.opaque import Document, Payload
from everact.runtime.core.records import Extras, Started, StartOptions
from everact.runtime.definitions.workflows import WorkflowDefinition
from everact.runtime.engine.parts.events import UserEvent
from everact.runtime.engine.requests import Known
from everact.runtime.errors import invalid, not_found
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Name, Request, as_it_came, operation
from everact.runtime.operations.requests import remembered
from everact.runtime.operations.runs import Limit
from everact.runtime.values.json_payloads import JSON_TAG

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

_IDS = uuid.UUID("6f0b1f6e-6f6b-5c1e-9d0c-5a6d1e3f7a42")
"""Namespace of the IDs of events that earlier versions made from request IDs."""


_ROOM = 200
"""Levels of nesting that must be left: it is read at another depth of calls."""


class PushedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a push stored."""

    event_id: str


class PushEvent(Request[PushedEvent], frozen=True, kw_only=True):
    """Store an event: it meets waits, and starts the workflows that subscribe to it.

    It is durable when answered, and so are the runs that it starts; it reaches every
    wait that it fits, once. `payload` is JSON. A repetition with the same `request_id`
    gives the same event for 24 hours.
    """

    key: Name
    payload: Payload = JSON_TAG + b"null"
    scope: Name | None = None
    metadata: Document = b""
    request_id: str = ""
    workspace: str = "default"


class EventDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `at` is epoch seconds, `seq` the cursor of a page that ends here."""

    seq: int
    event_id: str
    key: str
    scope: str | None
    payload: Payload
    metadata: Document
    at: float


class GetEvent(Request[EventDescription], frozen=True, kw_only=True):
    """One event by its ID."""

    event_id: Name
    workspace: str = "default"


class ListEvents(Request[tuple[EventDescription, ...]], frozen=True, kw_only=True):
    """A page of events, newest first, older than the cursor `after`."""

    key: str | None = None
    scope: str | None = None
    after: int | None = None
    limit: Limit = 100
    workspace: str = "default"


def _pushed(request: PushEvent) -> tuple[str, ...]:
    return request.key, request.scope or ""


async def _pushed_again(_: "Engine", request: PushEvent, known: Known) -> PushedEvent:
    if known.answer:
        return msgspec.json.decode(known.answer, type=PushedEvent)
    name = f"{request.workspace}/{request.request_id}"  # an earlier version served it
    return PushedEvent(event_id=str(uuid.uuid5(_IDS, name)))


@operation(
    "events.push",
    PushEvent,
    access=Access.WRITE,
    target=_pushed,
    again=_pushed_again,
    typed=as_it_came,
)
async def push_event(engine: "Engine", request: PushEvent) -> PushedEvent:
    """Store an event with what it starts."""
    engine.check_open()
    _check(request.payload)
    workspace = request.workspace
    answer = PushedEvent(event_id=engine.new_id())
    event = UserEvent(
        0,
        workspace,
        answer.event_id,
        request.key,
        request.scope or "",
        request.payload[1:],
        request.metadata or b"{}",
        engine.clock.now(),
    )
    noted = remembered(engine, request, answer)
    await asyncio.shield(engine.events.push(event, _starts(engine, event), noted))
    return answer


def _check(payload: bytes) -> None:
    """Refuse what a run could not read later: it would be put aside for it."""
    body = payload[1:]
    try:
        if payload[:1] != JSON_TAG:
            raise msgspec.DecodeError(
                "waits are matched by plain JSON, and no codec is applied to it"
            )
        msgspec.json.decode(body)
        msgspec.json.decode(b"[" * _ROOM + body + b"]" * _ROOM)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"the payload is no JSON that can be used: {error}") from None


def _starts(engine: "Engine", event: UserEvent) -> tuple[Started, ...]:
    """A start for each subscriber. Its ID is made from the event's and its name."""
    options = StartOptions(extras=Extras(event_id=event.id, event_key=event.key))
    found = []
    for workflow in _subscribers(engine, event.key):
        workflow_id, run_id = f"{event.id}/{workflow.name}", engine.new_id()
        if engine.open_run(event.workspace, workflow_id) is None:
            start = Started(
                workflow.name,
                workflow_id,
                run_id,
                run_id,
                run_id,
                (JSON_TAG + event.payload,),
                options=options,
                workspace=event.workspace,
                kind=workflow.kind,
            )
            found.append(start)
    return tuple(found)


def _subscribers(engine: "Engine", key: str) -> Iterable[WorkflowDefinition]:
    """The workflows that subscribe to a key, each once, however many know it."""
    known = [w.registry for w in engine.admission.all if w.registry is not None]
    registries = (engine.registry, *known)
    return {w.name: w for r in registries for w in r.subscribers(key)}.values()


@operation("events.get", GetEvent, access=Access.READ)
async def get_event(engine: "Engine", request: GetEvent) -> EventDescription:
    """Look it up."""
    rows = await engine.store.reads.rows("event", request.workspace, request.event_id)
    found = next(engine.events.genuine(rows), None)
    if found is None:
        raise not_found(
            f"no event {request.event_id!r} is known: its ID is another, or it was "
            "deleted with what is old"
        )
    return _described(found)


@operation("events.list", ListEvents, access=Access.READ)
async def list_events(
    engine: "Engine", request: ListEvents
) -> tuple[EventDescription, ...]:
    """Read a page."""
    before = 2**62 if request.after is None else request.after
    chosen, limit = (request.key, request.scope), request.limit
    found: list[EventDescription] = []
    while len(found) < limit:  # a short page says that there are no more
        given = request.workspace, before, *chosen, limit - len(found)
        rows = await engine.store.reads.rows("list_events", *given)
        if not rows:
            break
        before = rows[-1][0]
        found += map(_described, engine.events.genuine(rows))
    return tuple(found)


def _described(event: UserEvent) -> EventDescription:
    return EventDescription(
        seq=event.seq,
        event_id=event.id,
        key=event.key,
        scope=event.scope or None,
        payload=JSON_TAG + event.payload,
        metadata=event.metadata,
        at=event.at,
    )
