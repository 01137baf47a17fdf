"""The wire: requests, answers and errors as JSON, the same on both of its ends."""

from everact.runtime.values.json_payloads import JsonConverter
from everact.runtime.wire.messages import (
    NOT_YET,
    Ask,
    NotYet,
    codec_of,
    decode_answer,
    decode_item,
    decode_request,
    encode_answer,
    encode_item,
    encode_request,
    path_of,
)
from everact.runtime.wire.refusals import decode_error, encode_error, status_of

__all__ = [
    "NOT_YET",
    "Ask",
    "JsonConverter",
    "NotYet",
    "codec_of",
    "decode_answer",
    "decode_error",
    "decode_item",
    "decode_request",
    "encode_answer",
    "encode_error",
    "encode_item",
    "encode_request",
    "path_of",
    "status_of",
]
