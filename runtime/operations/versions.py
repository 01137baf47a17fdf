"""Operations on the builds of author code: which are compatible, which are in use."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta

from everact.runtime.core.versions import BuildIdOp, VersionSets
from everact.runtime.errors import invalid
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Name, Request, operation
from everact.runtime.operations.requests import to_its_end

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

NEW, EXISTING, OPEN, CLOSED = "new", "existing", "open", "closed"
KINDS = (NEW, EXISTING, OPEN, CLOSED)

Kind: TypeAlias = Annotated[str, Meta(pattern=f"^({'|'.join(KINDS)})$")]


class UpdateVersions(Request[VersionSets], frozen=True, kw_only=True):
    """Change the version sets of a queue; the answer is what they are then.

    The same operation again changes nothing.
    """

    queue: Name
    operation: BuildIdOp
    workspace: str = "default"


class ReadVersions(Request[VersionSets], frozen=True, kw_only=True):
    """The version sets of a queue, oldest first; of more than `max_sets` the latest."""

    queue: Name
    max_sets: Annotated[int, Meta(ge=1)] | None = None
    workspace: str = "default"


class Reachability(msgspec.Struct, frozen=True, kw_only=True):
    """By what builds can still be reached: build ID, then queue, then kinds of runs.

    No kinds: not reachable there. `unretrieved` are queues that were not looked at, by
    build ID: ask again for these.
    """

    reachable: dict[str, dict[str, tuple[str, ...]]]
    unretrieved: dict[str, tuple[str, ...]]


class ReadReachability(Request[Reachability], frozen=True, kw_only=True):
    """By which runs builds can still be reached.

    The empty build ID stands for workers without one, and needs queues. Without
    queues all that know the build ID are meant. `kind` is of runs that there are
    (existing: open or closed); whether new runs can reach a build is always told.
    """

    build_ids: Annotated[tuple[str, ...], Meta(min_length=1)]
    queues: tuple[Name, ...] = ()
    kind: Kind = EXISTING
    workspace: str = "default"


@operation("versions.update", UpdateVersions, access=Access.WRITE)
async def update_versions(engine: "Engine", request: UpdateVersions) -> VersionSets:
    """Change the sets; durable when answered."""
    updating = engine.versions.update(
        request.workspace, request.queue, request.operation
    )
    return await to_its_end(engine, updating)


@operation("versions.get", ReadVersions, access=Access.READ)
async def read_versions(engine: "Engine", request: ReadVersions) -> VersionSets:
    """Read the sets."""
    found = engine.versions.of(request.workspace, request.queue)
    if request.max_sets is None:
        return found
    return VersionSets(found.sets[-request.max_sets :])


@operation("versions.reachability", ReadReachability, access=Access.READ)
async def read_reachability(
    engine: "Engine", request: ReadReachability
) -> Reachability:
    """Look at the sets of each queue, and for runs that are bound to them."""
    if "" in request.build_ids and not request.queues:
        raise invalid(
            "workers without a build ID are reached by queue: name at least one"
        )
    reachable: dict[str, dict[str, tuple[str, ...]]] = {}
    unretrieved: dict[str, tuple[str, ...]] = {}
    for build_id in request.build_ids:
        queues = request.queues or _knowing(engine, request.workspace, build_id)
        most = len(queues) if request.queues else engine.versions.scanned
        reachable[build_id] = {
            queue: tuple(await _kinds(engine, request, queue, build_id))
            for queue in queues[:most]
        }
        if queues[most:]:
            unretrieved[build_id] = tuple(queues[most:])
    return Reachability(reachable=reachable, unretrieved=unretrieved)


def _knowing(engine: "Engine", workspace: str, build_id: str) -> tuple[str, ...]:
    """The queues whose sets hold a build ID."""
    versions = engine.versions
    return tuple(
        queue
        for queue in versions.queues(workspace)
        if versions.of(workspace, queue).set_of(build_id) is not None
    )


async def _kinds(
    engine: "Engine", request: ReadReachability, queue: str, build_id: str
) -> list[str]:
    """By which kinds of runs a build is reached on a queue."""
    versions, reads = engine.versions.of(request.workspace, queue), engine.store.reads
    if not build_id:
        new = not versions
        bound = [await reads.rows("unbound_runs", request.workspace, queue)]
    else:
        found = versions.set_of(build_id)
        if found is None or found[-1] != build_id:
            return []  # what its set has goes to the set's default
        new = build_id == versions.default_id
        bound = [
            await reads.rows("bound_runs", request.workspace, queue, one)
            for one in found
        ]
    wanted = (OPEN, CLOSED) if request.kind == EXISTING else (request.kind,)
    open_ones = any(row[0] for (row,) in bound)
    closed = any(row[1] for (row,) in bound)
    there = {NEW: new, OPEN: open_ones, CLOSED: closed}
    return [kind for kind in there if there[kind] and kind in (NEW, *wanted)]
