"""User values on the wire: what an engine shows of its own, and what a client sends."""

import msgspec
from msgspec import Raw

from everact.runtime.errors import ValueNotStorable
from everact.runtime.values.json_payloads import JSON_TAG
from everact.runtime.values.payloads import Converter
from everact.runtime.wire.shapes import Show

_encode = msgspec.json.encode


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
