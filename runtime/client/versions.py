"""The client's side of worker versioning: version sets, and what reaches a build."""

from collections.abc import Sequence
from typing import Unpack

from everact.runtime.client.requester import Noun
from everact.runtime.client.rpc import RPC
from everact.runtime.core.versions import BuildIdOp, VersionSets
from everact.runtime.operations import versions as requests
from everact.runtime.operations.versions import Reachability
from everact.runtime.values.payloads import checked_text


class VersionsClient(Noun):
    """Which builds of author code are compatible, by queue of the client's namespace.

    A queue without sets does not look at build IDs. Got as `Client.versions`.
    """

    async def update(
        self, queue: str, operation: BuildIdOp, **rpc: Unpack[RPC]
    ) -> VersionSets:
        """Change the sets of a queue; durable when it returns what they are then.

        Repeating an operation is harmless. RPCError NOT_FOUND for an ID that is in no
        set, ALREADY_EXISTS for a new one that is in use in another position.
        """
        return await self._ask(
            requests.UpdateVersions(queue=_named(queue), operation=operation), rpc
        )

    async def sets(
        self, queue: str, *, max_sets: int | None = None, **rpc: Unpack[RPC]
    ) -> VersionSets:
        """The sets of a queue, oldest first; with `max_sets` only the latest ones."""
        if max_sets is not None and max_sets < 1:
            raise ValueError(f"max_sets must be 1 or more, not {max_sets}")
        return await self._ask(
            requests.ReadVersions(queue=_named(queue), max_sets=max_sets), rpc
        )

    async def reachability(
        self,
        build_ids: Sequence[str],
        *,
        queues: Sequence[str] = (),
        kind: str = requests.EXISTING,
        **rpc: Unpack[RPC],
    ) -> Reachability:
        """By which runs builds can still be reached: a worker that nothing reaches
        may go.

        The empty ID stands for workers without one, and needs `queues`; otherwise no
        queues are all. `kind` is "existing" (open or closed runs), "open", "closed"
        or "new"; whether new runs reach a build is always told.
        """
        if isinstance(build_ids, str) or isinstance(queues, str):
            raise TypeError("build_ids and queues are sequences of texts")
        if not build_ids:
            raise ValueError("build_ids must name at least one build ID")
        if "" in build_ids and not queues:
            raise ValueError("the empty build ID needs at least one of queues")
        if kind not in requests.KINDS:
            raise ValueError(f"kind must be one of {', '.join(requests.KINDS)}")
        request = requests.ReadReachability(
            build_ids=tuple(checked_text(one, "a build ID") for one in build_ids),
            queues=tuple(map(_named, queues)),
            kind=kind,
        )
        return await self._ask(request, rpc)


def _named(queue: str) -> str:
    if not queue:
        raise ValueError("queue must not be empty")
    return checked_text(queue, "queue")
