"""`DataConverter`: how user values become stored bytes, in three replaceable parts.

The value converter makes a payload of a value, the codec other bytes of the payload
(encrypted, compressed), the failure converter a recorded failure of an exception.
Whatever is a user value passes through them, and nothing else does: what runs are
found by (names, IDs, search attributes) is stored as it is.
"""

import inspect
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, Protocol

from everact.runtime.core.keywords import suggesting
from everact.runtime.errors import ValueNotReadable, ValueNotStorable
from everact.runtime.isolation import class_name, contained
from everact.runtime.values.codec_loop import CodecLoop
from everact.runtime.values.coded import Coded, coded
from everact.runtime.values.guarded import checked, guarded
from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.values.outcomes import FailureConverter
from everact.runtime.values.payloads import (
    HARMLESS,
    Converter,
    PickleConverter,
    unreadable,
)

LONGEST_NAME: Final = 64


class Codec(Protocol):
    """Makes other bytes of a payload, and the payload of those.

    `name` stands beside every value, in clear, and tells readers which codec it was:
    keep it for as long as there are such values. Keys are the codec's own matter; to
    rotate them it puts the name of the key into what it makes. Both methods may be
    coroutine functions. They must not need the engine.
    """

    @property
    def name(self) -> str: ...

    def encode(self, data: bytes, /) -> bytes | Awaitable[bytes]:
        """The coded form of a payload."""

    def decode(self, data: bytes, /) -> bytes | Awaitable[bytes]:
        """The payload; any exception if it cannot be had."""


@suggesting
class DataConverter:
    """The three parts together; immutable, to be shared by engines and clients.

    `DataConverter.default` stores values of any class with their class, as pickles.
    `DataConverter.json` stores what has a JSON form as that, and gives it back as the
    class that a type hint names; it pickles only the rest.

    `encode` and `decode` do all that a value needs. An asynchronous codec is waited
    for by a thread of its own there: it holds up who calls, 30 s at most.
    """

    __slots__ = (
        "__weakref__",
        "_loop",
        "_values",
        "codec",
        "decode",
        "encode",
        "failures",
        "hinted",
        "values",
    )

    default: ClassVar["DataConverter"]
    json: ClassVar["DataConverter"]

    encode: Callable[[Any, str], bytes]
    """A value as a payload; ValueNotStorable names it by the second argument."""
    decode: Callable[[bytes], Any]
    """The value of a payload."""

    def __init__(
        self,
        values: Converter | None = None,
        *,
        codec: Codec | None = None,
        failures: FailureConverter | None = None,
    ) -> None:
        self.values = values or PickleConverter()
        self._values = guarded(self.values)
        self.codec = codec
        self.failures = failures or FailureConverter()
        self.hinted = bool(getattr(self.values, "hinted", False))
        self._loop: CodecLoop | None = None
        if codec is None:
            self.encode, self.decode = self._values.encode, self._values.decode
            return
        name = codec.name
        if not (isinstance(name, str) and name.isascii() and name.isprintable()):
            raise ValueError(f"the name of a codec is plain ASCII text, not {name!r}")
        if not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(f"the name of a codec has 1 to {LONGEST_NAME} characters")
        if inspect.iscoroutinefunction(codec.encode) or inspect.iscoroutinefunction(
            codec.decode
        ):
            self._loop = CodecLoop(f"the codec {name!r}")
        self.encode, self.decode = self._encode, self._decode

    @property
    def waits(self) -> bool:
        """Whether the codec is asynchronous."""
        return self._loop is not None

    @property
    def immediate(self) -> "DataConverter":
        """What encodes without waiting: this, or one that leaves out the codec.

        Whoever sends what it made awaits an asynchronous codec before (`wrap_async`).
        """
        if self._loop is None:
            return self
        made = DataConverter(self.values, codec=self.codec, failures=self.failures)
        made._loop = self._loop
        made.encode = self._values.encode
        return made

    def decode_as(self, payload: bytes, kind: Any) -> Any:
        """The value of a payload, of type `kind` if that is what makes it a class.

        Values that carry their class are given as they are.
        """
        if not self.hinted:
            return self.decode(payload)
        hinted: Any = self._values
        return hinted.decode(self.unwrap(payload), kind)

    # -- the codec alone -------------------------------------------------------------

    def wrap(self, payload: bytes, what: str) -> bytes:
        """A payload as the codec makes it; as it is without a codec."""
        if self.codec is None:
            return payload
        try:
            return self._wrapped(self._now(self.codec.encode(payload)))
        except BaseException as error:
            raise self._not_storable(what, contained(error)) from error

    def unwrap(self, payload: bytes) -> bytes:
        """A payload without what a codec made of it; ValueNotReadable."""
        found = coded(payload)
        if found is None:
            return payload
        codec = self._codec_of(found, payload)
        try:
            body = self._now(codec.decode(found.body))
        except BaseException as error:
            raise _not_readable(found, contained(error)) from error
        return _harmless(found, body)

    async def wrap_async(self, payload: bytes, what: str = "a value") -> bytes:
        """As `wrap`; an asynchronous codec is awaited."""
        if self.codec is None or not payload or coded(payload) is not None:
            return payload
        try:
            return self._wrapped(await _awaited(self.codec.encode(payload)))
        except (CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            raise self._not_storable(what, contained(error)) from error

    async def unwrap_async(self, payload: bytes) -> bytes:
        """As `unwrap`; an asynchronous codec is awaited."""
        found = coded(payload)
        if found is None:
            return payload
        codec = self._codec_of(found, payload)
        try:
            body = await _awaited(codec.decode(found.body))
        except (CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            raise _not_readable(found, contained(error)) from error
        return _harmless(found, body)

    def reads(self, payload: bytes) -> bool:
        """Whether a payload is not coded, or by the codec that is here."""
        found = coded(payload)
        return found is None or (
            self.codec is not None and found.codec == self.codec.name
        )

    # -- inside ----------------------------------------------------------------------

    def _encode(self, value: Any, what: str) -> bytes:
        return self.wrap(self._values.encode(value, what), what)

    def _decode(self, payload: bytes) -> Any:
        return self._values.decode(self.unwrap(payload))

    def _codec_of(self, found: Coded, payload: bytes) -> Codec:
        if self.codec is None or found.codec != self.codec.name:
            raise unreadable(payload)
        return self.codec

    def _now(self, made: bytes | Awaitable[bytes]) -> bytes:
        if isinstance(made, bytes) or self._loop is None:
            return checked(made)
        return checked(self._loop.wait(made))

    def _wrapped(self, body: bytes) -> bytes:
        assert self.codec is not None
        return Coded(self.codec.name, body).payload

    def _not_storable(self, what: str, error: BaseException) -> ValueNotStorable:
        assert self.codec is not None
        return ValueNotStorable(
            f"{what} cannot be stored: the codec {self.codec.name!r} failed with "
            f"{class_name(error)}"
        )


def _not_readable(found: Coded, error: BaseException) -> ValueNotReadable:
    return ValueNotReadable(
        f"a value cannot be read: its codec {found.codec!r} failed with "
        f"{class_name(error)}"
    )


def _harmless(found: Coded, payload: bytes) -> bytes:
    """What was in a coded payload; from the network it must be no pickle."""
    if found.foreign and payload[:1] not in HARMLESS:
        raise ValueNotReadable(
            f"a value of the codec {found.codec!r} came over the network and is not "
            "JSON inside; it is not loaded"
        )
    return payload


async def _awaited(made: bytes | Awaitable[bytes]) -> bytes:
    return checked(await made if inspect.isawaitable(made) else made)


DataConverter.default = DataConverter()
DataConverter.json = DataConverter(JsonConverter(otherwise=PickleConverter()))
