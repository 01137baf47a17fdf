"""The operation table: every capability is declared here once, for every surface.

A request is a struct that names the type of its answer; a handler is registered for
it. The embedded client hands the struct over; the control endpoint derives route,
validation and documentation from the same table.
"""

from collections.abc import Awaitable, Callable
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    get_args,
)

import msgspec
from msgspec import Meta

from everact.runtime.engine.requests import Known
from everact.runtime.operations.access import Access

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")
Q = TypeVar("Q", bound="Request[Any]")

Handler: TypeAlias = Callable[["Engine", Any], Awaitable[Any]]

Again: TypeAlias = Callable[["Engine", Any, Known], Awaitable[Any]]
"""Answers a request whose ID is known."""


class Asked(NamedTuple):
    """What makes a request the same as another one: its target, and all the rest."""

    target: tuple[str, ...]
    rest: tuple[Any, ...] = ()


Name: TypeAlias = Annotated[str, Meta(min_length=1)]
"""Text that must not be empty."""


class Item(NamedTuple, Generic[A]):
    """One item of a stream; `id` is the cursor to go on after it, or empty."""

    id: str
    value: A


class Request(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """Base of all requests; the parameter is the type of the answer."""


class Operation(NamedTuple):
    """One row of the table. `access` is what a caller over the network needs for it.

    `waits` says that the answer may take as long as a run does, `streams` that the
    handler answers with an iterator of `Item`, each holding one answer. `again` answers
    a request that was carried out before. `rejoins` says that a repetition need not
    wait for the request that is under way: the handler finds it.
    """

    name: str
    request: type
    handler: Handler
    access: Access = Access.ADMIN
    waits: bool = False
    streams: bool = False
    again: Again | None = None
    rejoins: bool = False

    @property
    def once(self) -> bool:
        """Whether its requests carry an ID, under which they take effect once."""
        return self.again is not None

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, however often it is asked."""
        return self.access in (Access.INFO, Access.READ)

    @property
    def answer(self) -> Any:
        """The type of the answer."""
        (base,) = self.request.__orig_bases__  # type: ignore[attr-defined]
        return get_args(base)[0]


OPERATIONS: dict[type, Operation] = {}


def operation(
    name: str,
    request: type[Q],
    *,
    access: Access = Access.ADMIN,
    waits: bool = False,
    streams: bool = False,
    again: Again | None = None,
    rejoins: bool = False,
) -> Callable[
    [Callable[["Engine", Q], Awaitable[Any]]], Callable[["Engine", Q], Awaitable[Any]]
]:
    """Register a handler under a dotted name, ``noun.verb``.

    What declares no `access` is for administrators only. A request with a
    `request_id` says in a property `asked` what makes it the same as another one, and
    `again` how it is answered if it was carried out before: with its first answer, if
    that is nothing but "done".
    """

    def register(
        handler: Callable[["Engine", Q], Awaitable[Any]],
    ) -> Callable[["Engine", Q], Awaitable[Any]]:
        once = "request_id" in request.__struct_fields__
        if once != hasattr(request, "asked"):
            raise TypeError(f"{request.__name__}: `asked` goes with `request_id`")
        row = Operation(name, request, handler, access, waits, streams)
        if once:
            row = row._replace(again=again or _done, rejoins=rejoins)
            if again is None and row.answer is not type(None):
                raise TypeError(f"{name} must say how it answers a repeated request")
        OPERATIONS[request] = row
        return handler

    return register


async def _done(_: "Engine", __: Any, ___: Known) -> None:
    """A repeated request that is answered with no more than that it is done."""
