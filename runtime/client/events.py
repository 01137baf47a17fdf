"""User events, for clients: push them, look at those that were pushed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Unpack

import msgspec
from msgspec.structs import replace

from everact.runtime.client.requester import Noun
from everact.runtime.client.rpc import RPC
from everact.runtime.core.bounds import moment_of, whole
from everact.runtime.operations import events
from everact.runtime.operations.runs import LARGEST_PAGE
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.payloads import checked_text


@dataclass(frozen=True, slots=True)
class EventView:
    """An event that was pushed."""

    event_id: str
    key: str
    scope: str | None
    payload: Any
    metadata: dict[str, Any]
    time: datetime


class Events(Noun):
    """The user events of a client's namespace: `Client.events`."""

    async def push(
        self,
        key: str,
        payload: Any = None,
        *,
        scope: str | None = None,
        metadata: dict[str, Any] | None = None,
        request_id: str = "",
        **rpc: Unpack[RPC],
    ) -> str:
        """Push an event; its ID.

        When this returns the event is durable, and so are the runs that it starts; it
        reaches every wait that it fits, once. `payload` and `metadata` are JSON-able.
        A repetition with the same `request_id` gives the same event. Raises
        ValueNotStorable, TypeError or ValueError for what cannot be stored.
        """
        if metadata is not None and not isinstance(metadata, dict):
            raise TypeError(f"metadata must be a dict, not {type(metadata).__name__}")
        encode = JsonConverter().encode
        request = events.PushEvent(
            key=_name(key, "the key of an event"),
            payload=encode(payload, "the payload of the event"),
            scope=None if scope is None else _name(scope, "the scope of an event"),
            metadata=encode(metadata, "metadata")[1:] if metadata else b"",
            request_id=request_id,
        )
        return (await self._ask(request, rpc)).event_id

    async def get(self, event_id: str, **rpc: Unpack[RPC]) -> EventView:
        """An event by its ID; RPCError NOT_FOUND."""
        request = events.GetEvent(event_id=_name(event_id, "event_id"))
        return _shown(await self._ask(request, rpc))

    async def list(
        self,
        *,
        key: str | None = None,
        scope: str | None = None,
        page_size: int = 100,
        **rpc: Unpack[RPC],
    ) -> AsyncIterator[EventView]:
        """Events, newest first; makes requests only as it is iterated."""
        whole(page_size, "page_size", 1, LARGEST_PAGE)
        request = events.ListEvents(key=key, scope=scope, limit=page_size)
        while True:
            page = await self._ask(request, rpc)
            for found in page:
                yield _shown(found)
            if len(page) < page_size:
                return
            request = replace(request, after=page[-1].seq)


def _name(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be text, not {type(text).__name__}")
    if not text:
        raise ValueError(f"{what} must not be empty")
    return checked_text(text, what)


def _shown(found: events.EventDescription) -> EventView:
    return EventView(
        found.event_id,
        found.key,
        found.scope,
        JsonConverter().decode(found.payload),
        msgspec.json.decode(found.metadata or b"{}"),
        moment_of(found.at),
    )
