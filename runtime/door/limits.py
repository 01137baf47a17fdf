"""How large a request may be, and how long its caller may wait for the answer."""

from typing import Final

from everact.runtime.core.bounds import LONGEST_WAIT
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError

LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request, unless a front is set to another limit."""


def too_large(limit: int) -> RPCError:
    """The refusal of a request of more than `limit` bytes: none reads more."""
    text = f"the body is larger than {limit} bytes"
    return RPCError(text, RPCStatus.INVALID_ARGUMENT)


def check_wait(wait: float) -> None:
    """RPCError INVALID_ARGUMENT for a wait that is longer than LONGEST_WAIT."""
    if not 0 <= wait <= LONGEST_WAIT:  # NaN is not either
        raise RPCError(
            f"a wait must be 0 to {LONGEST_WAIT:g} seconds, not {wait!r}",
            RPCStatus.INVALID_ARGUMENT,
        )
