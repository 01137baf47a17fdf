"""Exceptions and values that do harm to whoever looks at them.

What tests of isolation raise, return and hide, by name: in `features`, in the corpus of
the simulator, and in processes of their own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

from everact.runtime import ApplicationError


class Lying(Exception):
    """Says by its `__class__` that it is something else."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return asyncio.CancelledError


class Exiting(Exception):
    """Exits whenever anybody looks at what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        sys.exit(11)


class Mute(Exception):
    def __str__(self) -> str:  # noqa: PLE0307
        sys.exit(12)

    __repr__ = __str__


class Interrupting(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class Patient(Exception):
    @property
    def retry_after(self) -> float:
        sys.exit(13)


class Reduced(Exception):
    def __reduce__(self) -> Any:
        sys.exit(14)


class Loaded(Exception):
    """Exits when it is read back."""

    def __reduce__(self) -> Any:
        return sys.exit, (15,)


class Noted(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        sys.exit(16)


class Caused(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        sys.exit(17)

    __context__ = __traceback__ = __suppress_context__ = __cause__


class Told(ApplicationError):
    """One of ours, whose parts exit."""

    @property
    def details(self) -> Any:
        sys.exit(18)

    @details.setter
    def details(self, _: Any) -> None:
        return

    @property
    def non_retryable(self) -> Any:
        sys.exit(19)

    @non_retryable.setter
    def non_retryable(self, _: Any) -> None:
        return


class Endless(Exception):
    """Pickles as a list that has no end."""

    def __reduce__(self) -> Any:
        def more() -> Iterator[str]:
            while True:
                yield "more and more" * 1000

        return list, (), None, more()


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        sys.exit(20)


class Unnamed(Exception, metaclass=Meta):
    pass


def circle() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def nested() -> BaseException:
    group: Exception = ValueError("innermost")
    for _ in range(5000):
        group = ExceptionGroup("deep", [group])
    return group


def recursing() -> BaseException:
    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    try:
        deeper(0)
    except RecursionError as error:
        return error
    raise AssertionError


class Touchy:
    def __bool__(self) -> bool:  # noqa: PLE0304
        sys.exit(21)

    __eq__ = __hash__ = __repr__ = __bool__  # type: ignore[assignment]


ERRORS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("typed by nobody"),
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "MemoryError": MemoryError,
    "RecursionError": recursing,
    "BaseException": lambda: BaseException("base"),
    "Lying": Lying,
    "Exiting": Exiting,
    "Mute": Mute,
    "Interrupting": Interrupting,
    "Patient": Patient,
    "Reduced": Reduced,
    "Loaded": Loaded,
    "Noted": Noted,
    "Caused": Caused,
    "Told": Told,
    "Endless": Endless,
    "Unnamed": Unnamed,
    "circle": circle,
    "nested": nested,
    "argument": lambda: KeyError(Touchy()),
    "long": lambda: ValueError("x" * 3_000_000),
    "group": lambda: BaseExceptionGroup("group", [SystemExit(1), Mute()]),
    "cancelled": lambda: asyncio.CancelledError(Touchy()),
}


class Unpickled:
    """Exits when it is read back."""

    def __reduce__(self) -> Any:
        return sys.exit, (22,)


class Unpicklable:
    """Exits when it is to be stored."""

    def __reduce__(self) -> Any:
        sys.exit(23)


class Masked:
    """Exits when its class is asked for."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        sys.exit(24)


class Numberless(dict[str, Any]):
    """Exits when it is compared, shown or asked whether there is anything in it."""

    def __eq__(self, other: object) -> bool:
        sys.exit(25)

    __hash__ = None
    __len__ = __iter__ = __repr__ = __eq__  # type: ignore[assignment]


def error(name: str) -> BaseException:
    """The hostile exception of that name, made anew."""
    return ERRORS[name]()


def value(name: str) -> Any:
    """The hostile value of that name, made anew."""
    return VALUES[name]()


VALUES: dict[str, Callable[[], Any]] = {
    "Unpickled": Unpickled,
    "Unpicklable": Unpicklable,
    "Masked": Masked,
    "Touchy": Touchy,
    "Numberless": Numberless,
    "Endless": Endless,
    "Exiting": Exiting,
    "Unnamed": Unnamed,
}
