"""Whether arguments fit a function, and what types they are for."""

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import is_dataclass
from functools import partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from msgspec import Struct


class Signature:
    """The parameters of a task or workflow as its callers see them.

    `injected` is the name of the parameter that the engine fills, if any; `bound`
    leaves out the first parameter (self). A call without keywords fits if it has
    `fewest` to `most` arguments.
    """

    __slots__ = (
        "_function",
        "_hints",
        "_models",
        "_others",
        "_place",
        "_signature",
        "fewest",
        "injected",
        "most",
    )

    def __init__(
        self, function: Callable[..., Any], *, bound: bool = False, inject: Any = None
    ) -> None:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1 if bound else 0 :]
        self.injected: str | None = None
        if inject is not None:
            names = (inject.__name__, f"{inject.__module__}.{inject.__name__}")
            for parameter in parameters:
                if parameter.annotation is inject or parameter.annotation in names:
                    self.injected = parameter.name
        shown = [p for p in parameters if p.name != self.injected]
        self._place = _place(parameters, self.injected)
        self._signature = signature.replace(parameters=shown)
        self._function = function
        self._hints: dict[str, Any] | None = None
        self._models: dict[str, Models] | None = None
        self._others = next((p.name for p in shown if p.kind is p.VAR_KEYWORD), "")
        self.fewest, self.most = _limits(shown)

    def __str__(self) -> str:
        return str(self._signature)

    @property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters that callers fill."""
        return tuple(self._signature.parameters.values())

    def inject(
        self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments together with `value` for the injected parameter, if any."""
        if self.injected is None:
            return args, kwargs
        if self._place <= len(args):
            return (*args[: self._place], value, *args[self._place :]), kwargs
        return args, {**kwargs, self.injected: value}

    def named(self, count: int) -> list[str]:
        """The parameters that `count` positional arguments are for, in order.

        Empty names are of arguments that do not fit.
        """
        places: list[str] = []
        rest = ""
        for parameter in self.parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                rest = parameter.name
            elif parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                places.append(parameter.name)
        return (places + [rest] * count)[:count]

    def hint(self, name: str) -> Any:
        """The type of the arguments of that name; `Any` if nothing tells it."""
        hints = self._evaluated()
        known = name in hints or name in self._signature.parameters
        return hints.get(name if known or not name else self._others, Any)

    @property
    def models(self) -> "dict[str, Models]":
        """The parameters that take dataclasses, structs or models of pydantic."""
        if self._models is None:
            names = {*self._signature.parameters, *self._evaluated()} - {"return"}
            found = {name: models_of(self.hint(name)) for name in names}
            self._models = {k: v for k, v in found.items() if v is not None}
        return self._models

    @property
    def returned(self) -> Any:
        """The type of what the function returns; `Any` if nothing tells it."""
        kind = self._evaluated().get("return", Any)
        return Any if kind is type(None) else kind

    def _evaluated(self) -> dict[str, Any]:
        if self._hints is None:
            self._hints = type_hints(self._function)
        return self._hints

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> None:
        """Raise TypeError, naming the target, if the arguments do not fit."""
        if not kwargs and self.fewest <= len(args) <= self.most:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}{self._signature}: {error}") from None


Look = Callable[[Any], bool]


class Models(NamedTuple):
    """What a type hint names: classes whose values are checked, or containers of them.

    `takes` tells whether a value is of them: no more than a look at its class, in a
    list, tuple, set or dictionary at that of each value.
    """

    hint: Any
    takes: Look


def models_of(hint: Any) -> Models | None:
    """The models that a type hint names; None if it names anything else."""
    look = _look(hint)
    return None if look is None else Models(hint, look)


def _look(hint: Any) -> Look | None:
    origin = get_origin(hint)
    given = get_args(hint)
    if origin is Annotated:
        return _look(given[0])
    if origin in (Union, UnionType):
        looks = [_look(one) for one in given if one is not NoneType]
        return None if None in looks else _either(looks, NoneType in given)
    if isinstance(origin, type):
        if issubclass(origin, Mapping):
            return _within(given[-1], (dict,), dict.values)
        if issubclass(origin, Collection) and len({*given} - {...}) == 1:
            return _within(given[0], (list, tuple, set, frozenset), iter)
        return None
    return partial(_of_class, hint) if _is_model(hint) else None


def _of_class(model: type, value: Any) -> bool:
    return issubclass(type(value), model)


def _either(looks: list[Any], optional: bool) -> Look:
    return lambda value: (
        any(look(value) for look in looks) or (value is None and optional)
    )


def _within(
    hint: Any, kinds: tuple[type, ...], values: Callable[[Any], Iterable[Any]]
) -> Look | None:
    look = _look(hint)
    if look is None:
        return None

    def takes(value: Any) -> bool:
        if type(value) in kinds:
            return all(map(look, values(value)))
        return type(value) not in PLAIN  # a class of the author's own: their affair

    return takes


PLAIN = (NoneType, bool, int, float, str, bytes, list, tuple, set, frozenset, dict)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and (
        is_dataclass(kind)
        or issubclass(kind, Struct)
        or callable(getattr(kind, "model_validate", None))
    )


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function; none where they cannot be evaluated."""
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception:
        return {}


def _place(parameters: list[inspect.Parameter], name: str | None) -> int:
    """How many positional arguments come before parameter `name`."""
    for place, parameter in enumerate(parameters):
        if parameter.name == name and parameter.kind is not parameter.KEYWORD_ONLY:
            return place
    return sys.maxsize


def _limits(parameters: list[inspect.Parameter]) -> tuple[int, float]:
    smallest, largest = 0, 0.0
    for parameter in parameters:
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            largest = float("inf")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if required:
                return 1, 0  # never by count alone
        elif parameter.kind is not parameter.VAR_KEYWORD:
            largest += 1
            smallest += required
    return smallest, largest
