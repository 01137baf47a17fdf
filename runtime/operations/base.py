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

from everact.runtime.core.opaque import holds_payloads
from everact.runtime.engine.requests import Known
from everact.runtime.operations.access import Access
from everact.runtime.operations.bounds import checker

if TYPE_CHECKING:
    from everact.runtime.engine.engine import Engine

A = TypeVar("A")
Q = TypeVar("Q", bound="Request[Any]")

Handler: TypeAlias = Callable[["Engine", Any], Awaitable[Any]]

Waits: TypeAlias = bool | Callable[[Any], bool]
Target: TypeAlias = Callable[[Any], tuple[str, ...]]
"""What a request is for."""

Again: TypeAlias = Callable[["Engine", Any, Known], Awaitable[Any]]
"""Answers a request whose ID is known."""

Typed: TypeAlias = Callable[["Engine", Any], Any]
"""Makes of a request that came as JSON one whose payloads are as they are stored;
awaited if it has to look something up."""


Name: TypeAlias = Annotated[str, Meta(min_length=1)]
"""Text that must not be empty."""


class Item(NamedTuple, Generic[A]):
    """One item of a stream; `id` is the cursor to go on after it, or empty."""

    id: str
    value: A


class Request(msgspec.Struct, Generic[A], frozen=True, kw_only=True):
    """Base of all requests; the parameter is the type of the answer."""


async def _done(_: "Engine", __: Any, ___: Known) -> None:
    """A repeated request that is answered with no more than that it is done."""


def as_it_came(_: "Engine", request: Q) -> Q:
    """The `typed` of requests whose payloads are JSON to the handler, too."""
    return request


class Operation(NamedTuple):
    """One row of the table. `access` is what a caller over the network needs for it.

    `waits` says that the answer may take as long as a run does (of all requests, or of
    which), `streams` that the handler answers with an iterator of `Item`, each holding
    one answer.

    `target` gives what a request is for, where requests carry an ID: the same operation
    with the same target is the same request. `again` answers one that was carried out
    before. `rejoins` says that a repetition need not wait for the request that is under
    way: the handler finds it. `typed` is for requests that hold payloads: it makes
    those that came as JSON the values that author code expects. `times_itself` says
    that requests have a `wait` of their own: late, the handler answers what it can.
    `reads` says that it changes nothing, however often it is asked.
    """

    name: str
    request: type
    handler: Handler
    access: Access = Access.ADMIN
    waits: Waits = False
    streams: bool = False
    target: Target | None = None
    again: Again = _done
    rejoins: bool = False
    typed: Typed | None = None
    times_itself: bool = False
    reads: bool = False

    def waits_for(self, request: Any) -> bool:
        """Whether the answer to this request may take as long as a run does."""
        return self.waits(request) if callable(self.waits) else self.waits

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
    waits: Waits = False,
    streams: bool = False,
    target: Target | None = None,
    again: Again | None = None,
    rejoins: bool = False,
    typed: Typed | None = None,
    apart: tuple[str, ...] = (),
) -> Callable[
    [Callable[["Engine", Q], Awaitable[Any]]], Callable[["Engine", Q], Awaitable[Any]]
]:
    """Register a handler under a dotted name, ``noun.verb``.

    What declares no `access` is for administrators only. Requests with a `request_id`
    need a `target`, and `again` unless the answer is nothing but "done"; requests with
    payloads need `typed` (see `operations.arguments`). What is asked is checked first
    (see `operations.bounds`), except for the fields that `apart` names: their elements
    are requests that are handled, and so checked, one by one.
    """

    def register(
        handler: Callable[["Engine", Q], Awaitable[Any]],
    ) -> Callable[["Engine", Q], Awaitable[Any]]:
        if ("request_id" in request.__struct_fields__) != (target is not None):
            raise TypeError(f"{name}: a target and a request ID go together")
        if holds_payloads(request) != (typed is not None):
            raise TypeError(f"{name}: `typed` and payloads in the request go together")
        check = checker(request, apart)

        def checked(engine: "Engine", asked: Q) -> Awaitable[Any]:
            check(asked)
            return handler(engine, asked)

        row = Operation(
            name, request, checked, access, waits, streams, target, again or _done
        )
        if target and not again and row.answer is not type(None):
            raise TypeError(f"{name} must say how it answers a repeated request")
        timed = "wait" in request.__struct_fields__
        reads = access in (Access.INFO, Access.READ)
        row = row._replace(
            rejoins=rejoins, typed=typed, times_itself=timed, reads=reads
        )
        OPERATIONS[request] = row
        return checked

    return register
