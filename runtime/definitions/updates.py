"""`@workflow.update`: messages with an answer, and the validators that let them in."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

P = ParamSpec("P")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


class UpdateMethod(Generic[P, T_co, R_co]):
    """A method marked `@workflow.update`; called in workflow code it is that method.

    `T_co` is what a call of it gives, `R_co` the answer that a client gets.
    """

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[Concatenate[Any, P], T_co]) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.function: Callable[..., Any] = function
        self.check: Callable[..., Any] | None = None

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self, instance: object, owner: type | None = None, /
    ) -> Callable[P, T_co]: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def validator(
        self, check: Callable[Concatenate[S, P], None]
    ) -> Callable[Concatenate[S, P], None]:
        """Mark a method that sees the arguments first and raises to refuse them.

        It is like a query: not async, and it must change nothing.
        """
        self.check = check
        return check

    def __repr__(self) -> str:
        return f"<update {self.__qualname__}>"
