"""Tokens: who may ask what, kept as hashes in an owner-only file beside the database.

A token is shown once, when it is made. It is ``everact_ID_SECRET``: the ID finds its
line in the file, the secret has 256 random bits, and the file holds only the SHA-256
of the whole (a secret that cannot be guessed needs no slow hash). An endpoint looks at
the file at every request, so a new or a revoked token counts from the next one on.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from everact.runtime.core.durations import Duration, seconds
from everact.runtime.errors import SecretFileError
from everact.runtime.operations.access import EVERY_WORKSPACE, Access
from everact.runtime.ownerfile import read_private, write_private
from everact.runtime.store.filelock import FileLock

PREFIX: Final = "everact_"
_FORM: Final = re.compile(PREFIX + r"([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NO_DIGEST: Final = bytes(32).hex()
_LOCK_WAIT: Final = 10.0


class Scope(Enum):
    """What a token is for; `allows` lists what that lets it do."""

    USER = "user"
    RUNNER = "runner"
    ADMIN = "admin"
    TASK = "task"
    """Only of tokens that an engine gives to its own tasks."""

    @property
    def allows(self) -> frozenset[Access]:
        """The kinds of operation that a token of this scope may ask for."""
        return _ALLOWS[self]


_ALLOWS: Final = {
    Scope.USER: frozenset({Access.INFO, Access.READ, Access.WRITE}),
    Scope.RUNNER: frozenset({Access.INFO, Access.READ, Access.WORK}),
    Scope.ADMIN: frozenset(Access),
    Scope.TASK: frozenset({Access.INFO, Access.READ, Access.WRITE, Access.WORK}),
}


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token. Moments are epoch seconds; None is never."""

    id: str
    name: str
    scope: Scope
    workspaces: tuple[str, ...]
    created: float
    expires: float | None = None
    revoked: float | None = None

    def counts(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def reaches(self, workspace: str) -> bool:
        """Whether it may address what belongs to the workspace."""
        return workspace in self.workspaces or EVERY_WORKSPACE in self.workspaces


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    token: Token
    sha256: str


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    tokens: tuple[_Line, ...] = ()


_NOBODY = _File()


class TokenFile:
    """The tokens of one database. Any thread may use it, and several processes.

    Whatever changes it is durable when the call returns. SecretFileError, from every
    method, if the file can be opened by others or is damaged: nothing in it counts.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._seen: tuple[_Stamp | None, dict[str, _Line]] = (None, {})

    @classmethod
    def for_database(cls, database: str | os.PathLike[str]) -> "TokenFile":
        """The file that goes with a database: its name with ``.tokens`` added."""
        return cls(os.fspath(database) + ".tokens")

    def create(
        self,
        name: str,
        *,
        scope: Scope = Scope.USER,
        workspaces: tuple[str, ...] = (),
        expires_in: Duration | None = None,
    ) -> tuple[Token, str]:
        """A new token, and its text: nobody can read that again later.

        Without `workspaces` an administrator reaches all of them, the others the
        workspace "default". A runner works in exactly one. ValueError for a name
        that is empty or taken by a token that is not revoked.
        """
        if scope is Scope.TASK:
            raise ValueError("tokens of tasks are made by their engine, and not kept")
        if not name.strip():
            raise ValueError("a token needs a name, to know it by when it is revoked")
        everything = (EVERY_WORKSPACE,) if scope is Scope.ADMIN else ("default",)
        chosen = tuple(workspaces) or everything
        if scope is Scope.RUNNER and (len(chosen) != 1 or EVERY_WORKSPACE in chosen):
            raise ValueError("a runner's token is for exactly one workspace")
        life = None if expires_in is None else seconds(expires_in, what="expires_in")
        with self._changing() as lines:
            if any(_bears(line, name) for line in lines.values()):
                raise ValueError(f"a token named {name!r} exists: revoke it first")
            now, identifier = self._clock(), secrets.token_hex(6)
            text = f"{PREFIX}{identifier}_{secrets.token_urlsafe(32)}"
            token = Token(
                id=identifier,
                name=name,
                scope=scope,
                workspaces=chosen,
                created=now,
                expires=None if life is None else now + life,
            )
            lines[identifier] = _Line(token=token, sha256=_digest(text))
        return token, text

    def revoke(self, name_or_id: str) -> Token:
        """Let a token no longer count; LookupError if there is none to revoke."""
        with self._changing() as lines:
            for line in lines.values():
                if _bears(line, name_or_id):
                    revoked = replace(line.token, revoked=self._clock())
                    lines[revoked.id] = _Line(token=revoked, sha256=line.sha256)
                    return revoked
            raise LookupError(f"no token {name_or_id!r} is there to revoke")

    def list(self) -> tuple[Token, ...]:
        """Every token ever made, revoked ones too, oldest first; without secrets."""
        return tuple(line.token for line in self._read().values())

    def any(self) -> bool:
        """Whether a token was ever made."""
        return bool(self._read())

    def find(self, presented: str) -> Token | None:
        """The token of that text, if it is one that counts now.

        The time taken tells nothing of a secret: whole digests are compared, in
        constant time, and for an unknown ID too.
        """
        form = _FORM.fullmatch(presented)
        line = self._read().get(form[1] if form else "")
        expected = line.sha256 if line else _NO_DIGEST
        same = hmac.compare_digest(_digest(presented if form else ""), expected)
        if line is None or not same or not line.token.counts(self._clock()):
            return None
        return line.token

    def still_counts(self, token: Token) -> bool:
        """Whether a token that was found before has not been revoked or expired."""
        line = self._read().get(token.id)
        return line is not None and line.token.counts(self._clock())

    def _read(self) -> dict[str, _Line]:
        """By ID, read again whenever the file is not the one that was seen."""
        stamp = _stamp(self.path)
        seen, lines = self._seen
        if stamp != seen:
            lines = {line.token.id: line for line in self._parse().tokens}
            self._seen = (stamp, lines)
        return lines

    def _parse(self) -> _File:
        content = read_private(self.path)
        if content is None:
            return _NOBODY
        try:
            found = msgspec.json.decode(content, type=_File)
        except msgspec.DecodeError as error:
            raise SecretFileError(
                f"{self.path} is damaged, so no token counts: {error}. Restore it from "
                "a backup, or delete it and make new tokens"
            ) from None
        if found.version != 1:
            raise SecretFileError(
                f"{self.path} was written by a newer everact: upgrade everact"
            )
        return found

    @contextmanager
    def _changing(self) -> Iterator[dict[str, _Line]]:
        """The lines, to be changed by this process alone and written on leaving."""
        lock = FileLock(f"{self.path}.lock", str(self.path), _LOCK_WAIT)
        try:
            lines = {line.token.id: line for line in self._parse().tokens}
            yield lines
            content = msgspec.json.encode(_File(tokens=tuple(lines.values())))
            write_private(self.path, msgspec.json.format(content) + b"\n")
        finally:
            lock.release()


_Stamp = tuple[int, int, int, int, int]


def _stamp(path: Path) -> _Stamp | None:
    """What changes with the file; the time of the inode sees a new mode too."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_mode,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _bears(line: _Line, name_or_id: str) -> bool:
    token = line.token
    return token.revoked is None and name_or_id in (token.name, token.id)
