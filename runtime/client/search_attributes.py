"""The declared keys of search attributes, for a client."""

from typing import Any, Unpack

from everact.runtime.client.requester import Noun
from everact.runtime.client.rpc import RPC
from everact.runtime.definitions.search_attributes import SearchAttributeKey
from everact.runtime.operations.search_attributes import AddKeys, ListKeys, RemoveKeys


class SearchAttributeKeys(Noun):
    """What runs of the client's namespace may be found by."""

    async def list(self, **rpc: Unpack[RPC]) -> "list[SearchAttributeKey[Any]]":
        """The declared keys, by name."""
        found = await self._ask(ListKeys(), rpc)
        return [SearchAttributeKey(n, k) for n, k in sorted(found.keys.items())]

    async def add(self, *keys: SearchAttributeKey[Any], **rpc: Unpack[RPC]) -> None:
        """Declare keys, all or none; durable when this returns.

        One that is there with the same type stays as it is. RPCError ALREADY_EXISTS
        if it has another type, INVALID_ARGUMENT for the name of a built-in field.
        """
        wanted = {key.name: key.kind for key in keys}
        if len(wanted) < len(keys):
            raise ValueError("a search attribute is given twice")
        await self._ask(AddKeys(keys=wanted), rpc)

    async def remove(
        self, *keys: SearchAttributeKey[Any] | str, **rpc: Unpack[RPC]
    ) -> None:
        """Let go of keys, given as such or by name; RPCError NOT_FOUND.

        Runs keep their attributes, but are not found by them any more.
        """
        names = tuple(key if isinstance(key, str) else key.name for key in keys)
        await self._ask(RemoveKeys(names=names), rpc)
