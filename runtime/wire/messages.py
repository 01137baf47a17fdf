"""Requests and answers as JSON text, and where they go.

An answer that is a struct is an object of its fields; of others the list is in
`items`, a user value in `value`, and no answer at all is an empty object.
"""

from functools import cache
from typing import Annotated, Any, Final, NamedTuple, get_origin

import msgspec
from msgspec import Meta

from everact.runtime.core.bounds import DEFAULT_WAIT, LONGEST_WAIT
from everact.runtime.core.opaque import Payload
from everact.runtime.operations.base import Request
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.values.converter import DataConverter
from everact.runtime.wire.shapes import Shape, shape_of
from everact.runtime.wire.values import sent, shown_by

PREFIX: Final = "/api/v1/"
NOT_YET: Final = b'{"not_yet":true}'
"""The body, with status 202, of an answer that is not there yet: ask again."""


class NotYet(msgspec.Struct, frozen=True):
    """There is no answer yet; the same request may be sent again at once."""


class Ask(NamedTuple):
    """A decoded request, and for how many seconds its sender waits."""

    request: Any
    wait: float


class _Codec(NamedTuple):
    request: type[msgspec.Struct]
    """What a body is validated against."""
    shape: Shape
    answer: type[msgspec.Struct] | None
    answer_shape: Shape
    field: str
    """Where the answer is in its object; empty if it is the object."""


def path_of(kind: type) -> str:
    """The path of the route of a request."""
    return PREFIX + OPERATIONS[kind].name.replace(".", "/")


def encode_request(request: Request[Any], wait: float = 0.0) -> bytes:
    """The body of a request, for a client; ValueNotStorable for other than JSON.

    `wait` is for how many seconds the engine may wait before it says "not yet".
    """
    codec = codec_of(type(request))
    assert codec.shape.outward is not None
    made = codec.shape.outward(request, sent)
    if OPERATIONS[type(request)].waits:
        made["wait"] = wait
    return msgspec.json.encode(made)


def decode_request(kind: type, body: bytes) -> Ask:
    """A request from its body; msgspec.DecodeError says what is wrong with it."""
    codec = codec_of(kind)
    assert codec.shape.inward is not None
    found = msgspec.json.decode(body or b"{}", type=codec.request)
    return Ask(codec.shape.inward(found), getattr(found, "wait", 0.0))


def encode_answer(kind: type, answer: Any, values: DataConverter) -> bytes:
    """The body of the answer to a request of that kind; user values as JSON."""
    codec = codec_of(kind)
    if codec.answer is None:
        return b"{}"
    shape = codec.answer_shape
    if shape.outward is not None:
        answer = shape.outward(answer, shown_by(values))
    return msgspec.json.encode({codec.field: answer} if codec.field else answer)


def decode_answer(kind: type, body: bytes) -> Any:
    """The answer from its body, or `NotYet`; user values are JSON payloads."""
    if body == NOT_YET:
        return NotYet()
    codec = codec_of(kind)
    if codec.answer is None:
        return None
    found: Any = msgspec.json.decode(body, type=codec.answer)
    if codec.field:
        found = getattr(found, codec.field)
    inward = codec.answer_shape.inward
    return inward(found) if inward else found


def encode_item(kind: Any, item: Any, values: DataConverter) -> bytes:
    """One item of a stream, of type `kind`."""
    outward = shape_of(kind, False).outward
    assert outward is not None
    return msgspec.json.encode(outward(item, shown_by(values)))


def decode_item(kind: Any, body: bytes) -> Any:
    """One item of a stream."""
    shape = shape_of(kind, False)
    assert shape.inward is not None
    return shape.inward(msgspec.json.decode(body, type=shape.twin))


@cache
def codec_of(kind: type) -> _Codec:
    """How requests of a kind and their answers travel."""
    operation = OPERATIONS[kind]
    shape, twin = shape_of(kind, True), shape_of(kind, True).twin
    if operation.waits and not operation.times_itself:
        limited = Annotated[
            float,
            Meta(
                ge=0,
                le=LONGEST_WAIT,
                description='Seconds until the answer is "not yet" (status 202).',
            ),
        ]
        twin = msgspec.defstruct(
            kind.__name__,
            [("wait", limited, DEFAULT_WAIT)],
            bases=(twin,),
            module=kind.__module__,
            namespace={"__doc__": kind.__doc__},
            kw_only=True,
            forbid_unknown_fields=True,
        )
    answer = operation.answer
    if answer is None or answer is type(None):
        return _Codec(twin, shape, None, Shape(Any), "")
    answer_shape = shape_of(answer, False)
    if answer == Payload:
        field = "value"
    elif get_origin(answer) is tuple:
        field = "items"
    else:
        return _Codec(twin, shape, answer_shape.twin, answer_shape, "")
    wrapped = msgspec.defstruct(
        f"{kind.__name__}Answer", [(field, answer_shape.twin)], module=kind.__module__
    )
    return _Codec(twin, shape, wrapped, answer_shape, field)
