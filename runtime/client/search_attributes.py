"""The declared keys of search attributes, for a client."""

from typing import Any, Unpack

from everact.runtime.client.requester import Requester
from everact.runtime.client.rpc import RPC
from everact.runtime.definitions.search_attributes import SearchAttributeKey
from everact.runtime.operations.search_attributes import AddKeys, ListKeys, RemoveKeys


class SearchAttributeKeys:
    """What runs of the client's namespace may be found by."""

    def __init__(self, client: Requester) -> None:
        self._client = client

    async def list(self, **rpc: Unpack[RPC]) -> "list[SearchAttributeKey[Any]]":
        """The declared keys, by name."""
        request = ListKeys(workspace=self._client.namespace)
        found = await self._client.transport.call(request, rpc)
        return [SearchAttributeKey(n, k) for n, k in sorted(found.keys.items())]

    async def add(self, *keys: SearchAttributeKey[Any], **rpc: Unpack[RPC]) -> None:
        """Declare keys, all or none; durable when this returns.

        One that is there with the same type stays as it is. RPCError ALREADY_EXISTS
        if it has another type, INVALID_ARGUMENT for the name of a built-in field.
        """
        wanted = {key.name: key.kind for key in keys}
        if len(wanted) < len(keys):
            raise ValueError("a search attribute is given twice")
        request = AddKeys(workspace=self._client.namespace, keys=wanted)
        await self._client.transport.call(request, rpc)

    async def remove(
        self, *keys: SearchAttributeKey[Any] | str, **rpc: Unpack[RPC]
    ) -> None:
        """Let go of keys, given as such or by name; RPCError NOT_FOUND.

        Runs keep their attributes, but are not found by them any more.
        """
        names = tuple(key if isinstance(key, str) else key.name for key in keys)
        request = RemoveKeys(workspace=self._client.namespace, names=names)
        await self._client.transport.call(request, rpc)
