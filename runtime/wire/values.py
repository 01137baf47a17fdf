"""User values on the wire: what an engine shows of its own, and what a client sends."""

import msgspec
from msgspec import Raw

from everact.runtime.errors import ValueNotStorable
from everact.runtime.isolation import class_name, read, text_of
from everact.runtime.values.coded import Coded, coded
from everact.runtime.values.converter import DataConverter
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.payloads import JSON_TAG
from everact.runtime.wire.markers import marker
from everact.runtime.wire.shapes import Show

_encode = msgspec.json.encode
_strict = JsonConverter()


def shown_by(values: DataConverter) -> Show:
    """How payloads of `values` are shown: as JSON, or else as a marker.

    What a codec made is shown as the codec makes it, of JSON: only those who have the
    codec see the value.
    """

    def show(payload: bytes) -> Raw:
        if payload[:1] == JSON_TAG:
            return Raw(payload[1:])
        found = coded(payload)
        if found is not None:
            return marker(found if found.foreign else _as_json(values, found))
        try:
            value = values.decode(payload)
        except Exception as error:
            return _unreadable(error)
        return _shown(value)

    return show


def _as_json(values: DataConverter, found: Coded) -> Coded:
    """What the engine coded with JSON inside it; as it is if it cannot be read here."""
    payload = found.payload
    if not values.reads(payload):
        return found
    try:
        inside = values.unwrap(payload)
        if inside[:1] == JSON_TAG:
            return found
        shown = _shown(values.decode(payload))
        again = coded(values.wrap(JSON_TAG + bytes(shown), "a value"))
    except Exception:
        return found
    assert again is not None
    return again


def _shown(value: object) -> Raw:
    try:
        return Raw(_strict.encode(value)[1:])
    except Exception:
        kind, name = type(value), class_name(value)
        place = read(lambda: f"{kind.__module__}.{name}", name)
        return Raw(_encode({"$python": place}))


def _unreadable(error: Exception) -> Raw:
    return Raw(_encode({"$python": "unreadable", "reason": text_of(error)}))


def sent(payload: bytes) -> Raw:
    """A payload of a client as JSON, or as the marker of what its codec made."""
    found = coded(payload)
    if found is not None:
        return marker(found)
    if payload[:1] != JSON_TAG:
        raise ValueNotStorable(
            "only JSON values can be sent to a remote engine; this one is encoded "
            f"with tag {payload[:1]!r}"
        )
    return Raw(payload[1:])
