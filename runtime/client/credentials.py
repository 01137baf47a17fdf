"""What this user keeps of each engine: one private file per address, with its token.

A token is sent to the address that it was saved for and to no other.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from everact.runtime.errors import SecretFileError
from everact.runtime.ownerfile import read_private, write_private

TOKEN_VARIABLES: Final = ("EVERACT_TOKEN", "EVERACT_API_KEY")
FOLDER_VARIABLE: Final = "EVERACT_SETTINGS"


class Found(NamedTuple):
    """A token, or None, and where it was found: that may be shown, the token not."""

    token: str | None
    place: str


def find_token(
    address: str, given: str | None = None, *, injected: str | None = None
) -> str | None:
    """The token for the engine at ``host:port``, or None; see `located_token`."""
    return located_token(address, given, injected=injected).token


def located_token(
    address: str, given: str | None = None, *, injected: str | None = None
) -> Found:
    """The token for the engine at ``host:port``, and where it is from.

    In this order: what is `given`, ``EVERACT_TOKEN``, ``EVERACT_API_KEY``, what the
    engine `injected` for a task of its own, what was saved for exactly this address.
    SecretFileError if others can open the saved one.
    """
    if given is not None:
        return Found(given, "api_key")
    for name in TOKEN_VARIABLES:
        if found := os.environ.get(name):
            return Found(found, name)
    if injected is not None:
        return Found(injected, "the engine that runs this task")
    saved = read_settings(address).get("token")
    return Found(saved, str(settings_file(address)) if saved else "")


def save_token(address: str, token: str) -> None:
    """Keep a token for later clients of ``host:port``; durable on return.

    ValueError, nothing saved, for what cannot be sent as a token.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("that is not a token: it is empty, or has spaces in it")
    change_settings(address, {"token": token})


def forget_token(address: str) -> None:
    """Drop the saved token of ``host:port``; harmless if there is none."""
    if "token" in read_settings(address):
        change_settings(address, {"token": None})


def read_settings(address: str) -> dict[str, Any]:
    """Everything that is kept for ``host:port``."""
    path = settings_file(address)
    content = read_private(path)
    if content is None:
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise SecretFileError(
            f"{path} is damaged: {error}. Correct or delete it, and save the token "
            "again"
        ) from None


def change_settings(address: str, changes: Mapping[str, Any]) -> None:
    """Set some of what is kept for ``host:port``, None to drop it; the rest stays."""
    merged = read_settings(address) | dict(changes)
    kept = {name: value for name, value in merged.items() if value is not None}
    path = settings_file(address)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


def settings_file(address: str) -> Path:
    """Where it is kept: ``EVERACT_SETTINGS``, or the user's folder of settings."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        folder = Path(chosen)
    else:
        home = os.environ.get("XDG_CONFIG_HOME")
        folder = (Path(home) if home else Path.home() / ".config") / "everact"
    return folder / "servers" / f"{quote(address.lower(), safe='')}.json"
