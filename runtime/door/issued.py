"""Tokens that an endpoint gives to the tasks of its own engine.

They are kept in memory only, reach the workspace of the task's run, and are gone with
the endpoint: nothing of them can be found in a file or be used after a restart.
"""

import hashlib
import hmac
import secrets
from typing import Final

from everact.runtime.door.tokens import Scope, Token

_PREFIX: Final = "everact_task_"


class IssuedTokens:
    """The tokens of one endpoint, one for each workspace that asked for one."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._known: list[tuple[bytes, Token]] = []

    def of(self, workspace: str) -> str:
        """The token for tasks of `workspace`, made on first need."""
        secret = self._secrets.get(workspace)
        if secret is None:
            secret = self._secrets[workspace] = _PREFIX + secrets.token_urlsafe(32)
            token = Token(
                id=f"tasks-of-{workspace}",
                name="the engine's own tasks",
                scope=Scope.TASK,
                workspaces=(workspace,),
                created=0.0,
            )
            self._known.append((_digest(secret), token))
        return secret

    def find(self, presented: str) -> Token | None:
        """The token of that text; whole digests are compared, in constant time."""
        given, found = _digest(presented), None
        for digest, token in self._known:
            if hmac.compare_digest(given, digest):
                found = token
        return found

    def holds(self, token: Token) -> bool:
        """Whether it is one of these."""
        return any(token is known for _, known in self._known)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
