"""The operation table: every capability is declared here once, for every surface.

A request is a struct that names the type of its answer; a handler is registered for
it. The embedded client hands the struct over; the control endpoint derives route,
validation and documentation from the same table.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from everact.runtime.operations.access import Access

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")
Q = TypeVar("Q", bound="Request[Any]")

Handler: TypeAlias = Callable[["Engine", Any], Awaitable[Any]]


class Request(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """Base of all requests; the parameter is the type of the answer."""


class Operation(NamedTuple):
    """One row of the table. `access` is what a caller over the network needs for it."""

    name: str
    request: type
    handler: Handler
    access: Access = Access.ADMIN


OPERATIONS: dict[type, Operation] = {}


def operation(
    name: str, request: type[Q], *, access: Access = Access.ADMIN
) -> Callable[
    [Callable[["Engine", Q], Awaitable[Any]]], Callable[["Engine", Q], Awaitable[Any]]
]:
    """Register a handler under a dotted name, ``noun.verb``.

    What declares no `access` is for administrators only.
    """

    def register(
        handler: Callable[["Engine", Q], Awaitable[Any]],
    ) -> Callable[["Engine", Q], Awaitable[Any]]:
        OPERATIONS[request] = Operation(name, request, handler, access)
        return handler

    return register
