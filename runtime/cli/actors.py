"""`everact actors`: the program's actors, and the tree of them all."""

from typing import Any, Final

import click
from rich.tree import Tree

from everact.runtime.cli.asking import asked
from everact.runtime.cli.options import (
    DURATION,
    Remote,
    json_value,
    json_values,
    limited,
    remote,
)
from everact.runtime.cli.output import Output, plain, table, value_shown
from everact.runtime.operations.actors import (
    ActorNode,
    ActorTree,
    AskActor,
    ListActors,
    ReadTree,
    SpawnActor,
    StopActor,
    TellActor,
)
from everact.runtime.operations.base import Request
from everact.runtime.values.json_payloads import JsonConverter

_VALUES: Final = JsonConverter()


@click.group()
def actors() -> None:
    """Look at actors, and talk to them; nothing told to them is durable.

    \b
    Examples:
      everact actors list
      everact actors tree
      everact actors ask clicks 1
    """


@actors.command("list")
@remote
def list_actors(engine: Remote, out: Output) -> None:
    """List the program's own actors.

    \b
    Example:
      everact actors list
    """
    found = _ask(engine, ListActors())
    rows = [(line.actor, line.class_name, line.unread) for line in found]
    shown = table(("ACTOR", "CLASS", "UNREAD"), rows) if rows else "no actors"
    out.answer({"actors": found}, shown)


@actors.command()
@limited(1000, most=100_000)
@remote
def tree(engine: Remote, out: Output, limit: int) -> None:
    """Show who supervises whom, runs and attempts included.

    \b
    Example:
      everact actors tree
    """
    found: ActorTree = _ask(engine, ReadTree(limit=limit))
    shown = Tree("everact")
    _grow(shown, found.actors)
    out.answer(found, shown)
    if found.left_out:
        out.note(f"{found.left_out} more are left out: see --limit")


def _grow(shown: Tree, nodes: tuple[ActorNode, ...]) -> None:
    for node in nodes:
        label = plain(node.class_name, "bold")
        if node.name:
            label.append_text(plain(f" {node.name}"))
        rest = f" {node.state}" + (f", {node.unread} unread" if node.unread else "")
        _grow(shown.add(label.append_text(plain(rest, "dim"))), node.children)


@actors.command()
@click.argument("class_name", metavar="CLASS")
@click.argument("args", nargs=-1)
@click.option("--name", default="", help="What it is addressed by.")
@remote
def spawn(
    engine: Remote, out: Output, class_name: str, args: tuple[str, ...], name: str
) -> None:
    """Start an actor of a CLASS that the program offers.

    \b
    Example:
      everact actors spawn Counter 40 --name clicks
    """
    encoded = tuple(_VALUES.encode(value) for value in json_values(args))
    line = _ask(engine, SpawnActor(class_name=class_name, args=encoded, name=name))
    out.answer(line, line.actor)


@actors.command()
@click.argument("actor")
@click.argument("message")
@remote
def tell(engine: Remote, out: Output, actor: str, message: str) -> None:
    """Put MESSAGE, which is JSON or text, into the mailbox of ACTOR.

    \b
    Example:
      everact actors tell clicks 1
    """
    payload = _VALUES.encode(json_value(message, "the message"))
    _ask(engine, TellActor(actor=actor, message=payload))
    out.answer({"actor": actor, "told": True}, f"{actor}: told")


@actors.command()
@click.argument("actor")
@click.argument("message")
@click.option(
    "--timeout",
    type=DURATION,
    default=30.0,
    help="How long to wait for the answer, at most 60s [30s].",
)
@remote
def ask(engine: Remote, out: Output, actor: str, message: str, timeout: float) -> None:
    """Put MESSAGE into the mailbox of ACTOR and print its answer.

    \b
    Example:
      everact actors ask clicks 1
    """
    if timeout > 60:
        raise click.BadParameter("at most 60s", param_hint="--timeout")
    payload = _VALUES.encode(json_value(message, "the message"))
    found = _ask(engine, AskActor(actor=actor, message=payload, timeout=timeout), 90.0)
    answer = _VALUES.decode(found)
    out.answer({"actor": actor, "answer": answer}, value_shown(answer))


@actors.command()
@click.argument("actor")
@remote
def stop(engine: Remote, out: Output, actor: str) -> None:
    """Stop ACTOR, after what it was sent before.

    \b
    Example:
      everact actors stop clicks
    """
    _ask(engine, StopActor(actor=actor))
    out.answer({"actor": actor, "stopped": True}, f"{actor}: stopped")


def _ask(engine: Remote, request: Request[Any], limit: float = 60.0) -> Any:
    return asked(engine, lambda client: client.operator_service.call(request), limit)


COMMANDS: Final = (actors,)
