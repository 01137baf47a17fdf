"""Addresses of endpoints, written host:port or [address]:port."""

import re
from typing import NamedTuple

_FORM = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\s/\\?#@:\[\]]+)):(?P<port>[0-9]{1,5})"
)


class Address(NamedTuple):
    """A host and a port; as text as it stands in a URL."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, what: str = "address", *, least: int = 0) -> Address:
    """`text` as an address; ValueError for any other text, and for ports below `least`.

    A URL with a scheme is none.
    """
    if "://" in text:
        raise ValueError(f"{what} must be host:port without a scheme, not {text!r}")
    found = _FORM.fullmatch(text)
    if found is None or not least <= int(found["port"]) < 65536:
        raise ValueError(f"{what} must be host:port, not {text!r}")
    return Address(found["v6"] or found["name"], int(found["port"]))
