"""Operations on the keys of search attributes that are declared in a workspace."""

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from everact.runtime.core.records import AttributeKind
from everact.runtime.operations.access import Access
from everact.runtime.operations.base import Name, Request, operation

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The declared keys, by name."""

    keys: dict[str, AttributeKind]


class ListKeys(Request[Keys], frozen=True, kw_only=True):
    """The keys that are declared in a workspace."""

    workspace: str = "default"


class AddKeys(Request[None], frozen=True, kw_only=True):
    """Declare keys; one that is there with the same type stays as it is.

    All or none, durable when answered.
    """

    workspace: str = "default"
    keys: Annotated[dict[str, AttributeKind], Meta(min_length=1, max_length=1000)]


class RemoveKeys(Request[None], frozen=True, kw_only=True):
    """Let go of keys. Runs keep their attributes, but are not found by them."""

    workspace: str = "default"
    names: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1000)]


@operation("search_attributes.list", ListKeys, access=Access.READ)
async def list_keys(engine: "Engine", request: ListKeys) -> Keys:
    """Read the declared keys."""
    return Keys(keys=engine.visibility.declared(request.workspace))


@operation("search_attributes.add", AddKeys, access=Access.ADMIN)
async def add_keys(engine: "Engine", request: AddKeys) -> None:
    """Declare keys."""
    await engine.visibility.declare(request.workspace, request.keys)


@operation("search_attributes.remove", RemoveKeys, access=Access.ADMIN)
async def remove_keys(engine: "Engine", request: RemoveKeys) -> None:
    """Let go of keys."""
    await engine.visibility.remove(request.workspace, request.names)
