"""What is said in place of an answer, whichever front says it.

Every refusal is an error of `everact.runtime.errors` with a status; a front has its own
form for the two that are none: "not yet", and that the caller's token has ended.
"""

import logging
from typing import Final

import msgspec

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import RPCError
from everact.runtime.isolation import contained, log

MALFORMED: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises for a body that is not what was asked for."""


class NotYet(Exception):
    """There is no answer yet; the same request may be sent again at once."""


class TokenEnded(RPCError):
    """The token of the caller was revoked, or expired, while it was answered."""

    def __init__(self) -> None:
        super().__init__("the token no longer counts", RPCStatus.UNAUTHENTICATED)


def malformed(error: BaseException, asked: str) -> RPCError:
    """The refusal of a body; `asked` is how the front calls what it was sent to."""
    text = f"{asked}: {error or 'the JSON is nested too deeply'}"
    return RPCError(text, RPCStatus.INVALID_ARGUMENT)


def fault_of_ours(error: BaseException, asked: str, logger: logging.Logger) -> RPCError:
    """What a caller is told of an error that is not its own: the log has the rest."""
    log(logger, logging.ERROR, contained(error), "%s failed", asked)
    text = "an error inside the engine; its log tells more"
    return RPCError(text, RPCStatus.INTERNAL)
