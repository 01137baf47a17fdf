"""Values as JSON text: how they come from, and go to, other processes."""

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from everact.runtime.errors import ValueNotStorable
from everact.runtime.isolation import contained, is_a, name_of, shown, text_of
from everact.runtime.values.guarded import guarded
from everact.runtime.values.payloads import (
    BYTES_TAG,
    Converter,
    checked_size,
    not_readable,
    unreadable,
)
from everact.runtime.values.payloads import JSON_TAG as JSON_TAG


class JsonConverter:
    """Values as JSON text: what a client of a remote engine encodes with.

    Dataclasses, enumerations, datetimes, UUIDs, models of pydantic and other types
    that msgspec knows are stored in their JSON form; `decode` gives them back when it
    is told their type, and plain data when it is not.

    What has no JSON form is refused, or else is encoded by `otherwise`; bytes are
    stored as they are then.
    """

    hinted = True

    def __init__(self, *, otherwise: Converter | None = None) -> None:
        self._otherwise = None if otherwise is None else guarded(otherwise)

    def encode(self, value: Any, what: str = "the value") -> bytes:
        if self._otherwise is not None and type(value) is bytes:
            return checked_size(BYTES_TAG + value, what)
        try:
            payload = JSON_TAG + _encoded(value)
        except BaseException as error:
            contained(error)
            if self._otherwise is not None:
                return self._otherwise.encode(value, what)
            raise ValueNotStorable(
                f"{what} has no JSON form: {text_of(error)}"
            ) from error
        return checked_size(payload, what)

    def decode(self, payload: bytes, kind: Any = Any) -> Any:
        """The value; of type `kind`, where one is given and msgspec knows it.

        msgspec.ValidationError if the value does not fit its type.
        """
        if payload[:1] == JSON_TAG:
            return _decoder(kind)(memoryview(payload)[1:])
        if self._otherwise is None:
            raise unreadable(payload)
        return self._otherwise.decode(payload)


def as_type(value: Any, kind: Any) -> Any:
    """Plain JSON data as an instance of `kind`, as `JsonConverter.decode` makes it."""
    return _decoder(kind)(_encode(value))


def _encoded(value: Any) -> bytes:
    body = _encode(value)
    # Whatever is no number in JSON would silently be null.
    if b"null" in body and _unfinite(msgspec.to_builtins(value, enc_hook=_dumped)):
        raise ValueError("JSON has no infinity, and nothing that is not a number")
    return body


def _unfinite(value: Any) -> bool:
    """Whether plain data holds a number that JSON has not."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_unfinite, value)) or any(map(_unfinite, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(
        map(_unfinite, value)
    )


def _dumped(value: Any) -> Any:
    """The plain data of a model, as pydantic has them; TypeError for others."""
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        raise TypeError(
            f"Encoding objects of type {type(value).__name__} is unsupported"
        )
    return dump(mode="json")


def _validated(kind: Any, value: Any) -> Any:
    """An instance of a model from its plain data."""
    validate = getattr(kind, "model_validate", None)
    if validate is None or isinstance(value, kind):
        return value
    return validate(value)


_encode = msgspec.json.Encoder(enc_hook=_dumped).encode


def _decoder(kind: Any) -> Callable[[Any], Any]:
    if kind is Any:
        return msgspec.json.decode
    try:
        return _decoder_of(kind)
    except TypeError:  # an annotation that cannot be hashed
        return msgspec.json.decode


@lru_cache(maxsize=1024)
def _decoder_of(kind: Any) -> Callable[[Any], Any]:
    """What decodes into `kind`; into plain data if that is no type for msgspec."""
    if kind is None or kind is inspect.Parameter.empty:
        return msgspec.json.decode
    try:
        decode = msgspec.json.Decoder(kind, dec_hook=_validated).decode
    except BaseException as error:  # whatever an annotation may be
        contained(error)
        return msgspec.json.decode

    def checked(data: Any) -> Any:
        try:
            return decode(data)
        except BaseException as error:
            what = f"a {_kind_name(kind)} cannot be made of JSON"
            raise not_readable(contained(error), what) from None

    return checked


def _kind_name(kind: Any) -> str:
    """What a type is called in messages."""
    return name_of(kind) if is_a(kind, type) else shown(kind)


def of_type(value: Any, hint: Any) -> Any:
    """`value` as a `hint`: as it is if it is one (or if None asks for nothing), or
    made of its JSON form.

    msgspec.ValidationError if it does not fit.
    """
    if hint is None or (isinstance(hint, type) and isinstance(value, hint)):
        return value
    return as_type(value, hint)
