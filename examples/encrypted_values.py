"""Values that only this program can read: compressed, then encrypted, with named keys.

A codec sees every argument, result and message before it is stored, and after it is
read. This one compresses what is large and encrypts everything with AES-GCM. The ID of
the key stands before each value, so that a new key can take over while the values of
the old one are still read. Search attributes, names and IDs are not encrypted: runs are
found by them.

Run it: python -m examples.encrypted_values
"""

import asyncio
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from everact.runtime import Client, Runtime, task, workflow
from everact.runtime.control import Control
from everact.runtime.converters import DataConverter, JsonConverter

NONCE = 12
WORTHWHILE = 200
"""Bytes from which on a value is compressed."""


class Sealed:
    """Encrypts with the key named `current`, decrypts with any of `keys`."""

    name = "sealed"

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    def encode(self, data: bytes) -> bytes:
        """``KEY ID, 0, nonce, ciphertext``; the key ID is authenticated with it."""
        key_id = self._current.encode()
        packed = b"z" + zlib.compress(data) if len(data) > WORTHWHILE else b"-" + data
        nonce = os.urandom(NONCE)
        sealed = self._keys[self._current].encrypt(nonce, packed, key_id)
        return key_id + b"\0" + nonce + sealed

    def decode(self, data: bytes) -> bytes:
        """What was encoded; InvalidTag if it was changed, KeyError for a lost key."""
        key_id, _, rest = data.partition(b"\0")
        key = self._keys[key_id.decode()]
        packed = key.decrypt(rest[:NONCE], rest[NONCE:], key_id)
        return zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:]


@dataclass
class Card:
    """What nobody else is to know."""

    number: str
    holder: str


@task
async def charge(card: Card, cents: int) -> str:
    """Take the money; the receipt names the card."""
    return f"{cents} cents from {card.holder}, card ...{card.number[-4:]}"


@workflow
async def pay(card: Card, cents: int) -> str:
    """One payment."""
    return await charge(card, cents)


def seen(folder: Path, text: str) -> str:
    """Whether a text is in any file of the database."""
    found = any(text.encode() in path.read_bytes() for path in folder.iterdir())
    return "can be read" if found else "cannot be read"


async def main() -> None:
    """Pay twice, with two keys, and look at the database between."""
    old, new = AESGCM.generate_key(256), AESGCM.generate_key(256)
    card = Card("4111 1111 1111 1111", "Ada")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first = DataConverter(JsonConverter(), codec=Sealed({"2025": old}, "2025"))
        async with Runtime(folder / "cards.db", data_converter=first) as runtime:
            print(await runtime.execute(pay, args=[card, 995], id="lunch"))
        print("the number", seen(folder, card.number), "in the database")

        keys = {"2025": old, "2026": new}
        both = DataConverter(JsonConverter(), codec=Sealed(keys, "2026"))
        async with (
            Runtime(folder / "cards.db", data_converter=both) as runtime,
            Control(runtime, "127.0.0.1:0") as control,
        ):
            print("after the new key:", await runtime.handle("lunch").result())
            async with await Client.connect(
                control.address, data_converter=both
            ) as client:
                print("from elsewhere:", await client.execute(pay, args=[card, 100]))
            async with await Client.connect(control.address) as stranger:
                try:
                    await stranger.handle("lunch").result()
                except ValueError as error:
                    print("without the key:", str(error).partition(",")[0])


if __name__ == "__main__":
    asyncio.run(main())
