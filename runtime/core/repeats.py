"""Large values that a row holds more than once are written once.

A value often stands in a row twice: as the input of a run and of the task that it is
given to, as the result of a task and of the run. Such a row says from where in itself
a later copy is taken. It is still sealed and read whole; only `records` knows.
"""

from collections.abc import Iterator

import msgspec

from everact.runtime.core.opaque import byte_strings

LARGE = 4 * 1024
"""Bytes of a value from which a copy of it is worth looking for."""


class Shortened(msgspec.Struct, frozen=True, array_like=True):
    """A text without its copies: `(at, source, size)` in the whole, by place."""

    copies: tuple[tuple[int, int, int], ...]
    rest: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Shortened)


def shorten(whole: bytes, record: msgspec.Struct) -> bytes | None:
    """`whole`, the encoded `record`, with each large value once; None if each is."""
    copies, rest, end = [], [], 0
    found = sorted(_copies(whole, record), key=lambda copy: (copy[0], -copy[2]))
    for at, source, size in found:
        if at >= end:  # else it lies in a copy that was taken out with it
            rest.append(whole[end:at])
            copies.append((at, source, size))
            end = at + size
    if not copies:
        return None
    rest.append(whole[end:])
    return _encoder.encode(Shortened(tuple(copies), b"".join(rest)))


def restore(short: memoryview) -> bytes:
    """The whole that `short` was made of; msgspec.ValidationError if it is of none."""
    found = _decoder.decode(short)
    whole, taken = bytearray(), 0
    for at, source, size in found.copies:
        literal = at - len(whole)
        whole += found.rest[taken : taken + literal]
        taken += literal
        if literal < 0 or len(whole) != at or not 0 <= source <= at - size:
            raise msgspec.ValidationError("a row takes a copy from where nothing is")
        whole += whole[source : source + size]
    return bytes(whole + found.rest[taken:])


def _copies(whole: bytes, record: msgspec.Struct) -> Iterator[tuple[int, int, int]]:
    plain = msgspec.to_builtins(record, builtin_types=(bytes,))
    for value in {v for v in byte_strings(plain) if len(v) >= LARGE}:
        source = whole.find(value)
        at = whole.find(value, source + len(value))
        while source >= 0 and at >= 0:
            yield at, source, len(value)
            at = whole.find(value, at + len(value))
