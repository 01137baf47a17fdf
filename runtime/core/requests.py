"""Request IDs: whose they are, and what one names.

Users choose IDs as they like. Those that begin with `RESERVED` are everact's own, so
that they never meet a user's: of the clients, for the retries of one call, and of runs,
for what they ask of each other.
"""

from typing import Final, NamedTuple

import msgspec

RESERVED: Final = "everact:"
AUTOMATIC: Final = RESERVED + "auto:"
"""How the IDs begin that clients make themselves, one for each call."""
OF_RUNS: Final = RESERVED + "run:"
"""How the IDs begin of what one run asks of another."""

KEPT: Final = 24 * 3600.0
"""Seconds that a request ID is remembered, however long runs are kept."""


class RequestName(NamedTuple):
    """What a request ID names: an operation and its target, as `what_of` gives them.

    The values that go with them are not compared: those of the first time count.
    """

    workspace: str
    request_id: str
    what: str = ""


def what_of(operation: str, target: tuple[str, ...]) -> str:
    """An operation and its target as text that tells all apart."""
    return msgspec.json.encode((operation, *target)).decode()


def shown(what: str) -> str:
    """The same for people: ``runs.signal of 'order-1', 'paid'``."""
    operation, *target = msgspec.json.decode(what, type=list[str])
    named = ", ".join(repr(part) for part in target if part)
    return f"{operation} of {named}" if named else operation
