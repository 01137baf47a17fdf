"""Commands on search attributes: what runs may be found by."""

from typing import Any, Final

import click

from everact.runtime.cli.asking import asked
from everact.runtime.cli.options import Remote, remote
from everact.runtime.cli.output import Output, table
from everact.runtime.core.records import AttributeKind
from everact.runtime.definitions.search_attributes import SearchAttributeKey

KINDS: Final = {kind.name.lower(): kind for kind in AttributeKind}


@click.group("search-attributes")
def search_attributes() -> None:
    """Declare by what runs can be found beside what each has."""


@search_attributes.command("list")
@remote
def list_keys(engine: Remote, out: Output) -> None:
    """List the declared search attributes.

    \b
    Example:
      everact search-attributes list
    """
    found = asked(engine, lambda client: client.search_attributes.list())
    rows = [(key.name, key.kind.name.lower()) for key in found]
    shown = table(("NAME", "TYPE"), rows) if rows else "none is declared"
    out.answer({"search_attributes": dict(rows)}, shown)


@search_attributes.command("add")
@click.argument("name")
@click.argument("kind", metavar="TYPE", type=click.Choice(list(KINDS)))
@remote
def add_key(engine: Remote, out: Output, name: str, kind: str) -> None:
    """Declare the search attribute NAME of a type.

    TYPE is text, keyword, int, float, bool, datetime or keyword_list.

    \b
    Example:
      everact search-attributes add Customer keyword
    """
    try:
        key: SearchAttributeKey[Any] = SearchAttributeKey(name, KINDS[kind])
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    asked(engine, lambda client: client.search_attributes.add(key))
    out.answer({"name": name, "type": kind}, f"{name} is declared as {kind}")


@search_attributes.command("remove")
@click.argument("name")
@remote
def remove_key(engine: Remote, out: Output, name: str) -> None:
    """Let go of the search attribute NAME.

    Runs keep it, but are not found by it any more.

    \b
    Example:
      everact search-attributes remove Customer
    """
    asked(engine, lambda client: client.search_attributes.remove(name))
    out.answer({"name": name}, f"{name} is not declared any more")


COMMANDS: Final = (search_attributes,)
