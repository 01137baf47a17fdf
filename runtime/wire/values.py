"""User values as JSON: a client's converter, and what an engine shows of its own."""

import inspect
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from everact.runtime.errors import ValueNotStorable
from everact.runtime.values.payloads import LARGEST, Converter
from everact.runtime.wire.shapes import JSON_TAG, Show

T = TypeVar("T")

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


def shown_by(values: Converter) -> Show:
    """How payloads of `values` are shown: as JSON, or else as a marker."""

    def show(payload: bytes) -> Raw:
        if payload[:1] == JSON_TAG:
            return Raw(payload[1:])
        try:
            value = values.decode(payload)
        except Exception as error:
            return Raw(_encode({"$python": "unreadable", "reason": str(error)}))
        try:
            return Raw(_encode(value))
        except Exception:
            kind = type(value)
            name = f"{kind.__module__}.{kind.__qualname__}"
            return Raw(_encode({"$python": name}))

    return show


def sent(payload: bytes) -> Raw:
    """A payload of `JsonConverter` as JSON."""
    if payload[:1] != JSON_TAG:
        raise ValueNotStorable(
            "only JSON values can be sent to a remote engine; this one is encoded "
            f"with tag {payload[:1]!r}"
        )
    return Raw(payload[1:])
