"""Keywords are closed: what nobody knows is refused by name, with the nearest known."""

from collections.abc import Iterable
from difflib import get_close_matches


def closed(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """TypeError if anything of `given` is not known to `what`."""
    known = sorted(known)
    unknown = sorted(set(given).difference(known))
    if unknown:
        named = ", ".join(_named(name, known) for name in unknown)
        raise TypeError(f"unknown options of {what}: {named}")


def _named(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, 1)
    return f"{name} (did you mean {nearest[0]}?)" if nearest else name
