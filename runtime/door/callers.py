"""Who asks: the caller whom a bearer token names, and for how long it counts.

A caller is the token that it showed. While none was ever made nobody is asked for one,
and whoever comes may do everything.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import Final, TypeAlias

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.refusals import TokenEnded
from everact.runtime.door.tokens import Scope, Token, TokenFile
from everact.runtime.engine.task_secrets import TaskSecrets
from everact.runtime.errors import EndpointError, RPCError, SecretFileError
from everact.runtime.operations.access import EVERY_WORKSPACE

LOG: Final = logging.getLogger("everact.door")

LOOK_AGAIN_SECONDS: Final = 5.0
"""How long an answer that takes its time, such as a stream, may outlive its token."""

Caller: TypeAlias = Token
"""Who asks."""

NOBODY_ASKED: Final = Token(
    id="",
    name="",
    scope=Scope.ADMIN,
    workspaces=(EVERY_WORKSPACE,),
    created=0.0,
)
"""Who calls while no token is asked for."""


_OF_TASKS: Final = "tasks-of-"
"""How the IDs of those begin: no token in a file has such a one."""

_ALWAYS: Final = nullcontext()


class Callers:
    """The callers of one engine; `tokens` None is a database that can have none.

    `secrets` are those of the engine's own tasks. `authentication` None asks for tokens
    as soon as one was ever made. EndpointError if they are to be asked for where there
    can be none. Nothing is kept of those that were refused.
    """

    def __init__(
        self,
        tokens: TokenFile | None,
        secrets: TaskSecrets | None = None,
        *,
        authentication: bool | None = None,
    ) -> None:
        if authentication and tokens is None:
            raise EndpointError(
                "authentication is on, but a database that is no file has no tokens "
                "beside it: give the endpoint a TokenFile"
            )
        self.secrets = secrets or TaskSecrets()
        self._tokens = tokens
        self._automatic = authentication is None
        self._required = authentication is True

    @property
    def authenticated(self) -> bool:
        """Whether a token is asked for. Once it is, that does not change.

        SecretFileError if the file of tokens cannot be used.
        """
        if self._automatic and not self._required:
            self._required = self._tokens is not None and self._tokens.any()
        return self._required

    def find(self, bearer: str | None) -> Caller:
        """The caller with that token; None is one who shows nothing.

        RPCError: UNAUTHENTICATED for a token that does not count, UNAVAILABLE if
        the file of tokens cannot be used.
        """
        try:
            if not self.authenticated:
                return NOBODY_ASKED
            if bearer and self._tokens is not None:
                found = self._tokens.find(bearer) or self._task(bearer)
                if found is not None:
                    return found
        except (SecretFileError, OSError) as error:
            LOG.warning("no token counts: %s", error)
            raise RPCError(
                "the engine's file of tokens cannot be used; its log tells why",
                RPCStatus.UNAVAILABLE,
            ) from None
        raise RPCError(
            "a valid token is needed"
            if bearer is None
            else "the token is not valid: it is unknown, revoked or expired",
            RPCStatus.UNAUTHENTICATED,
        )

    def while_it_counts(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Cut the block off, with TokenEnded, soon after the token is revoked."""
        return _ALWAYS if caller is NOBODY_ASKED else self._while_it_counts(caller)

    @asynccontextmanager
    async def _while_it_counts(self, caller: Caller) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        scope = asyncio.timeout(None)
        timer: asyncio.TimerHandle

        def look_again() -> None:
            nonlocal timer
            if self._counts(caller):
                timer = loop.call_later(LOOK_AGAIN_SECONDS, look_again)
            else:
                scope.reschedule(loop.time())

        timer = loop.call_later(LOOK_AGAIN_SECONDS, look_again)
        try:
            async with scope:
                yield
        except TimeoutError:
            if scope.expired():
                raise TokenEnded from None
            raise
        finally:
            timer.cancel()

    def _task(self, bearer: str) -> Caller | None:
        """The tasks of a workspace, if it is their secret."""
        workspace = self.secrets.workspace_of(bearer)
        if workspace is None:
            return None
        return Token(
            id=_OF_TASKS + workspace,
            name="the engine's own tasks",
            scope=Scope.TASK,
            workspaces=(workspace,),
            created=0.0,
        )

    def _counts(self, caller: Caller) -> bool:
        try:
            return (
                self._tokens is None
                or caller.id.startswith(_OF_TASKS)
                or self._tokens.still_counts(caller)
            )
        except (SecretFileError, OSError):
            return False
