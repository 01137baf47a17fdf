"""Commands for builds of author code: `everact versions …`."""

from collections.abc import Callable
from typing import Any, Final

import click

from everact.runtime.cli.asking import asked
from everact.runtime.cli.options import Remote, bad_input, remote
from everact.runtime.cli.output import Output
from everact.runtime.core.versions import (
    AddCompatible,
    AddNewDefault,
    BuildIdOp,
    MergeSets,
    PromoteBuildId,
    PromoteSet,
    VersionSets,
)
from everact.runtime.operations.versions import EXISTING, KINDS


@click.group("versions")
def builds() -> None:
    """Say which builds are compatible, by queue, and see which are in use.

    Builds of one set go on with each other's runs. New runs go to the last set; in
    each set the last build is the default, which gets its runs' further steps.
    """


def _shown(queue: str, found: VersionSets) -> str:
    lines = [" ".join(one) for one in found.sets]
    if lines:
        lines[-1] += "  <- new runs"
    return "\n".join(lines) or f"queue {queue} has no version sets"


def _answer(out: Output, queue: str, found: VersionSets) -> None:
    data = {
        "queue": queue,
        "sets": [list(one) for one in found.sets],
        "default": found.default_id,
    }
    out.answer(data, _shown(queue, found))


def _update(
    engine: Remote, out: Output, queue: str, kind: Callable[..., BuildIdOp], *ids: Any
) -> None:
    with bad_input():
        operation = kind(*ids)
    found = asked(engine, lambda client: client.versions.update(queue, operation))
    _answer(out, queue, found)


@builds.command()
@click.argument("queue")
@click.option("--max-sets", type=click.IntRange(1), help="Only the latest sets.")
@remote
def show(engine: Remote, out: Output, queue: str, max_sets: int | None) -> None:
    """Show the sets of QUEUE, oldest first; in each the default last.

    \b
    Example:
      everact versions show default
    """
    found = asked(engine, lambda client: client.versions.sets(queue, max_sets=max_sets))
    _answer(out, queue, found)


@builds.command("add-default")
@click.argument("queue")
@click.argument("build_id", metavar="ID")
@remote
def add_default(engine: Remote, out: Output, queue: str, build_id: str) -> None:
    """Give new runs of QUEUE to a new build ID; runs that are there stay.

    \b
    Example:
      everact versions add-default default 2.0
    """
    _update(engine, out, queue, AddNewDefault, build_id)


@builds.command("add-compatible")
@click.argument("queue")
@click.argument("build_id", metavar="ID")
@click.argument("existing")
@click.option("--promote", is_flag=True, help="New runs go to the set as well.")
@remote
def add_compatible(
    engine: Remote, out: Output, queue: str, build_id: str, existing: str, promote: bool
) -> None:
    """Give the runs of build EXISTING, and of its set, to a new build ID.

    \b
    Example:
      everact versions add-compatible default 1.1 1.0
    """
    _update(engine, out, queue, AddCompatible, build_id, existing, promote)


@builds.command("promote-set")
@click.argument("queue")
@click.argument("build_id", metavar="ID")
@remote
def promote_set(engine: Remote, out: Output, queue: str, build_id: str) -> None:
    """Give new runs of QUEUE to the set of build ID, as for a roll-back.

    \b
    Example:
      everact versions promote-set default 1.0
    """
    _update(engine, out, queue, PromoteSet, build_id)


@builds.command()
@click.argument("queue")
@click.argument("build_id", metavar="ID")
@remote
def promote(engine: Remote, out: Output, queue: str, build_id: str) -> None:
    """Make build ID the default of its set.

    \b
    Example:
      everact versions promote default 1.0
    """
    _update(engine, out, queue, PromoteBuildId, build_id)


@builds.command()
@click.argument("queue")
@click.argument("primary")
@click.argument("secondary")
@remote
def merge(
    engine: Remote, out: Output, queue: str, primary: str, secondary: str
) -> None:
    """Make one set of those of two builds; the default of PRIMARY's is kept.

    \b
    Example:
      everact versions merge default 1.1 2.0
    """
    _update(engine, out, queue, MergeSets, primary, secondary)


@builds.command()
@click.argument("build_ids", metavar="[ID]...", nargs=-1)
@click.option("--queue", "queues", multiple=True, help="Look at this queue only.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=EXISTING,
    show_default=True,
    help="Which runs to look for, beside new ones.",
)
@click.option("--unversioned", is_flag=True, help="Also workers without a build ID.")
@remote
def reachability(
    engine: Remote,
    out: Output,
    build_ids: tuple[str, ...],
    queues: tuple[str, ...],
    kind: str,
    unversioned: bool,
) -> None:
    """Show by which runs builds can still be reached; what nothing reaches may go.

    \b
    Examples:
      everact versions reachability 1.0 1.1
      everact versions reachability --unversioned --queue default
    """
    ids = (*build_ids, "") if unversioned else build_ids
    found = asked(
        engine,
        lambda client: client.versions.reachability(ids, queues=queues, kind=kind),
    )
    lines = [
        f"{build_id or 'no build ID'} on {queue}: " + (", ".join(kinds) or "by nothing")
        for build_id, on in found.reachable.items()
        for queue, kinds in on.items()
    ]
    data = {
        "reachable": {
            build_id: {queue: list(kinds) for queue, kinds in on.items()}
            for build_id, on in found.reachable.items()
        },
        "unretrieved": {b: list(q) for b, q in found.unretrieved.items()},
    }
    out.answer(data, "\n".join(lines) or "no queue knows these build IDs")
    for build_id, left in found.unretrieved.items():
        out.note(f"{build_id}: not looked at: {', '.join(left)}; ask with --queue")


COMMANDS: Final = (builds,)
