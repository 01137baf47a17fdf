"""The port between a run and the code that it drives.

A program turns what the run is shown into commands. It knows nothing of storage,
clocks or other runs; the run knows nothing of coroutines.

What a program was is brought back in one of two ways. One that replays is shown again
all that it was shown. One that saves says what it is by `SaveState` among its commands,
loads that, and is shown what came since.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from everact.runtime.core.records import Command, Event, Transition, UpdateAccepted
from everact.runtime.definitions.workflows import WorkflowDefinition
from everact.runtime.isolation import Exited, contained

Replay: TypeAlias = Iterable[Transition]
"""Rows of what was shown and answered, oldest first."""


class StateChanged(Exception):
    """Code that may only look has changed what it looked at."""


class TookTooLong(Exception):
    """What was to be waited for did not come in time."""


class Later:
    """What a program answers later: `wait` gives it, or raises.

    It is waited for outside the program, which is shown what comes meanwhile, and may
    even be closed: `wait` has been given all that it needs of the state it speaks of,
    and changes nothing.
    """

    __slots__ = ("wait",)

    def __init__(self, wait: Callable[[], Awaitable[Any]]) -> None:
        self.wait = wait

    async def within(self, limit: float) -> Any:
        """What `wait` gives; TookTooLong after `limit` seconds.

        What would end the loop comes as `Exited`.
        """
        waiting = asyncio.timeout(limit)
        try:
            async with waiting:
                return await self.wait()
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise TookTooLong(f"there is no answer within {limit:g} s") from error
        except (SystemExit, KeyboardInterrupt) as error:
            raise Exited(contained(error)) from error


class Query(NamedTuple):
    """A question to a run."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    headers: dict[str, str]


class Program(Protocol):
    """One run's code, in memory."""

    @property
    def definition(self) -> WorkflowDefinition:
        """What it was made from, which knows its kind."""

    @property
    def stuck(self) -> str | None:
        """Where the code waits for something that cannot come; None if it does not."""

    @property
    def finished(self) -> bool:
        """Whether the code has ended and left no clean-up to `close`."""

    def activate(self, events: tuple[Event, ...], now: float) -> list[Command] | None:
        """Show events and run until the code waits; None if it still wants to run."""

    def resume(self) -> list[Command] | None:
        """Go on after an `activate` or `resume` that gave None."""

    def replay(self, script: Replay) -> None:
        """Be shown again what was recorded; NonDeterminismError if commands differ."""

    def query(self, query: Query) -> Any:
        """Answer a question from the present state; QueryFailed if that cannot be.

        Or a `Later`, whose answer counts if it comes within the run's `task_timeout`.
        """

    def takes(self, update: str) -> bool:
        """Whether the code says without having run that it takes updates `update`."""

    def validate(self, event: UpdateAccepted) -> Later | None:
        """Let an update in, or raise what it is refused with; nothing is recorded.

        A `Later` that ends well lets it in, if it ends within the `task_timeout` and
        the run is as it was; else `validate` is called again. After a ReadOnlyError
        the program is to be made anew.
        """

    def where(self) -> str:
        """The file and line at which the code waits, for people."""

    def close(self) -> None:
        """Drop the code; clean-up blocks run, and what they ask for is refused."""


@runtime_checkable
class Saving(Program, Protocol):
    """The program of a kind that saves."""

    def save(self) -> bytes | None:
        """All that it is, as a payload; None while that is only in the script."""

    def load(self, state: bytes) -> None:
        """Be what `save` gave, before anything is shown; any error puts it aside."""
