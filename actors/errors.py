"""Errors of the actor layer, and the root of every error of the project.

The docstring of an error class is its default message: raise a class without
arguments when there is nothing more exact to say. All of them can be pickled.
"""

from __future__ import annotations

import inspect

import pykka

__all__ = [
    "ActorDeadError",
    "ActorError",
    "AskTimeout",
    "BlockingCallError",
    "EveractError",
    "MailboxFull",
    "NameTakenError",
    "RestartIntensityExceeded",
    "SystemStoppedError",
    "WrongThreadError",
]


class EveractError(Exception):
    """Something went wrong in everact."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or (inspect.getdoc(type(self)),)))


class ActorError(EveractError):
    """An actor or its system could not do what was asked."""


class ActorDeadError(ActorError, pykka.ActorDeadError):
    """The actor has stopped: it takes no messages and gives no answers."""


class MailboxFull(ActorError):
    """The actor's bounded mailbox is full: the message was not accepted."""


class AskTimeout(ActorError, pykka.Timeout):
    """No answer came within the time allowed; the message may still be handled."""


class BlockingCallError(ActorError):
    """This call would block the event loop that has to answer it: await it instead."""


class WrongThreadError(ActorError):
    """This call belongs on the thread of the actor system's event loop."""


class SystemStoppedError(ActorError):
    """The actor system is not running: it has not been entered, or it has stopped."""


class NameTakenError(ActorError):
    """Another live actor of the system has this name."""


class RestartIntensityExceeded(ActorError):
    """Children failed more often than the supervisor may restart them."""
