"""Keywords are closed: what nobody knows is refused by name, with the nearest known."""

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def closed(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """TypeError if anything of `given` is not known to `what`."""
    unknown = set(given).difference(known)
    if unknown:
        named = ", ".join(_named(name, sorted(known)) for name in sorted(unknown))
        raise TypeError(f"unknown options of {what}: {named}")


def suggesting(target: F) -> F:
    """A function or class of few keywords, which tells the nearest of an unknown one.

    Python refuses it too, and does not say what was meant.
    """
    own: Any = target
    function = own.__init__ if isinstance(target, type) else own
    parameters = list(inspect.signature(function).parameters.values())
    known = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
    what = target.__name__

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not known.issuperset(kwargs):
            closed(kwargs, known - {"self"}, what)
        return function(*args, **kwargs)

    if isinstance(target, type):
        own.__init__ = checked
        return target
    return cast(F, checked)


def _named(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, 1)
    return f"{name} (did you mean {nearest[0]}?)" if nearest else name
