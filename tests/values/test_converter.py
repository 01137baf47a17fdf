"""The data converter: which value is stored as what, and the three parts of it."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import gc
import math
import pickle
import threading
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pydantic
import pytest

from everact.runtime import ApplicationError
from everact.runtime.converters import (
    DataConverter,
    Failure,
    FailureConverter,
    JsonConverter,
    PickleConverter,
)
from everact.runtime.errors import ValueNotReadable, ValueNotStorable
from everact.runtime.functions import Status
from everact.runtime.values import codec_loop
from everact.runtime.values.coded import Coded, coded
from everact.runtime.values.outcomes import cause_of, exception_of, failure_of
from everact.runtime.values.payloads import Converter

JSON = DataConverter.json
ENCODINGS = {
    b"m": "msgpack",
    b"p": "pickle",
    b"c": "cloudpickle",
    b"j": "json",
    b"b": "bytes",
}


def encoding_of(payload: bytes) -> str:
    """The encoding of a payload, or the codec that was applied to it."""
    found = coded(payload)
    return ENCODINGS[payload[:1]] if found is None else found.codec


class Size(enum.Enum):
    SMALL = "small"


@dataclasses.dataclass
class Order:
    article: str
    size: Size = Size.SMALL
    parts: list[Order] = dataclasses.field(default_factory=list)


class Point(msgspec.Struct):
    x: int


class Model(pydantic.BaseModel):
    at: datetime
    size: Size


class Plain:
    """A class that has no JSON form."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain

    def __hash__(self) -> int:
        return 0


ORDER = Order("lamp", parts=[Order("bulb")])
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def there_and_back(value: Any, kind: Any = Any, by: DataConverter = JSON) -> Any:
    return by.decode_as(by.encode(value, "the value"), kind)


@pytest.mark.feature("DC-01")
def test_a_dataclass_is_its_class_with_a_hint_and_a_dictionary_without() -> None:
    assert there_and_back(ORDER, Order) == ORDER
    assert there_and_back(ORDER) == {
        "article": "lamp",
        "size": "small",
        "parts": [{"article": "bulb", "size": "small", "parts": []}],
    }
    double = there_and_back(lambda n: 2 * n)
    assert double(4) == 8


@pytest.mark.feature("DC-01")
@pytest.mark.parametrize(
    ("value", "kind", "plain", "encoding"),
    [
        (None, None, None, "json"),
        (b"\x00\xff", bytes, b"\x00\xff", "bytes"),
        (
            {"a": [1, 2.5, True, None, "ü"]},
            Any,
            {"a": [1, 2.5, True, None, "ü"]},
            "json",
        ),
        (10**30, int, 10**30, "json"),
        (Size.SMALL, Size, "small", "json"),
        (MOMENT, datetime, "2026-01-02T00:00:00Z", "json"),
        (timedelta(hours=1), timedelta, "PT3600S", "json"),
        (uuid.UUID(int=7), uuid.UUID, str(uuid.UUID(int=7)), "json"),
        (Point(1), Point, {"x": 1}, "json"),
        ([Point(1)], list[Point], [{"x": 1}], "json"),
        ({1: "a"}, dict[int, str], {"1": "a"}, "json"),
        ((1, 2), tuple[int, int], [1, 2], "json"),
        ({1}, set[int], [1], "json"),
        (
            Model(at=MOMENT, size=Size.SMALL),
            Model,
            {"at": "2026-01-02T00:00:00Z", "size": "small"},
            "json",
        ),
        (
            [Model(at=MOMENT, size=Size.SMALL)],
            list[Model],
            [{"at": "2026-01-02T00:00:00Z", "size": "small"}],
            "json",
        ),
        (math.inf, float, math.inf, "msgpack"),
        ([1.0, math.inf], Any, [1.0, math.inf], "pickle"),
        ("\ud800", str, "\ud800", "pickle"),
        (Plain(), Plain, Plain(), "cloudpickle"),
        ([ORDER, Plain()], list[Any], [ORDER, Plain()], "cloudpickle"),
    ],
)
def test_each_value_says_how_it_is_encoded_and_comes_back_by_its_type(
    value: Any, kind: Any, plain: Any, encoding: str
) -> None:
    payload = JSON.encode(value, "the value")
    assert encoding_of(payload) == encoding
    assert JSON.decode(payload) == plain
    found = JSON.decode_as(payload, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.feature("DC-01")
def test_there_is_one_default_and_it_keeps_every_class() -> None:
    assert isinstance(DataConverter.default, DataConverter)
    for value in (ORDER, Size.SMALL, Point(1), Model(at=MOMENT, size=Size.SMALL)):
        assert there_and_back(value, by=DataConverter.default) == value


@pytest.mark.feature("DC-01")
@pytest.mark.parametrize("value", [ORDER, [1], "text", 5, None, Plain()])
def test_what_one_converter_stored_the_other_reads(value: Any) -> None:
    default = DataConverter.default
    assert JSON.decode(default.encode(value, "v")) == value
    plain = JSON.decode(JSON.encode(value, "v"))
    assert default.decode(JSON.encode(value, "v")) == plain


def test_a_value_that_does_not_fit_its_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="article"):
        JSON.decode_as(JSON.encode({"article": 3}, "v"), Order)
    with pytest.raises(msgspec.ValidationError, match="size"):
        JSON.decode_as(JSON.encode({"at": "2026-01-02", "size": "huge"}, "v"), Model)


@pytest.mark.parametrize("kind", ["Order", Order | Point | dict, 3, [int]], ids=repr)
def test_a_hint_that_is_no_type_gives_plain_data(kind: Any) -> None:
    assert there_and_back({"x": 1}, kind) == {"x": 1}


@pytest.mark.feature("DC-05")
@pytest.mark.parametrize(
    "value", [Plain(), lambda: 1, [math.nan], {"x": -math.inf}, "\ud800"]
)
def test_json_alone_names_what_it_cannot_convert(value: Any) -> None:
    with pytest.raises(ValueNotStorable, match="argument 1 of f has no JSON form"):
        DataConverter(JsonConverter()).encode(value, "argument 1 of f")


@pytest.mark.feature("DC-05")
def test_what_neither_json_nor_pickle_can_is_named_as_well() -> None:
    with pytest.raises(ValueNotStorable, match="argument 1 of f cannot be stored"):
        JSON.encode(threading.Lock(), "argument 1 of f")


# -- the codec -------------------------------------------------------------------------


class Zip:
    name = "zip"

    def encode(self, data: bytes, /) -> bytes:
        return zlib.compress(data)

    def decode(self, data: bytes, /) -> bytes:
        return zlib.decompress(data)


class SlowZip:
    """The same, by coroutines."""

    name = "zip"

    def __init__(self) -> None:
        self.threads: set[str] = set()

    async def encode(self, data: bytes, /) -> bytes:
        await asyncio.sleep(0)
        self.threads.add(threading.current_thread().name)
        return zlib.compress(data)

    async def decode(self, data: bytes, /) -> bytes:
        await asyncio.sleep(0)
        self.threads.add(threading.current_thread().name)
        return zlib.decompress(data)


class Broken(Zip):
    def encode(self, data: bytes, /) -> bytes:
        raise RuntimeError("the key is 'sesame'")

    decode = encode


ZIPPED = DataConverter(codec=Zip())


@pytest.mark.feature("DC-02")
@pytest.mark.parametrize("codec", [Zip(), SlowZip()], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("values", [PickleConverter(), JSON.values])
def test_a_codec_is_applied_to_every_value_and_named_beside_it(
    codec: Any, values: Converter
) -> None:
    converter = DataConverter(values, codec=codec)
    for value in (None, 5, "x" * 1000, ORDER):
        payload = converter.encode(value, "v")
        assert encoding_of(payload) == "zip"
        assert converter.decode_as(payload, type(value)) == value
    assert len(converter.encode("x" * 1000, "v")) < 100


@pytest.mark.feature("DC-02")
async def test_an_asynchronous_codec_is_awaited_where_that_can_be() -> None:
    codec = SlowZip()
    converter = DataConverter(codec=codec)
    payload = converter.values.encode([1], "v")
    wrapped = await converter.wrap_async(payload)
    assert await converter.unwrap_async(wrapped) == payload
    assert await converter.wrap_async(wrapped) == wrapped
    assert codec.threads == {"MainThread"}
    assert converter.decode(wrapped) == [1]
    assert codec.threads == {"MainThread", "everact-codec"}


@pytest.mark.feature("DC-02")
def test_the_thread_of_an_asynchronous_codec_ends_with_its_converter() -> None:
    before = set(threading.enumerate())
    converter = DataConverter(codec=SlowZip())
    converter.encode(1, "v")
    (thread,) = set(threading.enumerate()) - before
    del converter
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_an_asynchronous_codec_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(SlowZip):
        async def encode(self, data: bytes, /) -> bytes:
            await asyncio.Event().wait()
            return data

    monkeypatch.setattr(codec_loop, "LIMIT", 0.01)
    with pytest.raises(ValueNotStorable, match=r"argument 1.*TimeoutError"):
        DataConverter(codec=Silent()).encode(1, "argument 1")


@pytest.mark.feature("DC-02")
def test_values_from_before_the_codec_are_still_read() -> None:
    for value in (5, [1], ORDER):
        assert ZIPPED.decode(DataConverter.default.encode(value, "v")) == value


@pytest.mark.feature("DC-02")
def test_who_lacks_the_codec_is_told_which_one() -> None:
    payload = ZIPPED.encode("secret", "v")
    other = Zip()
    other.name = "zap"
    for converter in (
        DataConverter.default,
        DataConverter.json,
        DataConverter(JsonConverter()),
        DataConverter(codec=other),
    ):
        assert not converter.reads(payload)
        with pytest.raises(ValueNotReadable, match="'zip'"):
            converter.decode(payload)


@pytest.mark.feature("DC-05")
def test_a_codec_that_fails_is_named_with_the_value_but_not_what_it_said() -> None:
    broken = DataConverter(codec=Broken())
    with pytest.raises(ValueNotStorable, match=r"argument 1.*'zip'") as refused:
        broken.encode(1, "argument 1 of f")
    with pytest.raises(ValueNotReadable, match=r"'zip'.*RuntimeError") as unread:
        broken.decode(ZIPPED.encode(1, "v"))
    assert "sesame" not in f"{refused.value}{unread.value}"


@pytest.mark.parametrize("name", ["", "ü", "x" * 65, "a\nb", 3], ids=repr)
def test_the_name_of_a_codec_is_short_plain_text(name: Any) -> None:
    codec = Zip()
    codec.name = name
    with pytest.raises(ValueError, match="the name of a codec"):
        DataConverter(codec=codec)


def test_a_codec_that_gives_no_bytes_is_refused() -> None:
    class Odd(Zip):
        def encode(self, data: bytes, /) -> Any:
            return "text"

    with pytest.raises(ValueNotStorable, match="TypeError"):
        DataConverter(codec=Odd()).encode(1, "v")


def foreign(body: bytes) -> bytes:
    """A payload as it comes in over the network."""
    return Coded("zip", zlib.compress(body), foreign=True).payload


@pytest.mark.feature("DC-02")
def test_a_pickle_that_came_over_the_network_is_never_loaded() -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return pytest.fail, ("it was loaded",)

    assert ZIPPED.decode(foreign(b'j{"a":1}')) == {"a": 1}
    for tag in (b"c", b"p"):
        payload = foreign(tag + pickle.dumps(Trap()))
        with pytest.raises(ValueNotReadable, match="over the network"):
            ZIPPED.decode(payload)
        assert exception_of(a_failure(value=payload), values=ZIPPED)


# -- the failure converter -------------------------------------------------------------


def a_failure(**fields: Any) -> Failure:
    found = failure_of(ValueError("secret"), values=DataConverter.default)
    return msgspec.structs.replace(found, **fields)


class Discreet(FailureConverter):
    """Keeps the text of failures among the details, which the codec sees."""

    def to_failure(
        self, error: BaseException, values: Converter, status: Status | None = None
    ) -> Failure:
        found = super().to_failure(error, values, status)
        text = values.encode(found.message, "the message")
        return msgspec.structs.replace(
            found, message="see details", traceback="", details=(text,), cause=None
        )

    def to_cause(self, failure: Failure, values: Converter) -> BaseException:
        if failure.message == "see details":
            text = values.decode(failure.details[0])
            failure = msgspec.structs.replace(failure, message=text, details=())
        return super().to_cause(failure, values)


@pytest.mark.feature("DC-02")
def test_a_failure_converter_decides_what_is_stored_of_an_error() -> None:
    converter = DataConverter(codec=Zip(), failures=Discreet())
    failure = failure_of(ValueError("secret"), values=converter)
    assert b"secret" not in msgspec.msgpack.encode(failure)
    found = cause_of(failure, values=converter)
    assert isinstance(found, ApplicationError)
    assert (found.type, found.message) == ("ValueError", "secret")


@pytest.mark.feature("DC-02", "DC-06")
def test_the_exception_in_a_failure_passes_the_codec() -> None:
    failure = failure_of(KeyError("k"), values=ZIPPED)
    assert failure.value is not None
    assert encoding_of(failure.value) == "zip"
    assert type(exception_of(failure, values=ZIPPED)) is KeyError
    assert type(exception_of(failure, values=DataConverter.default)) is KeyError
