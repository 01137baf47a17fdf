"""How a payload that a codec made travels in JSON.

It is ``{"$encoded": name, "data": base64}`` in place of the value: who has the codec of
that name reads it, everybody else hands it on. What comes in that way is marked as
foreign, so that a pickle inside it is never loaded.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from everact.runtime.values.coded import Coded
from everact.runtime.values.payloads import JSON_TAG


class _Encoded(msgspec.Struct, forbid_unknown_fields=True):
    codec: Annotated[str, Meta(pattern="^[ -~]{1,64}$")] = msgspec.field(
        name="$encoded"
    )
    data: bytes


_decode = msgspec.json.Decoder(_Encoded).decode


def marker(found: Coded) -> Raw:
    """A coded payload as JSON."""
    return Raw(msgspec.json.encode(_Encoded(found.codec, found.body)))


def received(found: Raw) -> bytes:
    """JSON as a payload: a coded one if it is a marker, plain JSON otherwise."""
    text = bytes(found)
    if b'"$encoded"' in text:
        try:
            read = _decode(text)
        except msgspec.DecodeError:  # a value that only looks like it
            return JSON_TAG + text
        return Coded(read.codec, read.data, foreign=True).payload
    return JSON_TAG + text
