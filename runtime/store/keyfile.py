"""The key of a database: a file beside it that is its owner's, or EVERACT_KEY.

The database knows its key by an ID, which does not give it away. It has one of two
forms: the first was written by versions whose user events carried no code. Nobody
without the key can make one form of the other, so a database cannot be dressed up as
an earlier one to have events of a stranger signed.
"""

import hashlib
import os
import secrets
from pathlib import Path

from everact.runtime.errors import SecretFileError, StoreKeyError
from everact.runtime.ownerfile import read_private, write_private

_KEY_BYTES = 32
_FEWEST_BYTES = 16


def key_id(key: bytes) -> str:
    """A short public name of a key."""
    return _digest(key, b"everact key id 2")


def first_key_id(key: bytes) -> str:
    """What it was called where user events carry no code yet."""
    return _digest(key, b"everact key id")


def knows(key: bytes, known: str | None) -> bool:
    """Whether `known` is what a database calls this key."""
    return known in (key_id(key), first_key_id(key))


def key_file(database: str) -> Path:
    """Where the key of a database is, unless the environment gives one."""
    return Path(database + ".key")


def read_key(database: str | None) -> tuple[bytes | None, str]:
    """The key of a database and where it was found; None if there is none.

    StoreKeyError if others than its owner can open the file, or if it holds no key.
    A database in memory (None) has none but that of the environment.
    """
    given = os.environ.get("EVERACT_KEY")
    if given:
        text, source = given, "EVERACT_KEY"
    elif database is not None:
        source = str(key_file(database))
        try:
            content = read_private(key_file(database))
        except (SecretFileError, OSError) as error:
            raise StoreKeyError(
                f"the key of {database} is not used: {error}"
            ) from error
        if content is None:
            return None, source
        text = content.decode("ascii", errors="replace")
    else:
        return None, ""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < _FEWEST_BYTES:
        raise StoreKeyError(f"{source} does not hold a key: 64 hex digits are one")
    return key, source


def make_key(database: str | None) -> bytes:
    """A new key; in the file beside the database, durably, when this returns."""
    key = secrets.token_bytes(_KEY_BYTES)
    if database is not None:
        write_private(key_file(database), f"{key.hex()}\n".encode("ascii"))
    return key


def check_key(database: str, key: bytes | None, source: str, known: str) -> bytes:
    """The key; StoreKeyError if it is lost or is not the one called `known`."""
    if key is None:
        raise StoreKeyError(
            f"the key of {database} is lost: {key_file(database)} is not there and "
            "EVERACT_KEY is not set. Restore the key file from a backup; without "
            "it nothing in the database can be trusted."
        )
    if not knows(key, known):
        raise StoreKeyError(
            f"the key in {source} (ID {key_id(key)}) is not the one that "
            f"{database} was written with (ID {known}). Use the right key file."
        )
    return key


def _digest(key: bytes, person: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=person).hexdigest()
