"""Values as JSON text: how they come from, and go to, other processes."""

import inspect
from typing import Any, Final

import msgspec

from everact.runtime.errors import ValueNotStorable
from everact.runtime.values.payloads import LARGEST

JSON_TAG: Final = b"j"
"""The first byte of a payload that is JSON text."""

_encode = msgspec.json.encode


class JsonConverter:
    """Values as JSON text: what a client of a remote engine encodes with.

    Dataclasses, enumerations, datetimes, UUIDs and other types that msgspec knows are
    sent in their JSON form; `decode` gives them back when it is told their type.
    """

    def encode(self, value: Any, what: str = "the value") -> bytes:
        try:
            payload = JSON_TAG + _encode(value)
        except Exception as error:
            raise ValueNotStorable(
                f"{what} has no JSON form, which a remote engine needs: {error}"
            ) from error
        if len(payload) > LARGEST:
            raise ValueNotStorable(
                f"{what} takes {len(payload):,} bytes, more than the {LARGEST:,} that "
                "one value may have; store it elsewhere and pass a reference"
            )
        return payload

    def decode(self, payload: bytes, kind: Any = Any) -> Any:
        """The value; of type `kind`, where one is given and msgspec knows it.

        msgspec.ValidationError if the value does not fit its type.
        """
        if payload[:1] != JSON_TAG:
            raise ValueError(f"payload of unknown encoding {payload[:1]!r}")
        return as_type(msgspec.json.decode(payload[1:]), kind)


def as_type(value: Any, kind: Any) -> Any:
    """A JSON value as an instance of `kind`; as it is if no JSON form of that is known.

    msgspec.ValidationError if it does not fit.
    """
    if kind is Any or kind is inspect.Parameter.empty or kind is None:
        return value
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        raise
    except TypeError:  # an annotation that is no type for msgspec
        return value


def of_type(value: Any, hint: Any) -> Any:
    """`value` as a `hint`: as it is if it is one, or made of its JSON form.

    msgspec.ValidationError if it does not fit.
    """
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    return as_type(value, hint)
