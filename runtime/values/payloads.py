"""Values as opaque bytes, and back.

A payload is one tag byte and a body: MessagePack for the scalars that are nearly all
of the traffic, plain pickle for containers of builtin values, cloudpickle for
everything else; JSON and raw bytes are what `json_payloads` makes. Tags from 0x80 on
are those of `coded`: what a codec made of a payload.

Pickles come out of authenticated rows only; decoding one from anywhere else would
run what it says.
"""

import io
import pickle
import sys
from typing import Any, Final, Protocol

import cloudpickle
import msgspec

from everact.runtime import errors
from everact.runtime.errors import ValueNotReadable, ValueNotStorable
from everact.runtime.isolation import class_name, contained, is_a, read, text_of
from everact.runtime.values.coded import coded

LARGEST: Final = 64 * 1024 * 1024
"""Bytes that one value may take when encoded."""

_MSGPACK, _PICKLE, _CLOUDPICKLE = b"m", b"p", b"c"
JSON_TAG: Final = b"j"
BYTES_TAG: Final = b"b"
HARMLESS: Final = frozenset({_MSGPACK, JSON_TAG, BYTES_TAG})
"""Encodings that hold data only: decoding them runs nothing, wherever they are from."""

_NOTED: Final = "__msgspec_cache__"
"""The attribute of dataclasses, enumerations, named tuples and typed dictionaries in
which msgspec keeps what it found out when it decoded JSON into one. No pickle can have
it, and it is made anew."""

_ATOMS: Final = frozenset({int, str, bytes, float, bool, type(None), complex})
_OWN: Final = frozenset(
    {"builtins", "_pickle", "msgspec", "pydantic_core._pydantic_core", errors.__name__}
)
"""Modules whose exceptions do no harm when they are looked at."""

_SMALL = 1000
_SHALLOW = 50

_msgpack_encode = msgspec.msgpack.Encoder().encode
_msgpack_decode = msgspec.msgpack.Decoder().decode

NONE: Final = _MSGPACK + _msgpack_encode(None)

_SMALL_INTS: Final = {n: _MSGPACK + _msgpack_encode(n) for n in range(1024)}
_small_int = _SMALL_INTS.get
_KNOWN: Final[dict[bytes, Any]] = {
    **{payload: n for n, payload in _SMALL_INTS.items()},
    NONE: None,
    _MSGPACK + _msgpack_encode(True): True,
    _MSGPACK + _msgpack_encode(False): False,
}
"""Values that are made all the time, by their payload: looked up, not decoded."""
_SHORTEST: Final = max(map(len, _KNOWN))


def checked_text(text: str, what: str) -> str:
    """`text`, if it can be stored as a name; ValueError naming `what` if it cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{what} cannot be stored: {error}") from None
    return text


def unreadable(payload: bytes) -> ValueNotReadable:
    """The error of who does not know how a payload is encoded."""
    found = coded(payload)
    if found is None:
        return ValueNotReadable(f"a value of unknown encoding {payload[:1]!r}")
    return ValueNotReadable(
        f"a value is encoded by the codec {found.codec!r}, which is not there: give "
        "data_converter=DataConverter(codec=…) where it is to be read"
    )


class Converter(Protocol):
    """How values become payloads: the port that other encodings implement.

    One with an attribute `hinted` that is true takes the type to decode into as a
    second argument of `decode`. First bytes from 0x80 on must not be used.
    """

    def encode(self, value: Any, what: str, /) -> bytes:
        """Return `value` as a payload; ValueNotStorable naming `what` if it is none."""

    def decode(self, payload: bytes, /) -> Any:
        """Return the value of `payload`."""


def unwrapped(values: Converter, payload: bytes) -> bytes:
    """A payload without what the codec of `values`, if it has one, made of it."""
    unwrap = getattr(values, "unwrap", None)
    found: bytes = payload if unwrap is None else unwrap(payload)
    return found


class PickleConverter:
    """The default: any picklable value keeps its type, classes of `__main__` too.

    It reads JSON as well, as plain data.
    """

    def encode(self, value: Any, what: str = "the value") -> bytes:
        kind = type(value)
        if kind is int:
            made: bytes | None = _small_int(value)
            if made is not None:
                return made
            if -(2**63) <= value < 2**63:
                return _MSGPACK + _msgpack_encode(value)
        elif kind is str or value is None or kind is bool or kind is float:
            try:
                return checked_size(_MSGPACK + _msgpack_encode(value), what)
            except UnicodeEncodeError:  # lone surrogates: pickle can
                pass
        try:
            if _plain(value, [_SMALL], _SHALLOW):
                return checked_size(_PICKLE + pickle.dumps(value, 5), what)
            return checked_size(_CLOUDPICKLE + by_value(value), what)
        except ValueNotStorable:
            raise
        except BaseException as error:
            contained(error)
            raise ValueNotStorable(
                f"{what} cannot be stored: a value of type {class_name(value)} does "
                f"not pickle ({text_of(error)})"
            ) from error

    def decode(self, payload: bytes) -> Any:
        if len(payload) <= _SHORTEST and payload in _KNOWN:
            return _KNOWN[payload]
        if payload[:1] == _MSGPACK:
            return _msgpack_decode(memoryview(payload)[1:])
        if payload[:1] in (_PICKLE, _CLOUDPICKLE):
            return _loaded(memoryview(payload)[1:])
        if payload[:1] == JSON_TAG:
            return msgspec.json.decode(memoryview(payload)[1:])
        if payload[:1] == BYTES_TAG:
            return payload[1:]
        raise unreadable(payload)


def _loaded(body: memoryview) -> Any:
    """The value of a pickle, which runs what the classes in it say."""
    try:
        return pickle.loads(body)
    except BaseException as error:
        raise not_readable(contained(error), "a value cannot be loaded") from None


def not_readable(error: BaseException, what: str) -> Exception:
    """`error` if it is a plain one; of any other class only what it says is kept."""
    known = read(lambda: type(error).__module__ in _OWN, False)
    if known and is_a(error, Exception):
        return error  # type: ignore[return-value]
    return ValueNotReadable(f"{what}: {class_name(error)}: {text_of(error)}")


def by_value(value: Any, most: int = LARGEST) -> bytes:
    """`value` as cloudpickle has it, but for the classes of the script itself.

    Those must be the same classes when the script is run again (``except`` and
    ``isinstance`` in a replay depend on it), and still be there for another script.
    """
    return _dumped(_Pickler, value, most)


def classes_by_value(value: Any) -> bytes:
    """`value` as cloudpickle has it: classes of the script are in it, not named."""
    return _dumped(_ClassPickler, value, LARGEST)


def _dumped(pickler: Any, value: Any, most: int) -> bytes:
    file = _Bounded()
    file.most = most
    pickler(file, 5).dump(value)
    return file.getvalue()


class _Bounded(io.BytesIO):
    """Takes no more than a value may have: what a class makes of itself may be endless.

    The pickler hands over what it has in frames of 64 KiB.
    """

    most = LARGEST

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        if self.tell() > self.most:
            raise ValueError(f"it takes more than {self.most:,} bytes")
        return written


class _ClassPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Stores classes as they were written: without what others have noted on them."""

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if is_a(obj, type) and type(reduced) is tuple and len(reduced) > 2:
            state = reduced[2]  # of a class: its dictionary, and its slots
            if type(state) is tuple and type(state[0]) is dict:
                state[0].pop(_NOTED, None)
        return reduced


class _Pickler(_ClassPickler):
    """Stores a class of the script by name and, for other scripts, by value."""

    def reducer_override(self, obj: Any) -> Any:
        if is_a(obj, type) and obj.__module__ == "__main__":
            name = obj.__qualname__
            if _of_script(name) is obj:
                return script_class, (name, classes_by_value(obj))
        return super().reducer_override(obj)


def script_class(name: str, body: bytes) -> Any:
    """The script's class of that name, else the stored one. Payloads name this."""
    found = _of_script(name)
    return found if isinstance(found, type) else pickle.loads(body)


def _of_script(name: str) -> Any:
    found: Any = sys.modules.get("__main__")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def checked_size(payload: bytes, what: str) -> bytes:
    """`payload`, if it is not too large; ValueNotStorable naming `what` if it is."""
    if len(payload) > LARGEST:
        raise ValueNotStorable(
            f"{what} takes {len(payload):,} bytes, more than the {LARGEST:,} that one "
            "value may have; store it elsewhere and pass a reference"
        )
    return payload


def _plain(value: Any, budget: list[int], depth: int) -> bool:
    """Whether `value` consists of builtin values only, so that plain pickle will do.

    False as well for what is too large or too deep to find out quickly.
    """
    kind = type(value)
    if kind in _ATOMS:
        return True
    budget[0] -= 1
    depth -= 1
    if budget[0] < 0 or depth < 0:
        return False
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return all(_plain(item, budget, depth) for item in value)
    if kind is dict:
        return all(
            _plain(k, budget, depth) and _plain(v, budget, depth)
            for k, v in value.items()
        )
    return False
