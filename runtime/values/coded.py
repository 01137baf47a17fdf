"""Coded payloads: what a codec made of a value, and the header that names the codec.

A coded payload is a tag byte, the length of the codec's name, the name, and the bytes
that the codec made. One that came over the network has a tag of its own: whoever
undoes the coding must not load what is inside unless that is harmless.
"""

from typing import Final, NamedTuple

OWN: Final = 0x80
FOREIGN: Final = 0x81


class Coded(NamedTuple):
    """A coded payload, taken apart."""

    codec: str
    body: bytes
    foreign: bool = False

    @property
    def payload(self) -> bytes:
        """The payload that this is."""
        name = self.codec.encode()
        return bytes((FOREIGN if self.foreign else OWN, len(name))) + name + self.body


def coded(payload: bytes) -> Coded | None:
    """What a coded payload consists of; None for any other."""
    if len(payload) < 2 or payload[0] not in (OWN, FOREIGN):
        return None
    begin = 2 + payload[1]
    name = payload[2:begin].decode("ascii", "replace")
    return Coded(name, payload[begin:], payload[0] == FOREIGN)
