"""Run IDs: UUIDs of version 7, whose order is that of their making.

Rows that are made together lie together in the database's indexes. Version 7 of
RFC 9562: 48 bits of milliseconds, then random bits.
"""

import random
from collections.abc import Callable


def make_ids(now: Callable[[], float], generator: random.Random) -> Callable[[], str]:
    """A function that makes new IDs by a clock (epoch seconds) and a generator."""
    bits = generator.getrandbits

    def new_id() -> str:
        value = (int(now() * 1000) & 0xFFFFFFFFFFFF) << 80 | bits(80)
        value = value & ~(0xF000 << 64) | 0x7000 << 64
        value = value & ~(0xC000 << 48) | 0x8000 << 48
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return new_id
