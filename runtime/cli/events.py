"""`everact events`: push user events, look at those that were pushed."""

from typing import Any, Final

import click

from everact.runtime.cli.asking import asked
from everact.runtime.cli.exits import Mistake
from everact.runtime.cli.options import (
    Remote,
    json_value,
    limited,
    named_values,
    remote,
)
from everact.runtime.cli.output import Output, moment, table, to_json
from everact.runtime.client.client import Client
from everact.runtime.client.events import EventView


@click.group()
def events() -> None:
    """Push user events: runs wait for them, workflows are started by them.

    \b
    Examples:
      everact events push order:paid --payload '{"amount": 7}' --scope order-1
      everact events list
    """


@events.command()
@click.argument("key")
@click.option("--payload", default="null", help="What it says: JSON, or plain text.")
@click.option("--scope", help="Whom it is about: waits may ask for one scope only.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Note on it.")
@click.option("--request-id", default="", help="Repeating it gives the same event.")
@remote
def push(
    engine: Remote,
    out: Output,
    key: str,
    payload: str,
    scope: str | None,
    metadata: tuple[str, ...],
    request_id: str,
) -> None:
    """Push an event of KEY; it is on disk, with the runs it starts, when this returns.

    \b
    Examples:
      everact events push stock:empty
      everact events push user:created --payload '{"name": "Ada"}' --metadata by=shop
    """
    given = json_value(payload, "--payload")
    noted = named_values(metadata, "--metadata")
    event_id = asked(
        engine,
        lambda client: client.events.push(
            key, given, scope=scope, metadata=noted, request_id=request_id
        ),
    )
    out.answer({"event_id": event_id, "key": key}, event_id)


@events.command("list")
@click.option("--key", help="Only events of this key.")
@click.option("--scope", help="Only events of this scope.")
@limited(50)
@remote
def list_events(
    engine: Remote, out: Output, key: str | None, scope: str | None, limit: int
) -> None:
    """List events, newest first.

    \b
    Examples:
      everact events list
      everact events list --key order:paid --json | jq '.events[].payload'
    """
    if key == "" or scope == "":
        raise Mistake("--key and --scope must not be empty")

    async def work(client: Client) -> list[EventView]:
        found: list[EventView] = []
        async for event in client.events.list(key=key, scope=scope, page_size=limit):
            found.append(event)
            if len(found) == limit:
                break
        return found

    found = asked(engine, work)
    rows: list[tuple[Any, ...]] = [
        (moment(e.time), e.key, e.scope or "", to_json(e.payload), e.event_id)
        for e in found
    ]
    columns = ("TIME", "KEY", "SCOPE", "PAYLOAD", "ID")
    out.answer({"events": found}, table(columns, rows) if rows else "no events")


COMMANDS: Final = (events,)
