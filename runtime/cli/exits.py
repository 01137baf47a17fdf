"""Exit codes: the one table of what the command says to the program that called it."""

from enum import IntEnum
from typing import Final

import click

from everact.runtime.control import standing_in
from everact.runtime.core.statuses import RPCStatus
from everact.runtime.errors import (
    ContinuedAsNew,
    EndpointError,
    EveractError,
    SecretFileError,
    StoreError,
    StoreFull,
    UpdateFailed,
    UpdateTimedOutOrCancelled,
    WorkflowFailure,
)
from everact.runtime.wire import status_of


class Exit(IntEnum):
    """How a command ended. The values are part of the interface."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    REFUSED = 5
    NOT_ALLOWED = 6
    NOT_YET = 7
    SETUP = 8
    BLOCKED = standing_in.EXIT_CODE
    FAULT = 70
    INTERRUPTED = 130


MEANING: Final = {
    Exit.OK: "done",
    Exit.FAILED: "the run or update did not succeed, or `doctor` found a problem",
    Exit.USAGE: "the command line, an argument or a module is wrong",
    Exit.UNREACHABLE: "no engine answers at the address",
    Exit.NOT_FOUND: "there is no such run, workflow, actor or token",
    Exit.REFUSED: "the engine refused: a conflict, a state, an argument",
    Exit.NOT_ALLOWED: "the token is missing, unknown or not enough",
    Exit.NOT_YET: "the time to wait is over; the run goes on",
    Exit.SETUP: "a database, port or file of secrets cannot be used",
    Exit.BLOCKED: "an engine ended that workflow code blocked beyond interruption",
    Exit.FAULT: "a fault of everact itself",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}

_BY_CLASS: Final[dict[type[BaseException], Exit]] = {
    WorkflowFailure: Exit.FAILED,
    ContinuedAsNew: Exit.FAILED,
    UpdateFailed: Exit.FAILED,
    UpdateTimedOutOrCancelled: Exit.NOT_YET,
    StoreFull: Exit.REFUSED,
    StoreError: Exit.SETUP,
    EndpointError: Exit.SETUP,
    SecretFileError: Exit.SETUP,
}
"""By class, the nearest ancestor first; what is not named goes by its status."""

_BY_STATUS: Final = {
    RPCStatus.NOT_FOUND: Exit.NOT_FOUND,
    RPCStatus.UNAUTHENTICATED: Exit.NOT_ALLOWED,
    RPCStatus.PERMISSION_DENIED: Exit.NOT_ALLOWED,
    RPCStatus.DEADLINE_EXCEEDED: Exit.NOT_YET,
    RPCStatus.UNAVAILABLE: Exit.UNREACHABLE,
    RPCStatus.UNKNOWN: Exit.FAULT,
    RPCStatus.INTERNAL: Exit.FAULT,
}


class Mistake(click.ClickException):
    """What was given cannot be meant; `--help` would not tell more."""

    exit_code = Exit.USAGE


class NotFound(click.ClickException):
    """Something of this machine, such as a token, is not there."""

    exit_code = Exit.NOT_FOUND


class NotYet(click.ClickException):
    """The time to wait is over."""

    exit_code = Exit.NOT_YET


class Taken(click.ClickException):
    """Another process has the database."""

    exit_code = Exit.SETUP


def exit_of(error: BaseException) -> Exit:
    """The exit code that tells of an error."""
    if isinstance(error, click.ClickException):
        return Exit(error.exit_code)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Exit.INTERRUPTED
    for kind in type(error).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind]
    if isinstance(error, EveractError):
        return _BY_STATUS.get(status_of(error), Exit.REFUSED)
    return Exit.FAULT
