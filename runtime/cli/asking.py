"""How commands call an engine: one verb of a client or handle, and its answer shown."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from everact.runtime.cli.options import Command, Remote, bad_input
from everact.runtime.cli.output import Output, table
from everact.runtime.cli.unserved import Unserved
from everact.runtime.client.client import Client

H = TypeVar("H")
T = TypeVar("T")


def asked(
    engine: Remote | Unserved,
    verb: Callable[[Client], Awaitable[T]],
    limit: float | None = 60.0,
) -> T:
    """The answer to a verb; Mistake if the client refuses what it was given."""

    async def work(client: Client) -> T:
        with bad_input():
            return await verb(client)

    return engine.call(work, limit=limit)


def listed(
    engine: Remote | Unserved,
    out: Output,
    pages: Callable[[Client], Any],
    key: str,
    columns: Sequence[str],
    row: Callable[[Any], Sequence[Any]],
) -> None:
    """Show a page of what a client lists: a table of rows, or JSON under `key`."""

    async def first(client: Client) -> Any:
        found = pages(client)
        if inspect.isawaitable(found):
            found = await found
        await found.fetch_next_page()
        return found

    page = asked(engine, first)
    lines, following = tuple(page.current_page or ()), page.next_page_token
    shown = table(columns, map(row, lines)) if lines else f"no {key}"
    out.answer({key: lines, "next": following}, shown)
    if following is not None:
        out.note(f"there may be more: add --after {following}")


@dataclass(frozen=True, slots=True)
class Addressed(Generic[H]):
    """What a command is about, and the engine that has it.

    `key` is what its ID is called in answers, `handle` gives a client's handle to it.
    """

    engine: Remote | Unserved
    out: Output
    key: str
    id: str
    handle: Callable[[Client], H]

    def asked(self, verb: Callable[[H], Awaitable[T]], limit: float | None = 60.0) -> T:
        """The answer to a verb of its handle."""
        return asked(self.engine, lambda client: verb(self.handle(client)), limit)

    def do(
        self, verb: Callable[[H], Awaitable[object]], text: str, **done: Any
    ) -> None:
        """Have something done, and say so: in words, or as JSON what is `done`."""
        self.asked(verb)
        self.out.answer({self.key: self.id, **done}, text)


def about(
    where: Callable[[Command], Command],
    handle: Callable[..., Any],
    key: str,
    **names: Callable[[Command], Command],
) -> Callable[[Command], Command]:
    """Let a command take what it is about; it gets that first, as an `Addressed`.

    `names` are the parameters that name it, in the order of the help, and `key` the one
    of them that is its ID; `handle` makes a handle of a client and their values.
    `where` lets it take where the engine is.
    """

    def decorate(function: Command) -> Command:
        own = function.__dict__.pop("__click_params__", [])

        @functools.wraps(function)
        def call(engine: Remote | Unserved, out: Output, **given: Any) -> Any:
            named = {name: given.pop(name) for name in names}
            opened = functools.partial(handle, **named)
            return function(Addressed(engine, out, key, named[key], opened), **given)

        command = where(call)
        command.__click_params__ += own  # type: ignore[attr-defined] # shown before
        for parameter in reversed(names.values()):
            parameter(command)
        return command

    return decorate
