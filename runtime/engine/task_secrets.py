"""The secrets by which the tasks of an engine show themselves at its fronts.

One for each workspace whose tasks asked for one; it reaches that workspace. All fronts
of an engine know them. They are kept in memory only and are gone with the endpoint that
tasks were told of: nothing of them is in a file, or of use after a restart.
"""

import hashlib
import hmac
import secrets
from typing import Final

_PREFIX: Final = "everact_task_"


class TaskSecrets:
    """Those of one engine."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._known: list[tuple[bytes, str]] = []

    def of(self, workspace: str) -> str:
        """The secret of tasks of `workspace`, made on first need."""
        secret = self._secrets.get(workspace)
        if secret is None:
            secret = self._secrets[workspace] = _PREFIX + secrets.token_urlsafe(32)
            self._known.append((_digest(secret), workspace))
        return secret

    def forget(self) -> None:
        """None that was given counts any more."""
        self._secrets.clear()
        self._known.clear()

    def workspace_of(self, presented: str) -> str | None:
        """The workspace that a secret is of; whole digests are compared, in constant
        time.
        """
        given, found = _digest(presented), None
        for digest, workspace in self._known:
            if hmac.compare_digest(given, digest):
                found = workspace
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
