"""`everact token`: make, list and revoke a database's tokens; keep one as a client."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from everact.runtime.cli.exits import Mistake, NotFound
from everact.runtime.cli.options import (
    DEFAULT_ADDRESS,
    DURATION,
    bad_input,
    common,
    database_option,
    taking,
)
from everact.runtime.cli.output import Output, moment, table
from everact.runtime.client.connecting import ADDRESS
from everact.runtime.client.credentials import (
    forget_token,
    save_token,
    settings_file,
)
from everact.runtime.client.settings import parse_target
from everact.runtime.door.tokens import Scope, Token, TokenFile


@click.group()
def token() -> None:
    """Make and revoke the tokens of a database, and keep yours.

    create, list and revoke work on the file beside the database, on its machine. Once
    there is a token, the endpoint asks for one; see docs/security.md.

    \b
    Examples:
      everact token create laptop --expires-in 90d
      everact token save --address 127.0.0.1:7575
      everact token revoke laptop
    """


on_database: Final = taking(
    common, database_option("The database that they are for [EVERACT_DATABASE].")
)
"""Lets a command take which database's tokens are meant."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope if scope is not Scope.TASK]),
    default=Scope.USER.value,
    show_default=True,
    help="What it lets its holder do.",
)
@click.option("--workspace", multiple=True, help="Where it counts [default].")
@click.option("--expires-in", type=DURATION, help="How long it counts, as 90d [ever].")
@on_database
def create(
    out: Output,
    database: str,
    name: str,
    scope: str,
    workspace: tuple[str, ...],
    expires_in: float | None,
) -> None:
    """Make a token called NAME and print it, this once.

    Nobody can read it again: keep it, or hand it to `everact token save`.

    \b
    Examples:
      everact token create laptop
      everact token create ci --scope admin --expires-in 7d --json | jq -r .token
    """
    with bad_input():
        made, text = _tokens(database).create(
            name, scope=Scope(scope), workspaces=workspace, expires_in=expires_in
        )
    out.answer(_data(made) | {"token": text}, text)
    out.note(f"for {database}; it is shown this once")


@token.command("list")
@on_database
def list_tokens(out: Output, database: str) -> None:
    """List the tokens of a database, revoked ones too; never their text.

    \b
    Example:
      everact token list --database orders.db
    """
    found = _tokens(database).list()
    rows = [
        (
            item.name,
            item.id,
            item.scope.value,
            ", ".join(item.workspaces),
            _state(item),
            moment(_moment(item.created)),
            moment(_moment(item.expires)),
        )
        for item in found
    ]
    columns = ("NAME", "ID", "SCOPE", "WORKSPACES", "STATE", "CREATED", "EXPIRES")
    shown = table(columns, rows) if rows else f"no token was ever made for {database}"
    out.answer({"tokens": [_data(item) for item in found]}, shown)


@token.command()
@click.argument("name_or_id", metavar="NAME")
@on_database
def revoke(out: Output, database: str, name_or_id: str) -> None:
    """Let the token NAME, a name or ID, no longer count; at once.

    \b
    Example:
      everact token revoke laptop
    """
    try:
        revoked = _tokens(database).revoke(name_or_id)
    except LookupError as error:
        raise NotFound(f"{error.args[0]} in {database}.tokens") from None
    out.answer(_data(revoked), f"{revoked.name} ({revoked.id}) is revoked")


@token.command()
@click.option(
    "--address",
    envvar=ADDRESS,
    default=DEFAULT_ADDRESS,
    metavar="HOST:PORT",
    help=f"The engine that it is for [{ADDRESS}; {DEFAULT_ADDRESS}].",
)
@click.option("--forget", is_flag=True, help="Drop the saved token instead.")
@common
def save(out: Output, address: str, forget: bool) -> None:
    """Keep a token for commands and clients of one address.

    It is read from the terminal, unseen, or from standard input: never from the
    command line, which others on the machine can see.

    \b
    Examples:
      everact token save
      everact token create laptop | everact token save --address 127.0.0.1:7575
    """
    with bad_input():
        place = str(parse_target(address, "--address"))
    if forget:
        forget_token(place)
    else:
        with bad_input():
            save_token(place, _read())
    data = {"address": place, "file": str(settings_file(place)), "saved": not forget}
    done = "forgotten" if forget else f"saved in {data['file']}"
    out.answer(data, f"token for {place} {done}")


def _read() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Token", hide_input=True, err=True)
        return typed.strip()
    return sys.stdin.readline().strip()


def _tokens(database: str) -> TokenFile:
    folder = Path(database).absolute().parent
    if not folder.is_dir():
        raise Mistake(f"the folder {folder} of the database is not there")
    return TokenFile.for_database(database)


def _data(item: Token) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "scope": item.scope.value,
        "workspaces": item.workspaces,
        "state": _state(item),
        "created": _moment(item.created),
        "expires": _moment(item.expires),
        "revoked": _moment(item.revoked),
    }


def _state(item: Token) -> str:
    if item.revoked is not None:
        return "revoked"
    return "counts" if item.counts(datetime.now(UTC).timestamp()) else "expired"


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


COMMANDS: Final = (token,)
